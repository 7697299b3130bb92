"""Filling a hole from its surroundings, so that an object can be taken out of its background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_hole"]


def fill_hole(picture: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill a hole smoothly from what surrounds it.

    Push and pull over a pyramid (Gortler et al. 1996, "The Lumigraph", section 3.4): averages of the known pixels are
    pushed to coarser and coarser levels until nothing is unknown, and pulled back only where a finer level knows nothing.
    Colour and brightness carry on; texture does not.

    Parameters
    ----------
    picture
        (height, width, 3).
    hole
        (height, width), True where the picture is not known.

    Returns
    -------
    ndarray of uint8, (height, width, 3)
        The picture, untouched outside the hole. If all is hole, a mid grey.

    Examples
    --------
    >>> hole = np.zeros((8, 8), bool)
    >>> hole[2:5, 2:5] = True
    >>> int(fill_hole(np.full((8, 8, 3), 90, np.uint8), hole).min())
    90
    """
    if hole.all():
        return np.full_like(picture, 128)
    known = (~hole).astype(np.float64)[..., None]
    filled = _pull_push(picture.astype(np.float64) * known, known)
    return np.where(hole[..., None], filled.round().clip(0, 255), picture).astype(np.uint8)


def _pull_push(weighted: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give colours everywhere, from colours times weights (height, width, 3) and weights (height, width, 1; 0..1)."""
    known = np.divide(weighted, weight, out=np.zeros_like(weighted), where=weight > 0)
    if weight.min() >= 1 or max(weight.shape[:2]) == 1:
        return known
    coarse_weight = _halve(weight)
    coarse = _pull_push(_halve(weighted) / np.maximum(coarse_weight, 1), np.minimum(coarse_weight, 1))
    return known * weight + _double(coarse, weight.shape[:2]) * (1 - weight)


def _halve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum squares of two by two pixels; an odd last row or column is on its own."""
    height, width = values.shape[:2]
    padded = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    return padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]


def _double(values: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Interpolate linearly to twice the size, cut to `shape`."""
    for axis in (0, 1):
        before = np.concatenate([values.take([0], axis), values.take(range(values.shape[axis] - 1), axis)], axis)
        after = np.concatenate([values.take(range(1, values.shape[axis]), axis), values.take([-1], axis)], axis)
        pair = np.stack([0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after], axis + 1)
        values = pair.reshape(*values.shape[:axis], -1, *values.shape[axis + 1 :])
    return values[: shape[0], : shape[1]]
