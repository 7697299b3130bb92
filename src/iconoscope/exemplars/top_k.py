"""The k images that every unit answers most: one small table, and how two of them become one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["EMPTY", "TopK"]

EMPTY = np.iinfo(np.int64).min
_LAST = (1 << 32) - 1  # rows are counted down from it, so that of equal values the earlier has the larger key


@dataclass(frozen=True, eq=False)
class TopK:
    """For every unit the k largest values, the rows of the images that gave them, and where in the map they were.

    Value and row lie in one integer of 64 bits: the value's 32, put in order, above the row's 32, counted down. So one
    comparison of integers decides by value and then by row: a table is exact, two images never tie (of equal answers the
    earlier image's stands first), merging is the same in any order and any grouping, and `topk` needs no second pass.

    Attributes
    ----------
    keys : ndarray of int64, (units, k)
        The largest first; `EMPTY` where there were fewer.
    positions : ndarray of int32, (units, k)
        Row times the map's width plus column; -1 where there is none.

    Examples
    --------
    >>> rank = lambda values, rows: TopK.of(np.float32(values), np.int64(rows), np.zeros((len(rows), 1), np.int32), 2)
    >>> early, late = rank([[1.5], [3.0], [-2.0]], [0, 1, 2]), rank([[3.0], [9.0]], [3, 4])
    >>> early.merged(late).rows, late.merged(early).values
    (array([[4, 1]]), array([[9., 3.]], dtype=float32))
    """

    keys: NDArray[np.int64]
    positions: NDArray[np.int32]

    @classmethod
    def empty(cls, units: int, k: int) -> TopK:
        """Give the table before the first image."""
        return cls(np.full((units, k), EMPTY), np.full((units, k), -1, np.int32))

    @classmethod
    def of(
        cls,
        values: NDArray[np.float32],
        rows: NDArray[np.int64],
        positions: NDArray[np.int32],
        k: int,
        floor: NDArray[np.int64] | None = None,
    ) -> TopK:
        """Give the table of some images.

        Parameters
        ----------
        values
            What they answered, (images, units).
        rows
            Their numbers in the whole set, below 2**32, (images,).
        positions
            Where, (images, units).
        k
            How many are kept.
        floor
            Keys that must be passed, (units,): those of a table with which this one will be merged. Nothing is lost by it.
        """
        passed = np.full(values.shape[1], EMPTY) if floor is None else floor
        # First by value alone, which is cheap; of the few that are left the keys decide.
        image, unit = np.nonzero(values >= _threshold(passed))
        keys = _key(values[image, unit], rows[image])
        passing = keys > passed[unit]
        image, unit, keys = image[passing], unit[passing], keys[passing]
        order = np.argsort(unit, kind="stable")
        image, unit, keys = image[order], unit[order], keys[order]
        counts = np.bincount(unit, minlength=values.shape[1])
        slot = np.arange(len(unit)) - np.repeat(np.cumsum(counts) - counts, counts)
        wide = cls.empty(values.shape[1], max(k, int(counts.max(initial=0))))
        wide.keys[unit, slot] = keys
        wide.positions[unit, slot] = positions[image, unit]
        return wide._first(k)

    def merged(self, other: TopK) -> TopK:
        """Give the table of both."""
        joined = TopK(np.hstack([self.keys, other.keys]), np.hstack([self.positions, other.positions]))
        return joined._first(self.keys.shape[1])

    def _first(self, k: int) -> TopK:
        keys, columns = torch.from_numpy(self.keys).topk(k, 1)
        positions = torch.from_numpy(self.positions).gather(1, columns)
        positions[keys == EMPTY] = -1
        return TopK(keys.numpy(), positions.numpy())

    @property
    def floor(self) -> NDArray[np.int64]:
        """The keys that an image must pass to come in, (units,)."""
        return self.keys[:, -1]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The images' numbers, (units, k); -1 where there are fewer."""
        return np.where(self.keys == EMPTY, -1, _LAST - (self.keys & _LAST))

    @property
    def values(self) -> NDArray[np.float32]:
        """Answers to them, (units, k); NaN where there are fewer."""
        return np.where(self.keys == EMPTY, np.float32(np.nan), _value(self.keys))

    @property
    def threshold(self) -> NDArray[np.float32]:
        """The value that a later image must pass to come in, (units,); minus infinity while there is room."""
        return _threshold(self.floor)

    @classmethod
    def restored(cls, values: NDArray[np.float32], rows: NDArray[np.int64], positions: NDArray[np.int32]) -> TopK:
        """Give the table again whose `values`, `rows` and `positions` these are."""
        keys = _key(np.nan_to_num(values), np.maximum(rows, 0))
        return cls(np.where(rows < 0, EMPTY, keys), positions)


def _threshold(floor: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.where(floor == EMPTY, np.float32(-np.inf), _value(floor))


def _key(values: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    # A float's bits are in order as an integer, but for those below zero, which are in the opposite order.
    bits = (values + np.float32(0)).view(np.int32)  # the sum makes +0 of -0, which is the same answer
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    return (ordered << 32) | (_LAST - rows)


def _value(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    ordered = (keys >> 32).astype(np.int32)
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)
