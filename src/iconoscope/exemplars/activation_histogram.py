"""Statistics of the activations of every unit: counts in bins that all units share, and sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.store.histogram_bins import BINS

__all__ = ["ActivationStatistics"]

# A bin is a quarter of a doubling: the sign, the exponent and two bits of what follows it, of a float in 32 bits.
_CUT = 21
_ONE = 127 << 2
_REACH = (BINS - 1) // 2


@dataclass(frozen=True, eq=False)
class ActivationStatistics:
    """Sums over the sampled activations of every unit; those of two sets of images add.

    Attributes
    ----------
    count : ndarray of int64, (units,)
        How many there were.
    total, square : ndarray of float64, (units,)
        Their sum, and that of their squares.
    lowest : ndarray of float32, (units,)
        The smallest.
    histogram : ndarray of int64, (units, BINS)
        How many fell into each bin of `iconoscope.store.histogram_bins.bin_edges`.

    Examples
    --------
    >>> four = ActivationStatistics.of(np.float32([[[0, 1.0, 1.1, -3]]]))
    >>> four.count.item(), four.total.item(), four.histogram.sum().item(), four.added(four).count.item()
    (4, -0.899..., 4, 8)
    """

    count: NDArray[np.int64]
    total: NDArray[np.float64]
    square: NDArray[np.float64]
    lowest: NDArray[np.float32]
    histogram: NDArray[np.int64]

    @classmethod
    def empty(cls, units: int) -> ActivationStatistics:
        """Give the statistics of no activation."""
        return cls(
            np.zeros(units, np.int64),
            np.zeros(units),
            np.zeros(units),
            np.full(units, np.inf, np.float32),
            np.zeros((units, BINS), np.int64),
        )

    @classmethod
    def of(cls, sampled: NDArray[np.float32]) -> ActivationStatistics:
        """Give the statistics of activations (images, units, positions)."""
        images, units, positions = sampled.shape
        if not sampled.size:
            return cls.empty(units)
        values = torch.from_numpy(sampled)
        bits = values.view(torch.int32)
        # Distance from the smallest magnitude that has a bin of its own; what is nearer to zero counts as zero.
        steps = (bits & 0x7FFFFFFF).bitwise_right_shift_(_CUT).sub_(_ONE - _REACH // 2 - 1).clamp_(0, _REACH)
        bins = torch.where(bits < 0, -steps, steps).add_(
            (torch.arange(units, dtype=torch.int32) * BINS + _REACH)[:, None]
        )
        histogram = torch.bincount(bins.flatten(), minlength=units * BINS).view(units, BINS)
        return cls(
            np.full(units, images * positions, np.int64),
            values.sum((0, 2), dtype=torch.float64).numpy(),
            values.square().sum((0, 2), dtype=torch.float64).numpy(),
            values.amin((0, 2)).numpy(),
            histogram.numpy(),
        )

    def added(self, other: ActivationStatistics) -> ActivationStatistics:
        """Give the statistics of both."""
        return ActivationStatistics(
            self.count + other.count,
            self.total + other.total,
            self.square + other.square,
            np.minimum(self.lowest, other.lowest),
            self.histogram + other.histogram,
        )
