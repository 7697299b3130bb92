"""Reading several layers in one pass that ends at the deepest of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from iconoscope.errors import NetworkError
from iconoscope.subject.activation_layout import read_maps, tensor_of
from iconoscope.subject.network.network import Network

__all__ = ["LOGITS", "Reading", "reading"]

Reading = Callable[[torch.Tensor], dict[str, torch.Tensor]]
"""From normalised input (n, channels, height, width) to what each of the layers answers, as `read_maps` orders it."""

LOGITS = ""
"""The name under which the network's own answer is read."""

RECTIFIERS = {F.relu, F.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_}
IN_PLACE = {F.relu_, torch.relu_, torch.Tensor.relu_}
JOINS = {torch.cat, torch.concat, torch.concatenate}


class _Read(BaseException):
    """Ends the forward pass once all layers have answered: no error, and nothing that a network's own handlers should catch."""


class _BeforeRectified(TorchFunctionMode):
    """Remembers what went into a ReLU, also where several are joined, for the time of one pass.

    Parameters
    ----------
    wanted
        The ReLUs that matter, as `used` told of an earlier pass; all if not given. What went into the others is let go, which
        spares a copy of it where the ReLU works in place.
    """

    def __init__(self, wanted: frozenset[int] | None = None) -> None:
        super().__init__()
        self._wanted = wanted
        self._calls = 0
        self._known: dict[int, _Rectified] = {}
        self.used: set[int] = set()
        """The ReLUs that were asked about, counted in the order of their calls."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in RECTIFIERS:
            self._calls += 1
            if self._wanted is not None and self._calls not in self._wanted:
                return func(*args, **kwargs)
            x = args[0] if args else kwargs["input"]
            in_place = func in IN_PLACE or kwargs.get("inplace", args[1] if len(args) > 1 else False)
            before = x.clone() if in_place else x
            answer = func(*args, **kwargs)
            self._known[id(answer)] = _Rectified(answer, _version(answer), {self._calls}, lambda: before)
            return answer
        parts = [self._look(each) for each in args[0]] if func in JOINS and args else []
        answer = func(*args, **kwargs)
        befores = [part for part in parts if part is not None]
        if befores and len(befores) == len(parts):
            rest = args[1:]
            self._known[id(answer)] = _Rectified(
                answer,
                _version(answer),
                set().union(*(before.calls for before in befores)),
                lambda: torch.cat([before.before() for before in befores], *rest, **kwargs),
            )
        return answer

    def before(self, answer: torch.Tensor) -> torch.Tensor | None:
        """Give what the ReLU was given whose answer this is; None if it is no ReLU's."""
        known = self._look(answer)
        if known is None:
            return None
        self.used |= known.calls
        return known.before()

    def _look(self, answer: torch.Tensor) -> _Rectified | None:
        known = self._known.get(id(answer))
        # What was changed in place since then, as by `out += identity`, is no ReLU's answer any more.
        return None if known is None or known.answer is not answer or known.version != _version(answer) else known


@dataclass(frozen=True)
class _Rectified:
    """An answer of ReLUs: which calls they were, and what they were given."""

    answer: torch.Tensor
    version: int
    calls: set[int]
    before: Callable[[], torch.Tensor]


def _version(tensor: torch.Tensor) -> int:
    """Give how often a tensor was changed in place; tensors of inference mode do not count."""
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def reading(network: Network, layers: Iterable[str], *, rectified: bool = True) -> Iterator[Reading]:
    """Give what reads layers, for the time of a block.

    Parameters
    ----------
    network
        In evaluation mode.
    layers
        Full names; `LOGITS` reads what the network itself answers. The pass ends when all have answered.
    rectified
        Whether a layer whose answer comes out of a ReLU is read as it is. Without it, it is read before that ReLU, where
        a unit that is off still says what it lacks; the ReLUs of a layer that joins several count as one.

    Raises
    ------
    NetworkError
        By what is given, if a layer is not reached, or the network fails.
    UnitError
        By what is given, if a layer answers no tensor.
    """
    wanted = dict.fromkeys(layers)
    inner = [name for name in wanted if name != LOGITS]
    ask = network.answer if LOGITS in wanted else network.run
    found: dict[str, torch.Tensor] = {}
    mode: _BeforeRectified | None = None
    wanted_calls: frozenset[int] | None = None

    def listen(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if name in found:  # a layer may be used twice; it is read the first time
                return
            output = tensor_of(output)
            before = None if mode is None else mode.before(output)
            # A copy, since what follows may work in place.
            found[name] = (output.clone() if isinstance(output, torch.Tensor) else output) if before is None else before
            if len(found) == len(wanted):
                raise _Read

        return hook

    def read(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal mode, wanted_calls
        found.clear()
        current = mode = None if rectified or not inner else _BeforeRectified(wanted_calls)
        try:
            if mode is None:
                answer = ask(batch)
            else:
                with mode:
                    answer = ask(batch)
            if LOGITS in wanted:
                found[LOGITS] = answer
        except _Read:
            pass
        finally:
            mode = None
        if current is not None and wanted_calls is not None and current.used != wanted_calls:
            wanted_calls = None  # the network went another way than the first time
            return read(batch)
        if current is not None:
            wanted_calls = frozenset(current.used)
        if missing := [name for name in wanted if name not in found]:
            raise NetworkError(f"{missing[0]} was not reached when {network.name} ran: no unit of it can answer.")
        return {name: read_maps(found[name], asked[name], batch, name) if name else found[name] for name in found}

    asked = {name: network.module.get_submodule(name) for name in inner}
    handles = [module.register_forward_hook(listen(name)) for name, module in asked.items()]
    try:
        yield read
    finally:
        for handle in handles:
            handle.remove()
