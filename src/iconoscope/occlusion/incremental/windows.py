"""Where the windows of a step lie, for some positions of the patch, and in what order their pixels are kept.

Every position has one window in every step, and all windows of a step lie one after another as rows of pixels. Positions
whose windows are of one size are neighbours there (a class), so that an operator sees them as one batch. A step that makes
every pixel of the one pixel in the same place takes all classes at once, and its windows lie as those that it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from iconoscope.occlusion.incremental.graph import EDGE, Map
from iconoscope.occlusion.incremental.receptive_field import Ends, Interval, Reach, Rise

__all__ = ["CALL", "LARGEST_SHARE", "PADS", "Layout", "Region", "arrange", "regions", "whole"]

LARGEST_SHARE = 0.85
"""Of all pixels of the maps; larger windows are not worth the gathering, the whole maps are computed."""

PADS = 2
"""Rows of padding between the clean rows and the changed ones: zeros, minus infinity."""

CALL = 3_600_000
"""Multiplications that could be done in the time that it takes to call an operator once more (70 microseconds)."""

PIXEL = 8
"""Multiplications that are worth as much as moving one number of a pixel about."""


@dataclass(frozen=True)
class Layout:
    """The windows of one step, one for each position.

    Attributes
    ----------
    sizes : tuple of (int, int)
        Rows and columns of the windows of each class.
    members : tuple of ndarray of int64
        The positions of each class.
    top, left : ndarray of int64, (positions,)
        The first row and column of each window.
    whole : bool
        Whether the windows are the whole maps, in the order of the positions.
    """

    sizes: tuple[tuple[int, int], ...]
    members: tuple[Ends, ...]
    top: Ends
    left: Ends
    whole: bool = False

    @cached_property
    def height(self) -> Ends:
        """Rows of each position's window (positions,)."""
        return self._by_position([size[0] for size in self.sizes])

    @cached_property
    def width(self) -> Ends:
        """Columns of each position's window (positions,)."""
        return self._by_position([size[1] for size in self.sizes])

    @cached_property
    def offset(self) -> Ends:
        """The first pixel of each position's window, counted over all windows (positions,)."""
        found, first = np.empty(len(self.top), np.int64), 0
        for (rows, columns), members in zip(self.sizes, self.members, strict=True):
            found[members] = first + np.arange(len(members)) * (rows * columns)
            first += len(members) * rows * columns
        return found

    @cached_property
    def total(self) -> int:
        """Pixels of all windows."""
        return sum(
            len(members) * rows * columns for (rows, columns), members in zip(self.sizes, self.members, strict=True)
        )

    @cached_property
    def order(self) -> Ends | None:
        """The positions in the order of their windows (positions,); None where that is their own order."""
        found = np.concatenate(self.members)
        return None if np.array_equal(found, np.arange(len(found))) else found

    def _by_position(self, values: list[int]) -> Ends:
        found = np.empty(len(self.top), np.int64)
        for value, members in zip(values, self.members, strict=True):
            found[members] = value
        return found

    def pixels(self, map: Map) -> NDArray[np.int32]:
        """Give the place in the map of every pixel of all windows (total,)."""
        parts = []
        for (rows, columns), members in zip(self.sizes, self.members, strict=True):
            down = (self.top[members][:, None] + np.arange(rows)) * map.size[1]
            across = self.left[members][:, None] + np.arange(columns)
            parts.append((down[:, :, None] + across[:, None, :]).reshape(-1))
        return np.concatenate(parts).astype(np.int32)


def whole(map: Map, positions: int) -> Layout:
    """Give the layout of whole maps."""
    nowhere = np.zeros(positions, np.int64)
    return Layout((map.size,), (np.arange(positions),), nowhere, nowhere, whole=True)


def arrange(map: Map, down: Interval, across: Interval, cost: int, grain: tuple[int, int] = (1, 1)) -> Layout:
    """Lay windows out for positions that are every pair of some grid rows and some grid columns.

    Sizes that are nearly the same become one, where another call would cost more than the pixels that are computed in vain.

    Parameters
    ----------
    map
        Of the step.
    down, across
        The rows that change for each grid row, the columns that change for each grid column.
    cost
        Multiplications for a pixel.
    grain
        Rows and columns must begin at a multiple of these; the intervals do.
    """
    # Where a window is moved back to end with the map, it must still begin at a multiple.
    tall, wide = (
        interval.length + (size - interval.length) % by
        for interval, size, by in zip((down, across), map.size, grain, strict=True)
    )
    heights, widths = _merged(tuple(tall.tolist()), tuple(wide.tolist()), cost + PIXEL * map.channels)
    rows, columns = len(heights), len(widths)
    if sum(heights) * sum(widths) > LARGEST_SHARE * map.area * rows * columns:
        return whole(map, rows * columns)
    height, width = np.array(heights), np.array(widths)
    top = np.minimum(down.start, map.size[0] - height).repeat(columns)
    left = np.tile(np.minimum(across.start, map.size[1] - width), rows)
    sizes, members = [], []
    for tall in np.unique(height):
        for wide in np.unique(width):
            sizes.append((int(tall), int(wide)))
            members.append(np.flatnonzero(((height == tall)[:, None] & (width == wide)[None]).reshape(-1)))
    return Layout(tuple(sizes), tuple(members), top, left)


@lru_cache(maxsize=4096)
def _merged(heights: tuple[int, ...], widths: tuple[int, ...], cost: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Raise lengths to the next larger one that occurs, again and again, as long as it saves more than it costs."""
    tall, wide = sorted(set(heights)), sorted(set(widths))
    counts = [heights.count(each) for each in tall], [widths.count(each) for each in wide]

    def total(kept: tuple[list[int], list[int]]) -> int:
        sums = []
        for lengths, known, count in zip(kept, (tall, wide), counts, strict=True):
            place, area = 0, 0
            for length, many in zip(known, count, strict=True):
                while lengths[place] < length:
                    place += 1
                area += many * lengths[place]
            sums.append(area)
        return sums[0] * sums[1] * cost + CALL * len(kept[0]) * len(kept[1])

    kept = (tall, wide)
    least = total(kept)
    while True:
        fewer = [(kept[0][:i] + kept[0][i + 1 :], kept[1]) for i in range(len(kept[0]) - 1)]
        fewer += [(kept[0], kept[1][:i] + kept[1][i + 1 :]) for i in range(len(kept[1]) - 1)]
        best = min(fewer, key=total, default=None)
        if best is None or total(best) >= least:
            break
        kept, least = best, total(best)
    raised = [
        {each: min(x for x in lengths if x >= each) for each in set(all_)}
        for lengths, all_ in zip(kept, (heights, widths), strict=True)
    ]
    return tuple(raised[0][each] for each in heights), tuple(raised[1][each] for each in widths)


@dataclass(frozen=True)
class Region:
    """What a step reads of one of its inputs, for every class of its own windows.

    Attributes
    ----------
    sizes : tuple of (int, int)
        Rows and columns of what each class reads.
    top, left : ndarray of int64, (positions,)
        Where it begins; it may lie outside the map.
    """

    sizes: tuple[tuple[int, int], ...]
    members: tuple[Ends, ...]
    top: Ends
    left: Ends

    @property
    def total(self) -> int:
        """Pixels of all regions."""
        return sum(
            len(members) * rows * columns for (rows, columns), members in zip(self.sizes, self.members, strict=True)
        )

    def band(self, map: Map) -> tuple[int, int]:
        """Give the rows of the map, from the first to before the last, that the regions can reach."""
        last = max(
            int(self.top[members].max()) + rows for (rows, _), members in zip(self.sizes, self.members, strict=True)
        )
        first = max(0, min(int(self.top.min()), map.size[0] - 1))
        return first, max(first + 1, min(last, map.size[0]))

    def index(self, have: Layout, map: Map, band: tuple[int, int], padding: int) -> NDArray[np.int32]:
        """Say where the pixels of all regions are found (total,).

        Parameters
        ----------
        have
            The windows in which the map was computed anew.
        map
            The map.
        band
            The rows of the clean map that are there.
        padding
            Which row of padding stands for what lies outside the map.

        Returns
        -------
        ndarray of int32
            Indices into the clean pixels of the band, then the `PADS` rows of padding, then the pixels of all windows.
        """
        clean = (band[1] - band[0]) * map.size[1]
        parts = []
        for (rows, columns), members in zip(self.sizes, self.members, strict=True):
            down, across = (
                self.top[members][:, None] + np.arange(rows),
                self.left[members][:, None] + np.arange(columns),
            )
            if padding == EDGE:
                down, across = down.clip(0, map.size[0] - 1), across.clip(0, map.size[1] - 1)
            in_map = _both((down >= 0) & (down < map.size[0]), (across >= 0) & (across < map.size[1]))
            plain = ((down - band[0]) * map.size[1])[:, :, None] + across[:, None, :]
            row, column = down - have.top[members, None], across - have.left[members, None]
            wide = have.width[members, None]
            in_window = _both((row >= 0) & (row < have.height[members, None]), (column >= 0) & (column < wide))
            anew = (clean + PADS + have.offset[members, None] + row * wide)[:, :, None] + column[:, None, :]
            parts.append(np.where(in_window, anew, np.where(in_map, plain, clean + padding)).reshape(-1))
        return np.concatenate(parts).astype(np.int32)


def regions(want: Layout, reach: tuple[Reach | Rise, Reach | Rise]) -> Region:
    """Give what a step reads whose own windows are laid out so."""
    sizes = tuple((reach[0].inputs(rows), reach[1].inputs(columns)) for rows, columns in want.sizes)
    return Region(sizes, want.members, reach[0].first_input(want.top), reach[1].first_input(want.left))


def _both(rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return rows[:, :, None] & columns[:, None, :]
