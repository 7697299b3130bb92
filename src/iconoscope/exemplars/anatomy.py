"""What there is to record in a network: its layers, where the vector before the logits is, what each place can see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from iconoscope.errors import QuestionError, UnitError
from iconoscope.exemplars.listening import Penultimate
from iconoscope.results.recording import Field, RecordedLayer
from iconoscope.subject.network import Network
from iconoscope.subject.unit import LayerUnit

__all__ = ["dissect"]

_SMALL = 64  # pixels: all lines of so small an input are asked about, so that fields nearly as large as it are measured
_NO_NEWS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Flatten,
    nn.Identity,
)
"""What says nothing that the layer before it did not say."""


def dissect(network: Network, layers: Sequence[str] | None) -> tuple[tuple[RecordedLayer, ...], Penultimate]:
    """Look at the layers that are asked for and find the vector before the logits.

    Parameters
    ----------
    network
        In evaluation mode.
    layers
        Names or unique endings; ``logits`` are recorded anyway and may be among them. None: the layers that never answer less
        than zero (what comes out of ReLUs) and are not inside another such; where there are none, all convolutions.

    Raises
    ------
    UnitError
        If the network has no such layer, or it answers neither maps nor vectors.
    """
    height, width = network.preprocessing.size
    noise = torch.randn(2, len(network.preprocessing.mean), height, width, generator=torch.Generator().manual_seed(0))
    seen, logits = _seen(network, noise.to(network.device))
    names = _usual(network, seen) if layers is None else [_named(network, name) for name in layers if name != "logits"]
    found: list[RecordedLayer] = []
    for name in dict.fromkeys(names):
        shape = seen[name][1] if name in seen else None
        if shape is None or len(shape) not in (2, 4):
            what = "was not reached when the network ran" if name not in seen else f"answers {shape or 'no tensor'}"
            raise UnitError(
                f"{name} of {network.name} {what}; units are read from maps (images, channels, rows, columns) and vectors.",
                hint="Ask another layer; iconoscope layers lists what each of them answers.",
            )
        rows, columns = (int(side) for side in shape[2:]) if len(shape) == 4 else (1, 1)
        found.append(RecordedLayer(name, int(shape[1]), rows, columns))
    fields = _fields(network, found)
    return tuple(replace(layer, field=fields.get(layer.name)) for layer in found), _penultimate(network, seen, logits)


def _named(network: Network, name: str) -> str:
    unit = network.resolve(name)
    if not isinstance(unit, LayerUnit) or unit.channel is not None:
        raise QuestionError(f"{name!r} is a unit; a layer is recorded whole.", hint=f"Give {name.partition(':')[0]!r}.")
    return str(unit)


def _seen(network: Network, batch: torch.Tensor) -> tuple[dict[str, tuple[Any, ...]], torch.Tensor]:
    """Run once; say of every layer whether it is never below zero, its shape and whose answer it hands on."""
    found: dict[str, tuple[Any, ...]] = {}
    answers: dict[int, str] = {}
    alive: list[torch.Tensor] = []  # so that no two have the same id

    def listen(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, torch.Tensor) or name in found:
                found.setdefault(name, (False, None, ""))
                return
            alive.append(output)
            handed_on = answers.setdefault(id(output), name)
            found[name] = (bool((output >= 0).all()), tuple(output.shape), handed_on if handed_on != name else "")

        return hook

    handles = [module.register_forward_hook(listen(name)) for name, module in network.module.named_modules() if name]
    try:
        with torch.inference_mode():
            logits = network.logits(batch)
    finally:
        for handle in handles:
            handle.remove()
    return found, logits


def _usual(network: Network, seen: dict[str, tuple[Any, ...]]) -> list[str]:
    modules = dict(network.module.named_modules())

    def fits(name: str) -> bool:
        positive, shape, handed_on = seen[name]
        return (
            positive
            and shape is not None
            and len(shape) == 4
            and not handed_on
            and not isinstance(modules[name], _NO_NEWS)
        )

    fitting = [name for name in seen if fits(name)]
    # A ReLU that works in place hands on its convolution's tensor, and is the one that is meant.
    fitting += [
        name for name in seen if seen[name][2] and isinstance(modules[name], nn.ReLU | nn.ReLU6) and seen[name][0]
    ]
    outer = [name for name in seen if name in fitting and not any(name.startswith(f"{other}.") for other in fitting)]
    return (
        outer
        or [name for name in seen if isinstance(modules[name], nn.Conv2d)]
        or [name for name in seen if seen[name][1] is not None and len(seen[name][1]) == 4]
    )


def _penultimate(network: Network, seen: dict[str, tuple[Any, ...]], logits: torch.Tensor) -> Penultimate:
    modules = dict(network.module.named_modules())
    weighted = [
        name
        for name in seen
        if any(True for _ in modules[name].parameters(recurse=False)) and seen[name][1] is not None
    ]
    if not weighted:
        if not seen:
            raise UnitError(
                f"{network.name} has no layers, so nothing of it can be recorded.",
                hint="Its logits alone are what predict gives.",
            )
        return Penultimate(list(seen)[-1], input=False)
    last = weighted[-1]
    return Penultimate(last, input=seen[last][1][1] == logits.shape[1])


def _fields(network: Network, layers: Sequence[RecordedLayer]) -> dict[str, Field]:
    """Find what every place of the layers' maps can see, by asking the network itself.

    A row of the input is made NaN, and whatever can see it answers NaN: convolutions, poolings and sums all hand it on,
    whatever their weights. One row after another over the largest stride gives the stride, size and start of the fields. A
    layer that sees everything from everywhere, or whose fields are no regular grid, has none.
    """
    inner = {layer.name: layer for layer in layers if layer.rows > 1 and layer.columns > 1}
    if not inner:
        return {}
    found: dict[str, list[tuple[int, int, int]]] = {name: [] for name in inner}
    for axis, extent in enumerate(network.preprocessing.size):
        strides = {name: round(extent / (layer.rows, layer.columns)[axis]) for name, layer in inner.items()}
        asked = extent if extent <= _SMALL else 2 * max(strides.values()) + 2
        first = max(0, extent // 2 - asked // 2)
        reached = _reached(network, inner, axis, range(first, min(extent, first + asked)))
        for name in inner:
            found[name].append(_grid(reached[name], first))
    return {
        name: Field(*zip(*axes, strict=True))  # pyright: ignore[reportArgumentType]
        for name, axes in found.items()
        if all(size > 0 for size, _, _ in axes)
    }


def _reached(
    network: Network, layers: dict[str, RecordedLayer], axis: int, lines: range
) -> dict[str, list[tuple[int, int]]]:
    """Give the first and the last place of every map that each line reaches, (-1, -1) for none."""
    height, width = network.preprocessing.size
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in layers}
    heard: dict[str, torch.Tensor] = {}

    def listen(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            heard.setdefault(name, output.isnan().any(1).any(2 - axis))

        return hook

    handles = [network.module.get_submodule(name).register_forward_hook(listen(name)) for name in layers]
    try:
        with torch.inference_mode():
            for start in range(0, len(lines), 8):
                part = lines[start : start + 8]
                batch = torch.zeros(len(part), len(network.preprocessing.mean), height, width, device=network.device)
                for place, line in enumerate(part):
                    batch[place].select(1 + axis, line).fill_(math.nan)
                heard.clear()
                network.run(batch)
                for name in layers:
                    for line in heard[name].cpu():
                        places = line.nonzero().flatten().tolist()
                        found[name].append((places[0], places[-1]) if places else (-1, -1))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _grid(reached: list[tuple[int, int]], first: int) -> tuple[int, int, int]:
    """From what lines reach, one after another, to size, stride and start of the fields along one axis; zeros if it is no grid.

    Where a further place begins to be reached, its field begins; where one is reached no more, its field has ended.
    """
    begins = {place: first + at for at, (place, before) in enumerate(_pairs(reached, 1), 1) if place > before}
    ends = {before: first + at for at, (place, before) in enumerate(_pairs(reached, 0), 1) if place > before}
    if len(begins) < 2 or not ends or any(low < 0 for low, _ in reached):
        return 0, 0, 0
    (place, begin), (later, further) = sorted(begins.items())[:2]
    stride = (further - begin) // (later - place)
    start = begin - stride * place
    last, end = next(iter(ends.items()))
    return end - (start + stride * last), stride, start


def _pairs(reached: list[tuple[int, int]], which: int) -> list[tuple[int, int]]:
    return [(now[which], before[which]) for before, now in pairwise(reached)]
