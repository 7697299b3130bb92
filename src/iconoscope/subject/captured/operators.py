"""Operators of steps: on whole maps as the network does, and on windows that bring along the padding they need.

Maps are (batch, channels, rows, columns) in the memory order of channels last, or (batch, rows, columns, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from iconoscope.subject.captured import aten, onednn

__all__ = ["CapturedCall", "Convolution", "InputSlot", "Linear", "Operator", "WindowedCall", "keeps_finite"]


class Operator(Protocol):
    """Computation of a step from the answers of its inputs."""

    def whole(self, inputs: Sequence[Any]) -> Any:
        """Compute on whole maps, or on anything that is no map."""
        ...

    def window(self, inputs: Sequence[Any]) -> Any:
        """Compute on windows; where they need padding they bring it along."""
        ...


@dataclass(frozen=True)
class InputSlot:
    """In the arguments of a call: which of the step's inputs stands there."""

    index: int


@dataclass(frozen=True)
class CapturedCall:
    """Any operator as it was captured, which does the same to a window as to a map.

    `fresh` says that nobody else holds its answer, so that a ReLU may follow in place; `output` is which of several answers
    is asked for, as of a split.
    """

    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    fresh: bool = False
    relu: bool = False
    output: int | None = None

    def whole(self, inputs: Sequence[Any]) -> Any:
        """Compute on whole inputs."""
        answer = self.target(*_filled(self.args, inputs), **_filled(self.kwargs, inputs))
        if self.output is not None:
            return answer[self.output]
        return answer.relu_() if self.relu else answer

    window = whole


def _filled(argument: Any, inputs: Sequence[Any]) -> Any:
    """Put the inputs where their slots are."""
    if isinstance(argument, InputSlot):
        return inputs[argument.index]
    if isinstance(argument, tuple | list):
        return type(argument)(_filled(element, inputs) for element in argument)
    if isinstance(argument, dict):
        return {key: _filled(element, inputs) for key, element in argument.items()}
    return argument


@dataclass(frozen=True)
class WindowedCall:
    """A call for whole maps and another for windows, without the padding that windows bring along."""

    on_maps: CapturedCall
    on_windows: CapturedCall

    def whole(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return self.on_maps.whole(inputs)

    def window(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Compute on windows."""
        return self.on_windows.whole(inputs)


@dataclass(frozen=True)
class Convolution:
    """A convolution with what was folded into it: batch norm, ReLU."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int] | str
    dilation: tuple[int, int]
    groups: int
    relu: bool = False
    _packed: onednn.PackedWeights = field(default_factory=onednn.PackedWeights)

    def scaled(self, scale: torch.Tensor, shift: torch.Tensor) -> Convolution:
        """Give the convolution followed by scale (channels,) and shift (channels,) of every channel."""
        bias = shift if self.bias is None else self.bias * scale + shift
        return self.changed(weight=self.weight * scale[:, None, None, None], bias=bias)

    def changed(self, **changes: Any) -> Convolution:
        """Give the convolution with other weights or a ReLU; what was packed for this one does not hold for it."""
        return replace(self, **changes, _packed=onednn.PackedWeights())

    def whole(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return self._run(inputs[0], self.padding)

    def window(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Compute on windows."""
        return self._run(inputs[0], (0, 0))

    def _run(self, x: torch.Tensor, padding: tuple[int, int] | str) -> torch.Tensor:
        if not isinstance(padding, str):
            settings = (self.bias, self.stride, padding, self.dilation, self.groups)
            packed = self._packed.get(x, self.weight, settings, self.relu)
            if packed is not None:
                return onednn.convolution(x, packed, settings, self.relu)
        answer = F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return answer.relu_() if self.relu else answer


@dataclass(frozen=True)
class Linear:
    """A linear layer over the last axis, with the activation that was folded into it, a key of `onednn.AFTER`.

    Unless it may be `packed`, torch's own product is taken everywhere: which of the two is faster is measured, so that two
    processes may find otherwise.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    after: str = ""
    packed: bool = True
    _packed: onednn.PackedLinearWeights = field(default_factory=onednn.PackedLinearWeights)

    def changed(self, **changes: Any) -> Linear:
        """Give the layer with something else; what was packed for this one does not hold for it."""
        return replace(self, **changes, _packed=onednn.PackedLinearWeights())

    def whole(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        x = inputs[0]
        packed = self._packed.get(x, self.weight, self.bias, self.after) if self.packed else None
        if packed is not None:
            return onednn.linear(x, packed, self.bias, self.after)
        return onednn.AFTER[self.after](F.linear(x, self.weight, self.bias))

    window = whole


FINITE = {
    "abs", "adaptive_avg_pool2d", "adaptive_max_pool2d", "add", "addcmul", "addmm", "alias", "amax", "amin", "avg_pool2d",
    "batch_norm", "bmm", "cat", "channel_shuffle", "chunk", "clamp", "clamp_max", "clamp_min", "clone", "constant_pad_nd",
    "contiguous", "conv1d", "conv2d", "conv_transpose2d", "detach", "dropout", "elu", "expand", "feature_dropout",
    "flatten", "gelu", "hardsigmoid", "hardswish", "hardtanh", "layer_norm", "leaky_relu", "linear", "matmul", "max_pool2d",
    "maximum", "mean", "minimum", "mish", "mm", "mul", "neg", "pad", "permute", "prelu", "relu", "relu6", "repeat",
    "reshape", "roll", "rsub", "scaled_dot_product_attention", "select", "sigmoid", "silu", "slice", "softmax", "softplus",
    "split", "split_with_sizes", "square", "squeeze", "stack", "sub", "sum", "t", "tanh", "transpose", "unbind",
    "unflatten", "unsqueeze", "upsample_bilinear2d", "upsample_nearest2d", "view",
    "_scaled_dot_product_flash_attention_for_cpu", "_softmax", "_unsafe_view",
}  # fmt: skip
"""Operators that answer finite numbers where they are given finite ones, unless these are near the largest of their type."""


def keeps_finite(operator: Operator | None) -> bool:
    """Whether an operator is known to answer finite numbers where it is given finite ones, those near the largest aside."""
    if isinstance(operator, WindowedCall):
        operator = operator.on_maps
    if isinstance(operator, CapturedCall):
        name = aten.operator_name(operator.target)
        return name in FINITE and not (name == "layer_norm" and _adds_nothing(operator))
    return operator is None or isinstance(operator, Convolution | Linear)


def _adds_nothing(norm: CapturedCall) -> bool:
    """Whether a layer norm adds nothing to the deviation that it divides by, which is 0 where all numbers are one."""
    given = dict(zip(("input", "normalized_shape", "weight", "bias", "eps"), norm.args, strict=False))
    return not (given | norm.kwargs).get("eps", True)
