"""From a module to a graph of torch's operators, by two passes of a few images: what differs between them hangs on how many.

torch.export does it too, with symbols for lengths, and is asked where this here cannot; but it takes a second to be imported,
and half a second more for a small network. Here every operator that a pass calls is noted as the dispatcher hands it over. What
is the same in both passes is a constant of the network; a number that grew with the images is so many times their number.
Pictures are of one colour, another one in each pass, and convolutions and linear layers answer one number everywhere: they
would take nearly all the time, and what a network does must not hang on what it sees.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules import module as modules

from iconoscope.subject.activation_layout import tensor_of
from iconoscope.subject.captured import aten
from iconoscope.subject.captured.graph import TRACED
from iconoscope.subject.dispatcher import operation_calls
from iconoscope.subject.probe import FunctionCalls

__all__ = ["Trace", "TraceError", "trace"]

MORE = 3
"""Images of the second pass."""

LARGEST = 2**29
"""Bytes of the maps of a pass, which are all held; of larger ones torch.export asks no numbers."""

_OUT_OF_TORCH = {"numpy", "tolist", "__array__", "__dlpack__", "data_ptr", "__repr__"}
"""Ways in which numbers leave torch without an operator that could be noted: what becomes of them is not seen. There are more,
as by another thread; so every image's answer is compared (`agreement.py`)."""


class TraceError(Exception):
    """The module cannot be traced so; the message says why, in a few words."""


@dataclass(frozen=True)
class Trace:
    """What a module computes.

    Attributes
    ----------
    graph : fx.Graph
        Its operators. The first placeholder is the images, the others are what is the same for all.
    constants : dict
        The values of the other placeholders.
    inputs, outputs : dict
        By the names of the layers, which node is the first argument of each, and which is its answer (the first tensor of it),
        at its first call. Layers for which these are no tensors made of the images are not among them.
    """

    graph: fx.Graph
    constants: dict[fx.Node, Any]
    inputs: dict[str, fx.Node] = field(default_factory=dict)
    outputs: dict[str, fx.Node] = field(default_factory=dict)


@dataclass(frozen=True)
class _Call:
    """One call of an operator, with every tensor as the place of its value among those of the pass."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    answers: tuple[int, ...]
    several: bool
    layer: str


@dataclass(frozen=True)
class _Value:
    """In the arguments of a call: the place of the tensor that stands there."""

    place: int


@dataclass
class _Pass:
    """One pass: its calls in their order, and all tensors that it met.

    Attributes
    ----------
    number
        What heavy operators answer everywhere.
    calls
        In their order.
    bytes
        Of all tensors that are made of the images.
    values
        All tensors, by their places; the images are the first. That they are held here keeps their identities apart.
    layers
        The layers that the pass is in, the innermost last.
    inputs, outputs
        By the names of the layers, the places of the first argument and of the answer of each, at its first call.
    """

    number: float
    bytes: int = 0
    calls: list[_Call] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    inputs: dict[str, int | None] = field(default_factory=dict)
    outputs: dict[str, int | None] = field(default_factory=dict)
    _places: dict[int, int] = field(default_factory=dict)
    _of_images: set[int] = field(default_factory=set)  # identities of the tensors that are made of the images
    _kept: set[int] = field(default_factory=set)  # the memory of the network's own tensors

    def add(self, tensor: torch.Tensor, *, of_images: bool) -> int:
        """Note a tensor as it is now, and give its place."""
        self._places[id(tensor)] = len(self.values)
        self.values.append(tensor)
        if of_images:
            self._of_images.add(id(tensor))
            self.bytes += tensor.numel() * tensor.element_size()
            if self.bytes > LARGEST:
                raise TraceError("its maps are too large to be held")
        return len(self.values) - 1

    def reads_images(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is made of the images."""
        return id(tensor) in self._of_images

    def place(self, tensor: torch.Tensor) -> int:
        """Give the place of a tensor; what was not met before is the network's own."""
        if id(tensor) in self._places:
            return self._places[id(tensor)]
        self._kept.add(tensor.untyped_storage().data_ptr())
        return self.add(tensor, of_images=False)

    def given(self, layer: str, given: Any) -> None:
        """Note what a layer is given, as it is now."""
        self.inputs.setdefault(layer, self._place_of_images(given))

    def answered(self, layer: str, answer: Any) -> None:
        """Note what a layer answers, as it is now: what follows may write into it."""
        self.outputs.setdefault(layer, self._place_of_images(tensor_of(answer)))

    def _place_of_images(self, value: Any) -> int | None:
        return self.place(value) if isinstance(value, torch.Tensor) and self.reads_images(value) else None

    def call(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an operator, and note it."""
        tensors = [leaf for leaf in _leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        of_images = any(map(self.reads_images, tensors))
        noted = _mapped((tuple(args), dict(kwargs)), self._noted)
        self._check(operation, args, kwargs, of_images)
        answer = self._light(operation, args, kwargs) if of_images and not kwargs else None
        answer = operation(*args, **kwargs) if answer is None else answer
        answers = list(answer) if isinstance(answer, tuple | list) else [answer]
        if not answers or not all(isinstance(tensor, torch.Tensor) for tensor in answers):
            if of_images:
                raise TraceError(f"{operation} answers what hangs on the images and is no tensor")
            return answer
        places = tuple(self.add(tensor, of_images=of_images) for tensor in answers)
        layer = self.layers[-1] if self.layers else ""
        several = isinstance(answer, tuple | list)
        self.calls.append(_Call(operation, noted[0], noted[1], places, several, layer))
        return answer

    def _light(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
        """Give what stands for the answer of a convolution or of a linear layer; None for any other operator."""
        if operation is torch.ops.aten.conv2d.default:
            x, weight = args[:2]
            # The last are left out where they are as they mostly are.
            stride, padding, dilation = (*args[3:6], *(1, 0, 1)[max(0, len(args) - 3) :])
            lengths = [
                (length + 2 * pad - spread * (extent - 1) - 1) // step + 1
                for length, pad, spread, extent, step in zip(
                    x.shape[2:], _pair(padding), _pair(dilation), weight.shape[2:], _pair(stride), strict=True
                )
            ]
            return x.new_full((len(x), len(weight), *lengths), self.number)
        if operation is torch.ops.aten.linear.default:
            x, weight = args[:2]
            return x.new_full((*x.shape[:-1], len(weight)), self.number)
        return None

    def _check(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], of_images: bool) -> None:
        """Refuse what cannot be told from one call, and what writes into tensors that the network keeps."""
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & {*operation.tags} and of_images:
            raise TraceError(f"what {operation} answers hangs on what the images show")
        if not aten.is_mutable(operation):
            return
        written = args[0] if args else None
        if not isinstance(written, torch.Tensor) or kwargs.keys() & {"out", "out0", "out1"}:
            raise TraceError(f"{operation} writes into what is not its first argument")
        if self.reads_images(written) != of_images or written.untyped_storage().data_ptr() in self._kept - {0}:
            raise TraceError(f"{operation} writes into what the network keeps")

    def _noted(self, leaf: Any) -> Any:
        return _Value(self.place(leaf)) if isinstance(leaf, torch.Tensor) else leaf


def trace(module: nn.Module, image: torch.Tensor) -> Trace:
    """Trace a module in evaluation mode, for any number of images (channels, height, width).

    Raises
    ------
    TraceError
        If it does not do the same, whatever the number of images, or does what can be told by numbers alone.
    """
    with FunctionCalls(_staying_in_torch):  # by itself: under it torch's transformers take another way
        _run(module, image, TRACED, 0.5)
    few, outcome = _run(module, image, TRACED, 0.5)
    many, outcome_of_many = _run(module, image, MORE, 1.0)
    if outcome != outcome_of_many or len(few.calls) != len(many.calls) or len(few.values) != len(many.values):
        raise TraceError("what the network does hangs on the number of images")
    return _Comparison(few, many).graph(outcome)


def _staying_in_torch(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a function of torch, unless it hands numbers to others."""
    if getattr(function, "__name__", "") in _OUT_OF_TORCH:
        raise TraceError(f"{function.__name__} takes numbers out of torch")
    return function(*args, **kwargs)


def _run(module: nn.Module, image: torch.Tensor, count: int, number: float) -> tuple[_Pass, int]:
    """Let so many images of one colour pass; give what was called, and the place of the answer."""
    made = _Pass(number)
    with torch.inference_mode():
        images = image.new_full((count, *image.shape), number)
        made.add(images, of_images=True)
        with _layers_noted(module, made), operation_calls(made.call):
            answer = module(images)
    if not isinstance(answer, torch.Tensor) or not made.reads_images(answer):
        raise TraceError("the network does not answer one tensor")
    return made, made.place(answer)


@contextmanager
def _layers_noted(module: nn.Module, made: _Pass) -> Iterator[None]:
    """Tell a pass which layers this thread enters and leaves.

    No layer is given a hook of its own: those of torch's transformers take another way where they have any. Only where a layer
    has hooks of the user's, which run after those for all layers and may change what it is given or answers, is one put behind
    them.
    """
    names, thread = {id(layer): name for name, layer in module.named_modules()}, threading.get_ident()

    def noted(layer: nn.Module) -> bool:
        return threading.get_ident() == thread and id(layer) in names

    def enter(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if noted(layer):
            made.layers.append(names[id(layer)])
            if not layer._forward_pre_hooks:
                given(layer, inputs)

    def given(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if noted(layer):
            made.given(names[id(layer)], next(iter(inputs), None))

    def leave(layer: nn.Module, inputs: tuple[Any, ...], answer: Any) -> None:
        if noted(layer):
            made.layers.pop()
            if not layer._forward_hooks:
                answered(layer, inputs, answer)

    def answered(layer: nn.Module, _: Any, answer: Any) -> None:
        if noted(layer):
            made.answered(names[id(layer)], answer)

    handles = [modules.register_module_forward_pre_hook(enter), modules.register_module_forward_hook(leave)]
    for layer in module.modules():
        if layer._forward_pre_hooks:
            handles.append(layer.register_forward_pre_hook(given))
        if layer._forward_hooks:
            handles.append(layer.register_forward_hook(answered))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Comparison:
    """Makes the graph of what two passes have in common."""

    def __init__(self, few: _Pass, many: _Pass) -> None:
        self._few, self._many = few, many
        self._graph = fx.Graph()
        self._nodes: dict[int, fx.Node] = {}
        self._constants: dict[fx.Node, Any] = {}
        self._counts: dict[int, fx.Node] = {}

    def graph(self, answer: int) -> Trace:
        """Give the graph that answers the tensor at a place."""
        made = {place for call in self._few.calls for place in call.answers}
        images = self._graph.placeholder("images")
        self._describe(images, [0])
        self._nodes[0] = images
        for place, value in enumerate(self._few.values[1:], 1):
            if place not in made:
                if self._many.values[place] is not value:
                    raise TraceError("what the network does hangs on the number of images")
                self._nodes[place] = self._graph.placeholder(f"constant_{place}")
                self._constants[self._nodes[place]] = value.detach()
        for call, other in zip(self._few.calls, self._many.calls, strict=True):
            self._add(call, other)
        self._graph.output((self._nodes[answer],))
        return Trace(self._graph, self._constants, self._layers("inputs"), self._layers("outputs"))

    def _layers(self, side: str) -> dict[str, fx.Node]:
        """Give the nodes that go into layers, or come out of them: those for which both passes say the same."""
        few, many = getattr(self._few, side), getattr(self._many, side)
        return {
            name: self._nodes[place] for name, place in few.items() if place is not None and many.get(name) == place
        }

    def _add(self, call: _Call, other: _Call) -> None:
        if (call.operation, call.answers, call.several) != (other.operation, other.answers, other.several):
            raise TraceError("what the network does hangs on the number of images")
        args, kwargs = self._same((call.args, call.kwargs), (other.args, other.kwargs))
        node = self._graph.call_function(call.operation, args, kwargs)
        self._describe(node, call.answers if call.several else call.answers[:1], several=call.several)
        node.meta["nn_module_stack"] = {call.layer: (call.layer, None)} if call.layer else {}
        if not call.several:
            self._nodes[call.answers[0]] = node
            return
        for index, place in enumerate(call.answers):
            part = self._nodes[place] = self._graph.call_function(operator.getitem, (node, index))
            self._describe(part, [place])
            part.meta["nn_module_stack"] = node.meta["nn_module_stack"]

    def _describe(self, node: fx.Node, places: Sequence[int], *, several: bool = False) -> None:
        """Note what a node answers, and which of the lengths grow with the number of images."""
        values = [self._few.values[place] for place in places]
        node.meta["val"] = tuple(values) if several else values[0]
        node.meta[aten.SHAPES] = [
            _common_shape(self._few.values[place].shape, self._many.values[place].shape) for place in places
        ]

    def _same(self, few: Any, many: Any) -> Any:
        """Give the arguments that stand for both calls: nodes for tensors and for what grows with the number of images."""
        if isinstance(few, _Value) and isinstance(many, _Value) and few.place == many.place:
            return self._nodes[few.place]
        if isinstance(few, tuple | list) and isinstance(many, tuple | list) and len(few) == len(many):
            return type(few)(map(self._same, few, many))
        if isinstance(few, dict) and isinstance(many, dict) and few.keys() == many.keys():
            return {name: self._same(value, many[name]) for name, value in few.items()}
        if type(few) is int and type(many) is int and few != many:
            return self._count(_times(few, many))
        if type(few) is type(many) and few == many:
            return few
        raise TraceError("what the network does hangs on the number of images")

    def _count(self, times: int) -> fx.Node:
        """Give the node that answers so many times the number of images."""
        if 1 not in self._counts:
            after = self._nodes[0]
            with self._graph.inserting_after(after):
                self._counts[1] = self._graph.call_function(torch.ops.aten.sym_size.int, (after, 0))
            self._counts[1].meta["val"] = TRACED
        if times not in self._counts:
            self._counts[times] = self._graph.call_function(operator.mul, (self._counts[1], times))
            self._counts[times].meta["val"] = times * TRACED
        return self._counts[times]


def _times(few: int, many: int) -> int:
    """Give how many times the number of images two numbers are."""
    times = few // TRACED
    if (few, many) != (times * TRACED, times * MORE):
        raise TraceError(f"{few} with {TRACED} images and {many} with {MORE} is no multiple of them")
    return times


def _common_shape(few: torch.Size, many: torch.Size) -> tuple[int, ...]:
    """Give a shape whose lengths that grow with the number of images say so."""
    if len(few) != len(many):
        raise TraceError("what the network does hangs on the number of images")
    return tuple(
        length if length == other else aten.PerImage(_times(length, other) * TRACED)
        for length, other in zip(few, many, strict=True)
    )


def _pair(lengths: Any) -> tuple[int, int]:
    """Give one length as two, or two as they are."""
    pair = [lengths] if isinstance(lengths, int) else [*lengths]
    return pair[0], pair[-1]


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, tuple | list):
        for element in tree:
            yield from _leaves(element)
    elif isinstance(tree, dict):
        for element in tree.values():
            yield from _leaves(element)
    else:
        yield tree


def _mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Give a tree of tuples, lists and dicts with its leaves changed."""
    if isinstance(tree, tuple | list):
        return type(tree)(_mapped(element, change) for element in tree)
    if isinstance(tree, dict):
        return {name: _mapped(element, change) for name, element in tree.items()}
    return change(tree)
