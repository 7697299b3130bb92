"""Moving the points of a map to a full grid, each as little as possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["snap_to_grid"]

_WHOLE = 800  # points that are assigned at once: the work grows with the cube of their number


def snap_to_grid(points: NDArray[np.float32]) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Give every point a cell of its own of a grid that is full but for less than a row.

    Some hundred points are assigned at once, so that the sum of squared ways is least (Jonker and Volgenant
    1987). More are first cut in halves, across and down in turn, until each part is small enough.

    Parameters
    ----------
    points
        (n, 2), across and down.

    Returns
    -------
    ndarray of int64, (n, 2), and tuple of int
        Row and column of each point; rows and columns of the grid.

    Examples
    --------
    >>> snap_to_grid(np.float32([[0, 0], [9, 0], [0, 9], [9, 9]]))[0].tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    count = len(points)
    low, high = points.min(0), points.max(0)
    span = np.maximum(high - low, 1e-12)
    columns = max(1, min(count, round(float(np.sqrt(count * np.clip(span[0] / span[1], 0.25, 4))))))
    rows = -(-count // columns)
    scaled = (points - low) / span * np.array([columns - 1, rows - 1])
    cells = np.empty((count, 2), np.int64)
    _part(scaled.astype(np.float64), np.arange(count), (0, rows), (0, columns), cells)
    return cells, (rows, columns)


def _part(
    points: NDArray[np.float64],
    chosen: NDArray[np.int64],
    rows: tuple[int, int],
    columns: tuple[int, int],
    cells: NDArray[np.int64],
) -> None:
    """Assign some points to a rectangle of the grid, of which the last row of the whole may be short."""
    across = columns[1] - columns[0]
    down = rows[1] - rows[0]
    if not len(chosen):
        return
    if len(chosen) <= _WHOLE:
        grid = np.stack(np.meshgrid(np.arange(*rows), np.arange(*columns), indexing="ij"), 2).reshape(-1, 2)
        moved = points[chosen]
        # Points of a part lie in a part of the plane: they are spread over its cells before ways are measured.
        low, span = moved.min(0), np.maximum(np.ptp(moved, axis=0), 1e-12)
        placed = (moved - low) / span * np.array([across - 1, down - 1]) + np.array([columns[0], rows[0]])
        cost = np.square(placed[:, None, 0] - grid[None, :, 1]) + np.square(placed[:, None, 1] - grid[None, :, 0])
        cells[chosen] = grid[linear_sum_assignment(cost)[1]]
    elif across >= down:
        middle = columns[0] + across // 2
        order = chosen[np.argsort(points[chosen, 0], kind="stable")]
        # The gaps are shared out as the cells are.
        share = round(len(chosen) * (middle - columns[0]) / across)
        share = max(len(chosen) - down * (columns[1] - middle), min(share, down * (middle - columns[0])))
        _part(points, order[:share], rows, (columns[0], middle), cells)
        _part(points, order[share:], rows, (middle, columns[1]), cells)
    else:
        middle = rows[0] + down // 2
        order = chosen[np.argsort(points[chosen, 1], kind="stable")]
        share = min(across * (middle - rows[0]), len(chosen))
        _part(points, order[:share], (rows[0], middle), columns, cells)
        _part(points, order[share:], (middle, rows[1]), columns, cells)
