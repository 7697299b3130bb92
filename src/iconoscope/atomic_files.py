"""Files and folders that are there whole or not at all: written under a hidden name beside theirs, then renamed.

A rename within one folder is atomic on every file system that we write to. So a reader, a killed process or a full disk never
leaves half a file under its name; the rename carries no data, hence what must outlive a power cut is flushed to the disk first.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from iconoscope.errors import StoreError

__all__ = ["flushed_write", "temporary_folder", "writing_folder_whole", "writing_to", "writing_whole"]

_LOCK = ".lock"


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn the system's errors into a `StoreError` that names the path."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Is there space, and the right to write there? What was written before is untouched.",
        ) from error


@contextmanager
def writing_whole(path: Path) -> Iterator[Path]:
    """Give a path beside that of a file, to be written and renamed to it, so that the file is there whole or not at all.

    Raises
    ------
    StoreError
        If it cannot be written. What was there before stays.
    """
    hidden = _hidden_name(path)
    with writing_to(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield hidden
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)


@contextmanager
def writing_folder_whole(folder: Path, is_same_kind: Callable[[Path], bool], *, replace: bool) -> Iterator[Path]:
    """Give a hidden folder beside a folder, to be filled and renamed to it.

    Parameters
    ----------
    folder
        Where; its parents are made.
    is_same_kind
        Whether what is there already is of the kind that is written now.
    replace
        Write over what is there and of the same kind; otherwise it is kept. Anything else that is there is never touched.

    Raises
    ------
    StoreError
        If it cannot be written, or something else is there. Nothing half written is left.
    """
    with writing_to(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        hidden = _hidden_name(folder)
        try:
            hidden.mkdir()
            yield hidden
            _rename(hidden, folder, is_same_kind, replace=replace)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Give a folder for the time of a block, and remove those that killed processes left under the same prefix.

    A living process holds a lock on a file in its folder, which the system lets go when the process ends, however it ends.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{glob.escape(prefix)}*"):
        with suppress(OSError), (left / _LOCK).open("rb") as file:
            _lock(file)
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, (Path(folder) / _LOCK).open("wb") as file:
        _lock(file)
        yield Path(folder)


def _lock(file: IO[bytes]) -> None:
    """Lock a file to this process. Raises `OSError` if another process has it."""
    if sys.platform == "win32":  # no file of a living process can be removed there
        return
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def flushed_write(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it: a rename may otherwise reach the disk before what it names."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _hidden_name(path: Path) -> Path:
    if not path.name or path.name == "..":
        raise StoreError(f"{path} is a folder that is there, and names nothing that can be written.")
    # Random, since two processes may answer the same question at once.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _rename(hidden: Path, folder: Path, is_same_kind: Callable[[Path], bool], *, replace: bool) -> None:
    if is_same_kind(folder):
        if replace:
            # A folder that is not empty cannot be renamed over: two renames, and a kill between them leaves none.
            old = hidden.with_suffix(".old")
            folder.rename(old)
            hidden.rename(folder)
            shutil.rmtree(old)
        return
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty:
        raise FileExistsError(errno.EEXIST, "something else is there already")
    try:
        hidden.rename(folder)
    except OSError:
        if not is_same_kind(folder):  # another process may have answered the same question meanwhile
            raise
