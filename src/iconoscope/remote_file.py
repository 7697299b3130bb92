"""A file at an address, with as much of a `Path` as readers of files ask for: it is read where it is asked, and not whole.

What lies there and cannot be read (a missing file, a damaged one) is an error of that file. What says that the place is out
of reach (a connection, credentials, a time that ran out) is an `ImagesError`, which ends a recording: no image is left out.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iconoscope.errors import ImagesError, QuestionError

__all__ = ["RemoteFile", "filesystem_of", "reason_of", "remedy_for", "send_file", "unreachable"]

CREDENTIALS = {
    "s3": "Credentials are those of AWS: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, ~/.aws; "
    "FSSPEC_S3_ENDPOINT_URL names another server, FSSPEC_S3_ANON=true goes without.",
    "gs": "Credentials are those of Google: gcloud auth application-default login.",
}
_BLOCK = 2**18
"""Bytes that are read ahead where a file is read in order: the headers of small members of a tar come together."""

TIMEOUT = "ICONOSCOPE_TIMEOUT"
"""The environment variable that says for how many seconds a server may be silent."""

_SILENT = 60.0
"""Seconds of a server of the web, where it says nothing; s3fs has a limit of its own."""

_TRIES, _S3FS_SILENT = 25, 15.0
"""How often s3fs asks (five times what botocore does five times), and the seconds that it gives each by default."""

_SLOWEST = 2**16
"""Bytes a second of the slowest line on which a file is still sent."""


def filesystem_of(address: str) -> tuple[Any, str]:
    """Give the filesystem of fsspec for an address, and the path in it; a server that is silent too long is given up.

    How long that is ``ICONOSCOPE_TIMEOUT`` says in seconds, of the web and of S3; without it a server of the web is given a
    minute, and other filesystems have limits of their own. An answer may take longer, as long as bytes come.

    Raises
    ------
    QuestionError
        If what the environment says is no number of seconds.
    Exception
        What the filesystem raises.

    Examples
    --------
    >>> filesystem_of("memory://example/a.txt")[1]
    '/example/a.txt'
    """
    from fsspec.core import url_to_fs

    return url_to_fs(address, **_patience(address.partition("://")[0], silent_seconds(os.environ)))


def send_file(system: Any, file: Path, path: str) -> None:
    """Send a file of this disk to a path of a filesystem.

    Clients wait for ever for a server that takes no more of a file, or does not say that it wants it: so the whole of it has a
    limit, of what s3fs gives a server that does not answer, and of the slowest line.

    Raises
    ------
    TimeoutError
        If the limit has passed; on filesystems that do not wait asynchronously there is none.
    Exception
        What the filesystem raises.
    """
    from fsspec.asyn import AsyncFileSystem, sync

    if isinstance(system, AsyncFileSystem):
        limit = _TRIES * (silent_seconds(os.environ) or _S3FS_SILENT) + file.stat().st_size / _SLOWEST
        sync(system.loop, system._put_file, str(file), path, timeout=limit)
    else:
        system.put_file(str(file), path)


def silent_seconds(environment: Mapping[str, str]) -> float | None:
    """Read for how many seconds a server may be silent, None if that is not set. Raises `QuestionError`.

    >>> silent_seconds({}), silent_seconds({"ICONOSCOPE_TIMEOUT": "2.5"})
    (None, 2.5)
    """
    text = environment.get(TIMEOUT, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise QuestionError(f"{TIMEOUT} is {text!r} and no number of seconds.", hint=f"For example {TIMEOUT}=60.")
    return seconds


def _patience(scheme: str, seconds: float | None) -> dict[str, Any]:
    """Give the settings of a filesystem that make it wait for so long; what the user has set in fsspec's own way goes first."""
    from fsspec.config import conf

    if scheme in ("http", "https"):
        from aiohttp import ClientTimeout

        waits = {"timeout": ClientTimeout(total=None, sock_connect=seconds or _SILENT, sock_read=seconds or _SILENT)}
        return {"client_kwargs": {**waits, **conf.get(scheme, {}).get("client_kwargs", {})}}
    if scheme in ("s3", "s3a") and seconds is not None:
        waits = {"connect_timeout": seconds, "read_timeout": seconds}
        return {"config_kwargs": {**waits, **conf.get(scheme, {}).get("config_kwargs", {})}}
    return {}


@dataclass(frozen=True)
class RemoteFile:
    """A file, or a folder, at an address. Its filesystem is found again in every process: connections do not outlive a fork.

    Attributes
    ----------
    address : str
        Whole, as s3://bucket/folder/file.parquet.

    Examples
    --------
    >>> import fsspec
    >>> fsspec.filesystem("memory").pipe_file("/example/a.txt", b"0123456789")
    >>> file = RemoteFile("memory://example/a.txt")
    >>> file.name, file.stem, str(file.parent / "b.txt"), file.range(2, 3), file.size()
    ('a.txt', 'a', 'memory://example/b.txt', b'234', 10)
    """

    address: str

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> RemoteFile:
        return RemoteFile(f"{self.address.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self.address.partition("?")[0].rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        head, dot, _ = self.name.rpartition(".")
        return head if dot and head else self.name

    @property
    def parent(self) -> RemoteFile:
        """The folder in which it lies."""
        return RemoteFile(self.address.rstrip("/").rpartition("/")[0])

    def size(self) -> int:
        """Give how many bytes it has. Raises `ImagesError`, `FileNotFoundError`."""
        system, path = self._system()
        try:
            return int(system.size(path))
        except FileNotFoundError:
            raise
        except Exception as error:  # every filesystem has errors of its own
            raise unreachable(self.address, error) from error

    def read_bytes(self) -> bytes:
        """Read all of it. Raises `ImagesError`, `FileNotFoundError`."""
        return self.range(0, None)

    def range(self, start: int, count: int | None) -> bytes:
        """Read some bytes of it. Raises `ImagesError`, `FileNotFoundError`."""
        system, path = self._system()
        try:
            return system.cat_file(path, start=start or None, end=None if count is None else start + count)
        except FileNotFoundError:
            raise
        except Exception as error:  # every filesystem has errors of its own
            raise unreachable(self.address, error) from error

    def open(self, *, ahead: bool = False) -> io.RawIOBase:
        """Open it: what is asked for is read and no more, or `ahead`. Raises `ImagesError`, `FileNotFoundError`."""
        system, path = self._system()
        try:
            kind: dict[str, Any] = (
                {"cache_type": "readahead", "block_size": _BLOCK} if ahead else {"cache_type": "none"}
            )
            return _Stream(system.open(path, "rb", **kind), self.address)
        except FileNotFoundError:
            raise
        except Exception as error:  # every filesystem has errors of its own
            raise unreachable(self.address, error) from error

    def _system(self) -> tuple[Any, str]:
        return filesystem_of(self.address)


class _Stream(io.RawIOBase):
    """An open file of fsspec, whose errors are ours: a library in between would take them for damage."""

    def __init__(self, file: Any, address: str) -> None:
        self._file, self._address = file, address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return self._file.seek(offset, whence)
        except Exception as error:
            raise ImagesError(
                f"{self._address} cannot be read from its middle: {reason_of(error)}.",
                hint="The server gives whole files alone. Copy it here, or to one that gives ranges.",
            ) from error

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any, /) -> int:
        try:
            read = self._file.read(len(buffer))
        except Exception as error:  # every filesystem has errors of its own
            raise unreachable(self._address, error) from error
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def unreachable(name: str, error: Exception, address: str = "") -> ImagesError:
    """Say that a place is out of reach: that ends what asks for it, since all that comes after would fail too."""
    hint = remedy_for(address or name, error)
    kept = "What was recorded before, if anything, is kept: given again, the same command goes on."
    return ImagesError(f"{name} cannot be read: {reason_of(error)}", hint=f"{hint} {kept}".strip())


def reason_of(error: Exception) -> str:
    """Say in a line what a filesystem raised."""
    lines = str(error).strip().splitlines()
    if isinstance(error, FileNotFoundError):  # of a bucket the servers of S3 and Google say the same sentence
        is_bucket = bool(lines) and "bucket does not exist" in lines[0]
        return "there is no such bucket" if is_bucket else "there is no such file"
    if _is_timeout(error):
        return f"nothing came in time ({type(error).__name__})"
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def remedy_for(address: str, error: Exception) -> str:
    """Say what may help against what a filesystem raised, empty if nothing is known.

    >>> remedy_for("https://example.org/a.jpg", TimeoutError())
    'ICONOSCOPE_TIMEOUT says for how many seconds a server may be silent.'
    """
    if _is_timeout(error):
        return f"{TIMEOUT} says for how many seconds a server may be silent."
    return CREDENTIALS.get(address.partition("://")[0], "")


def _is_timeout(error: Exception) -> bool:
    """Tell what says that time ran out, of which each filesystem has a kind of its own."""
    return isinstance(error, TimeoutError) or type(error).__name__.endswith("TimeoutError")
