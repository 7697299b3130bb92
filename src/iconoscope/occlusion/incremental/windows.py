"""Where the windows of a step lie, for some positions of the patch, and in what order their pixels are stored.

Every position has one window in every step: the rectangle of the map that the patch can change there. All windows of a step
are stored one after another as rows of pixels, (pixels of all windows, channels).

Windows near the border are smaller than those in the middle, and an operator takes one size at a time. So positions whose
windows have the same size are stored side by side, as a class, and the operator sees a class as one batch (members, channels,
rows, columns). A step that makes every pixel of the one pixel in the same place takes all classes at once, and its windows lie
as those that it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from iconoscope.subject.captured.graph import EDGE, MapShape
from iconoscope.subject.captured.receptive_field import AxisField, Ends, Interval, UpsampledField

__all__ = ["CALL", "LARGEST_SHARE", "PADS", "Rectangles", "Windows", "arrange_windows", "fields_of", "whole_maps"]

LARGEST_SHARE = 0.85
"""Of all pixels of the maps; larger windows are not worth the gathering, the whole maps are computed."""

PADS = 2
"""Rows of padding between the clean rows and the changed ones: zeros, minus infinity."""

CALL = 3_600_000
"""Multiplications that could be done in the time that it takes to call an operator once more (70 microseconds)."""

PIXEL = 8
"""Multiplications that take as long as copying one number of a pixel."""


@dataclass(frozen=True)
class Rectangles:
    """One rectangle of a map for each position, in classes of one size.

    Attributes
    ----------
    sizes : tuple of (int, int)
        Rows and columns of the rectangles of each class.
    members : tuple of ndarray of int64
        The positions of each class.
    top, left : ndarray of int64, (positions,)
        The first row and column of each rectangle; what is read of a map may begin outside of it.
    """

    sizes: tuple[tuple[int, int], ...]
    members: tuple[Ends, ...]
    top: Ends
    left: Ends

    def classes(self) -> Iterator[tuple[int, int, Ends]]:
        """Give rows, columns and positions of every class."""
        for (rows, columns), members in zip(self.sizes, self.members, strict=True):
            yield rows, columns, members

    @cached_property
    def total(self) -> int:
        """Pixels of all rectangles."""
        return sum(len(members) * rows * columns for rows, columns, members in self.classes())

    def band(self, shape: MapShape) -> tuple[int, int]:
        """Give the rows of the map, from the first to before the last, that the rectangles can reach."""
        last = max(int(self.top[members].max()) + rows for rows, _, members in self.classes())
        first = max(0, min(int(self.top.min()), shape.size[0] - 1))
        return first, max(first + 1, min(last, shape.size[0]))

    def sources(self, computed: Windows, shape: MapShape, band: tuple[int, int], padding: int) -> NDArray[np.int32]:
        """Say where the pixels of all rectangles are found (total,).

        Parameters
        ----------
        computed
            The windows in which the map was computed anew.
        shape
            That of the map.
        band
            The rows of the clean map that are at hand.
        padding
            Which row of padding stands for what lies outside the map.

        Returns
        -------
        ndarray of int32
            Indices into the clean pixels of the band, then the `PADS` rows of padding, then the pixels of all windows.
        """
        clean = (band[1] - band[0]) * shape.size[1]
        sources = []
        for height, width, members in self.classes():
            row = self.top[members][:, None] + np.arange(height)  # (members, height)
            column = self.left[members][:, None] + np.arange(width)  # (members, width)
            if padding == EDGE:
                row, column = row.clip(0, shape.size[0] - 1), column.clip(0, shape.size[1] - 1)
            in_map = _outer_and((row >= 0) & (row < shape.size[0]), (column >= 0) & (column < shape.size[1]))
            clean_pixel = ((row - band[0]) * shape.size[1])[:, :, None] + column[:, None, :]
            row, column = row - computed.top[members, None], column - computed.left[members, None]
            stride = computed.width[members, None]
            in_window = _outer_and(
                (row >= 0) & (row < computed.height[members, None]), (column >= 0) & (column < stride)
            )
            window_pixel = (clean + PADS + computed.offset[members, None] + row * stride)[:, :, None]
            window_pixel = window_pixel + column[:, None, :]
            source = np.where(in_window, window_pixel, np.where(in_map, clean_pixel, clean + padding))
            sources.append(source.reshape(-1))
        # index_select takes int32 too, which is half as much to keep from one image to the next.
        return np.concatenate(sources).astype(np.int32)


@dataclass(frozen=True)
class Windows(Rectangles):
    """The windows of one step: the pixels of its map that are computed anew, for each position.

    Attributes
    ----------
    whole : bool
        Whether the windows are the whole maps, in the order of the positions.
    """

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
        offset, first = np.empty(len(self.top), np.int64), 0
        for rows, columns, members in self.classes():
            offset[members] = first + np.arange(len(members)) * (rows * columns)
            first += len(members) * rows * columns
        return offset

    @cached_property
    def order(self) -> Ends | None:
        """The positions in the order of their windows (positions,); None where that is their own order."""
        order = np.concatenate(self.members)
        return None if np.array_equal(order, np.arange(len(order))) else order

    def _by_position(self, by_class: list[int]) -> Ends:
        by_position = np.empty(len(self.top), np.int64)
        for length, members in zip(by_class, self.members, strict=True):
            by_position[members] = length
        return by_position

    def pixels(self, shape: MapShape) -> NDArray[np.int32]:
        """Give the index in the map of every pixel of all windows (total,)."""
        pixels = []
        for height, width, members in self.classes():
            row = (self.top[members][:, None] + np.arange(height)) * shape.size[1]
            column = self.left[members][:, None] + np.arange(width)
            pixels.append((row[:, :, None] + column[:, None, :]).reshape(-1))
        return np.concatenate(pixels).astype(np.int32)


def whole_maps(shape: MapShape, positions: int) -> Windows:
    """Give windows that are the whole maps."""
    zeros = np.zeros(positions, np.int64)
    return Windows((shape.size,), (np.arange(positions),), zeros, zeros, whole=True)


def arrange_windows(
    shape: MapShape, down: Interval, across: Interval, cost: int, grain: tuple[int, int] = (1, 1)
) -> Windows:
    """Lay windows out for positions that are every pair of some grid rows and some grid columns.

    Sizes that are nearly the same become one, where another call would cost more than the pixels that are computed in vain.

    Parameters
    ----------
    shape
        That of the step's map.
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
        for interval, size, by in zip((down, across), shape.size, grain, strict=True)
    )
    heights, widths = _merged(tuple(tall.tolist()), tuple(wide.tolist()), cost + PIXEL * shape.channels)
    rows, columns = len(heights), len(widths)
    if sum(heights) * sum(widths) > LARGEST_SHARE * shape.area * rows * columns:
        return whole_maps(shape, rows * columns)
    height, width = np.array(heights), np.array(widths)
    top = np.minimum(down.start, shape.size[0] - height).repeat(columns)
    left = np.tile(np.minimum(across.start, shape.size[1] - width), rows)
    sizes, members = [], []
    for tall in np.unique(height):
        for wide in np.unique(width):
            sizes.append((int(tall), int(wide)))
            members.append(np.flatnonzero(((height == tall)[:, None] & (width == wide)[None]).reshape(-1)))
    return Windows(tuple(sizes), tuple(members), top, left)


@lru_cache(maxsize=4096)
def _merged(heights: tuple[int, ...], widths: tuple[int, ...], cost: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Raise lengths to the next larger one that occurs, again and again, as long as it saves more than it costs.

    A class is a pair of a height and a width, so every height that goes saves as many calls as there are widths.
    """
    occurring = sorted(set(heights)), sorted(set(widths))
    counts = [heights.count(length) for length in occurring[0]], [widths.count(length) for length in occurring[1]]

    def total(remaining: tuple[list[int], list[int]]) -> int:
        """Give the multiplications if all lengths are raised to these (and what the calls would cost, in the same unit)."""
        sums = []
        for lengths, axis_lengths, axis_counts in zip(remaining, occurring, counts, strict=True):
            index, covered = 0, 0
            for length, count in zip(axis_lengths, axis_counts, strict=True):
                while lengths[index] < length:
                    index += 1
                covered += count * lengths[index]
            sums.append(covered)
        return sums[0] * sums[1] * cost + CALL * len(remaining[0]) * len(remaining[1])

    remaining = occurring
    least = total(remaining)
    while True:
        candidates = [(remaining[0][:i] + remaining[0][i + 1 :], remaining[1]) for i in range(len(remaining[0]) - 1)]
        candidates += [(remaining[0], remaining[1][:i] + remaining[1][i + 1 :]) for i in range(len(remaining[1]) - 1)]
        best = min(candidates, key=total, default=None)
        if best is None or total(best) >= least:
            break
        remaining, least = best, total(best)
    raised = [
        {length: min(longer for longer in lengths if longer >= length) for length in set(axis_lengths)}
        for lengths, axis_lengths in zip(remaining, (heights, widths), strict=True)
    ]
    return tuple(raised[0][length] for length in heights), tuple(raised[1][length] for length in widths)


def fields_of(windows: Windows, fields: tuple[AxisField | UpsampledField, ...]) -> Rectangles:
    """Give what a step reads of an input to compute its windows: their receptive fields, down and across."""
    down, across = fields
    sizes = tuple((down.inputs(rows), across.inputs(columns)) for rows, columns in windows.sizes)
    return Rectangles(sizes, windows.members, down.first_input(windows.top), across.first_input(windows.left))


def _outer_and(rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Join (n, height) and (n, width) to (n, height, width)."""
    return rows[:, :, None] & columns[:, None, :]
