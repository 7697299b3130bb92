"""Arrays that are made of a recording's shards when they are asked for: files of their own, since they can be mapped.

A column of all shards side by side may be larger than the memory. Mapped, only the pages that a question touches are read.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole
from iconoscope.errors import StoreError

__all__ = ["map_array", "write_array"]


def map_array(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Map an array that was written earlier; None if it is not there, or is not what was written."""
    try:
        stated = int(path.with_suffix(".crc").read_text(encoding="ascii"))
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.float32 and _checksum(array) == stated else None


def write_array(path: Path, array: NDArray[np.float32]) -> None:
    """Write an array with its checksum in a file beside it; without room on the disk it is simply not kept."""
    with suppress(StoreError), writing_whole(path) as hidden:
        with hidden.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        path.with_suffix(".crc").write_text(str(_checksum(array)), encoding="ascii")


def _checksum(array: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)
