"""The bins of the histograms that a recording keeps of every unit's activations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "bin_edges"]

BINS = 257
"""Bins of a unit's histogram: 128 on each side of zero, a quarter of a doubling wide, from 2**-16 to 2**16."""


def bin_edges() -> NDArray[np.float64]:
    """Give the edges of the histograms' bins, (BINS + 1,). The first and the last bin also hold what lies beyond.

    >>> bin_edges()[[0, 128, 129, 257]].tolist()
    [-65536.0, -1.52587890625e-05, 1.52587890625e-05, 65536.0]
    """
    steps = np.arange(129)
    magnitude = 2.0 ** (steps // 4 - 16) * (1 + steps % 4 / 4)
    return np.concatenate([-magnitude[::-1], magnitude])
