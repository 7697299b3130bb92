"""What a step computes: on whole maps as the network does, and on windows that bring along the padding they need.

Maps are (batch, channels, rows, columns) in the memory order of channels last, or (batch, rows, columns, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F

__all__ = [
    "AveragePool",
    "Call",
    "Convolution",
    "Cut",
    "Enlarged",
    "MaxPool",
    "Mean",
    "Operator",
    "Part",
    "Slot",
    "Transposed",
]

Pair = tuple[int, int]
Packed = dict[tuple[Any, ...] | bytes, torch.Tensor | None]
"""A convolution's weights as oneDNN wants them: by the size of the input and, so that they are kept once, by their order."""


class Operator(Protocol):
    """What a step computes from the values of its inputs."""

    def whole(self, values: Sequence[Any]) -> Any:
        """Compute on whole maps, or on anything that is no map."""
        ...

    def window(self, values: Sequence[Any]) -> Any:
        """Compute on windows; where they need padding they bring it along."""
        ...


@dataclass(frozen=True)
class Slot:
    """In the arguments of a call: the place of a step's input."""

    place: int


@dataclass(frozen=True)
class Call:
    """Any operator as it was captured, which does the same to a window as to a map.

    `fresh` says that nobody else holds its answer, so that a ReLU may follow in place.
    """

    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    fresh: bool = False
    relu: bool = False

    def whole(self, values: Sequence[Any]) -> Any:
        """Compute on whole inputs."""
        answer = self.target(*_bind(self.args, values), **_bind(self.kwargs, values))
        return answer.relu_() if self.relu else answer

    window = whole


def _bind(template: Any, values: Sequence[Any]) -> Any:
    if isinstance(template, Slot):
        return values[template.place]
    if isinstance(template, tuple | list):
        return type(template)(_bind(item, values) for item in template)
    if isinstance(template, dict):
        return {key: _bind(item, values) for key, item in template.items()}
    return template


@dataclass(frozen=True)
class Part:
    """One of the answers of a call that gives several, such as a split."""

    call: Call
    index: int

    def whole(self, values: Sequence[Any]) -> Any:
        """Compute on whole inputs."""
        return self.call.whole(values)[self.index]

    window = whole


@dataclass(frozen=True)
class Convolution:
    """A convolution with what was folded into it: batch norm, ReLU."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: Pair
    padding: Pair | str
    dilation: Pair
    groups: int
    relu: bool = False
    _packed: Packed = field(default_factory=dict)

    def scaled(self, scale: torch.Tensor, shift: torch.Tensor) -> Convolution:
        """Give the convolution followed by scale and shift of every channel."""
        bias = shift if self.bias is None else self.bias * scale + shift
        return replace(self, weight=self.weight * scale[:, None, None, None], bias=bias, _packed={})

    def rectified(self) -> Convolution:
        """Give the convolution followed by a ReLU."""
        return replace(self, relu=True, _packed={})

    def whole(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return self._run(values[0], self.padding)

    def window(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on windows."""
        return self._run(values[0], (0, 0))

    def _run(self, x: torch.Tensor, padding: Pair | str) -> torch.Tensor:
        key = (*x.shape, *padding)
        if key not in self._packed:
            self._packed[key] = self._pack(x, padding)
        packed = self._packed[key]
        if packed is None or isinstance(padding, str):
            return self._plain(x, padding)
        return self._fused(x, packed, padding)

    def _plain(self, x: torch.Tensor, padding: Pair | str) -> torch.Tensor:
        answer = F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return answer.relu_() if self.relu else answer

    def _fused(self, x: torch.Tensor, packed: torch.Tensor, padding: Pair) -> torch.Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x,
            packed,
            self.bias,
            padding,
            self.stride,
            self.dilation,
            self.groups,
            "relu" if self.relu else "none",
            [],
            "",
        )

    def _pack(self, x: torch.Tensor, padding: Pair | str) -> torch.Tensor | None:
        """Give the weights in the order that oneDNN wants for this size of input, if it is there.

        The order differs from size to size, and to bring weights from one into another takes longer than the convolution.
        Sizes of one order share the weights.
        """
        if isinstance(padding, str) or x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
            return None
        if not torch.backends.mkldnn.is_available():
            return None
        try:
            packed = torch._C._nn.mkldnn_reorder_conv2d_weight(  # pyright: ignore[reportAttributeAccessIssue]
                self.weight.to_mkldnn(), padding, self.stride, self.dilation, self.groups, list(x.shape)
            )
            order = bytes(torch.ops.mkldnn._get_mkldnn_serialized_md(packed).numpy())
            if order in self._packed:
                return self._packed[order]
            fused, plain = self._fused(x[:1], packed, padding), self._plain(x[:1], padding)
        except (AttributeError, RuntimeError):  # an older or a newer torch, or one without oneDNN
            return None
        scale = float(plain.abs().max())
        agrees = torch.allclose(fused, plain, rtol=1e-4, atol=(1e-4 if x.dtype == torch.float32 else 3e-2) * scale)
        self._packed[order] = packed if agrees else None
        return self._packed[order]


@dataclass(frozen=True)
class Transposed:
    """A transposed convolution; over a window nothing is cut off, the step's `crop` does it."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: Pair
    padding: Pair
    more: Pair  # output padding
    dilation: Pair
    groups: int

    def whole(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return F.conv_transpose2d(
            values[0], self.weight, self.bias, self.stride, self.padding, self.more, self.groups, self.dilation
        )

    def window(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on windows."""
        return F.conv_transpose2d(values[0], self.weight, self.bias, self.stride, 0, 0, self.groups, self.dilation)


@dataclass(frozen=True)
class Enlarged:
    """Enlargement by whole numbers, nearest or bilinear."""

    call: Call
    by: Pair
    mode: str

    def whole(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return self.call.whole(values)

    def window(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on windows."""
        size = [length * by for length, by in zip(values[0].shape[2:], self.by, strict=True)]
        return F.interpolate(values[0], size, mode=self.mode)


@dataclass(frozen=True)
class MaxPool:
    """Max pooling; a window's padding is minus infinity."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil: bool

    def whole(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return F.max_pool2d(values[0], self.kernel, self.stride, self.padding, self.dilation, self.ceil)

    def window(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on windows."""
        return F.max_pool2d(values[0], self.kernel, self.stride, 0, self.dilation)


@dataclass(frozen=True)
class AveragePool:
    """Average pooling; over a window the sum is always divided by the whole kernel.

    Where the network divides by less (at the border, without counting the padding), the step's `factor` makes it good.
    """

    kernel: Pair
    stride: Pair
    padding: Pair
    ceil: bool
    count_padding: bool
    divisor: int | None

    def whole(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return F.avg_pool2d(
            values[0], self.kernel, self.stride, self.padding, self.ceil, self.count_padding, self.divisor
        )

    def window(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on windows."""
        return F.avg_pool2d(values[0], self.kernel, self.stride)

    def factor(self, size: Pair) -> torch.Tensor | None:
        """Give what an average over a window must be multiplied with, (rows, columns) of the answer for an input's size.

        None where it is one everywhere.
        """
        ones = torch.ones(1, 1, *size)
        whole = self.whole([ones])
        rows, columns = (
            (outputs - 1) * stride + kernel - length - before
            for outputs, stride, kernel, length, before in zip(
                whole.shape[2:], self.stride, self.kernel, size, self.padding, strict=True
            )
        )
        # A negative rest is cut off: rows that no output reads.
        padded = F.pad(ones, (self.padding[1], columns, self.padding[0], rows))
        factor = (whole / self.window([padded]))[0, 0]
        return None if torch.allclose(factor, torch.ones(()), rtol=1e-7, atol=0) else factor


@dataclass(frozen=True)
class Cut:
    """A slice with a step, or padding with zeros, along rows or columns: which pixels are read is in the step's reach."""

    call: Call
    step: Pair = (1, 1)

    def whole(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return self.call.whole(values)

    def window(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on windows."""
        return values[0][:, :, :: self.step[0], :: self.step[1]]


@dataclass(frozen=True)
class Mean:
    """The mean over all rows and columns."""

    axes: Pair
    keep: bool

    def whole(self, values: Sequence[Any]) -> torch.Tensor:
        """Compute on whole inputs."""
        return values[0].mean(self.axes, keepdim=self.keep)

    window = whole  # never asked for: the engine takes it from the clean mean and the sums of windows
