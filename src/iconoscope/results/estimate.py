"""A mean over images with its bootstrap interval."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Estimate", "estimate_mean"]

_LEVEL = 0.95
_RESAMPLES = 2000


class Estimate(NamedTuple):
    """A mean with the ends of its 95% interval; NaN where there was too little to average."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan)
"""Where there was nothing to average."""


def estimate_mean(values: NDArray[np.floating], *, seed: int = 0) -> Estimate:
    """Give the mean of numbers (images,), one an image, with its percentile interval (Efron 1979). NaN counts as missing.

    Examples
    --------
    >>> estimate = estimate_mean(np.array([0.0, 1.0, 1.0, 1.0, np.nan]))
    >>> estimate.value, 0 <= estimate.low <= 0.75 <= estimate.high <= 1
    (0.75, True)
    """
    from scipy.stats import bootstrap  # half a second to import

    finite = values[np.isfinite(values)].astype(np.float64)
    if len(finite) < 2:
        return Estimate(float(finite[0]) if len(finite) else math.nan, math.nan, math.nan)
    low, high = bootstrap(
        (finite,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=_LEVEL,
        method="percentile",
        random_state=np.random.default_rng(seed),  # pyright: ignore[reportCallIssue] (rng is its name since SciPy 1.15)
    ).confidence_interval
    return Estimate(float(finite.mean()), float(low), float(high))
