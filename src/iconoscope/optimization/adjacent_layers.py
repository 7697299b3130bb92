"""Which layers of a network follow each other and nothing else: what two of them do, one may do for both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from iconoscope.subject.network import Network
from iconoscope.subject.probe import LOGITS, reading

__all__ = ["neighbours"]


class _Uses(TorchFunctionMode):
    """Counts for every tensor what functions made other tensors of it."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[int, int] = {}
        self._held: list[Any] = []  # so that no two tensors have the same id

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        if any(True for _ in _tensors(answer)):
            for each in _tensors([*args, *(kwargs or {}).values()]):
                self.counts[id(each)] = self.counts.get(id(each), 0) + 1
            self._held += (args, kwargs, answer)
        return answer


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for each in values:
            yield from _tensors(each)


@dataclass(frozen=True)
class _Call:
    module: nn.Module
    given: torch.Tensor
    answer: torch.Tensor


def neighbours(network: Network, layers: Iterable[str], batch: torch.Tensor) -> list[tuple[nn.Module, nn.Module]]:
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
    calls: list[_Call] = []
    asked: set[int] = set()
    uses = _Uses()

    def listen(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and len(inputs) == 1 and isinstance(inputs[0], torch.Tensor):
            calls.append(_Call(module, inputs[0], output))

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        asked.update(map(id, _tensors(output)))

    wanted = tuple(layers)
    leaves = [module for module in network.module.modules() if not any(True for _ in module.children())]
    handles: list[RemovableHandle] = [module.register_forward_hook(listen) for module in leaves]
    handles += [network.module.get_submodule(name).register_forward_hook(note) for name in wanted if name != LOGITS]
    with _removed(handles), torch.enable_grad(), reading(network, wanted) as read, uses:
        read(batch.requires_grad_())
    return _pairs(calls, asked, uses.counts)


@contextmanager
def _removed(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pairs(calls: list[_Call], asked: set[int], uses: dict[int, int]) -> list[tuple[nn.Module, nn.Module]]:
    times: dict[nn.Module, int] = {}
    takers: dict[int, list[_Call]] = {}
    for call in calls:
        times[call.module] = times.get(call.module, 0) + 1
        takers.setdefault(id(call.given), []).append(call)
    found: list[tuple[nn.Module, nn.Module]] = []
    for call in calls:
        answer = id(call.answer)
        in_place = call.answer is call.given
        after = [each for each in takers.get(answer, []) if each is not call]
        if len(after) == 1 and answer not in asked and uses.get(answer) == 1 + in_place:
            second = after[0]
            if times[call.module] == times[second.module] == 1:
                found.append((call.module, second.module))
    return found
