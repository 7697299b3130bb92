"""Files with one checksum beside each: arrays with a row for every image, written in blocks, and mapped."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole

__all__ = ["checksum", "is_as_written", "map_array", "write_array", "write_checksum"]

_READ = 2**24
"""Bytes that are read at once to be checked."""


def map_array(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Map an array that was written earlier; None if it is not there, or is not what was written."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = array.shape == shape and array.dtype == np.float32 and is_as_written(path, array.offset)
    except (OSError, ValueError, EOFError):
        return None
    return array if whole else None


def write_array(path: Path, shape: tuple[int, int], blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write an array block after block, with its checksum in a file beside it. Raises `StoreError`."""
    summed = 0
    with writing_whole(path) as hidden:
        with hidden.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            for block in blocks:
                numbers = np.ascontiguousarray(block, "<f4").tobytes()
                file.write(numbers)
                summed = zlib.crc32(numbers, summed)
        write_checksum(path, summed)


def write_checksum(path: Path, summed: int) -> None:
    """Write the checksum of a file beside it. Raises `StoreError`."""
    with writing_whole(path.with_suffix(".crc")) as hidden:
        hidden.write_text(str(summed), encoding="ascii")


def is_as_written(path: Path, offset: int = 0) -> bool:
    """Tell whether a file has the checksum beside it. Raises OSError, or ValueError, where either is not there or not read."""
    return checksum(path, offset) == int(path.with_suffix(".crc").read_text(encoding="ascii"))


def checksum(path: Path, offset: int = 0) -> int:
    """Give the checksum of a file behind its header, read and let go: what is mapped would stay in memory."""
    summed = 0
    with path.open("rb") as file:
        file.seek(offset)
        while part := file.read(_READ):
            summed = zlib.crc32(part, summed)
    return summed
