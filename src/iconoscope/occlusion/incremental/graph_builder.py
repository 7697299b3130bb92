"""The graph while it is built: which step answers what a node of an exported program answers."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import fx

from iconoscope.occlusion.incremental import aten
from iconoscope.occlusion.incremental.graph import CHANNELS_FIRST, Kind, MapShape, Step
from iconoscope.occlusion.incremental.operators import CapturedCall, InputSlot, Operator

__all__ = ["TRACED", "GraphBuilder"]

TRACED = 2
"""Images with which a network is traced; any other number may follow."""


class GraphBuilder:
    """The steps so far, and what is known of the nodes that they stand for.

    Attributes
    ----------
    constants : dict
        The values of the nodes that are the same for every image.
    names : dict
        For every node, the name of the step that has its answer.
    steps : dict
        The steps by name.
    splits : dict
        Splits of channels: a step for each part follows, once it is known which parts are read.
    repeats : set
        Nodes that only pick the first of several answers.
    batch : torch.SymInt
        The number of images.
    """

    def __init__(self) -> None:
        self.constants: dict[fx.Node, Any] = {}
        self.names: dict[fx.Node, str] = {}
        self.steps: dict[str, Step] = {}
        self.splits: dict[fx.Node, Step] = {}
        self.repeats: set[fx.Node] = set()
        self.batch: Any = None

    def add(self, node: fx.Node, step: Step) -> None:
        """Note the step that has the answer of a node."""
        self.names[node] = step.name
        self.steps[step.name] = step

    def add_image(self, node: fx.Node) -> None:
        """Add the step that the image comes in by."""
        self.batch = node.meta["val"].shape[0]
        shape = self.answered_map(node, CHANNELS_FIRST)
        self.add(node, self.make_step(node, None, kind="input", inputs=(), map=shape))

    def step(self, node: Any) -> Step:
        """Give the step that has the answer of a node."""
        return self.steps[self.names[node]]

    def map(self, node: Any) -> MapShape | None:
        """Give the shape of the map that a node answers, if it is one."""
        return self.step(node).map if isinstance(node, fx.Node) and node in self.names else None

    def answered_map(self, node: fx.Node, axes: tuple[int, int]) -> MapShape:
        """Give the shape of the map that a node will answer, from the axes that are its rows and columns."""
        shape = node.meta["val"].shape
        channels = shape[1 if axes == CHANNELS_FIRST else 3]
        return MapShape((int(shape[axes[0]]), int(shape[axes[1]])), axes, int(channels))

    def constant(self, node: Any) -> torch.Tensor | None:
        """Give the value of a node that is the same for every image."""
        return self.constants.get(node) if isinstance(node, fx.Node) else None

    def call(self, node: fx.Node) -> tuple[CapturedCall, tuple[str, ...]]:
        """Give the operator of a node with its constants filled in, and the steps that it reads."""
        names: list[str] = []

        def filled(argument: Any) -> Any:
            if isinstance(argument, fx.Node):
                if argument in self.constants:
                    return self.constants[argument]
                name = self.names[argument]
                if name not in names:
                    names.append(name)
                return InputSlot(names.index(name))
            if isinstance(argument, tuple):
                return tuple(filled(element) for element in argument)
            if isinstance(argument, list):  # torch.fx has an immutable kind, which operators do not take
                return [filled(element) for element in argument]
            return (
                {key: filled(element) for key, element in argument.items()} if isinstance(argument, dict) else argument
            )

        args, kwargs = filled(node.args), filled(node.kwargs)
        target: Callable[..., Any] = node.target  # pyright: ignore[reportAssignmentType]
        if aten.name_of(node) in ("view", "_unsafe_view"):
            target = torch.ops.aten.reshape.default  # maps are channels last in memory: what was a view may need a copy
        return CapturedCall(target, args, kwargs), tuple(names)

    def make_step(self, node: fx.Node, operator: Operator | None, **properties: Any) -> Step:
        """Make the step of a node; `properties` are those of `Step` that are not as they mostly are.

        Mostly its pixels are made of some pixels of all that the node reads, and its map has the axes of the first of these.
        """
        stated = {"kind": "window", "bytes": _bytes_for_one_image(node), "layer": _layer_of(node), **properties}
        if "inputs" not in stated:
            read = [source for source in node.all_input_nodes if source not in self.constants]
            stated["inputs"] = tuple(dict.fromkeys(self.names[source] for source in read))
        if "map" not in stated:
            like = self.steps[stated["inputs"][0]].map
            stated["map"] = self.answered_map(node, like.axes if like else CHANNELS_FIRST)
        return Step(node.name, operator=operator, **stated)

    def whole(self, node: fx.Node) -> Step:
        """Make the step that reads whole inputs and runs the operator as it is.

        What answers a map for every image leaves it to what follows to be more than that.
        """
        value = node.meta.get("val")
        if aten.name_of(node) == "sym_size" and node.args[1:] == (0,):
            return Step(node.name, "batch", (), None, None)
        call, inputs = self.call(node)
        kind: Kind = "number" if isinstance(value, int | torch.SymInt) else "whole"
        by_image = isinstance(value, torch.Tensor) and value.ndim > 0 and aten.same_length(value.shape[0], self.batch)
        shape = None
        if isinstance(value, torch.Tensor) and value.ndim == 4 and by_image:
            layouts = [step.map.axes for step in map(self.steps.__getitem__, inputs) if step.map is not None]
            kind, shape = "everywhere", self.answered_map(node, layouts[0] if layouts else CHANNELS_FIRST)
        cost = self._multiplications(node) // (shape.area if shape else 1)
        return self.make_step(node, call, kind=kind, inputs=inputs, map=shape, cost=cost, by_image=by_image)

    def _multiplications(self, node: fx.Node) -> int:
        """Give the multiplications of a convolution or of linear layers for one image, none for anything else."""
        name, answer = aten.name_of(node), node.meta.get("val")
        if not isinstance(answer, torch.Tensor):
            return 0
        shape = answer.shape
        constants = [self.constant(source) for source in node.all_input_nodes]
        weights = sum(weight.numel() for weight in constants if isinstance(weight, torch.Tensor) and weight.ndim > 1)
        if name == "linear" or "multi_head_attention" in name or "transformer_encoder" in name:
            return weights * _fixed(shape[1:-1])
        if name.startswith("conv"):
            source = node.args[0]
            if "transpose" in name and isinstance(source, fx.Node):
                shape = source.meta["val"].shape
            return weights * _fixed(shape[2:])
        return 0


def _layer_of(node: fx.Node) -> str:
    """Give the name of the layer that a node belongs to."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack and "metadata_hook" not in str(stack[-1][0]) else ""


def _bytes_for_one_image(node: fx.Node) -> int:
    """Give the bytes of a node's answer for one image, whether or not the images are an axis of their own."""
    value = node.meta.get("val")
    tensors = value if isinstance(value, tuple | list) else [value]
    return sum(
        _fixed(tensor.shape) * prod(aten.traced_length(length, TRACED) for length in tensor.shape) // TRACED
        * tensor.element_size()
        for tensor in tensors
        if isinstance(tensor, torch.Tensor)
    )  # fmt: skip


def _fixed(lengths: Any) -> int:
    """Multiply those lengths that do not depend on the number of images."""
    return prod(length for length in lengths if isinstance(length, int))
