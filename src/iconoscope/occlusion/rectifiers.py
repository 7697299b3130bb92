"""A copy of a network in which every use of a ReLU or of a maximum pooling is a module of its own.

Guided backpropagation, deconvolution and DeepLift have rules of their own for these operations, and Captum finds them as
modules: what is called as a function is passed over without a word, a module that is used twice is an error, and so is one
that works in place. Here such calls are caught while the network runs, and handed to modules that are used once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from iconoscope.errors import NetworkError, QuestionError
from iconoscope.subject.dispatcher import operation_calls
from iconoscope.subject.network import Network
from iconoscope.subject.network.network import uncompiled_forms
from iconoscope.subject.probe import FunctionCalls

__all__ = ["Turns", "copied", "count_uses"]

_aten = torch.ops.aten


def _rectifier(*args: Any, **settings: Any) -> nn.Module:
    return nn.ReLU()


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


FUNCTIONS: dict[Any, tuple[str, Callable[..., nn.Module]]] = {
    **dict.fromkeys(
        (F.relu, F.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_), ("ReLU", _rectifier)
    ),
    **dict.fromkeys((_aten.relu, _aten.relu_, _aten.relu.default, _aten.relu_.default), ("ReLU", _rectifier)),
    **dict.fromkeys(
        (F.max_pool2d, torch.max_pool2d, _aten.max_pool2d, _aten.max_pool2d.default), ("MaxPool2d", _pooling)
    ),
}
"""The calls that become modules: the kind, and the module from the arguments after the first."""

OPERATIONS = {
    _aten.relu.default: nn.ReLU,
    _aten.relu_.default: nn.ReLU,
    _aten.max_pool2d_with_indices.default: nn.MaxPool2d,
    # Where the dispatcher has no mode, the functions.
    **{function: nn.ReLU if kind == "ReLU" else nn.MaxPool2d for function, (kind, _) in FUNCTIONS.items()},
}
"""Operations that these modules compute, as torch's dispatcher sees it: nothing that it sees may have passed by."""


class Turns(nn.ModuleList):
    """Modules that take their turn: the first call of a pass is the first one's, and so on.

    In the first pass they are made, so that a call has the same one in every pass.

    Parameters
    ----------
    kinds
        Names of the kinds that are handed over: ReLU, MaxPool2d.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__()
        self.kinds, self.complete = kinds, False

    def one_pass(self) -> FunctionCalls:
        """Give what hands calls over, for the time of a ``with`` block of one pass."""
        return FunctionCalls(_HandedOver(self))


class _HandedOver:
    """Hands calls to modules, as a handler of `FunctionCalls`: it rewrites what a copy computes, and reads no layer."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.next = turns, 0

    def __call__(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        kind, make = FUNCTIONS.get(function, ("", _rectifier))
        if kind not in self.turns.kinds:
            return function(*args, **kwargs)
        settings = dict(kwargs)
        values = args[0] if args else settings.pop("input")
        if not self.turns.complete:
            self.turns.append(make(*args[1:], **settings))
        if self.next == len(self.turns):
            raise QuestionError("The network applied more ReLUs this time than the first: its passes differ.")
        module = self.turns[self.next]
        self.next += 1
        # Copies: a hook on what goes in is for this use of it alone, and what comes out may be written over.
        return module(values.clone()).clone()


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
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if isinstance(child, nn.ReLU):
                parent._modules[name] = _ReLU()
            elif type(child) is nn.MaxPool2d and not child.return_indices:
                parent._modules[name] = _MaxPool2d(child)
    return replace(network, module=module.requires_grad_(False))


def count_uses(ask: Callable[[], Any]) -> dict[type[nn.Module], int]:
    """Count how often a call applies a ReLU, and a maximum pooling, however it does."""
    counts = dict.fromkeys(OPERATIONS.values(), 0)

    def count(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if operation in OPERATIONS:
            counts[OPERATIONS[operation]] += 1
        return operation(*args, **kwargs)

    with operation_calls(count):
        ask()
    return counts
