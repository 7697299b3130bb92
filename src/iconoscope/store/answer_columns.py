"""Answers unit after unit, in a file beside the shards of a recording: what one unit answered lies together.

Shards hold them image after image, as they come. A million images of a thousand units are more than the memory bears; here
one unit's are read by themselves, and checked by themselves. A file is an array of NumPy in Fortran's order, and has beside it
a list of checksums, one a unit.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole
from iconoscope.errors import StoreError

__all__ = ["AnswerColumns"]

_HELD = 64_000_000
"""Bytes of shards that are held at once while a file is written: each unit's are then written in long stretches."""


class AnswerColumns:
    """The answers of some units to all images of a recording.

    Parameters
    ----------
    path
        Of the file, which need not be there yet.
    shape
        Images and units.

    Examples
    --------
    >>> import tempfile
    >>> columns = AnswerColumns(Path(tempfile.mkdtemp()) / "max.npy", (3, 2))
    >>> columns.write([np.float32([[1, 2], [3, 4]]), np.float32([[5, 6]])])
    >>> columns.read(1, 2).tolist(), columns.mapped()[2].tolist()
    ([[2.0], [4.0], [6.0]], [5.0, 6.0])
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path, self.shape = path, shape
        self._sums: list[int] | None = None

    @property
    def _header(self) -> bytes:
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": True, "shape": self.shape})
        return file.getvalue()

    def is_there(self) -> bool:
        """Tell whether the file is there with all its bytes and checksums. What it holds is checked when it is read."""
        header, (images, units) = self._header, self.shape
        try:
            sums = [int(line) for line in self.path.with_suffix(".crc").read_text(encoding="ascii").split()]
            with self.path.open("rb") as file:
                is_ours = file.read(len(header)) == header
            whole = self.path.stat().st_size == len(header) + 4 * images * units
        except (OSError, ValueError):
            return False
        self._sums = sums
        return is_ours and whole and len(sums) == units

    def write(self, blocks: Iterable[NDArray[np.float32]]) -> None:
        """Write the answers to some images after the other, (images, units) each. Raises `StoreError`."""
        images, units = self.shape
        header, sums, row = self._header, [0] * units, 0
        with writing_whole(self.path) as hidden:
            with hidden.open("wb") as file:
                file.write(header)
                file.truncate(len(header) + 4 * images * units)
                file.flush()
                for part in _joined(blocks):
                    for unit, answers in enumerate(np.ascontiguousarray(part.T, "<f4")):
                        os.pwrite(file.fileno(), answers.data, len(header) + 4 * (unit * images + row))
                        sums[unit] = zlib.crc32(answers.data, sums[unit])
                    row += len(part)
            with writing_whole(self.path.with_suffix(".crc")) as hidden_sum:
                hidden_sum.write_text("\n".join(map(str, sums)), encoding="ascii")
        self._sums = sums

    def read(self, first: int, stop: int) -> NDArray[np.float32]:
        """Read some units that follow each other, (images, units). Raises `StoreError` for what is not what was written."""
        images = self.shape[0]
        answers = np.empty((stop - first, images), "<f4")
        with self.path.open("rb") as file:
            file.seek(len(self._header) + 4 * first * images)
            read = file.readinto(answers.data.cast("B"))
        if read != answers.nbytes or not self._is_right(answers, first):
            raise StoreError(f"{self.path} is damaged.", hint="Remove it: it is made of the shards again.")
        return answers.T

    def mapped(self) -> NDArray[np.float32] | None:
        """Map the file, so that only what a question touches is read; None if it is not what was written."""
        units = self.shape[1]
        step = max(1, _HELD // max(4 * self.shape[0], 1))
        try:
            for first in range(0, units, step):  # read and let go: what is mapped would stay
                self.read(first, min(first + step, units))
            return np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, StoreError):
            return None

    def _is_right(self, answers: NDArray[Any], first: int) -> bool:
        assert self._sums is not None
        return all(zlib.crc32(one.data) == self._sums[first + number] for number, one in enumerate(answers))


def _joined(blocks: Iterable[NDArray[np.float32]]) -> Iterable[NDArray[np.float32]]:
    """Put blocks together until they are long."""
    held: list[NDArray[np.float32]] = []
    for block in blocks:
        held.append(block)
        if sum(part.nbytes for part in held) >= _HELD:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)
