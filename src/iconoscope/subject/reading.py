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
        self._known: dict[int, tuple[torch.Tensor, Callable[[], torch.Tensor]]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in RECTIFIERS:
            x = args[0] if args else kwargs["input"]
            in_place = func in IN_PLACE or kwargs.get("inplace", args[1] if len(args) > 1 else False)
            before = x.clone() if in_place else x
            answer = func(*args, **kwargs)
            self._known[id(answer)] = answer, lambda: before
            return answer
        answer = func(*args, **kwargs)
        if func in JOINS and args and all(id(each) in self._known for each in args[0]):
            parts = [self._known[id(each)][1] for each in args[0]]
            rest = (args[1:], kwargs)
            self._known[id(answer)] = answer, lambda: torch.cat([part() for part in parts], *rest[0], **rest[1])
        return answer

    def before(self, answer: torch.Tensor) -> torch.Tensor | None:
        """Give what the ReLU was given whose answer this is; None if it is no ReLU's."""
        known = self._known.get(id(answer))
        return None if known is None or known[0] is not answer else known[1]()


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
                    f"{name} answers a {type(value).__name__}, not a tensor.", hint="Ask a layer inside it."
                )
        return dict(found)

    handles = [network.module.get_submodule(name).register_forward_hook(listen(name)) for name in inner]
    try:
        yield read
    finally:
        for handle in handles:
            handle.remove()
