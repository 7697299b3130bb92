"""Convolutions and linear layers of oneDNN with packed weights: the one place that calls its operators, private to torch.

oneDNN wants a convolution's weights in an order that depends on the size of the input. Left to itself it brings them into that
order at every call, and for the small windows of the engine that takes ten times as long as the convolution. Packed once for
every size, and stored once for every order, they are read as they are. Where torch has not these operators, or they answer
something else than `conv2d`, nothing is packed and `conv2d` is called.

Linear layers torch gives to MKL, which on processors of other makers does not use all that they can: there oneDNN multiplies
more than twice as fast. Whether it does here is measured once, by one product.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F

__all__ = ["PackedLinearWeights", "PackedWeights", "Settings", "convolution", "linear", "packed_bytes"]

Pair = tuple[int, int]
Settings = tuple[torch.Tensor | None, Pair, Pair, Pair, int]
"""Bias, stride, padding, dilation and groups, as `conv2d` takes them."""


class PackedWeights:
    """The weights of one convolution in all orders that were asked for."""

    def __init__(self) -> None:
        self._by_size: dict[tuple[int, ...], torch.Tensor | None] = {}
        self._by_order: dict[bytes, torch.Tensor | None] = {}
        # As oneDNN takes them: to bring them there costs more than to pack them.
        self._plain: torch.Tensor | None = None

    def get(self, x: torch.Tensor, weight: torch.Tensor, settings: Settings, relu: bool) -> torch.Tensor | None:
        """Give the weights for an input (batch, channels, rows, columns) of that size; None where `conv2d` is to be called."""
        size = (*x.shape, *settings[2])
        if size not in self._by_size:
            self._by_size[size] = self._pack(x, weight, settings, relu)
        return self._by_size[size]

    def _pack(self, x: torch.Tensor, weight: torch.Tensor, settings: Settings, relu: bool) -> torch.Tensor | None:
        if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
            return None
        if not torch.backends.mkldnn.is_available():
            return None
        _, stride, padding, dilation, groups = settings
        try:
            self._plain = weight.to_mkldnn() if self._plain is None else self._plain
            packed = torch._C._nn.mkldnn_reorder_conv2d_weight(  # pyright: ignore[reportAttributeAccessIssue]
                self._plain, padding, stride, dilation, groups, list(x.shape)
            )
            order = bytes(torch.ops.mkldnn._get_mkldnn_serialized_md(packed).numpy())
            if order in self._by_order:
                return self._by_order[order]
            answer, expected = convolution(x[:1], packed, settings, relu), F.conv2d(x[:1], weight, *settings)
        except (AttributeError, RuntimeError):  # an older or a newer torch, or one without oneDNN
            return None
        expected = expected.relu_() if relu else expected
        absolute = (1e-4 if x.dtype == torch.float32 else 3e-2) * float(expected.abs().max())
        agrees = torch.allclose(answer, expected, rtol=1e-4, atol=absolute)
        self._by_order[order] = packed if agrees else None
        return self._by_order[order]


def convolution(x: torch.Tensor, packed: torch.Tensor, settings: Settings, relu: bool) -> torch.Tensor:
    """Convolve with packed weights, and take the ReLU in the same pass over memory."""
    bias, stride, padding, dilation, groups = settings
    after = "relu" if relu else "none"
    return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, padding, stride, dilation, groups, after, [], "")


FEWEST_ROWS = 32
"""Vectors that go through a linear layer at once, below which its weights are read more than anything is computed."""

LARGEST = 1 << 26
"""Bytes of the weights of one linear layer that are kept a second time."""

PAYS = 0.75
"""Share of MKL's time that oneDNN's product may take to be worth a second copy of the weights.

Far from 1 on purpose: where both are about as fast (0.88 to 1.05 on an AMD machine with AVX2), one process would measure this
and the next one that, and a run that is taken up again would differ from one that was left in peace in its last bits.
"""


class PackedLinearWeights:
    """The weights of one linear layer in all orders that were asked for."""

    def __init__(self) -> None:
        self._by_rows: dict[tuple[int, torch.dtype], torch.Tensor | None] = {}
        self._by_order: dict[bytes, torch.Tensor | None] = {}

    def get(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, after: str) -> torch.Tensor | None:
        """Give the weights for an input (..., channels) of that size; None where torch's own `linear` is to be called."""
        rows = x.numel() // max(1, x.shape[-1])
        key = rows, x.dtype
        if key not in self._by_rows:
            self._by_rows[key] = self._pack(x, rows, weight, bias, after)
        return self._by_rows[key]

    def _pack(
        self, x: torch.Tensor, rows: int, weight: torch.Tensor, bias: torch.Tensor | None, after: str
    ) -> torch.Tensor | None:
        if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16) or rows < FEWEST_ROWS:
            return None
        if not packed_bytes(weight):
            return None
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
            order = bytes(torch.ops.mkldnn._get_mkldnn_serialized_md(packed).numpy())
            if order in self._by_order:
                return self._by_order[order]
            few = x.reshape(-1, x.shape[-1])[:FEWEST_ROWS]
            answer, expected = linear(few, packed, bias, after), AFTER[after](F.linear(few, weight, bias))
            absolute = (1e-4 if x.dtype == torch.float32 else 3e-2) * float(expected.abs().max())
            agrees = torch.allclose(answer, expected, rtol=1e-4, atol=absolute)
        except (AttributeError, RuntimeError):  # an older or a newer torch, or one without oneDNN
            return None
        self._by_order[order] = packed if agrees else None
        return self._by_order[order]


AFTER: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "": lambda answer: answer,
    "relu": torch.relu_,
    "gelu none": F.gelu,
    "gelu tanh": lambda answer: F.gelu(answer, approximate="tanh"),
}
"""What may follow a linear layer in the same pass over memory, and what torch computes then; it may write into its input."""


def linear(x: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None, after: str) -> torch.Tensor:
    """Multiply (..., channels) with packed weights; `after` is a key of `AFTER`."""
    activation, _, algorithm = (after or "none").partition(" ")
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, activation, [], algorithm)


def packed_bytes(weight: torch.Tensor) -> int:
    """Give the bytes of a linear layer's weights that are stored again in oneDNN's order; 0 where torch's own way is taken."""
    size = weight.numel() * weight.element_size()
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16) or size > LARGEST:
        return 0
    return size if _pays(torch.get_num_threads()) else 0


@cache
def _pays(threads: int) -> bool:
    """Measure whether oneDNN multiplies faster than what torch calls by itself; once for every number of threads."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight = torch.ones(1024, 384), torch.ones(384, 384)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, len(x))
        ways: list[Callable[[], Any]] = [lambda: F.linear(x, weight), lambda: linear(x, packed, None, "")]
        times: list[list[float]] = [[], []]
        for _ in range(5):
            for way, took in zip(ways, times, strict=True):
                start = perf_counter()
                way()
                took.append(perf_counter() - start)
    except (AttributeError, RuntimeError):
        return False
    plain, ours = map(min, times)
    return ours < PAYS * plain
