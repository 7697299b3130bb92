"""The network as steps, one after another, each of which says how a change of its inputs reaches its answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

from iconoscope.occlusion.incremental.operators import Operator
from iconoscope.occlusion.incremental.receptive_field import Reach, Rise

__all__ = ["CHANNELS_FIRST", "CHANNELS_LAST", "EDGE", "LOWEST", "ZEROS", "Graph", "Kind", "Map", "Step"]

CHANNELS_FIRST = (2, 3)
CHANNELS_LAST = (1, 2)
ZEROS, LOWEST, EDGE = 0, 1, 2

Kind = Literal["input", "window", "everywhere", "mean", "whole", "batch", "number"]


@dataclass(frozen=True)
class Map:
    """What a step answers, where it has rows and columns.

    Attributes
    ----------
    size : tuple of int
        Rows and columns.
    axes : tuple of int
        Which axes of the tensor they are: `CHANNELS_FIRST` or `CHANNELS_LAST`.
    channels : int
        How many numbers a pixel has.
    """

    size: tuple[int, int]
    axes: tuple[int, int]
    channels: int

    @property
    def area(self) -> int:
        """Pixels."""
        return self.size[0] * self.size[1]

    def as_rows(self, value: torch.Tensor) -> torch.Tensor:
        """Give a batch of maps or windows as (pixels, channels)."""
        last = value if self.axes == CHANNELS_LAST else value.permute(0, 2, 3, 1)
        return last.reshape(-1, self.channels)

    def from_rows(self, rows: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Give (pixels, channels) as a batch of windows of that size."""
        last = rows.view(-1, *size, self.channels)
        return last if self.axes == CHANNELS_LAST else last.permute(0, 3, 1, 2)

    def in_one(self, rows: torch.Tensor) -> torch.Tensor:
        """Give (pixels, channels) as one map with all pixels in one column."""
        return self.from_rows(rows, (len(rows), 1))


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes
    ----------
    name : str
        Its name in the graph.
    kind : str
        input; window: each pixel is made of some pixels of its inputs, which are all maps; everywhere: a map of which
        every pixel changes with any pixel of its inputs; mean: over all rows and columns; whole: of anything else nothing
        is known, it reads whole inputs; batch: how many images there are; number: an integer made of it.
    inputs : tuple of str
        The steps whose answers it reads.
    operator : Operator or None
        What it computes; None for the input.
    map : Map or None
        What it answers: a map, of which windows can be taken, or something that is always whole.
    reach : tuple of Reach
        Down and across: which pixels of its inputs a pixel is made of.
    padding : int
        What is read beyond the border: `ZEROS`, `LOWEST` (minus infinity) or `EDGE` (the pixel at the border).
    crop : tuple of int or None
        Which row and column of what the operator makes of a region is the first of the window; None: it makes just that.
    factor : torch.Tensor or None
        (pixels,) what a window must be multiplied with.
    cost : int
        Multiplications in convolutions and linear layers, for a pixel of a map, or else for one image.
    size : int
        Bytes of the answer for one image.
    layer : str
        The layer of the network that it belongs to.
    by_image : bool
        Whether the first axis of its answer is that of the images.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    operator: Operator | None
    map: Map | None
    reach: tuple[Reach | Rise, Reach | Rise] = (Reach(), Reach())
    padding: int = 0
    crop: tuple[int, int] | None = None
    factor: torch.Tensor | None = None
    cost: int = 0
    size: int = 0
    layer: str = ""
    by_image: bool = True

    @property
    def total(self) -> int:
        """Multiplications for one whole image."""
        return self.cost * (self.map.area if self.map else 1)

    @property
    def in_place(self) -> bool:
        """Whether a pixel is made of the pixels in the same place of its inputs, and of no others."""
        return self.kind == "window" and self.reach == (Reach(), Reach())


@dataclass(frozen=True)
class Graph:
    """The steps in an order in which they can be done, the input first."""

    steps: tuple[Step, ...]
    output: str

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """The steps by their names."""
        return {step.name: step for step in self.steps}

    @cached_property
    def last_reads(self) -> dict[str, tuple[str, ...]]:
        """For every step, whose answers nobody reads after it."""
        last = {name: step.name for step in self.steps for name in (step.name, *step.inputs)}
        last.pop(self.output, None)
        read: dict[str, list[str]] = {}
        for name, reader in last.items():
            read.setdefault(reader, []).append(name)
        return {reader: tuple(names) for reader, names in read.items()}

    @property
    def total(self) -> int:
        """Multiplications for one whole image."""
        return sum(step.total for step in self.steps)
