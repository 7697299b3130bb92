"""Reading a network's layers while it runs: the one place that hooks into modules and into torch's functions.

Whatever is put in place here is taken away again in `finally`, also after an error or Ctrl-C; and for as long as it is there,
the network belongs to one thread (`Network.reserved`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from iconoscope.errors import NetworkError
from iconoscope.subject.activation_layout import read_maps, tensor_of

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle


__all__ = [
    "LOGITS", "FunctionCalls", "LayerCall", "LayerReader", "answer_with", "changed_inputs", "concatenated", "given_to",
    "probe", "replacing", "tensors_in",
    "watching",
]  # fmt: skip

LayerReader = Callable[[torch.Tensor], dict[str, torch.Tensor]]
"""From normalised input (n, channels, height, width) to what each of the layers answers, as `read_maps` orders it."""

LOGITS = ""
"""The name under which the network's own answer is read."""

RECTIFIERS = {F.relu, F.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_}
IN_PLACE = {F.relu_, torch.relu_, torch.Tensor.relu_}
JOINS = {torch.cat, torch.concat, torch.concatenate}


class ProbedNetwork(Protocol):
    """The part of a `Network` that reading its layers wants; the network's own file reads layers too."""

    @property
    def name(self) -> str:
        """Name for messages."""
        ...

    @property
    def module(self) -> nn.Module:
        """The module whose layers are read."""
        ...

    @property
    def singly(self) -> str:
        """Why it is asked one image at a time, if so."""
        ...

    def reserved(self) -> AbstractContextManager[None]:
        """Keep the module to one thread."""
        ...

    def run(self, batch: torch.Tensor) -> Any:
        """Run the module on its normalised input."""
        ...

    def answer(self, batch: torch.Tensor) -> torch.Tensor:
        """Run it and give its logits."""
        ...


class LayerCall(NamedTuple):
    """One call of a layer: its full name, the module, what it was given, and its answer (None before it has answered)."""

    name: str
    module: nn.Module
    inputs: tuple[Any, ...]
    output: Any


@contextmanager
def watching(
    network: ProbedNetwork, layers: Iterable[str], callback: Callable[[LayerCall], None], *, before_call: bool = False
) -> Iterator[None]:
    """Hand every call of some layers to a function, for the time of a block.

    Parameters
    ----------
    network
        The network.
    layers
        Full names; the empty name is the network as a whole.
    callback
        Called at once, before the next layer runs, since what follows may work in place.
    before_call
        Whether it is called before the layer runs, with no output, rather than after.
    """

    # It answers nothing: what it returned would take the place of the layer's answer.
    def hook(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any = None) -> None:
        callback(LayerCall(name, module, inputs, output))

    handles: list[RemovableHandle] = []
    with network.reserved():
        try:
            for name in layers:
                module = network.module.get_submodule(name)
                register = module.register_forward_pre_hook if before_call else module.register_forward_hook
                handles.append(register(partial(hook, name)))
            yield
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def replacing(
    network: ProbedNetwork, layer: str, replacement: Callable[[LayerCall], torch.Tensor | None]
) -> Iterator[None]:
    """Put another tensor in the place of a layer's answer, for the time of a block; the network goes on with that.

    Parameters
    ----------
    network
        The network.
    layer
        Its full name.
    replacement
        From a call of the layer to a tensor like the one that `tensor_of` reads of its answer; None leaves it as it is.
    """

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        replaced = replacement(LayerCall(layer, module, inputs, output))
        if replaced is None:
            return None
        return (replaced, *output[1:]) if isinstance(output, tuple) else replaced

    with network.reserved():
        handle = network.module.get_submodule(layer).register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()


@contextmanager
def changed_inputs(
    network: ProbedNetwork, changes: Mapping[str, Callable[[torch.Tensor], torch.Tensor]]
) -> Iterator[None]:
    """Give layers something else than what comes to them, for the time of a block.

    Parameters
    ----------
    network
        The network.
    changes
        By the full name of a layer (the empty name is the network as a whole), from its first argument to what it is given in
        place of that, at every call.
    """

    def hook(change: Callable[[torch.Tensor], torch.Tensor], module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        return (change(inputs[0]), *inputs[1:])

    handles: list[RemovableHandle] = []
    with network.reserved():
        try:
            for name, change in changes.items():
                module = network.module.get_submodule(name)
                handles.append(module.register_forward_pre_hook(partial(hook, change)))
            yield
        finally:
            for handle in handles:
                handle.remove()


class FunctionCalls(TorchFunctionMode):
    """Hands every call of a torch function, inside its ``with`` block, to a handler.

    Parameters
    ----------
    handler
        From the function, its arguments and its keyword arguments to what stands for its answer. What the handler itself
        calls is not handed to it again.
    """

    def __init__(self, handler: Callable[[Any, Sequence[Any], Mapping[str, Any]], Any]) -> None:
        super().__init__()
        self._handler = handler

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return self._handler(func, args, kwargs or {})


def tensors_in(values: Any) -> Iterator[torch.Tensor]:
    """Give the tensors in arguments or answers, also in lists, tuples and dicts of them."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, list | tuple | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from tensors_in(value)


def concatenated(answers: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Put answers to one image after another together: by name, the images first."""
    return {name: torch.cat([answer[name] for answer in answers]) for name in answers[0]}


class _EndOfPass(BaseException):
    """Ends a forward pass once all layers have answered: no error, and nothing that a network's own handlers should catch."""


def given_to(network: ProbedNetwork, layer: str, batch: torch.Tensor) -> torch.Tensor:
    """Run the network as far as a layer and give a copy of the first argument that comes to it.

    Raises
    ------
    NetworkError
        If the layer is not reached, or the network fails before.
    """
    given: list[torch.Tensor] = []

    def keep(call: LayerCall) -> None:
        given.append(call.inputs[0].clone())
        raise _EndOfPass

    with watching(network, [layer], keep, before_call=True):
        try:
            network.run(batch)
        except _EndOfPass:
            return given[0]
    raise NetworkError(f"{layer} was not reached when {network.name} ran.")


@contextmanager
def probe(network: ProbedNetwork, layers: Iterable[str], *, before_relu: bool = False) -> Iterator[LayerReader]:
    """Give what reads layers, for the time of a block; a pass ends when all of them have answered.

    Parameters
    ----------
    network
        In evaluation mode.
    layers
        Full names; `LOGITS` reads what the network itself answers.
    before_relu
        Whether a layer whose answer comes out of a ReLU is read before that ReLU, where a unit that is off still says what it
        lacks; the ReLUs of a layer that joins several count as one. Else it is read as it answers.

    Raises
    ------
    NetworkError
        By what is given, if a layer is not reached, or the network fails.
    UnitError
        By what is given, if a layer answers no tensor.
    """
    names = tuple(dict.fromkeys(layers))
    inner = [name for name in names if name != LOGITS]
    run = network.answer if LOGITS in names else network.run
    modules = {name: network.module.get_submodule(name) for name in inner}
    answers: dict[str, Any] = {}
    rectified: _RectifiedAnswers | None = None
    calls: frozenset[int] | None = None

    def keep(call: LayerCall) -> None:
        if call.name in answers:  # a layer may be used twice; it is read the first time
            return
        output = tensor_of(call.output)
        before = None if rectified is None else rectified.before(output)
        # A copy, since what follows may work in place.
        answers[call.name] = (
            (output.clone() if isinstance(output, torch.Tensor) else output) if before is None else before
        )
        if len(answers) == len(names):
            raise _EndOfPass

    def run_once(batch: torch.Tensor) -> None:
        answers.clear()
        try:
            if rectified is None:
                answer = run(batch)
            else:
                with FunctionCalls(rectified):
                    answer = run(batch)
            if LOGITS in names:
                answers[LOGITS] = answer
        except _EndOfPass:
            pass

    def read(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        if network.singly and len(batch) > 1:
            return concatenated([read(image) for image in batch.split(1)])
        return read_together(batch)

    def read_together(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal rectified, calls
        if before_relu and inner:
            with _changes_counted():
                rectified = _RectifiedAnswers(calls)
                run_once(batch)
                if calls is not None and rectified.used != calls:  # the network went another way than the first time
                    rectified = _RectifiedAnswers()
                    run_once(batch)
                if rectified.overwritten:
                    rectified = _RectifiedAnswers(frozenset(rectified.used))
                    run_once(batch)
            calls, rectified = frozenset(rectified.used), None  # and what it remembers is let go
        else:
            run_once(batch)
        if missing := [name for name in names if name not in answers]:
            raise NetworkError(f"{missing[0]} was not reached when {network.name} ran: no unit of it can answer.")
        return {
            name: read_maps(answer, modules[name], batch, name) if name != LOGITS else answer
            for name, answer in answers.items()
        }

    with watching(network, inner, keep):
        yield read


def answer_with(
    network: ProbedNetwork, batch: torch.Tensor, layer: str, change: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Give the logits of a network in which what a layer answers is changed before it goes on.

    Parameters
    ----------
    network
        In evaluation mode; not one that is asked one image at a time, unless the batch is one image.
    batch
        Normalised input.
    layer
        Its full name; of a layer that is used twice the first answer is changed.
    change
        From the layer's answer, as `read_maps` orders it, to what takes its place, of the same shape. What stands beside the
        tensor that is read, in a tuple, stays.

    Raises
    ------
    NetworkError
        If the layer is not reached, or the network fails.
    """
    changed: list[torch.Tensor] = []

    def changed_once(call: LayerCall) -> torch.Tensor | None:
        if changed:
            return None
        answer = tensor_of(call.output).clone()
        maps = read_maps(answer, call.module, batch, layer)  # a view: what is written to it has the layer's own order
        maps.copy_(change(maps.clone()))
        changed.append(answer)
        return answer

    with replacing(network, layer, changed_once):
        logits = network.answer(batch)
    if not changed:
        raise NetworkError(f"{layer} was not reached when {network.name} ran: it cannot be changed.")
    return logits


@contextmanager
def _changes_counted() -> Iterator[None]:
    """Leave inference mode for the time of a block, as torch counts no changes of its tensors."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield


class _RectifiedAnswers:
    """Remembers, as a handler of `FunctionCalls`, what went into a ReLU, also where several are joined, for one pass.

    Parameters
    ----------
    calls
        The ReLUs that matter, as `used` of an earlier pass has them: what went into them is copied, and what went into others
        is let go. If not given all are remembered, without a copy where the ReLU does not work in place.
    """

    def __init__(self, calls: frozenset[int] | None = None) -> None:
        self._calls = calls
        self._count = 0
        self._answers: dict[
            int, _RectifiedAnswer
        ] = {}  # by the id of the tensor, which is held so that it stays its own
        self.used: set[int] = set()
        """The ReLUs that were asked about, counted in the order of their calls."""
        self.overwritten = False
        """Whether what went into one of them had been changed by then."""

    def __call__(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if function in RECTIFIERS:
            return self._rectify(function, args, kwargs)
        parts = [self._recall(part) for part in args[0]] if function in JOINS and args else []
        answer = function(*args, **kwargs)
        rectified = [part for part in parts if part is not None]
        if rectified and len(rectified) == len(parts):
            self._remember(
                answer,
                set().union(*(part.calls for part in rectified)),
                lambda: torch.cat([part.before() for part in rectified], *args[1:], **kwargs),
            )
        return answer

    def _rectify(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        self._count += 1
        if self._calls is not None and self._count not in self._calls:
            return function(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        in_place = function in IN_PLACE or kwargs.get("inplace", args[1] if len(args) > 1 else False)
        before = x.clone() if in_place or self._calls is not None else x
        version = _version(before)
        answer = function(*args, **kwargs)

        def read_before() -> torch.Tensor:
            self.overwritten |= version != _version(before)
            return before if before is not x else x.clone()

        self._remember(answer, {self._count}, read_before)
        return answer

    def _remember(self, answer: torch.Tensor, calls: set[int], before: Callable[[], torch.Tensor]) -> None:
        self._answers[id(answer)] = _RectifiedAnswer(answer, _version(answer), calls, before)

    def _recall(self, answer: torch.Tensor) -> _RectifiedAnswer | None:
        rectified = self._answers.get(id(answer))
        # What was changed in place since then, as by `out += identity`, is no ReLU's answer any more.
        return rectified if rectified is not None and rectified.version == _version(answer) else None

    def before(self, answer: torch.Tensor) -> torch.Tensor | None:
        """Give what the ReLU was given whose answer this is; None if it is no ReLU's."""
        rectified = self._recall(answer)
        if rectified is None:
            return None
        self.used |= rectified.calls
        return rectified.before()


@dataclass(frozen=True, eq=False)
class _RectifiedAnswer:
    """An answer of ReLUs: which calls they were, and what they were given."""

    answer: torch.Tensor
    version: float
    calls: set[int]
    before: Callable[[], torch.Tensor]


def _version(tensor: torch.Tensor) -> float:
    """Give how often a tensor was changed in place.

    The attribute is private to torch, and tensors of inference mode have none. Without it nothing equals anything, so that no
    tensor passes for a ReLU's answer.
    """
    return nan if tensor.is_inference() else getattr(tensor, "_version", nan)
