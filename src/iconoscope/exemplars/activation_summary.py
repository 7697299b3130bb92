"""Summaries of layers while the network runs: each map is reduced at once, before the next layer takes its place in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from iconoscope.errors import IconoscopeError, UnitError
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.subject.activation_layout import read_maps
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LayerCall, concatenated, watching

__all__ = [
    "BatchSummary",
    "PassReaders",
    "Penultimate",
    "Summarize",
    "Thresholds",
    "channels_last",
    "reading_vectors",
    "summarizing",
]

_FEW = 256  # maps


@dataclass(frozen=True)
class Penultimate:
    """Where the vector before the logits is read: what goes into a layer, or comes out of it.

    Without a layer it is the logits themselves, where no layer can be asked.
    """

    layer: str = ""
    input: bool = False

    def __str__(self) -> str:
        return f"the {'input' if self.input else 'output'} of {self.layer}" if self.layer else "the logits"


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Answers above `most` or below `least`, (units,), may enter a ranking: their positions are looked for."""

    most: torch.Tensor
    least: torch.Tensor


BatchSummary = dict[str, torch.Tensor]
"""The summary of one pass, of all recorded layers side by side:

- ``maximum``, ``mean``, float32, (images, units): over the places of every channel's map;
- ``position``, int32, (images, units): where the maximum was, row times width plus column, or the number of the token; -1 where
  it was not looked for;
- ``sampled``, float32, (images, units, places): the activation at some places of every map;
- ``penultimate``, float32, (images, numbers): the vector before the logits;
- ``logits``, float32, (images, classes): what the network answered.
"""

Summarize = Callable[[torch.Tensor, Thresholds, torch.Tensor], BatchSummary]
"""From normalised input (images, channels, height, width), the thresholds and the places that are sampled to a summary."""


class _LayerReader:
    """The reader of one layer; it is called as soon as the layer has answered, since what follows may work in place."""

    def __init__(self, layer: RecordedLayer, first: int) -> None:
        self.layer = layer
        self.units = slice(first, first + layer.channels)
        self.summary: BatchSummary | None = None  # of this layer alone
        self.thresholds: Thresholds | None = None
        self.batch = torch.zeros(0)
        self.places = torch.zeros(0, dtype=torch.int64)

    def __call__(self, call: LayerCall) -> None:
        if self.summary is not None or self.thresholds is None:  # a layer may be used twice; its first answer counts
            return
        maps = _maps(call.output, call.module, self.batch, self.layer.name)
        count = maps.shape[2] * maps.shape[3]
        last = count > 1 and maps.is_contiguous(memory_format=torch.channels_last)
        if last:
            maximum, mean, highest = _read_channels_last(maps)
        else:
            maximum, mean, highest = maps.amax((2, 3)), maps.mean((2, 3)), None
        position = maximum.new_full(maximum.shape, -1, dtype=torch.int32)
        passing = self._passing(maximum, self.thresholds)
        if len(passing):
            places = _places(maps, passing) if highest is None else _places_channels_last(maps, highest, passing)
            position.view(-1)[passing] = places.int()
        sampled = maximum.new_empty(*maximum.shape, 0)
        if len(self.places):
            chosen = self.places % count
            lines = maps.permute(0, 2, 3, 1).flatten(1, 2) if last else maps.flatten(2).transpose(1, 2)
            sampled = lines.index_select(1, chosen).transpose(1, 2)
        self.summary = {"maximum": maximum, "mean": mean, "position": position, "sampled": sampled}

    def _passing(self, maximum: torch.Tensor, thresholds: Thresholds) -> torch.Tensor:
        """Say of which maps the maximum counts, so that its place must be found: image times channels plus channel."""
        low, high = thresholds.least[self.units], thresholds.most[self.units]
        # Of few images the lower threshold may be over the higher one, so that to clamp by both would tell something else.
        return (maximum < low).logical_or_(maximum > high).flatten().nonzero().squeeze(1)


class PassReaders:
    """The readers of all layers, and of the vector before the logits, for one pass after another.

    Parameters
    ----------
    network
        The network.
    layers, penultimate
        What is read.
    """

    def __init__(self, network: Network, layers: Sequence[RecordedLayer], penultimate: Penultimate) -> None:
        self._network, self._penultimate = network, penultimate
        self.layers: dict[str, _LayerReader] = {}
        first = 0
        for layer in layers:
            self.layers[layer.name] = _LayerReader(layer, first)
            first += layer.channels
        self._vector: torch.Tensor | None = None
        self._batch, self._places = torch.zeros(0), 0

    def begin(self, batch: torch.Tensor, thresholds: Thresholds, places: torch.Tensor) -> None:
        """Forget the pass before, and note what goes into this one."""
        self._vector, self._batch, self._places = None, batch, len(places)
        for reader in self.layers.values():
            reader.summary, reader.thresholds, reader.batch = None, thresholds, batch
            reader.places = places.to(batch.device)

    def read_layer(self, call: LayerCall) -> None:
        """Summarize what a layer answers."""
        self.layers[call.name](call)

    def read_vector(self, call: LayerCall) -> None:
        """Take the vector before the logits."""
        if self._vector is None:
            maps = call.inputs[0] if self._penultimate.input else call.output
            # What goes into a layer lies as that layer wants it: for a linear one the channels last.
            self._vector = _maps(maps, call.module, self._batch, self._penultimate.layer).mean((2, 3))

    def summary(self, logits: torch.Tensor) -> BatchSummary:
        """Give what was read of the pass that ended with these logits.

        Raises
        ------
        UnitError
            If a layer was not reached.
        """
        name, vector = self._network.name, self._vector
        if not self._penultimate.layer:
            vector = logits.float()
        parts = [reader.summary for reader in self.layers.values() if reader.summary is not None]
        if missing := [layer for layer, reader in self.layers.items() if reader.summary is None]:
            raise UnitError(f"{missing[0]} was not reached when {name} ran: no unit of it can answer.")
        if vector is None:
            raise UnitError(
                f"{self._penultimate.layer} was not reached when {name} ran, so there is no vector before the logits."
            )
        if not parts:
            nothing_read = torch.zeros(len(logits), 0, dtype=torch.float32)
            unsampled = nothing_read[:, :, None].expand(-1, -1, self._places)
            parts = [
                {"maximum": nothing_read, "mean": nothing_read, "position": nothing_read.int(), "sampled": unsampled}
            ]
        joined = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}
        return {**joined, "penultimate": vector, "logits": logits.float()}


def _read_channels_last(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give the maximum and the mean, (images, channels), of maps that lie channels last.

    The third is the maximum over rows, (images, columns, channels): of the few maps where the position counts, a row and a
    column are then all that is looked at again.
    """
    images, channels, rows, columns = maps.shape
    last = maps.permute(0, 2, 3, 1)
    highest = last.reshape(images, rows, columns * channels).amax(1).view(images, columns, channels)
    return _highest(highest), last.view(images, rows * columns, channels).mean(1), highest


def _places_channels_last(maps: torch.Tensor, highest: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Find where the maximum of some maps is, as `_places` does; `highest` is as `_read_channels_last` gives it."""
    channels, columns = maps.shape[1], maps.shape[3]
    image, channel = chosen.div(channels, rounding_mode="floor"), chosen.remainder(channels)
    column = highest[image, :, channel].argmax(1)
    row = maps.permute(0, 2, 3, 1)[image, :, column, channel].argmax(1)
    return row.mul_(columns).add_(column)


def _highest(lines: torch.Tensor) -> torch.Tensor:
    """Give the maximum over the places, (images, channels), of maps that lie channels last, (images, places, channels).

    A maximum over rows of fewer than 64 numbers is many times as slow as over longer ones: neighbouring places are first taken
    for one row.
    """
    images, places, channels = lines.shape
    joined = 1
    while channels * joined < 64 and places % (2 * joined) == 0:
        joined *= 2
    if joined == 1:
        return lines.amax(1)
    return lines.view(images, places // joined, joined * channels).amax(1).view(images, joined, channels).amax(1)


def _places(maps: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Find where the maximum of some maps is: row times the map's width plus column, (chosen,).

    Of maps (images, channels, rows, columns), `chosen` are numbers of images times channels plus channels.
    """
    if not len(chosen) or maps.shape[2] * maps.shape[3] == 1:
        return torch.zeros_like(chosen)
    picked = maps.reshape(-1, *maps.shape[2:]).index_select(0, chosen)
    if len(picked) < _FEW:
        return picked.flatten(1).argmax(1)
    # Over many, two passes over rows are several times as fast as `argmax` over maps.
    row = picked.amax(2).argmax(1)
    lines = torch.arange(len(row), device=row.device).mul_(maps.shape[2]).add_(row)
    column = picked.view(-1, maps.shape[3]).index_select(0, lines).argmax(1)
    return row.mul_(maps.shape[3]).add_(column)


def _maps(output: Any, module: nn.Module, batch: torch.Tensor, name: str) -> torch.Tensor:
    """Give a layer's answer as maps (images, channels, rows, columns)."""
    maps = read_maps(output, module, batch, name).float()
    # Tokens lie in one row, those before the patches first.
    return maps[:, :, None, None] if maps.ndim == 2 else maps[:, :, None] if maps.ndim == 3 else maps


@contextmanager
def channels_last(network: Network) -> Iterator[bool]:
    """Lay the network's convolutions out channels last for the time of a block, where that is faster: on a processor.

    Answers differ by rounding alone, and are the same in every run. A module that wants its maps as they were, and says so
    with an error, gets them so.

    Yields
    ------
    bool
        Whether it is laid out so.
    """
    convolutions = [module for module in network.module.modules() if isinstance(module, nn.Conv2d)]
    weights = [module.weight.data for module in convolutions]
    able = network.device.type == "cpu" and bool(convolutions)
    try:
        if able:
            for module in convolutions:
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
            able = _runs(network)
        if not able:
            for module, weight in zip(convolutions, weights, strict=True):
                module.weight.data = weight
        yield able
    finally:
        for module, weight in zip(convolutions, weights, strict=True):
            module.weight.data = weight


def _runs(network: Network) -> bool:
    try:
        with torch.inference_mode():
            network.run(network.blank(2))
    except (RuntimeError, IconoscopeError):
        # "view size is not compatible"; what is truly wrong comes again when images are shown.
        return False
    return True


@contextmanager
def summarizing(
    network: Network, layers: Sequence[RecordedLayer], penultimate: Penultimate, *, together: int | None = None
) -> Iterator[Summarize]:
    """Give a function that runs the network and summarizes its layers, for the time of a block.

    Parameters
    ----------
    network
        In evaluation mode.
    layers, penultimate
        What is read.
    together
        How many images go through the network at once; all of a batch if not given.

    Yields
    ------
    Summarize
        By the network's module.
    """
    readers = PassReaders(network, layers, penultimate)

    def run(batch: torch.Tensor, thresholds: Thresholds, places: torch.Tensor) -> BatchSummary:
        most = 1 if network.singly else together or len(batch)
        if len(batch) > most:
            return concatenated([run(part, thresholds, places) for part in batch.split(most)])
        readers.begin(batch, thresholds, places)
        logits = network.answer(batch)
        if logits.ndim != 2:
            network.logits(batch)  # says what is wrong
        return readers.summary(logits)

    read_before = [penultimate.layer] if penultimate.layer else []
    with (
        watching(network, readers.layers, readers.read_layer),
        watching(network, read_before, readers.read_vector, before_call=penultimate.input),
    ):
        yield run


@contextmanager
def reading_vectors(network: Network, penultimate: Penultimate) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
    """Give a function from normalised input to the vectors before the logits (images, numbers), for the time of a block.

    The network must be in evaluation mode.
    """
    reads: list[tuple[Any, nn.Module]] = []

    def read(batch: torch.Tensor) -> torch.Tensor:
        if network.singly and len(batch) > 1:
            return torch.cat([read(image) for image in batch.split(1)])
        reads.clear()
        logits = network.answer(batch)
        if not penultimate.layer:
            return logits.float()
        if not reads:
            raise UnitError(
                f"{penultimate.layer} was not reached when {network.name} ran, so there is no vector of it."
            )
        maps, module = reads[0]
        return _maps(maps, module, batch, penultimate.layer).mean((2, 3))

    def keep(call: LayerCall) -> None:
        if not reads:
            value = call.inputs[0] if penultimate.input else call.output
            reads.append((value.clone() if isinstance(value, torch.Tensor) else value, call.module))

    with watching(network, [penultimate.layer] if penultimate.layer else [], keep, before_call=penultimate.input):
        yield read
