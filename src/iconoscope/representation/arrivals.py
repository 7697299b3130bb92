"""What arrives at a unit: the weights of convolutions and linear layers, and what is added as it is, each with its channels.

A unit's value before its activation is a sum over these, plus a constant: the only part of a network of which contributions are
exact and add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from iconoscope.representation.dataflow import Node
from iconoscope.subject.batch_norm import scale_and_shift

__all__ = ["Arrival", "Arrivals", "arrivals_at", "before_activation"]

ADDITIONS = {"add", "add_", "__add__", "__iadd__", "__radd__"}
PRODUCTS = {"mul", "mul_", "__mul__", "__imul__", "__rmul__"}
JOINS = {"cat", "concat", "concatenate"}
ACTIVATIONS = {
    "relu", "relu_", "relu6", "hardtanh", "leaky_relu", "elu", "gelu", "silu", "hardswish", "mish", "tanh", "sigmoid",
}  # fmt: skip
POOLS = {"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "mean", "flatten"}
UNCHANGED = {"dropout", "dropout2d", "feature_dropout", "identity", "contiguous", "clone"}
"""Functions that, where nothing is trained, answer what they are given."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """One of the summands of a unit's value.

    Attributes
    ----------
    way : "weights", "as it is" or "unknown"
        By weights of a convolution or a linear layer; a channel that is added as it is; something of which nothing is known.
    node : Node
        The convolution or linear function; or the tensor that is added.
    channel : int
        Which channel of it.
    scale : float
        What a batch norm and the like multiply it by on its way.
    """

    way: Literal["weights", "as it is", "unknown"]
    node: Node
    channel: int
    scale: float

    @property
    def by(self) -> str:
        """The layer by whose weights it arrives, or that is added as it is; else the function."""
        names = self.node.names if self.way == "weights" else self.node.origin(self.channel)[0]
        return names[0] if names else self.node.function

    @property
    def source(self) -> Node:
        """The tensor whose channels arrive."""
        first = self.node.inputs[0]
        return first if self.way == "weights" and first is not None else self.node

    @property
    def kernels(self) -> NDArray[np.float64]:
        """The weights of each channel that arrives, times the scale, (channels, rows, columns); all zero of other groups."""
        if self.way != "weights":
            return np.full((1, 1, 1), self.scale)
        weight = self._weight[self.channel].detach().double().cpu() * self.scale
        if self.node.function == "linear":
            # Where maps were flattened, every channel has as many weights as places.
            return weight.reshape(self.source.channels, 1, -1).numpy()
        inputs, groups = self.source.shape[1], self.node.argument(6, "groups", 1)
        kernels = torch.zeros(inputs, *weight.shape[1:], dtype=torch.float64)
        first = self.channel // (len(self._weight) // groups) * weight.shape[0]
        kernels[first : first + weight.shape[0]] = weight
        return kernels.numpy()

    def names(self) -> list[tuple[tuple[str, ...], int]]:
        """Give, of every channel that arrives, the layers that it comes from and its number in them."""
        if self.way != "weights":
            return [self.node.origin(self.channel)]
        sources = self.source.channel_names
        return [(sources, number) for number in range(self.source.channels)]

    def contributions(self, kept: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """Give what each channel adds to the unit at each of its places, (channels, places ...), float64.

        Parameters
        ----------
        kept
            Values of tensors by their numbers, `source` among them.
        """
        value = kept[self.source.number].double()
        if self.way != "weights":
            return value.movedim(self.source.channel_axis, 1)[:, self.channel] * self.scale
        weight = self._weight[self.channel].detach().double() * self.scale
        if self.node.function == "linear":
            parts = (value * weight)[0].movedim(-1, 0)
            return parts.reshape(self.source.channels, -1, *parts.shape[1:]).sum(1)
        groups = self.node.argument(6, "groups", 1)
        first = self.channel // (len(self._weight) // groups) * len(weight)
        group = value[:, first : first + len(weight)]
        stride, padding, dilation = (
            self.node.argument(position, name, default)
            for position, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
        )
        maps = F.conv2d(group, weight[:, None], None, stride, padding, dilation, len(weight))[0]
        contributions = torch.zeros(value.shape[1], *maps.shape[1:], dtype=torch.float64, device=value.device)
        contributions[first : first + len(weight)] = maps
        return contributions

    @property
    def _weight(self) -> torch.Tensor:
        return self.node.argument(1, "weight")


@dataclass(frozen=True, eq=False)
class Arrivals:
    """All that arrives at a channel: its value before its activation is the sum of it and the constant."""

    parts: tuple[Arrival, ...]
    constant: float


def before_activation(node: Node, channel: int, *, pools: bool = False) -> tuple[Node, int]:
    """Give the tensor whose activation a channel of a tensor is, and which channel of it; the same where it is none.

    Of tensors that are joined side by side behind their activations, as in the Fire modules of SqueezeNet, that of the channel.
    With `pools` what is pooled of it is it too.
    """
    through = ACTIVATIONS | UNCHANGED | (POOLS if pools else set())
    while node.inputs and node.inputs[0] is not None:
        if node.function in through:
            node = node.inputs[0]
            continue
        joined = _joined(node, channel)
        if joined is None or joined[0].function not in through:
            break
        node, channel = joined
    return node, channel


def _joined(node: Node, channel: int) -> tuple[Node, int] | None:
    """Give which of the tensors that a concatenation joins has a channel, and which channel of it; None if it is none."""
    if node.function in JOINS and node.argument(1, "dim", 0) == 1:
        for part in filter(None, node.inputs):
            if channel < part.shape[1]:
                return part, channel
            channel -= part.shape[1]
    return None


def arrivals_at(node: Node, channel: int) -> Arrivals:
    """Take a channel of a tensor apart into what arrives at it.

    Through batch norms, additions, concatenations, products with a number, and what changes nothing; up to convolutions and
    linear layers, and to tensors that are made in other ways.
    """
    parts: list[Arrival] = []
    constant = _collect(node, channel, 1.0, parts, is_root=True)
    return Arrivals(tuple(parts), constant)


def _collect(
    node: Node, channel: int, scale: float, parts: list[Arrival], *, is_root: bool = False, is_summand: bool = False
) -> float:
    """Append what arrives at a channel to `parts`; give the constant."""
    inputs = [other for other in node.inputs if other is not None]
    # What a layer before answers and others read too is a shortcut, also where it is itself a sum.
    named = node.names or node.passing
    if named and not is_root and (node.function in ADDITIONS | JOINS or (is_summand and node.readers > 1)):
        parts.append(Arrival("as it is", node, channel, scale))
        return 0.0
    if node.function in UNCHANGED and inputs:
        return _collect(inputs[0], channel, scale, parts)
    if node.function == "batch_norm" and inputs:
        return _through_norm(node, inputs[0], channel, scale, parts)
    if node.function in ("conv2d", "linear") and isinstance(node.argument(1, "weight"), torch.Tensor) and inputs:
        parts.append(Arrival("weights", node, channel, scale))
        bias = node.argument(2, "bias")
        return 0.0 if bias is None else float(bias[channel].detach()) * scale
    if node.function in ADDITIONS and len(inputs) == 2 and all(other.shape == node.shape for other in inputs):
        alpha = float(node.keywords.get("alpha", 1))
        first = _collect(inputs[0], channel, scale, parts, is_summand=True)
        return first + _collect(inputs[1], channel, scale * alpha, parts, is_summand=True)
    scaled = _scaled(node, channel)
    if scaled is not None:
        return _collect(scaled[0], channel, scale * scaled[1], parts)
    number = _number_beside(node)
    if number is not None and node.function in ADDITIONS | PRODUCTS and len(inputs) == 1:
        if node.function in PRODUCTS:
            return _collect(inputs[0], channel, scale * number, parts)
        return _collect(inputs[0], channel, scale, parts) + number * scale
    if (joined := _joined(node, channel)) is not None:
        return _collect(*joined, scale, parts)
    names, number_there = node.origin(channel)
    if number_there >= 0:  # else zeros that stand beside the channels of a layer
        parts.append(Arrival("as it is" if names else "unknown", node, channel, scale))
    return 0.0


def _through_norm(node: Node, before: Node, channel: int, scale: float, parts: list[Arrival]) -> float:
    mean, variance = node.argument(1, "running_mean"), node.argument(2, "running_var")
    if mean is None or variance is None:  # it asks the image itself
        parts.append(Arrival("unknown", node, channel, scale))
        return 0.0
    factor, shift = scale_and_shift(
        mean, variance, node.argument(3, "weight"), node.argument(4, "bias"), node.argument(7, "eps", 1e-5)
    )
    return _collect(before, channel, scale * float(factor[channel]), parts) + float(shift[channel]) * scale


def _scaled(node: Node, channel: int) -> tuple[Node, float] | None:
    """Give the tensor of which each channel is multiplied by a weight, and that of a channel; None if it is no such product."""
    if node.function not in PRODUCTS or len(node.inputs) != 2 or len(node.arguments) != 2:
        return None
    for position, maps in ((0, node.inputs[1]), (1, node.inputs[0])):
        factor, weight = node.arguments[position], node.inputs[position]
        if weight is not None and weight.function in ("reshape", "view") and not any(weight.inputs):
            factor = weight.arguments[0]  # a weight that was brought into the shape of the maps
        if maps is not None and isinstance(factor, torch.Tensor) and factor.numel() == maps.shape[maps.channel_axis]:
            return maps, float(factor.detach().flatten()[channel])
    return None


def _number_beside(node: Node) -> float | None:
    """Give the number that a tensor is added to or multiplied by; None if there is none."""
    numbers: list[Any] = [
        value for value in node.arguments if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return float(numbers[0]) if len(numbers) == 1 else None
