"""Reading several layers in one pass that ends at the deepest of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from iconoscope.errors import NetworkError, UnitError
from iconoscope.subject.network.network import Network

__all__ = ["LOGITS", "Reading", "reading"]

Reading = Callable[[torch.Tensor], dict[str, torch.Tensor]]
"""From normalised input (n, channels, height, width) to what each of the layers answers."""

LOGITS = ""
"""The name under which the network's own answer is read."""

RECTIFIERS = {F.relu, F.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_}
IN_PLACE = {F.relu_, torch.relu_, torch.Tensor.relu_}
JOINS = {torch.cat, torch.concat, torch.concatenate}


class _Read(BaseException):
    """Ends the forward pass once all layers have answered: no error, and nothing that a network's own handlers should catch."""


class _BeforeRectified(TorchFunctionMode):
    """Remembers what went into a ReLU, also where several are joined, for the time of one pass."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, tuple[torch.Tensor, int, Callable[[], torch.Tensor]]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in RECTIFIERS:
            x = args[0] if args else kwargs["input"]
            in_place = func in IN_PLACE or kwargs.get("inplace", args[1] if len(args) > 1 else False)
            before = x.clone() if in_place else x
            answer = func(*args, **kwargs)
            self._known[id(answer)] = answer, _version(answer), lambda: before
            return answer
        parts = [self._reader(each) for each in args[0]] if func in JOINS and args else []
        answer = func(*args, **kwargs)
        befores = [part for part in parts if part is not None]
        if befores and len(befores) == len(parts):
            rest = (args[1:], kwargs)
            self._known[id(answer)] = (
                answer,
                _version(answer),
                lambda: torch.cat([before() for before in befores], *rest[0], **rest[1]),
            )
        return answer

    def before(self, answer: torch.Tensor) -> torch.Tensor | None:
        """Give what the ReLU was given whose answer this is; None if it is no ReLU's."""
        reader = self._reader(answer)
        return None if reader is None else reader()

    def _reader(self, answer: torch.Tensor) -> Callable[[], torch.Tensor] | None:
        known = self._known.get(id(answer))
        # What was changed in place since then, as by `out += identity`, is no ReLU's answer any more.
        return None if known is None or known[0] is not answer or known[1] != _version(answer) else known[2]


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
    found: dict[str, torch.Tensor] = {}
    mode: _BeforeRectified | None = None

    def listen(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if name in found:  # a layer may be used twice; it is read the first time
                return
            before = None if mode is None else mode.before(output)
            # A copy, since what follows may work in place.
            found[name] = (output.clone() if isinstance(output, torch.Tensor) else output) if before is None else before
            if len(found) == len(wanted):
                raise _Read

        return hook

    def read(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal mode
        found.clear()
        mode = None if rectified else _BeforeRectified()
        try:
            if mode is None:
                answer = network.run(batch)
            else:
                with mode:
                    answer = network.run(batch)
            if LOGITS in wanted:
                found[LOGITS] = answer
        except _Read:
            pass
        finally:
            mode = None
        if missing := [name for name in wanted if name not in found]:
            raise NetworkError(f"{missing[0]} was not reached when {network.name} ran: no unit of it can answer.")
        for name, value in found.items():
            if not isinstance(value, torch.Tensor):
                raise UnitError(
                    f"{name or network.name} answers a {type(value).__name__}, not a tensor.",
                    hint="Ask a layer inside it.",
                )
        return dict(found)

    handles = [network.module.get_submodule(name).register_forward_hook(listen(name)) for name in inner]
    try:
        yield read
    finally:
        for handle in handles:
            handle.remove()
