"""The network as steps, one after another, each of which says how a change of its inputs reaches its answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

from iconoscope.occlusion.incremental.operators import Operator
from iconoscope.occlusion.incremental.receptive_field import ReceptiveField, UpsampledField

__all__ = ["CHANNELS_FIRST", "CHANNELS_LAST", "EDGE", "LOWEST", "ZEROS", "Graph", "Kind", "MapShape", "Step"]

CHANNELS_FIRST = (2, 3)
CHANNELS_LAST = (1, 2)
ZEROS, LOWEST, EDGE = 0, 1, 2

Kind = Literal["input", "window", "everywhere", "mean", "whole", "batch", "number"]


@dataclass(frozen=True)
class MapShape:
    """Rows, columns and channels of a map, and which axes of its tensor they are.

    Attributes
    ----------
    size : tuple of int
        Rows and columns.
    axes : tuple of int
        Which axes of the tensor they are: `CHANNELS_FIRST` or `CHANNELS_LAST`.
    channels : int
        Numbers of a pixel.
    """

    size: tuple[int, int]
    axes: tuple[int, int]
    channels: int

    @property
    def area(self) -> int:
        """Pixels."""
        return self.size[0] * self.size[1]

    @property
    def channel_axis(self) -> int:
        """Which axis of the tensor has the channels."""
        return 1 if self.axes == CHANNELS_FIRST else 3

    def as_rows(self, maps: torch.Tensor) -> torch.Tensor:
        """Give a batch of maps or windows as (pixels, channels)."""
        channels_last = maps if self.axes == CHANNELS_LAST else maps.permute(0, 2, 3, 1)
        return channels_last.reshape(-1, self.channels)

    def from_rows(self, rows: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Give (pixels, channels) as a batch of windows of that size."""
        channels_last = rows.view(-1, *size, self.channels)
        return channels_last if self.axes == CHANNELS_LAST else channels_last.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes
    ----------
    name : str
        Its name in the graph.
    kind : str
        input; window: each pixel is made of some pixels of its inputs, which are all maps; everywhere: a map of which
        every pixel changes with any pixel of its inputs; mean: over all rows and columns; whole: nothing else is known of
        it, it reads whole inputs; batch: the number of images; number: an integer computed from that.
    inputs : tuple of str
        The steps whose answers it reads.
    operator : Operator or None
        What it computes; None for the input.
    map : MapShape or None
        The shape of the map that it answers, of which windows can be taken; None if its answer is always whole.
    fields : tuple of ReceptiveField or UpsampledField
        Down and across: which pixels of its inputs a pixel is made of.
    padding : int
        What is read beyond the border: `ZEROS`, `LOWEST` (minus infinity) or `EDGE` (the pixel at the border).
    crop : tuple of int or None
        Which row and column of what the operator makes of its inputs is the first of the window; None: it makes just that.
    factor : torch.Tensor or None
        (pixels,) what a window must be multiplied with.
    cost : int
        Multiplications in convolutions and linear layers, for a pixel of a map, or else for one image.
    bytes : int
        Size of the answer for one image.
    layer : str
        The layer of the network that it belongs to.
    by_image : bool
        Whether the first axis of its answer is that of the images.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    operator: Operator | None
    map: MapShape | None
    fields: tuple[ReceptiveField | UpsampledField, ReceptiveField | UpsampledField] = (
        ReceptiveField(),
        ReceptiveField(),
    )
    padding: int = 0
    crop: tuple[int, int] | None = None
    factor: torch.Tensor | None = None
    cost: int = 0
    bytes: int = 0
    layer: str = ""
    by_image: bool = True

    @property
    def multiplications(self) -> int:
        """Multiplications for one whole image."""
        return self.cost * (self.map.area if self.map else 1)

    @property
    def pixelwise(self) -> bool:
        """Whether a pixel is made of the pixels in the same place of its inputs, and of no others."""
        return self.kind == "window" and self.fields == (ReceptiveField(), ReceptiveField())

    def bytes_of(self, pixels: int) -> int:
        """Give the size of so many pixels of its map, or of the answers for so many images if it is none."""
        return self.bytes * pixels // (self.map.area if self.map else 1)


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
        last_reader = {name: step.name for step in self.steps for name in (step.name, *step.inputs)}
        last_reader.pop(self.output, None)
        last_reads: dict[str, list[str]] = {}
        for name, reader in last_reader.items():
            last_reads.setdefault(reader, []).append(name)
        return {reader: tuple(names) for reader, names in last_reads.items()}

    @property
    def multiplications(self) -> int:
        """Multiplications for one whole image."""
        return sum(step.multiplications for step in self.steps)
