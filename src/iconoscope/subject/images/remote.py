"""Images that lie elsewhere: s3, gs, https and whatever else `fsspec` opens. They are listed once, and read when asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from iconoscope.errors import IconoscopeError, ImageFileError, ImagesError, MissingExtraError, first_line
from iconoscope.extras import import_extra
from iconoscope.subject.images.decoding import SUFFIXES
from iconoscope.subject.images.encoded_images import EncodedImages
from iconoscope.subject.images.folder import DEBRIS, class_folders

__all__ = ["open_remote"]

# Filesystems that cannot be listed: there, an address is one image.
WEB = ("http", "https")


class RemoteReader:
    """Files of a filesystem of `fsspec`, which is made anew in every process: connections do not outlive a fork.

    Parameters
    ----------
    address
        An address in that filesystem.
    root
        The folder, as the filesystem writes it, with what ends it.
    paths
        The files, below the root.
    """

    def __init__(self, address: str, root: str, paths: Sequence[str]) -> None:
        self._files = address, root, paths
        self._connection: tuple[int, Any] = (0, None)

    def __getstate__(self) -> tuple[str, str, Sequence[str]]:
        return self._files

    def __setstate__(self, files: tuple[str, str, Sequence[str]]) -> None:
        self.__init__(*files)

    def __call__(self, row: int, id: str) -> bytes:
        """Fetch the file."""
        from fsspec.core import url_to_fs

        address, root, paths = self._files
        try:
            if self._connection[0] != os.getpid():
                self._connection = (os.getpid(), url_to_fs(address)[0])
            return self._connection[1].cat_file(root + paths[row])
        except Exception as error:  # every filesystem has errors of its own
            raise ImageFileError(f"{id} cannot be read: {_reason(error)}") from error


def open_remote(address: str) -> EncodedImages:
    """List the images below an address, as those below a folder are listed.

    Raises
    ------
    ImagesError
        There are none, or the address cannot be read.
    QuestionError
        It holds several splits.
    MissingExtraError
        `fsspec`, or the package for this kind of address, is not installed.
    """
    url_to_fs = import_extra("fsspec.core", "remote", address).url_to_fs
    scheme = address.partition("://")[0]
    try:
        system, path = url_to_fs(address)
    except ImportError as error:
        reason = first_line(error).rstrip(".")
        package = PACKAGES.get(scheme, f"'fsspec[{scheme}]'")
        raise MissingExtraError(f"{address}: {reason}.", hint=f"pip install {package}") from error
    except Exception as error:  # of each filesystem, where an address does not hold all that it wants
        unknown = isinstance(error, ValueError)
        reason = f"there is no source of images {scheme}://" if unknown else f"it cannot be opened: {_reason(error)}"
        raise ImagesError(f"{address}: {reason}.", hint=f"fsspec knows {', '.join(USUAL)} and more.") from error
    try:
        if scheme in WEB or system.isfile(path):
            return _open_file(address, system, path)
        files = system.find(path)
    except IconoscopeError:
        raise
    except FileNotFoundError as error:
        raise ImagesError(f"{address}: there is no such place.") from error
    except Exception as error:  # every filesystem has errors of its own: credentials, connections, buckets
        raise ImagesError(f"{address} cannot be listed: {_reason(error)}", hint=CREDENTIALS.get(scheme, "")) from error
    root = path.rstrip("/") + "/"
    paths = sorted(name for file in files if _is_image(name := file.removeprefix(root)))
    if not paths:
        content = f"{len(files)} files, none of them with the suffix of an image" if files else "nothing"
        raise ImagesError(
            f"There are no images in {address}: {content}.",
            hint="Parquet, tar and arrays are read from this machine: copy them here." if files else "",
        )
    labels, names = class_folders(paths, address)
    return EncodedImages(address, paths, labels, RemoteReader(address, root, paths), label_names=names)


USUAL = ("abfs", "az", "file", "ftp", "gs", "hdfs", "http", "https", "memory", "s3", "sftp", "zip")
# What opens each kind of address beside fsspec itself.
PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "http": "aiohttp requests",
    "https": "aiohttp requests",
    "sftp": "paramiko",
    "hdfs": "pyarrow",
}
CREDENTIALS = {
    "s3": "Credentials are those of AWS: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, ~/.aws; "
    "FSSPEC_S3_ENDPOINT_URL names another server, FSSPEC_S3_ANON=true goes without.",
    "gs": "Credentials are those of Google: gcloud auth application-default login.",
}


def _open_file(address: str, system: Any, path: str) -> EncodedImages:
    root, _, name = path.rpartition("/")
    if PurePosixPath(name.partition("?")[0]).suffix.lower() not in SUFFIXES:
        raise ImagesError(
            f"{address} is not a source of images: its name ends in no suffix of an image.",
            hint="From the web, one image at a time; parquet, tar and arrays are read from this machine: copy them here.",
        )
    if not system.exists(path):
        raise ImagesError(f"{address}: there is no such file, or no way to it.")
    return EncodedImages(address, [name], None, RemoteReader(address, f"{root}/", [name]))


def _is_image(path: str) -> bool:
    parts = path.split("/")
    return PurePosixPath(path).suffix.lower() in SUFFIXES and not any(
        part.startswith(".") or part in DEBRIS for part in parts
    )


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
