"""The network as steps, each of which says how a change of its inputs reaches its answer, and the builder of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, Literal

import torch
from torch import fx

from iconoscope.subject.captured import aten
from iconoscope.subject.captured.operators import CapturedCall, InputSlot, Operator
from iconoscope.subject.captured.receptive_field import AxisField, UpsampledField

__all__ = [
    "CHANNELS_FIRST",
    "CHANNELS_LAST",
    "EDGE",
    "LOWEST",
    "TRACED",
    "ZEROS",
    "Graph",
    "GraphBuilder",
    "MapShape",
    "Step",
    "StepOutputs",
    "follow",
    "run_graph",
]

CHANNELS_FIRST = (2, 3)
CHANNELS_LAST = (1, 2)
ZEROS, LOWEST, EDGE = 0, 1, 2

TRACED = 2
"""Images with which a network is traced; any other number may follow."""

Kind = Literal["input", "window", "everywhere", "mean", "whole", "batch", "number"]


@dataclass(frozen=True)
class MapShape:
    """Rows, columns and channels of a map, and which axes of its tensor they are.

    Attributes
    ----------
    size : tuple of int
        Rows and columns.
    axes : tuple of int
        Which axes of the tensor they are: `CHANNELS_FIRST` or `CHANNELS_LAST`.
    channels : int
        Numbers of a pixel.
    """

    size: tuple[int, int]
    axes: tuple[int, int]
    channels: int

    @property
    def area(self) -> int:
        """Pixels."""
        return self.size[0] * self.size[1]

    @property
    def channel_axis(self) -> int:
        """Which axis of the tensor has the channels."""
        return 1 if self.axes == CHANNELS_FIRST else 3

    def as_rows(self, maps: torch.Tensor) -> torch.Tensor:
        """Give a batch of maps or windows as (pixels, channels)."""
        channels_last = maps if self.axes == CHANNELS_LAST else maps.permute(0, 2, 3, 1)
        return channels_last.reshape(-1, self.channels)

    def from_rows(self, rows: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Give (pixels, channels) as a batch of windows of that size."""
        channels_last = rows.view(-1, *size, self.channels)
        return channels_last if self.axes == CHANNELS_LAST else channels_last.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes
    ----------
    name : str
        Its name in the graph.
    kind : str
        input; window: each pixel is made of some pixels of its inputs, which are all maps; everywhere: a map of which
        every pixel changes with any pixel of its inputs; mean: over all rows and columns; whole: nothing else is known of
        it, it reads whole inputs; batch: the number of images; number: an integer computed from that.
    inputs : tuple of str
        The steps whose answers it reads.
    operator : Operator or None
        What it computes; None for the input.
    map : MapShape or None
        The shape of the map that it answers, of which windows can be taken; None if its answer is always whole.
    fields : tuple of AxisField or UpsampledField
        Down and across: which pixels of its inputs a pixel is made of.
    padding : int
        What is read beyond the border: `ZEROS`, `LOWEST` (minus infinity) or `EDGE` (the pixel at the border).
    crop : tuple of int or None
        Which row and column of what the operator makes of its inputs is the first of the window; None: it makes just that.
    factor : torch.Tensor or None
        (pixels,) what a window must be multiplied with.
    cost : int
        Multiplications in convolutions and linear layers, for a pixel of a map, or else for one image.
    bytes : int
        Size of the answer for one image.
    layer : str
        The layer of the network that it belongs to.
    by_image : bool
        Whether the first axis of its answer is that of the images.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    operator: Operator | None
    map: MapShape | None
    fields: tuple[AxisField | UpsampledField, AxisField | UpsampledField] = (
        AxisField(),
        AxisField(),
    )
    padding: int = 0
    crop: tuple[int, int] | None = None
    factor: torch.Tensor | None = None
    cost: int = 0
    bytes: int = 0
    layer: str = ""
    by_image: bool = True

    @property
    def multiplications(self) -> int:
        """Multiplications for one whole image."""
        return self.cost * (self.map.area if self.map else 1)

    @property
    def pixelwise(self) -> bool:
        """Whether a pixel is made of the pixels in the same place of its inputs, and of no others."""
        return self.kind == "window" and self.fields == (AxisField(), AxisField())

    def bytes_of(self, pixels: int) -> int:
        """Give the size of so many pixels of its map, or of the answers for so many images if it is none."""
        return self.bytes * pixels // (self.map.area if self.map else 1)


@dataclass(frozen=True)
class Graph:
    """The network as steps.

    Attributes
    ----------
    steps : tuple of Step
        In an order in which they can be done, the input first.
    output : str
        The step that has the network's answer.
    layer_inputs, layer_outputs : dict
        For the layers that are read, which step answers what goes into the layer, or what comes out of it.
    """

    steps: tuple[Step, ...]
    output: str
    layer_inputs: Mapping[str, str] = field(default_factory=dict)
    layer_outputs: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """The steps by their names."""
        return {step.name: step for step in self.steps}

    @cached_property
    def last_reads(self) -> dict[str, tuple[str, ...]]:
        """For every step, whose answers nobody reads after it."""
        last_reader = {name: step.name for step in self.steps for name in (step.name, *step.inputs)}
        last_reader.pop(self.output, None)
        last_reads: dict[str, list[str]] = {}
        for name, reader in last_reader.items():
            last_reads.setdefault(reader, []).append(name)
        return {reader: tuple(names) for reader, names in last_reads.items()}

    @property
    def multiplications(self) -> int:
        """Multiplications for one whole image."""
        return sum(step.multiplications for step in self.steps)


StepOutputs = dict[str, Any]
"""Answers of steps by their names."""


def run_graph(graph: Graph, batch: torch.Tensor, outputs: set[str] | None = None) -> StepOutputs:
    """Run all steps on whole images (n, channels, height, width); give the answers of those named (the last alone)."""
    outputs = {graph.output} if outputs is None else outputs
    first = graph.steps[0]
    answers: StepOutputs = {first.name: batch.contiguous(memory_format=torch.channels_last)}
    stored = {name: answers[name] for name in outputs & {first.name}}
    for step in follow(graph, graph.steps[1:], answers, len(batch)):
        if step.name in outputs:
            stored[step.name] = answers[step.name]
    return stored


def follow(graph: Graph, steps: Iterable[Step], answers: StepOutputs, count: int) -> Iterator[Step]:
    """Do steps on whole answers, and say when each is done; answers that nobody reads any more are dropped after that."""
    for step in steps:
        if step.operator is None:
            answers[step.name] = count
        else:
            answers[step.name] = step.operator.whole([answers[name] for name in step.inputs])
        yield step
        for name in graph.last_reads.get(step.name, ()):
            del answers[name]


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
    read : set
        Nodes whose answers are read by others than the steps, so that what follows them must not be folded into their steps.
    repeatable : bool
        Whether every process must compute the same to the last bit, so that nothing is left to a measurement of time.
    batch : torch.SymInt or aten.PerImage
        The number of images.
    """

    def __init__(self, read: Collection[fx.Node] = (), *, repeatable: bool = False) -> None:
        self.read = frozenset(read)
        self.repeatable = repeatable
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
        (shape,) = aten.shapes_of(node)
        self.batch = shape[0]
        shape = self.answered_map(node, CHANNELS_FIRST)
        self.add(node, self.make_step(node, None, kind="input", inputs=(), map=shape))

    def read_once(self, node: fx.Node) -> bool:
        """Whether one other node and nobody else reads the answer of a node, so that it can be folded into its step."""
        return len(node.users) == 1 and node not in self.read

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
        by_image = (
            isinstance(value, torch.Tensor)
            and value.ndim > 0
            and aten.same_length(aten.shapes_of(node)[0][0], self.batch)
        )
        shape = None
        if isinstance(value, torch.Tensor) and value.ndim == 4 and by_image:
            layouts = [step.map.axes for step in map(self.steps.__getitem__, inputs) if step.map is not None]
            kind, shape = "everywhere", self.answered_map(node, layouts[0] if layouts else CHANNELS_FIRST)
        cost = self._multiplications(node) // (shape.area if shape else 1)
        return self.make_step(node, call, kind=kind, inputs=inputs, map=shape, cost=cost, by_image=by_image)

    def _multiplications(self, node: fx.Node) -> int:
        """Give the multiplications of a convolution or of linear layers for one image, none for anything else."""
        name = aten.name_of(node)
        if not isinstance(node.meta.get("val"), torch.Tensor):
            return 0
        (shape,) = aten.shapes_of(node)
        constants = [self.constant(source) for source in node.all_input_nodes]
        weights = sum(weight.numel() for weight in constants if isinstance(weight, torch.Tensor) and weight.ndim > 1)
        if name == "linear" or "multi_head_attention" in name or "transformer_encoder" in name:
            return weights * _fixed(shape[1:-1])
        if name.startswith("conv"):
            source = node.args[0]
            if "transpose" in name and isinstance(source, fx.Node):
                (shape,) = aten.shapes_of(source)
            return weights * _fixed(shape[2:])
        return 0


def _layer_of(node: fx.Node) -> str:
    """Give the name of the layer that a node belongs to."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack and "metadata_hook" not in str(stack[-1][0]) else ""


def _bytes_for_one_image(node: fx.Node) -> int:
    """Give the bytes of a node's answer for one image, whether or not the images are an axis of their own."""
    value = node.meta.get("val")
    values = value if isinstance(value, tuple | list) else [value]
    tensors = [tensor for tensor in values if isinstance(tensor, torch.Tensor)]
    return sum(
        _fixed(shape) * prod(aten.traced_length(length, TRACED) for length in shape) // TRACED * tensor.element_size()
        for shape, tensor in zip(aten.shapes_of(node) if tensors else (), tensors, strict=True)
    )


def _fixed(lengths: Any) -> int:
    """Multiply those lengths that do not depend on the number of images."""
    return prod(length for length in lengths if not aten.hangs_on_images(length))
