"""How much faster exact occlusion could be at best, by counting multiplications. Knows nothing of the engine's plan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iconoscope.occlusion.geometry import Grid
from iconoscope.subject.captured.graph import Graph, Step
from iconoscope.subject.captured.receptive_field import AxisField

__all__ = ["operation_limit"]

Marks = NDArray[np.bool_]
"""(grid rows, rows of a map): which rows change for each row of the grid; the same for columns."""


def operation_limit(graph: Graph, grid: Grid, *, shared: bool = False) -> float:
    """Give the multiplications of a dense scan over those of an exact one to which nothing else costs anything.

    For every position every layer computes just the rectangle of its map that the patch reaches, the whole map where that is
    the whole map, and whole answers where they are no maps. Moving pixels, starting operators and the clean maps are free.

    Parameters
    ----------
    graph
        The network; its maps must be made by windows that slide.
    grid
        The positions.
    shared
        Compute once what several positions have in common, as no engine here does. A pixel of a map that sees no column beyond
        those of the patch is the same for all positions of a grid row which have it so: above and below it sees the clean
        picture, between them the patch. The same goes for rows; and one that sees the patch alone, which has one picture
        everywhere, is the same for all. So only the corners of a patch are its own.

    Raises
    ------
    ValueError
        If a map is enlarged, which is not reckoned with here.

    Examples
    --------
    A patch of 2x2 at nine positions on 10x10 pixels: a convolution of 3x3 sees it in 4 rows, at the border in 3, and in as
    many columns. So 3 + 4 + 3 rows times 3 + 4 + 3 columns are computed instead of 9 times 100 pixels.

    >>> import torch
    >>> from iconoscope.occlusion.geometry import make_grid
    >>> from iconoscope.subject.captured.capture import capture
    >>> graph = capture(torch.nn.Conv2d(3, 1, 3, padding=1), torch.zeros(3, 10, 10))
    >>> operation_limit(graph, make_grid((10, 10), patch=2, stride=4))
    9.0

    Of 3x3 only the first and the last row see the patch and the padding alone, and each at one position; of 1x1 all do.

    >>> operation_limit(graph, make_grid((10, 10), patch=2, stride=4), shared=True)
    9.0
    >>> graph = capture(torch.nn.Conv2d(3, 1, 1), torch.zeros(3, 10, 10))
    >>> operation_limit(graph, make_grid((10, 10), patch=4, stride=2)), 16 * 100 / 10**2
    (6.25, 16.0)
    >>> operation_limit(graph, make_grid((10, 10), patch=4, stride=2), shared=True)
    16.0
    """
    down: dict[str, Marks] = {}
    across: dict[str, Marks] = {}
    inner: tuple[dict[str, Marks], dict[str, Marks]] = {}, {}
    dense = exact = 0
    for step in graph.steps:
        dense += step.multiplications * len(grid)
        if step.map is None:
            exact += step.multiplications * len(grid)
            continue
        down[step.name] = _marks(step, down, 0, grid)
        across[step.name] = _marks(step, across, 1, grid)
        if shared:
            lines = [_distinct(step, reached, inner[axis], axis, grid) for axis, reached in enumerate((down, across))]
            exact += step.cost * lines[0] * lines[1]
        else:
            exact += step.cost * int(down[step.name].sum()) * int(across[step.name].sum())
    return dense / exact


def _distinct(step: Step, reached: dict[str, Marks], inner: dict[str, Marks], axis: int, grid: Grid) -> int:
    """Count the rows (or columns) of a step's map that are computed for one position, and once those that see none beyond."""
    assert step.map is not None
    marks = reached[step.name]
    if step.kind == "input":
        inner[step.name] = marks
    elif step.kind == "everywhere":
        inner[step.name] = np.zeros_like(marks)
    else:
        field, length = step.fields[axis], step.map.size[axis]
        assert isinstance(field, AxisField)
        whole = np.logical_and.reduce([inner[name] for name in step.inputs])
        read = np.arange(length)[:, None] * field.stride - field.before + np.arange(field.extent)
        inside = (read >= 0) & (read < whole.shape[1])
        # Beyond the border there is the same padding for every position.
        inner[step.name] = marks & (whole[:, read.clip(0, whole.shape[1] - 1)] | ~inside).all(2)
    once = inner[step.name]
    return int((marks & ~once).sum()) + int(once.any(0).sum())


def _marks(step: Step, marked: dict[str, Marks], axis: int, grid: Grid) -> Marks:
    """Mark the rows (or columns) of a step's map that the patch reaches."""
    assert step.map is not None
    starts, length = (grid.top, grid.left)[axis], step.map.size[axis]
    if step.kind == "input":
        lines = np.arange(length)
        return (lines >= starts[:, None]) & (lines < starts[:, None] + grid.patch[axis])
    if step.kind == "everywhere":
        return np.ones((len(starts), length), np.bool_)
    field = step.fields[axis]
    if not isinstance(field, AxisField):
        raise ValueError(f"{step.name} enlarges a map, which this count does not know.")
    marks = np.logical_or.reduce([marked[name] for name in step.inputs])
    read = np.arange(length)[:, None] * field.stride - field.before + np.arange(field.extent)
    inside = (read >= 0) & (read < marks.shape[1])
    return (marks[:, read.clip(0, marks.shape[1] - 1)] & inside).any(2)
