"""The layers of a network that can be recorded, their receptive fields, and where the vector before the logits is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import nan

import torch

from iconoscope.errors import IconoscopeError, QuestionError, UnitError
from iconoscope.exemplars.activation_summary import Penultimate
from iconoscope.store.recorded_layer import ReceptiveField, RecordedLayer
from iconoscope.subject.activation_layout import token_grid
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LayerReader, probe
from iconoscope.subject.usual_layers import LayerAnswer, layer_answers, usual_among
from iconoscope.vocabulary.unit import LayerUnit

__all__ = ["choose_layers"]

_NARROW = 64  # pixels: twice the largest stride that is usual
_SMALL = 64  # pixels: all lines of so small an input are asked about, so that fields nearly as large as it are measured


def choose_layers(network: Network, layers: Sequence[str] | None) -> tuple[tuple[RecordedLayer, ...], Penultimate]:
    """Look at the layers that are asked for and find the vector before the logits.

    Parameters
    ----------
    network
        In evaluation mode.
    layers
        Names or unique endings; ``logits`` are recorded anyway and may be among them. None: the layers that never answer less
        than zero (what comes out of ReLUs) and are not inside another such; where there are none, the widening layers of
        multilayer perceptrons, as in transformers and ConvNeXt; else activations of other kinds, else all convolutions.

    Raises
    ------
    UnitError
        If the network has no such layer, or it answers no maps, tokens or vectors.
    """
    answers, logits = layer_answers(network)
    names = (
        usual_among(network, answers)
        if layers is None
        else [_named(network, name) for name in layers if name != "logits"]
    )
    chosen: list[RecordedLayer] = []
    for name in dict.fromkeys(names):
        unreached = f"{name} of {network.name} was not reached when the network ran."
        answer = answers.get(name, LayerAnswer((), refusal=unreached))
        if answer.refusal:
            raise UnitError(
                answer.refusal, hint="Ask another layer; iconoscope layers lists what each of them answers."
            )
        chosen.append(_recorded(name, answer.shape, network))
    fields = _fields(network, chosen)
    layers_with_fields = tuple(replace(layer, field=fields.get(layer.name)) for layer in chosen)
    return layers_with_fields, _penultimate(network, answers, logits)


def _recorded(name: str, shape: tuple[int, ...], network: Network) -> RecordedLayer:
    channels, *places = shape
    if len(places) == 2:
        return RecordedLayer(name, channels, places[0], places[1])
    if not places:
        return RecordedLayer(name, channels, 1, 1)
    grid = token_grid(places[0], network.preprocessing.size)
    rows, columns = (grid.rows, grid.columns) if grid else (1, 1)
    return RecordedLayer(name, channels, rows, columns, tokens=places[0])


def _named(network: Network, name: str) -> str:
    unit = network.resolve(name)
    if not isinstance(unit, LayerUnit) or unit.channel is not None:
        raise QuestionError(f"{name!r} is a unit; a layer is recorded whole.", hint=f"Give {name.partition(':')[0]!r}.")
    return str(unit)


def _penultimate(network: Network, answers: dict[str, LayerAnswer], logits: torch.Tensor) -> Penultimate:
    modules = dict(network.module.named_modules())
    read = [name for name, answer in answers.items() if not answer.refusal]
    weighted = [name for name in read if any(True for _ in modules[name].parameters(recurse=False))]
    if not weighted:
        return Penultimate(read[-1]) if read else Penultimate()
    last = weighted[-1]
    # Of two classes that share one output there is one number, and two logits.
    single = 1 if network.activation == "sigmoid" and logits.shape[1] == 2 else logits.shape[1]
    return Penultimate(last, input=answers[last].shape[0] in (logits.shape[1], single))


def _fields(network: Network, layers: Sequence[RecordedLayer]) -> dict[str, ReceptiveField]:
    """Measure the receptive fields of the layers' maps on the network itself.

    A row of the input is made NaN, and whatever can see it answers NaN: convolutions, poolings and sums all hand it on,
    whatever their weights. One row after another over the largest stride gives the stride, size and start of the fields. A
    layer that sees everything from everywhere, or whose fields are no regular grid, has none.
    """
    inner = {layer.name: layer for layer in layers if layer.rows > 1 and layer.columns > 1 and not layer.tokens}
    if not inner:
        return {}
    axes_of: dict[str, list[tuple[int, int, int]]] = {name: [] for name in inner}
    for axis, extent in enumerate(network.preprocessing.size):
        strides = {name: round(extent / (layer.rows, layer.columns)[axis]) for name, layer in inner.items()}
        count = extent if extent <= _SMALL else 2 * max(strides.values()) + 2
        first = max(0, extent // 2 - count // 2)
        reached = _reached(network, inner, axis, range(first, min(extent, first + count)))
        for name in inner:
            axes_of[name].append(_grid(reached[name], first))
    return {
        name: ReceptiveField(*zip(*axes, strict=True))  # pyright: ignore[reportArgumentType]
        for name, axes in axes_of.items()
        if all(size > 0 for size, _, _ in axes)
    }


def _reached(
    network: Network, layers: dict[str, RecordedLayer], axis: int, lines: range
) -> dict[str, list[tuple[int, int]]]:
    """Give the first and the last place of every map that each line reaches, (-1, -1) for none.

    A line reaches as far in a narrow picture as in a wide one, if the network takes narrow ones; the first line and the last
    are held against pictures of its own size.
    """
    size = list(network.preprocessing.size)
    with probe(network, layers) as read, torch.inference_mode():
        narrow = [length if side == axis else min(length, _NARROW) for side, length in enumerate(size)]
        if narrow != size:
            ends = (lines[0], lines[-1])
            try:
                reached = _reached_in(network, read, layers, axis, lines, narrow)
            except IconoscopeError:
                reached = {}
            if reached and _reached_in(network, read, layers, axis, ends, size) == {
                name: [places[0], places[-1]] for name, places in reached.items()
            }:
                return reached
        return _reached_in(network, read, layers, axis, lines, size)


def _reached_in(
    network: Network,
    read: LayerReader,
    layers: dict[str, RecordedLayer],
    axis: int,
    lines: Sequence[int],
    size: Sequence[int],
) -> dict[str, list[tuple[int, int]]]:
    """Give what each line reaches in pictures of a size; nothing if a map has not as many places along the axis then."""
    reached: dict[str, list[tuple[int, int]]] = {name: [] for name in layers}
    at_once = 1 if network.singly else 8
    for start in range(0, len(lines), at_once):
        part = lines[start : start + at_once]
        batch = network.blank(len(part))[:, :, : size[0], : size[1]].contiguous()
        for row, line in enumerate(part):
            batch[row].select(1 + axis, line).fill_(nan)
        for name, maps in read(batch).items():
            if maps.ndim != 4 or maps.shape[2 + axis] != (layers[name].rows, layers[name].columns)[axis]:
                return {}
            for line in maps.isnan().any(1).any(2 - axis).cpu():
                places = line.nonzero().flatten().tolist()
                reached[name].append((places[0], places[-1]) if places else (-1, -1))
    return reached


def _grid(reached: list[tuple[int, int]], first: int) -> tuple[int, int, int]:
    """Give size, stride and start of the fields along one axis, from what lines reach; zeros if it is no grid.

    Parameters
    ----------
    reached
        For every line of the input from `first` on, the first and the last position along the map's axis that it reaches.

    Where a further position begins to be reached, its field begins; where one is reached no more, its field has ended.
    """
    lines = list(enumerate(pairwise(reached), first + 1))
    begins = {now[1]: line for line, (before, now) in lines if now[1] > before[1]}
    ends = {before[0]: line for line, (before, now) in lines if now[0] > before[0]}
    if len(begins) < 2 or not ends or any(low < 0 for low, _ in reached):
        return 0, 0, 0
    (position, begin), (next_position, next_begin) = sorted(begins.items())[:2]
    stride = (next_begin - begin) // (next_position - position)
    start = begin - stride * position
    last, end = next(iter(ends.items()))
    return end - (start + stride * last), stride, start
