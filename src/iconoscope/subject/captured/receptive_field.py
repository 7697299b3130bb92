"""Which pixels of a map change: interval arithmetic of the receptive fields of operators, on one axis at a time.

A rectangle is an interval of rows and one of columns, and the two never depend on each other. Intervals are half open, their
ends arrays with one entry for each position of the patch along that axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["AxisField", "Interval", "UpsampledField"]

Ends = NDArray[np.int64]
"""Rows or columns of a map, or positions: 64 bits, as torch indexes with no others where it takes two axes at once."""


@dataclass(frozen=True)
class Interval:
    """The rows (or columns) from `start` to before `stop`, for every position of the patch; never empty."""

    start: Ends
    stop: Ends

    def union(self, other: Interval) -> Interval:
        """Give the smallest interval around both."""
        return Interval(np.minimum(self.start, other.start), np.maximum(self.stop, other.stop))

    def covers(self, other: Interval) -> bool:
        """Whether each interval holds the other's."""
        return bool(((self.start <= other.start) & (self.stop >= other.stop)).all())

    @property
    def length(self) -> Ends:
        """Number of rows (or columns)."""
        return self.stop - self.start

    def __getitem__(self, positions: Ends) -> Interval:
        return Interval(self.start[positions], self.stop[positions])


@dataclass(frozen=True)
class AxisField:
    """The inputs of a sliding operator along one axis: output i reads `extent` inputs from i * stride - before on.

    Attributes
    ----------
    extent : int
        Inputs from the first to the last that one output reads, gaps of a dilation included.
    stride : int
        Inputs from one output to the next.
    before : int
        Padding before the first input; negative where inputs are skipped.
    """

    extent: int = 1
    stride: int = 1
    before: int = 0
    grain: ClassVar[int] = 1

    def changed(self, changed: Interval, size: int) -> Interval:
        """Give the outputs, of `size`, that read a changed input.

        Where none does, it is one output all the same, since a window has to be somewhere.

        >>> AxisField(extent=3, stride=2, before=1).changed(Interval(np.array([4]), np.array([6])), 8)
        Interval(start=array([2]), stop=array([4]))
        """
        first = -((self.extent - 1 - self.before - changed.start) // self.stride)  # -(a // b) rounds upwards
        last = (changed.stop - 1 + self.before) // self.stride
        start = np.clip(first, 0, size - 1)
        return Interval(start, np.clip(last + 1, start + 1, size))

    def first_input(self, output: Ends) -> Ends:
        """Give the first input that an output reads; it may lie in the padding, before 0."""
        return output * self.stride - self.before

    def inputs(self, outputs: int) -> int:
        """Give the number of inputs that so many neighbouring outputs read."""
        return (outputs - 1) * self.stride + self.extent


@dataclass(frozen=True)
class UpsampledField:
    """The outputs of an enlargement along one axis: input i reaches from i * grain - ahead to before i * grain + behind.

    A window of outputs begins at a multiple of `grain`: an output's weights depend on its place between two inputs, so only
    windows that begin alike can be computed in one batch.

    Attributes
    ----------
    grain : int
        Outputs for an input.
    ahead, behind : int
        Outputs before and behind its own place that an input reaches.
    lead : int
        Inputs from that of the same place to the first that a window reads, zero or negative.
    trail : int
        Outputs beyond the last of a window that decide up to which input it reads.
    """

    grain: int
    ahead: int
    behind: int
    lead: int
    trail: int

    def changed(self, changed: Interval, size: int) -> Interval:
        """Give the outputs, of `size`, that read a changed input, from a multiple of `grain` on.

        >>> field = UpsampledField(grain=2, ahead=0, behind=2, lead=0, trail=0)
        >>> field.changed(Interval(np.array([1]), np.array([3])), 8)
        Interval(start=array([2]), stop=array([6]))
        """
        start = np.clip(changed.start * self.grain - self.ahead, 0, size - 1) // self.grain * self.grain
        return Interval(start, np.clip((changed.stop - 1) * self.grain + self.behind, start + 1, size))

    def first_input(self, output: Ends) -> Ends:
        """Give the first input that is read for a window that begins at an output; it may lie before 0."""
        return output // self.grain + self.lead

    def inputs(self, outputs: int) -> int:
        """Give the number of inputs that are read for so many neighbouring outputs."""
        return (outputs - 1 + self.trail) // self.grain - self.lead + 1
