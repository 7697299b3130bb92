"""The layers of a network that can be recorded, their receptive fields, and where the vector before the logits is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import nan, prod

import torch
from torch import nn

from iconoscope.errors import QuestionError, UnitError
from iconoscope.exemplars.activation_summary import Penultimate
from iconoscope.store.recorded_layer import ReceptiveField, RecordedLayer
from iconoscope.subject.activation_layout import read_maps, tensor_of, token_grid
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LayerCall, watching
from iconoscope.vocabulary.unit import LayerUnit

__all__ = ["choose_layers"]

_SMALL = 64  # pixels: all lines of so small an input are asked about, so that fields nearly as large as it are measured
_NO_NEW_UNITS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Flatten,
    nn.Identity,
)
"""Layers whose units say nothing that those before them did not say."""
_GATES = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax)
"""Layers that are never below zero because they weigh others."""
_SMOOTH = r"(Quick)?(SiLU|Swish|GELU|Mish|ELU|Hardswish|HardSwish|LeakyReLU|PReLU|StarReLU)(Tanh|Activation)?"
"""Activations that stand where others have ReLUs, by name, since libraries have classes of their own."""


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
    height, width = network.preprocessing.size
    noise = torch.randn(
        2, network.channels, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float32
    )
    answers, logits = _layer_answers(network, noise[: 1 if network.singly else 2].to(network.device))
    names = (
        _usual(network, answers) if layers is None else [_named(network, name) for name in layers if name != "logits"]
    )
    chosen: list[RecordedLayer] = []
    for name in dict.fromkeys(names):
        unreached = f"{name} of {network.name} was not reached when the network ran."
        answer = answers.get(name, _LayerAnswer((), refusal=unreached))
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


@dataclass(frozen=True)
class _LayerAnswer:
    """A layer's answer to noise.

    Attributes
    ----------
    shape : tuple of int
        Of its answer to one image, the channels first.
    positive : bool
        Whether it was never below zero.
    handed_on : str
        Whose answer it hands on as it is.
    refusal : str
        Why no unit of it can be asked, if so.
    """

    shape: tuple[int, ...]
    positive: bool = False
    handed_on: str = ""
    refusal: str = ""


def _layer_answers(network: Network, batch: torch.Tensor) -> tuple[dict[str, _LayerAnswer], torch.Tensor]:
    """Run once, and look at every layer's answer; give the logits with them."""
    answers: dict[str, _LayerAnswer] = {}
    first_layer: dict[int, str] = {}  # by the identity of a tensor, the layer that answered it first
    alive: list[torch.Tensor] = []  # so that no two have the same id

    def look(call: LayerCall) -> None:
        if call.name in answers:
            return
        try:
            maps = read_maps(call.output, call.module, batch, call.name)
        except UnitError as error:
            answers[call.name] = _LayerAnswer((), refusal=error.message)
            return
        output = tensor_of(call.output)
        alive.append(output)
        handed_on = first_layer.setdefault(id(output), call.name)
        shape = tuple(int(side) for side in maps.shape[1:])
        positive = bool((output >= 0).all())
        answers[call.name] = _LayerAnswer(shape, positive, handed_on if handed_on != call.name else "")

    names = [] if network.opaque else [name for name, _ in network.module.named_modules() if name]
    with watching(network, names, look), torch.inference_mode():
        logits = network.logits(batch)
    return answers, logits


def _usual(network: Network, answers: dict[str, _LayerAnswer]) -> list[str]:
    modules = dict(network.module.named_modules())
    shapes = {name: answer.shape for name, answer in answers.items() if len(answer.shape) > 1}
    fitting = [
        name
        for name, shape in shapes.items()
        if answers[name].positive
        and len(shape) == 3
        and not answers[name].handed_on
        and not isinstance(modules[name], (*_NO_NEW_UNITS, *_GATES))
    ]
    # A ReLU that works in place hands on its convolution's tensor, and is the one that is meant.
    fitting += [
        name
        for name, answer in answers.items()
        if answer.handed_on and isinstance(modules[name], nn.ReLU | nn.ReLU6) and answer.positive
    ]
    # Maps of one place are those of squeeze and excitation, or come after the pooling.
    fitting = [name for name in fitting if prod(shapes[name][1:]) > 1] or fitting
    outer = [name for name in answers if name in fitting and not any(name.startswith(f"{other}.") for other in fitting)]
    return (
        outer
        or [name for name in shapes if _widens(name, modules)]
        or [
            name
            for name in shapes
            if re.fullmatch(_SMOOTH, type(modules[name]).__name__) and prod(shapes[name][1:]) > 1
        ]
        or [name for name in shapes if isinstance(modules[name], nn.Conv2d)]
        or [name for name in shapes if not any(True for _ in modules[name].children())]
    )


def _widens(name: str, modules: dict[str, nn.Module]) -> bool:
    """Tell whether it is the first layer of a multilayer perceptron, as in transformers: its features are the neurons."""
    module, around = modules[name], type(modules[name.rpartition(".")[0]]).__name__
    return isinstance(module, nn.Linear) and module.out_features >= 2 * module.in_features and "Att" not in around


def _penultimate(network: Network, answers: dict[str, _LayerAnswer], logits: torch.Tensor) -> Penultimate:
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
    """Give the first and the last place of every map that each line reaches, (-1, -1) for none."""
    reached: dict[str, list[tuple[int, int]]] = {name: [] for name in layers}
    unknown: dict[str, torch.Tensor] = {}  # by layer, which lines of its maps are NaN, (input lines, rows or columns)
    batch = network.blank(0)

    def look(call: LayerCall) -> None:
        if call.name not in unknown:
            maps = read_maps(call.output, call.module, batch, call.name)
            unknown[call.name] = maps.isnan().any(1).any(2 - axis)

    with watching(network, layers, look), torch.inference_mode():
        at_once = 1 if network.singly else 8
        for start in range(0, len(lines), at_once):
            part = lines[start : start + at_once]
            batch = network.blank(len(part))
            for row, line in enumerate(part):
                batch[row].select(1 + axis, line).fill_(nan)
            unknown.clear()
            network.run(batch)
            for name in layers:
                for line in unknown[name].cpu():
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
