"""Pairs of layers of a network that follow each other and nothing else: what two of them do, one may do for both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from iconoscope.subject.network import Network
from iconoscope.subject.probe import LOGITS, FunctionCalls, LayerCall, probe, tensors_in, watching

__all__ = ["adjacent_layers"]


def adjacent_layers(network: Network, layers: Iterable[str], batch: torch.Tensor) -> list[tuple[nn.Module, nn.Module]]:
    """Give the pairs of modules of which the second is given the first's answer, and nothing else is.

    Modules without children count, each once at most in a pass; those that are called more than once do not, and a module
    whose answer is that of a layer asked for is no first of a pair.

    Parameters
    ----------
    network
        In evaluation mode; it is run once.
    layers
        Full names of the layers asked for, at the deepest of which the pass ends.
    batch
        Normalised input (1, channels, height, width).
    """
    if network.opaque:
        return []
    names = tuple(layers)
    read = {name for name in names if name != LOGITS}
    leaves = [name for name, module in network.module.named_modules() if not any(True for _ in module.children())]
    calls: list[LayerCall] = []
    answers: set[int] = set()  # ids of what the layers asked for answer
    uses: Counter[int] = Counter()  # by the id of a tensor, how often functions made other tensors of it
    alive: list[Any] = []  # so that no two tensors have the same id

    def note(call: LayerCall) -> None:
        if call.name in read:
            answers.update(map(id, tensors_in(call.output)))
        single = len(call.inputs) == 1 and isinstance(call.inputs[0], torch.Tensor)
        if call.name in leaves and isinstance(call.output, torch.Tensor) and single:
            calls.append(call)

    def count(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        answer = function(*args, **kwargs)
        if any(True for _ in tensors_in(answer)):
            uses.update(map(id, tensors_in([*args, *kwargs.values()])))
            alive.extend((args, kwargs, answer))
        return answer

    with (
        watching(network, dict.fromkeys((*leaves, *read)), note),
        torch.enable_grad(),
        probe(network, names) as reader,
        FunctionCalls(count),
    ):
        reader(batch.requires_grad_())
    return _pairs(calls, answers, uses)


def _pairs(calls: list[LayerCall], answers: set[int], uses: Counter[int]) -> list[tuple[nn.Module, nn.Module]]:
    times = Counter(call.module for call in calls)
    readers: dict[int, list[LayerCall]] = {}
    for call in calls:
        readers.setdefault(id(call.inputs[0]), []).append(call)
    pairs: list[tuple[nn.Module, nn.Module]] = []
    for call in calls:
        answer = id(call.output)
        in_place = call.output is call.inputs[0]
        after = [reader for reader in readers.get(answer, []) if reader is not call]
        if len(after) == 1 and answer not in answers and uses[answer] == 1 + in_place:
            second = after[0].module
            if times[call.module] == times[second] == 1:
                pairs.append((call.module, second))
    return pairs
