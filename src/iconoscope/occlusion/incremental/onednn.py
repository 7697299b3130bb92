"""Convolutions of oneDNN with packed weights: the one place that calls its operators, which are private to torch.

oneDNN wants a convolution's weights in an order that depends on the size of the input. Left to itself it brings them into that
order at every call, and for the small windows of the engine that takes ten times as long as the convolution. Packed once for
every size, and stored once for every order, they are read as they are. Where torch has not these operators, or they answer
something else than `conv2d`, nothing is packed and `conv2d` is called.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["PackedWeights", "Settings", "convolution"]

Pair = tuple[int, int]
Settings = tuple[torch.Tensor | None, Pair, Pair, Pair, int]
"""Bias, stride, padding, dilation and groups, as `conv2d` takes them."""


class PackedWeights:
    """The weights of one convolution in all orders that were asked for."""

    def __init__(self) -> None:
        self._by_size: dict[tuple[int, ...], torch.Tensor | None] = {}
        self._by_order: dict[bytes, torch.Tensor | None] = {}

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
            packed = torch._C._nn.mkldnn_reorder_conv2d_weight(  # pyright: ignore[reportAttributeAccessIssue]
                weight.to_mkldnn(), padding, stride, dilation, groups, list(x.shape)
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
