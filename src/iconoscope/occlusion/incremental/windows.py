"""Which part of every step's map is computed anew, and where each pixel of it is found.

For a group of positions every step has windows of one size, the largest that any of them needs, each with its own place.
What a window has beyond what changed is computed again and comes out as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.occlusion.geometry import Grid
from iconoscope.occlusion.incremental.graph import Graph, Map, Step
from iconoscope.occlusion.incremental.reach import Ends, Interval

__all__ = [
    "LARGEST_SHARE",
    "PADS",
    "Changes",
    "Window",
    "changes",
    "covered_pixels",
    "pixels",
    "sizes",
    "sources",
    "windows",
]

LARGEST_SHARE = 0.85
"""Of a map; a larger window is not worth the gathering, the whole map is computed."""

PADS = 2
"""Rows of padding between the clean rows and the changed ones: zeros, minus infinity."""

Changes = dict[str, tuple[Interval, Interval]]
Sizes = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Window:
    """The windows of one step, one for each position.

    Attributes
    ----------
    size : tuple of int
        Rows and columns, of all of them.
    top, left : ndarray of int64
        The first row and column of each.
    """

    size: tuple[int, int]
    top: Ends
    left: Ends


def changes(graph: Graph, grid: Grid) -> Changes:
    """Give for every map the rows that change for each grid row, and the columns for each grid column."""
    found: Changes = {}
    ends = [(grid.top, grid.patch[0], grid.size[0]), (grid.left, grid.patch[1], grid.size[1])]
    for step in graph.steps:
        if step.map is None:
            continue
        if step.kind == "input":
            down, across = (Interval(first, np.minimum(first + side, size)) for first, side, size in ends)
            found[step.name] = (down, across)
            continue
        down, across = found[step.inputs[0]]
        for name in step.inputs[1:]:
            down, across = down.union(found[name][0]), across.union(found[name][1])
        found[step.name] = (
            step.reach[0].changed(down, step.map.size[0]),
            step.reach[1].changed(across, step.map.size[1]),
        )
    return found


def sizes(graph: Graph, changed: Changes, rows: Ends, columns: Ends) -> Sizes:
    """Give the size of every step's windows for some grid rows and grid columns; the map's own size where it is whole."""
    found: Sizes = {}
    for step in graph.steps:
        if step.map is None:
            continue
        down, across = changed[step.name]
        size = int(down.length[rows].max()), int(across.length[columns].max())
        inputs_whole = step.kind != "input" and all(is_whole(graph.by_name[name], found) for name in step.inputs)
        if inputs_whole or size[0] * size[1] > LARGEST_SHARE * step.map.area:
            size = step.map.size
        found[step.name] = size
    return found


def is_whole(step: Step, found: Sizes) -> bool:
    """Whether a step's windows are whole maps, or it has no map."""
    return step.map is None or found[step.name] == step.map.size


def windows(graph: Graph, changed: Changes, found: Sizes, rows: Ends, columns: Ends) -> dict[str, Window]:
    """Put the windows of every step where the change is, inside the map; a row and a column of the grid for each position."""
    placed = {}
    for step in graph.steps:
        if step.map is not None:
            size = found[step.name]
            down, across = changed[step.name]
            top = np.minimum(down.start[rows], step.map.size[0] - size[0])
            left = np.minimum(across.start[columns], step.map.size[1] - size[1])
            placed[step.name] = Window(size, top, left)
    return placed


def sources(have: Window, map: Map, top: Ends, left: Ends, size: tuple[int, int], padding: int) -> torch.Tensor | None:
    """Say where the pixels of some regions are found.

    Parameters
    ----------
    have
        The windows in which the map was computed anew.
    map
        The map.
    top, left
        The first row and column of each region; they may lie outside the map.
    size
        Rows and columns of every region.
    padding
        Which row of padding stands for what lies outside.

    Returns
    -------
    torch.Tensor or None
        (positions * rows * columns,) int32: indices into the clean pixels of the map, then the `PADS` rows of padding, then
        the pixels of all windows. None where the regions are the windows.
    """
    if size == have.size and np.array_equal(top, have.top) and np.array_equal(left, have.left):
        return None
    rows, columns = top[:, None] + np.arange(size[0]), left[:, None] + np.arange(size[1])
    in_map = _both((rows >= 0) & (rows < map.size[0]), (columns >= 0) & (columns < map.size[1]))
    clean = (rows * map.size[1])[:, :, None] + columns[:, None, :]
    inner_rows, inner_columns = rows - have.top[:, None], columns - have.left[:, None]
    in_window = _both(
        (inner_rows >= 0) & (inner_rows < have.size[0]), (inner_columns >= 0) & (inner_columns < have.size[1])
    )
    base = map.area + PADS + np.arange(len(top)) * (have.size[0] * have.size[1])
    anew = (base[:, None] + inner_rows * have.size[1])[:, :, None] + inner_columns[:, None, :]
    index = np.where(in_window, anew, np.where(in_map, clean, map.area + padding))
    return torch.from_numpy(index.reshape(-1).astype(np.int32))


def pixels(window: Window, map: Map) -> torch.Tensor:
    """Give the indices of the pixels of all windows in the map, (positions * rows * columns,) int32."""
    rows, columns = window.top[:, None] + np.arange(window.size[0]), window.left[:, None] + np.arange(window.size[1])
    index = (rows * map.size[1])[:, :, None] + columns[:, None, :]
    return torch.from_numpy(index.reshape(-1).astype(np.int32))


def covered_pixels(window: Window, map: Map, down: Interval, across: Interval) -> torch.Tensor:
    """Give where the pixels of windows of the input come from: indices into those of the image, then those of the fill.

    A window may be larger than its patch, where the patch is cut at the border: what the patch leaves free is the image's.
    """
    rows, columns = window.top[:, None] + np.arange(window.size[0]), window.left[:, None] + np.arange(window.size[1])
    covered = _both(
        (rows >= down.start[:, None]) & (rows < down.stop[:, None]),
        (columns >= across.start[:, None]) & (columns < across.stop[:, None]),
    )
    index = (rows * map.size[1])[:, :, None] + columns[:, None, :] + covered * map.area
    return torch.from_numpy(index.reshape(-1).astype(np.int32))


def _both(rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return rows[:, :, None] & columns[:, None, :]
