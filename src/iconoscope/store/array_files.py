"""Arrays with a row for every image, each in a file of its own with one checksum beside it: written in blocks, and mapped."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole

__all__ = ["map_array", "write_array"]

_READ = 2**24
"""Bytes that are read at once to be checked."""


def map_array(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Map an array that was written earlier; None if it is not there, or is not what was written."""
    try:
        stated = int(path.with_suffix(".crc").read_text(encoding="ascii"))
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = array.shape == shape and array.dtype == np.float32 and _checksum(path, array.offset) == stated
    except (OSError, ValueError, EOFError):
        return None
    return array if whole else None


def write_array(path: Path, shape: tuple[int, int], blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write an array block after block, with its checksum in a file beside it. Raises `StoreError`."""
    checksum = 0
    with writing_whole(path) as hidden:
        with hidden.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            for block in blocks:
                numbers = np.ascontiguousarray(block, "<f4").tobytes()
                file.write(numbers)
                checksum = zlib.crc32(numbers, checksum)
        with writing_whole(path.with_suffix(".crc")) as hidden_sum:
            hidden_sum.write_text(str(checksum), encoding="ascii")


def _checksum(path: Path, offset: int) -> int:
    """Give the checksum of a file behind its header, read and let go: what is mapped would stay in memory."""
    checksum = 0
    with path.open("rb") as file:
        file.seek(offset)
        while part := file.read(_READ):
            checksum = zlib.crc32(part, checksum)
    return checksum
