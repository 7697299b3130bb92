"""Contents of files and folders that a text names: what a network reads from there decides its answers."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from pathlib import Path

__all__ = ["MOST_FILES", "content_of"]

MOST_FILES = 256
"""Files of a folder that are read; what holds more is data, and not part of a network."""

REREAD = 2**20
"""Bytes up to which a file is read at every call: a small one may be written twice within one tick of the system's clock."""


def content_of(text: str) -> str | None:
    """Give a digest of what a text names: of a file that is there, or of all files in a folder of an absolute path.

    Returns
    -------
    str or None
        Empty where the text names nothing; None where it names a folder of more than `MOST_FILES` files.

    Raises
    ------
    OSError
        If it is there and cannot be read.

    Examples
    --------
    >>> content_of("relu"), content_of(os.sep)
    ('', '')
    """
    if len(text) > 1024 or "\0" in text or "\n" in text or not (os.sep in text or "." in text):
        return ""
    path = Path(text)
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ""
    if stat.S_ISREG(status.st_mode):
        return _of_file(path, status)
    if not stat.S_ISDIR(status.st_mode) or not path.is_absolute() or not path.name:
        return ""
    return _of_folder(path)


def _of_folder(folder: Path) -> str | None:
    paths: list[Path] = []
    for number, (inner, _, names) in enumerate(os.walk(folder)):
        paths += (Path(inner) / name for name in names)
        if max(len(paths), number) > MOST_FILES:
            return None
    digest = hashlib.sha256()
    for path in sorted(paths):
        status = path.stat()
        content = _of_file(path, status) if stat.S_ISREG(status.st_mode) else ""
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _of_file(path: Path, status: os.stat_result) -> str:
    if status.st_size <= REREAD:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return _of_large_file(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@functools.lru_cache(1024)
def _of_large_file(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
