"""An exported program while it is turned into steps: what is known of every node so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.fx.node import map_arg

from iconoscope.occlusion.incremental.graph import CHANNELS_FIRST, Kind, Map, Step
from iconoscope.occlusion.incremental.operators import Call, Operator, Slot

__all__ = ["TRACED", "Reading", "bytes_of", "layer_of"]

TRACED = 2
"""Images with which a network is traced; any other number may follow."""


class Reading:
    """What is known of the nodes of an exported program.

    Attributes
    ----------
    constants : dict
        The values of the nodes that are the same for every image.
    names : dict
        Which step has the answer of a node.
    steps : dict
        The steps by name.
    parts : dict
        Splits of channels: a step for each part, once it is known which are read.
    repeats : set
        Nodes that only pick the first of several answers.
    batch : torch.SymInt
        How many images there are.
    """

    def __init__(self) -> None:
        self.constants: dict[fx.Node, Any] = {}
        self.names: dict[fx.Node, str] = {}
        self.steps: dict[str, Step] = {}
        self.parts: dict[fx.Node, Step] = {}
        self.repeats: set[fx.Node] = set()
        self.batch: Any = None

    def keep(self, node: fx.Node, step: Step) -> None:
        """Note the step that has the answer of a node."""
        self.names[node] = step.name
        self.steps[step.name] = step

    def step(self, node: Any) -> Step:
        """Give the step that has the answer of a node."""
        return self.steps[self.names[node]]

    def map(self, node: Any) -> Map | None:
        """Give the map that a node answers, if it does."""
        return self.step(node).map if isinstance(node, fx.Node) and node in self.names else None

    def map_of(self, node: fx.Node, like: Map | None, axes: tuple[int, int] | None = None) -> Map | None:
        """Give the map that a node answers, knowing which axes of it are rows and columns."""
        axes = axes or (like.axes if like else CHANNELS_FIRST)
        shape = node.meta["val"].shape
        channels = shape[1 if axes == CHANNELS_FIRST else 3]
        return Map((int(shape[axes[0]]), int(shape[axes[1]])), axes, int(channels))

    def constant(self, node: Any) -> torch.Tensor | None:
        """Give the value of a node that is the same for every image."""
        return self.constants.get(node) if isinstance(node, fx.Node) else None

    def call(self, node: fx.Node) -> tuple[Call, tuple[str, ...]]:
        """Give the operator of a node with its constants filled in, and the steps that it reads."""
        names: list[str] = []

        def place(source: fx.Node) -> Any:
            if source in self.constants:
                return self.constants[source]
            name = self.names[source]
            if name not in names:
                names.append(name)
            return Slot(names.index(name))

        args = _plain(map_arg(node.args, place))
        kwargs = _plain(map_arg(node.kwargs, place))
        target: Callable[..., Any] = node.target  # pyright: ignore[reportAssignmentType]
        if getattr(target, "_opname", "") in ("view", "_unsafe_view"):
            target = (
                torch.ops.aten.reshape.default
            )  # maps are kept channels last: what was a view there may need a copy
        return Call(target, args, kwargs), tuple(names)

    def whole(self, node: fx.Node) -> Step:
        """Make the step that reads whole inputs and runs the operator as it is.

        What answers a map for every image leaves it to what follows to be more than that.
        """
        value = node.meta.get("val")
        if getattr(node.target, "_opname", "") == "sym_size" and node.args[1:] == (0,):
            return Step(node.name, "batch", (), None, None)
        call, inputs = self.call(node)
        kind: Kind = "number" if isinstance(value, int | torch.SymInt) else "whole"
        map = None
        if isinstance(value, torch.Tensor) and value.ndim == 4 and self._for_each_image(value):
            like = next((each for each in (self.steps[name].map for name in inputs) if each is not None), None)
            map = self.map_of(node, like)
            kind = "everywhere"
        cost = self._cost(node) // (map.area if map else 1)
        by_image = isinstance(value, torch.Tensor) and value.ndim > 0 and self._for_each_image(value)
        size, layer = bytes_of(node), layer_of(node)
        return Step(node.name, kind, inputs, call, map, cost=cost, size=size, layer=layer, by_image=by_image)

    def _for_each_image(self, value: torch.Tensor) -> bool:
        """Whether the first axis of a tensor is that of the images."""
        first, batch = value.shape[0], self.batch
        return (
            isinstance(first, torch.SymInt) and isinstance(batch, torch.SymInt) and first.node.expr == batch.node.expr
        )

    def local(self, node: fx.Node, source: fx.Node, made: Operator, map: Map | None, **properties: Any) -> Step:
        """Make a step with one input whose pixels are made of pixels of that input."""
        inputs = (self.names[source],)
        return Step(node.name, "window", inputs, made, map, size=bytes_of(node), layer=layer_of(node), **properties)

    def _cost(self, node: fx.Node) -> int:
        """Give the multiplications of a convolution or of linear layers for one image, none for anything else."""
        opname, shape = getattr(node.target, "_opname", ""), node.meta.get("val")
        if not isinstance(shape, torch.Tensor):
            return 0
        shape = shape.shape
        weights = [self.constant(source) for source in node.all_input_nodes]
        numbers = sum(weight.numel() for weight in weights if isinstance(weight, torch.Tensor) and weight.ndim > 1)
        if opname == "linear" or "multi_head_attention" in opname or "transformer_encoder" in opname:
            return numbers * _product(shape[1:-1])
        if opname.startswith("conv"):
            source = node.args[0]
            if "transpose" in opname and isinstance(source, fx.Node):
                shape = source.meta["val"].shape
            return numbers * _product(shape[2:])
        return 0


def layer_of(node: fx.Node) -> str:
    """Give the name of the layer that a node belongs to."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack and "metadata_hook" not in str(stack[-1][0]) else ""


def bytes_of(node: fx.Node) -> int:
    """Give the bytes of what a node answers for one image."""
    value = node.meta.get("val")
    tensors = value if isinstance(value, tuple | list) else [value]
    return sum(_numbers(tensor) * tensor.element_size() for tensor in tensors if isinstance(tensor, torch.Tensor))


def _numbers(tensor: torch.Tensor) -> int:
    """Give the numbers of a tensor for one image, whether or not the images are an axis of their own."""
    return _product(tensor.shape) * _product(_traced(length) for length in tensor.shape) // TRACED


def _traced(length: Any) -> int:
    """Give what a length that depends on the number of images was when the network was traced."""
    return 1 if isinstance(length, int) else int(length.node.hint)


def _product(lengths: Any) -> int:
    product = 1
    for length in lengths:
        product *= int(length) if isinstance(length, int) else 1
    return product


def _plain(arguments: Any) -> Any:
    """Give torch.fx's own immutable lists and dicts as Python's."""
    if isinstance(arguments, tuple):
        return tuple(_plain(item) for item in arguments)
    if isinstance(arguments, list):
        return [_plain(item) for item in arguments]
    if isinstance(arguments, dict):
        return {key: _plain(item) for key, item in arguments.items()}
    return arguments
