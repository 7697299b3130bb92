"""Images that lie elsewhere: s3, gs, hf, https and whatever else `fsspec` opens.

They are listed once, and read when asked for: an image file at once, of parquet a row group, of tar the place of an image.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

from iconoscope.atomic_files import temporary_folder, writing_whole
from iconoscope.errors import IconoscopeError, ImageFileError, ImagesError, MissingExtraError, first_line
from iconoscope.extras import import_extra
from iconoscope.remote_file import RemoteFile, filesystem_of, reason_of, remedy_for, unreachable
from iconoscope.subject.images.decoding import SUFFIXES
from iconoscope.subject.images.encoded_images import EncodedImages
from iconoscope.subject.images.folder import DEBRIS, class_folders
from iconoscope.subject.images.parquet import check_shards, open_parquet
from iconoscope.subject.images.tables import read_list
from iconoscope.subject.images.webdataset import check_missing, numbered_shards, open_webdataset

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
        address, root, paths = self._files
        try:
            if self._connection[0] != os.getpid():
                self._connection = (os.getpid(), filesystem_of(address)[0])
            return self._connection[1].cat_file(root + paths[row])
        except FileNotFoundError as error:
            raise ImageFileError(f"{id} cannot be read: {reason_of(error)}") from error
        except Exception as error:  # every filesystem has errors of its own
            raise unreachable(id, error, address) from error


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
    import_extra("fsspec", "remote", address)
    scheme = address.partition("://")[0]
    try:
        system, path = filesystem_of(address)
    except IconoscopeError:
        raise
    except ImportError as error:
        reason = first_line(error).rstrip(".")
        package = PACKAGES.get(scheme, f"'fsspec[{scheme}]'")
        raise MissingExtraError(f"{address}: {reason}.", hint=f"pip install {package}") from error
    except Exception as error:  # of each filesystem, where an address does not hold all that it wants
        unknown = isinstance(error, ValueError)
        reason = f"there is no source of images {scheme}://" if unknown else f"it cannot be opened: {reason_of(error)}"
        raise ImagesError(f"{address}: {reason}.", hint=f"fsspec knows {', '.join(USUAL)} and more.") from error
    try:
        if shards := _several(address, system):
            opener = open_parquet if shards[0].name.endswith(".parquet") else open_webdataset
            return opener(shards, address)
        if scheme in WEB or system.isfile(path):
            return _open_file(address, system, path)
        files = system.find(path)
    except IconoscopeError:
        raise
    except FileNotFoundError as error:
        raise ImagesError(f"{address}: there is no such place.") from error
    except Exception as error:  # every filesystem has errors of its own: credentials, connections, buckets
        raise ImagesError(f"{address} cannot be listed: {reason_of(error)}", hint=remedy_for(address, error)) from error
    root = path.rstrip("/") + "/"
    paths = sorted(name for file in files if _is_image(name := file.removeprefix(root)))
    if not paths and (packed := _packed([file.removeprefix(root) for file in files], address)):
        return packed
    if not paths:
        content = f"{len(files)} files, none of them with the suffix of an image" if files else "nothing"
        raise ImagesError(
            f"There are no images in {address}: {content}.",
            hint="Parquet and tar are read too; arrays from this machine alone: copy them here." if files else "",
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


def _open_file(address: str, system: Any, path: str) -> EncodedImages:
    root, _, name = path.rpartition("/")
    suffix = PurePosixPath(name.partition("?")[0]).suffix.lower()
    if suffix not in SUFFIXES and suffix not in _FILES:
        raise ImagesError(
            f"{address} is not a source of images: its name ends in no suffix of an image.",
            hint="From the web, one file at a time: an image, .parquet, .tar, .csv, .tsv or .jsonl. Arrays are read from this "
            "machine: copy them here.",
        )
    if not system.exists(path):
        raise ImagesError(f"{address}: there is no such file, or no way to it.")
    if suffix in _FILES:
        return _FILES[suffix](RemoteFile(address))
    return EncodedImages(address, [name], None, RemoteReader(address, f"{root}/", [name]))


def _several(address: str, system: Any) -> list[RemoteFile]:
    """List the files that a pattern names, of parquet or tar; none where it is no pattern. Raises `ImagesError`."""
    if not re.search(r"(\*|\{\d+\.\.\d+\}).*\.(parquet|tar)$", address):
        return []
    if names := numbered_shards(address):
        files = [RemoteFile(name) for name in names]
        check_missing(address, [file.name for file in files if not system.exists(file.address)], len(files))
        return files
    scheme = address.partition("://")[0]
    if not (places := sorted(system.glob(address))):
        raise ImagesError(f"No file is named {address}.")
    return [RemoteFile(place if "://" in place else f"{scheme}://{place.lstrip('/')}") for place in places]


def _packed(paths: Sequence[str], address: str) -> EncodedImages | None:
    """Open the parquet or tar files of a folder, or of its ``data/``; None where there are none."""
    for suffix, opener in ((".parquet", open_parquet), (".tar", open_webdataset)):
        for prefix in ("", "data/"):
            shards = sorted(
                path
                for path in paths
                if path.endswith(suffix) and path.startswith(prefix) and path.count("/") == prefix.count("/")
            )
            if shards:
                if suffix == ".parquet":
                    check_shards(shards, address.rstrip("/"))
                return opener([RemoteFile(address) / path for path in shards], address)
    return None


def _open_table(file: RemoteFile) -> EncodedImages:
    """Read a table of images, which lie beside it. Raises `ImagesError`."""
    with temporary_folder("iconoscope-table-") as folder:
        copy = folder / file.name.partition("?")[0]
        with writing_whole(copy) as hidden:
            hidden.write_bytes(file.read_bytes())
        paths, labels = read_list(copy, str(file))
    _, root = filesystem_of(str(file.parent))
    return EncodedImages(str(file), paths, labels, RemoteReader(str(file), root.rstrip("/") + "/", paths))


def _is_image(path: str) -> bool:
    parts = path.split("/")
    return PurePosixPath(path).suffix.lower() in SUFFIXES and not any(
        part.startswith(".") or part in DEBRIS for part in parts
    )


# What is in a file at an address, by its suffix.
_FILES: dict[str, Callable[[RemoteFile], EncodedImages]] = {
    ".parquet": lambda file: open_parquet([file], str(file)),
    ".tar": lambda file: open_webdataset([file], str(file)),
    **dict.fromkeys((".csv", ".tsv", ".jsonl"), _open_table),
}
