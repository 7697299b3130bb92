"""A copy of a network in which every use of a ReLU or of a maximum pooling is a module of its own.

Guided backpropagation, deconvolution and DeepLift have rules of their own for these operations, and Captum finds them as
modules: what is called as a function is passed over without a word, a module that is used twice is an error, and so is one
that works in place. Here such calls are caught while the network runs, and handed to modules that are used once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from iconoscope.errors import NetworkError, QuestionError
from iconoscope.subject.network import Network
from iconoscope.subject.network.network import uncompiled_forms
from iconoscope.subject.probe import FunctionCalls, tensors_in

__all__ = ["PassedBy", "Turns", "copied"]

_aten = torch.ops.aten


def _pooling(
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> nn.Module:
    kernel, step, margin, spacing = map(_both, (kernel_size, stride or kernel_size, padding, dilation))
    if step == kernel and spacing == (1, 1):
        return nn.MaxPool2d(kernel, step, margin, ceil_mode=ceil_mode)
    return _Overlapping(kernel, step, margin, spacing, ceil_mode)


def _both(sides: Any) -> tuple[int, int]:
    first, *others = (sides,) if isinstance(sides, int) else sides
    return first, others[0] if others else first


class _Overlapping(nn.Module):
    """Maximum pooling whose windows share pixels, as windows taken apart and a pooling of windows that do not.

    Captum's rule of DeepLift for pooling gives a pixel that is the highest of two windows what one of them says.
    """

    def __init__(
        self,
        kernel: tuple[int, int],
        step: tuple[int, int],
        margin: tuple[int, int],
        spacing: tuple[int, int],
        ceil_mode: bool,
    ) -> None:
        super().__init__()
        self.settings = kernel, step, margin, spacing, ceil_mode
        self.pool = nn.MaxPool2d((kernel[0] * kernel[1], 1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        kernel, step, margin, spacing, ceil_mode = self.settings
        sizes, beyond = [], []
        for axis in (0, 1):
            length, reach = values.shape[2 + axis] + 2 * margin[axis], spacing[axis] * (kernel[axis] - 1) + 1
            count = (length - reach + (step[axis] - 1 if ceil_mode else 0)) // step[axis] + 1
            # As torch has it: the last window begins within the map or before it, not behind.
            count -= ceil_mode and (count - 1) * step[axis] >= length - margin[axis]
            sizes.append(count)
            beyond.append(max(0, (count - 1) * step[axis] + reach - length))
        # Lower than anything, and finite: differences of it must be numbers.
        lowest = torch.finfo(values.dtype).min / 4
        around = (margin[1], margin[1] + beyond[1], margin[0], margin[0] + beyond[0])
        windows = F.unfold(F.pad(values, around, value=lowest), kernel, spacing, 0, step)
        windows = windows.reshape(*values.shape[:2], kernel[0] * kernel[1], -1)[..., : sizes[0] * sizes[1]]
        return self.pool(windows).reshape(*values.shape[:2], *sizes)


POOLINGS = {F.max_pool2d, torch.max_pool2d, _aten.max_pool2d, _aten.max_pool2d.default}

CUTS = {"relu6", "hardtanh", "clamp", "clip", "clamp_min", "threshold", "maximum", "fmax", "max"}
"""Functions that are a ReLU, or one with a bound above, if their arguments are such; by their names without underscores."""

GATES = {"mul", "rmul", "imul", "multiply", "where", "masked_fill"}
"""Functions that are a ReLU if what they take or leave is a comparison with 0."""


@dataclass(frozen=True)
class _Turn:
    """A call that is handed over: which argument is rectified, by position or by name, and whether in place."""

    module: nn.Module
    argument: int | str
    in_place: bool = False


class Turns(nn.ModuleList):
    """Modules that take their turn: the first call of a pass is the first one's, and so on.

    In the first pass they are made, so that a call has the same one in every pass.

    Parameters
    ----------
    kinds
        Names of the kinds that are handed over: ReLU, MaxPool2d.

    Attributes
    ----------
    calls : list
        For every call that may be handed over, in their order, its turn; None if it is none.
    complete : bool
        Whether the first pass is over.
    within : bool
        Whether a module of these computes now.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__()
        self.kinds, self.complete, self.within = kinds, False, False
        self.calls: list[_Turn | None] = []

    def one_pass(self) -> FunctionCalls:
        """Give what hands calls over, for the time of a ``with`` block of one pass."""
        return FunctionCalls(_HandedOver(self))

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Say, for the time of a block, that what is computed is a module's part."""
        self.within = True
        try:
            yield
        finally:
            self.within = False


class _HandedOver:
    """Hands calls to modules, as a handler of `FunctionCalls`: it rewrites what a copy computes, and reads no layer."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.next = turns, 0

    def __call__(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        make = self._maker(function)
        if make is None:
            return function(*args, **kwargs)
        turns = self.turns
        if not turns.complete:
            with turns.computing():
                turns.calls.append(make(function, args, kwargs))
            if turn := turns.calls[-1]:
                turns.append(turn.module)
        if self.next == len(turns.calls):
            raise QuestionError("The network applied more ReLUs this time than the first: its passes differ.")
        turn = turns.calls[self.next]
        self.next += 1
        if turn is None:
            return function(*args, **kwargs)
        values = args[turn.argument] if isinstance(turn.argument, int) else kwargs[turn.argument]
        if name_of(function) in CUTS | GATES:
            of_one = _of_one(function, args, kwargs, turn.argument)
            turn.module.forward = lambda values: of_one(F.relu(values).clone())  # the bound above is as it was
        with turns.computing():
            # Copies: a hook on what goes in is for this use of it alone, and what comes out may be written over.
            answer = turn.module(values.clone()).clone()
            return values.copy_(answer) if turn.in_place else answer

    def _maker(self, function: Any) -> Callable[..., _Turn | None] | None:
        name = name_of(function)
        if "MaxPool2d" in self.turns.kinds and function in POOLINGS:
            return _pooling_turn
        if "ReLU" in self.turns.kinds:
            return _relu_turn if name == "relu" else _rectifier_turn if name in CUTS | GATES else None
        return None


def name_of(function: Any) -> str:
    """Give the name of a function, method or operation without what says that it works in place, or how it is called.

    >>> [name_of(function) for function in (F.relu_, torch.Tensor.__mul__, torch.ops.aten.clamp_min_.default)]
    ['relu', 'mul', 'clamp_min']
    """
    return getattr(function, "__name__", "").partition(".")[0].strip("_")


def _pooling_turn(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Turn:
    settings = {name: value for name, value in kwargs.items() if name != "input"}
    return _Turn(_pooling(*args[1:], **settings), 0 if args else "input")


def _relu_turn(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Turn:
    argument, values = (0, args[0]) if args else next(iter(kwargs.items()))
    copy = values.detach().clone()
    return _Turn(nn.ReLU(), argument, _of_one(function, args, kwargs, argument)(copy) is copy)


def _rectifier_turn(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Turn | None:
    """Give the turn of a call that answers 0 where an argument is negative, else the argument, up to a bound if it has one."""
    for argument, values in [*enumerate(args), *kwargs.items()]:
        if not (isinstance(values, torch.Tensor) and values.is_floating_point() and values.requires_grad):
            continue
        of_one, copy = _of_one(function, args, kwargs, argument), values.detach().clone()
        with torch.no_grad():
            answer = of_one(copy)
        if not isinstance(answer, torch.Tensor) or answer.shape != values.shape or not answer.numel():
            continue
        with torch.no_grad():
            # A choice was made for these very values; where a bound was chosen, what is negative is seen to become 0.
            gate = name_of(function) in GATES
            cut = bool((values < 0).any()) if gate else not of_one(-1 - values.detach().abs()).any()
        if cut and torch.equal(answer, values.detach().clamp(0, max(0.0, float(answer.max())))):
            return _Turn(nn.ReLU(), argument, answer is copy)
    return None


def _of_one(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], argument: int | str) -> Callable[..., Any]:
    """Give a call as a function of one of its arguments."""

    def of_one(values: torch.Tensor) -> Any:
        replaced = [values if position == argument else other for position, other in enumerate(args)]
        return function(*replaced, **{name: values if name == argument else other for name, other in kwargs.items()})

    return of_one


ACTIVATIONS = {
    "relu": "ReLU", "relu6": "ReLU6", "hardtanh": "Hardtanh", "threshold": "Threshold", "leaky_relu": "LeakyReLU",
    "prelu": "PReLU", "prelu_kernel": "PReLU", "rrelu": "RReLU", "rrelu_with_noise": "RReLU", "elu": "ELU", "selu": "SELU",
    "celu": "CELU", "gelu": "GELU", "silu": "SiLU", "mish": "Mish", "hardswish": "Hardswish", "softplus": "Softplus",
    "hardshrink": "Hardshrink", "softshrink": "Softshrink",
}  # fmt: skip
"""Operations that rectify, as torch's dispatcher names them, and as people do."""

SQUASHING = {"sigmoid", "tanh", "erf", "hardsigmoid"}
"""Operations by which an activation may be multiplied, as by hand in SiLU and GELU."""

SMALL, LARGE = 1e-3, 1e3
"""Bounds that keep a number from being 0, or from overflowing: no activation has them."""


class PassedBy:
    """Names what rectifies and is not computed by a module of `Turns`, as a handler of `operation_calls` for one pass.

    Parameters
    ----------
    turns
        The modules.
    image
        What the network is asked: only what depends on it is looked at.

    Attributes
    ----------
    names : dict
        Of the activations, in their order.
    poolings : bool
        Whether there was a maximum pooling.
    """

    def __init__(self, turns: Turns, image: torch.Tensor) -> None:
        self.turns = turns
        self.names: dict[str, None] = {}
        self.poolings = False
        # By ids, and held, so that these stay their own.
        self._dependent = {id(image): image}
        self._comparisons: dict[int, torch.Tensor] = {}
        self._absolute: dict[int, torch.Tensor] = {}
        self._squashed: dict[int, torch.Tensor] = {}  # what was squashed, by what came of it

    def __call__(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an operation, and look at it if what it reads depends on the image."""
        answer = operation(*args, **kwargs)
        read = [tensor for tensor in tensors_in([*args, *kwargs.values()]) if id(tensor) in self._dependent]
        if not read:
            return answer
        name, answers = name_of(operation), list(tensors_in(answer))
        self._dependent.update((id(tensor), tensor) for tensor in answers)
        compared = [id(tensor) in self._comparisons for tensor in read]
        booleans = bool(answers) and all(tensor.dtype == torch.bool for tensor in answers)
        if all(compared) or booleans or name in ("sign", "sgn", "heaviside"):
            self._comparisons.update((id(tensor), tensor) for tensor in answers)
        elif not self.turns.within:
            self._name(name, args, kwargs, read, compared=any(compared))
        if name == "abs":
            self._absolute.update((id(tensor), tensor) for tensor in answers)
        self._note_squashed(name, read, answers)
        return answer

    def _name(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], read: list[torch.Tensor], *, compared: bool
    ) -> None:
        if name.startswith("max_pool2d"):
            self.poolings = True
        elif any(
            id(tensor) in self._absolute for tensor in read
        ):  # and not only compared, as where it is seen to be finite
            self.names["an absolute value (abs)"] = None
        elif compared:
            self.names[f"a choice by comparison ({name})"] = None
        elif name == "mul" and len(read) == 2 and self._gates_itself(*read):
            self.names["an activation times a function of itself, as SiLU and GELU are"] = None
        elif _is_cut(name, args, kwargs, self._dependent):
            self.names[ACTIVATIONS.get(name, name)] = None

    def _note_squashed(self, name: str, read: list[torch.Tensor], answers: list[torch.Tensor]) -> None:
        """Note what was squashed, also behind what adds a number to it or multiplies it."""
        before = read[0] if name in SQUASHING else self._squashed.get(id(read[0])) if len(read) == 1 else None
        if before is not None and answers and answers[0].shape == before.shape:
            self._squashed[id(answers[0])] = before

    def _gates_itself(self, one: torch.Tensor, two: torch.Tensor) -> bool:
        """Whether one of two factors is squashed, and what was squashed grows with the other."""
        for values, factor in ((one, two), (two, one)):
            squashed = self._squashed.get(id(factor))
            if squashed is not None and squashed.shape == values.shape and values.numel() > 1:
                grown = squashed.detach().flatten()[values.detach().flatten().argsort()].diff()
                if bool((grown >= -1e-4 * squashed.detach().abs().max()).all()):
                    return True
        return False


def _is_cut(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], dependent: Mapping[int, Any]) -> bool:
    """Whether an operation rectifies: cuts off what is low, or all that is positive, and not only what would overflow."""
    low = high = None
    if name in ("maximum", "fmax", "minimum", "fmin"):
        bound = next((factor for factor in args if id(factor) not in dependent), None)
        if bound is None:  # of two activations: a ReLU that leaks is one
            return True
        low, high = (bound, None) if "max" in name else (None, bound)
    elif name in ("clamp", "hardtanh"):
        usual = (-1, 1) if name == "hardtanh" else (None, None)
        low, high = (*args[1:], *usual[len(args) - 1 :])[:2]
        low, high = kwargs.get("min", low), kwargs.get("max", high)
    elif name in ("clamp_min", "clamp_max"):
        bound = args[1] if len(args) > 1 else kwargs.get(name.removeprefix("clamp_"))
        low, high = (bound, None) if name == "clamp_min" else (None, bound)
    else:
        return name in ACTIVATIONS
    lowest = -LARGE if low is None else float(low.max()) if isinstance(low, torch.Tensor) else float(low)
    highest = LARGE if high is None else float(high.min()) if isinstance(high, torch.Tensor) else float(high)
    return (lowest > -LARGE and not 0 < lowest <= SMALL) or highest <= 0


class _ReLU(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return F.relu(values)


class _MaxPool2d(nn.Module):
    def __init__(self, pooling: nn.MaxPool2d) -> None:
        super().__init__()
        self.settings = pooling.kernel_size, pooling.stride, pooling.padding, pooling.dilation, pooling.ceil_mode

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(values, *self.settings)


def copied(network: Network) -> Network:
    """Copy a network to be worked on: in 32 bits where it has fewer, its weights fixed, no ReLU in place.

    Raises
    ------
    NetworkError
        If the module cannot be copied.
    """
    try:
        module = copy.deepcopy(network.module)
    # It is the user's code that is copied here, and it may raise anything; the traceback is kept as the cause.
    except Exception as error:
        raise NetworkError(
            f"{network.name} cannot be copied, which a map of gradients takes: {type(error).__name__}: {error}",
            hint="copy.deepcopy(module) must work: keep tensors of a computation out of its attributes.",
        ) from error
    if any(value.dtype in (torch.float16, torch.bfloat16) for value in module.parameters()):
        module = module.float()
    for attributes, name, value in uncompiled_forms(module):
        attributes[name] = value
    for name, child in list(module.named_modules(remove_duplicate=False)):
        if name and isinstance(child, nn.ReLU):
            module.set_submodule(name, _ReLU())
        elif name and type(child) is nn.MaxPool2d and not child.return_indices:
            module.set_submodule(name, _MaxPool2d(child))
    return replace(network, module=module.requires_grad_(False))
