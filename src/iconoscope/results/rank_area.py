"""How well numbers tell a class: the area under the curve, by ranks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["predictive_area", "rank_areas"]


def rank_areas(values: NDArray[np.floating], is_class: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give the area under the curve by which each of some numbers (images, numbers) tells a class, 0 to 1.

    Mann and Whitney's statistic. A number that is missing ranks as the largest.
    """
    from scipy.stats import rankdata  # half a second to import

    yes, no = int(is_class.sum()), int((~is_class).sum())
    ranks = rankdata(np.where(np.isnan(values), np.inf, values), axis=0)
    return (ranks[is_class].sum(0) - yes * (yes + 1) / 2) / (yes * no)


def predictive_area(values: NDArray[np.floating], is_class: NDArray[np.bool_]) -> tuple[float, int, int]:
    """Say how well the best of some numbers (images, numbers) tells a class: the area under its curve, 0.5 to 1.

    Returns
    -------
    tuple of float, int, int
        The area, the position of the number, and 1 if it is larger for the class, -1 if smaller.

    Examples
    --------
    >>> predictive_area(np.array([[0.0, 5], [0, 6], [0, 2], [1, 1]]), np.array([True, True, False, False]))
    (1.0, 1, 1)
    """
    if not is_class.any() or is_class.all():
        return math.nan, 0, 1
    areas = rank_areas(values, is_class)
    best = int(np.abs(areas - 0.5).argmax())
    return float(max(areas[best], 1 - areas[best])), best, 1 if areas[best] >= 0.5 else -1
