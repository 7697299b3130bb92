"""A mean over images with its 95% interval."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Estimate", "estimate_mean", "wilson_interval"]

_LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean with the ends of its 95% interval; NaN where there was too little to average."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan)
"""Where there was nothing to average."""


def estimate_mean(values: NDArray[np.floating]) -> Estimate:
    """Give the mean of numbers (images,), one an image, with its 95% interval. NaN counts as missing.

    Of yes and no (0 and 1) it is Wilson's interval of a share (1927); else Student's of a mean, within 0..1 or -1..1 if all
    numbers are. Where all numbers agree, neither Student nor a bootstrap knows how far off others may be: then as many images
    may be otherwise as would stay unseen among these once in forty times, and as far off as the range allows.

    Examples
    --------
    >>> estimate = estimate_mean(np.array([0.0, 1.0, 1.0, 1.0, np.nan]))
    >>> [round(number, 3) for number in estimate]
    [0.75, 0.301, 0.954]
    >>> [round(number, 3) for number in estimate_mean(np.zeros(30))]
    [0.0, 0.0, 0.114]
    """
    from scipy import stats  # half a second to import

    finite = values[np.isfinite(values)].astype(np.float64)
    count = len(finite)
    if count < 2:
        return Estimate(float(finite[0]) if count else math.nan, math.nan, math.nan)
    mean = float(finite.mean())
    if np.isin(finite, (0, 1)).all():
        share = stats.binomtest(int(finite.sum()), count).proportion_ci(_LEVEL, method="wilson")
        return Estimate(mean, float(share.low), float(share.high))
    least, most = _range_of(finite)
    error = float(finite.std(ddof=1)) / math.sqrt(count)
    if error <= 1e-12 * abs(mean):
        unseen = 1 - ((1 - _LEVEL) / 2) ** (1 / count)
        return Estimate(mean, mean - unseen * (mean - least), mean + unseen * (most - mean))
    reach = float(stats.t.ppf((1 + _LEVEL) / 2, count - 1)) * error
    return Estimate(mean, max(least, mean - reach), min(most, mean + reach))


def wilson_interval(
    right: NDArray[np.integer], count: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the ends of Wilson's 95% intervals of shares, `right` of `count` each.

    >>> [round(float(end), 3) for ends in wilson_interval(np.array([3]), np.array([4])) for end in ends]
    [0.301, 0.954]
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + _LEVEL) / 2))
    share, weight = right / count, z**2 / count
    middle = (share + weight / 2) / (1 + weight)
    reach = z * np.sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    return (middle - reach).clip(0, 1), (middle + reach).clip(0, 1)


def _range_of(values: NDArray[np.float64]) -> tuple[float, float]:
    """Give the range that numbers are of: shares, differences of shares, or any."""
    if values.min() >= 0 and values.max() <= 1:
        return 0.0, 1.0
    return (-1.0, 1.0) if np.abs(values).max() <= 1 else (-math.inf, math.inf)
