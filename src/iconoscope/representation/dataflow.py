"""Which function of a network makes each tensor of which others: one pass, watched function by function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from iconoscope.errors import NetworkError
from iconoscope.subject.activation_layout import tensor_of
from iconoscope.subject.network import Network
from iconoscope.subject.probe import FunctionCalls, LayerCall, tensors_in, watching

__all__ = ["Dataflow", "Edit", "Node", "pass_of"]

Edit = Callable[[torch.Tensor], torch.Tensor]
"""From the tensor that goes into a function to the one that goes into it instead."""

SAME_CHANNELS = {
    "relu", "relu_", "relu6", "hardtanh", "gelu", "silu", "leaky_relu", "dropout", "dropout2d", "feature_dropout", "identity",
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "mean", "flatten", "reshape", "view", "squeeze",
    "contiguous", "clone", "batch_norm", "to",
}  # fmt: skip
"""Functions behind which a channel is still that channel, whatever becomes of its values and places."""


@dataclass(eq=False)
class Node:
    """A tensor of the pass.

    Attributes
    ----------
    number : int
        Of the call that made it, in the order of the pass.
    function : str
        What made it: ``conv2d``, ``batch_norm``, ``add``; ``input`` for what the network was given.
    inputs : tuple of Node or None
        The tensors that it was made of, in the order of the arguments; None for one of which nothing is known, as a weight.
    arguments, keywords
        Those of the call; tensors of the pass are None in them, weights stay.
    shape : tuple of int
        Its shape.
    names : list of str
        Layers whose first answer it is, the innermost first.
    blocks : list of str
        Those of them that have layers in them. They come first where one name stands for the tensor: a user knows ``layer3.2``,
        and not the activation in it that answers last.
    passing : list of str
        Layers that hand it on as they were given it, and layers whose later answer it is: asked by their name it is not found.
    readers : int
        How many functions are given it.
    """

    number: int
    function: str
    inputs: tuple[Node | None, ...]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    shape: tuple[int, ...]
    names: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)
    readers: int = 0

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Give an argument of the call by its place or its name."""
        return self.arguments[position] if position < len(self.arguments) else self.keywords.get(name, default)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Layers whose channels are those of this tensor, as they are or by what keeps channels, the nearest first."""
        return self.origin(0)[0]

    def origin(self, channel: int) -> tuple[tuple[str, ...], int]:
        """Give the layers that a channel of this tensor comes from, the nearest first, and its number in them.

        The number is below zero where the channel is none of theirs but was put beside them, as by the shortcuts of ResNet-20.
        """
        names: list[str] = []
        passing: list[str] = []
        node: Node | None = self
        while node is not None:
            names += [*node.blocks, *node.names]
            passing += node.passing
            if node.function == "pad" and not names:
                padded = node.argument(1, "pad", ())
                channel -= padded[4] if len(padded) > 4 else 0
                if not 0 <= channel < (node.inputs[0].shape[1] if node.inputs[0] is not None else 0):
                    return (), -1
            elif not node._keeps_channels:
                break
            node = next((other for other in node.inputs if other is not None), None)
        return tuple(dict.fromkeys([*names, *passing])), channel

    @property
    def _keeps_channels(self) -> bool:
        if self.function == "__getitem__":  # of all images and channels some rows and columns
            index = self.argument(1, "", ())
            return isinstance(index, tuple) and len(index) > 2 and index[:2] == (slice(None), slice(None))
        return self.function in SAME_CHANNELS and len(self.shape) >= 2

    @property
    def channels(self) -> int:
        """The channels of the layer that it comes from; fewer than its own where maps were flattened."""
        if len(self.shape) != 2:
            return self.shape[self.channel_axis]
        node = self
        while node.function in SAME_CHANNELS and not node.names and node.inputs and node.inputs[0] is not None:
            node = node.inputs[0]
        return node.shape[1] if node.shape[1] and self.shape[1] % node.shape[1] == 0 else self.shape[1]

    @property
    def channel_axis(self) -> int:
        """Where its channels are: last in tokens, and in maps that a linear layer or a norm over channels answers."""
        if len(self.shape) != 4:
            return len(self.shape) - 1
        before = next((other for other in self.inputs if other is not None and len(other.shape) == 4), None)
        if before is None or self.function in ("conv2d", "linear", "batch_norm", "layer_norm"):
            return 3 if self.function in ("linear", "layer_norm") else 1
        if self.function == "permute":
            arguments: list[Any] = list(self.arguments[1:]) or [self.keywords["dims"]]
            dims = arguments if len(arguments) > 1 else arguments[0]
            return [axis % 4 for axis in dims].index(before.channel_axis)
        return before.channel_axis


@dataclass(eq=False)
class Dataflow:
    """A pass of a network.

    Attributes
    ----------
    nodes : list of Node
        The tensors, in the order in which they were made.
    answer : Node or None
        What the network answers; None if that cannot be told.
    kept : dict of int to torch.Tensor
        The values of those that were asked for, by their number, as they were when they were made.
    """

    nodes: list[Node]
    answer: Node | None
    kept: dict[int, torch.Tensor]

    def of_layer(self, layer: str) -> Node:
        """Give the first answer of a layer.

        Raises
        ------
        NetworkError
            If it was not reached, or what it answers is not made in the pass.
        """
        node = next((node for node in self.nodes if layer in node.names or layer in node.passing), None)
        if node is None:
            raise NetworkError(f"Of {layer} no answer was seen when the network ran: what feeds it is not known.")
        return node


def pass_of(
    network: Network,
    batch: torch.Tensor,
    *,
    keep: Sequence[int] = (),
    edits: Mapping[int, Edit] | None = None,
) -> Dataflow:
    """Run a network, and note what is made of what.

    Parameters
    ----------
    network
        In evaluation mode.
    batch
        Normalised input; one image is enough.
    keep
        The numbers of tensors whose values are wanted, as an earlier pass has them.
    edits
        By the number of a tensor, what is made of the first tensor that goes into it before it is computed; whoever else reads
        that tensor reads it as it was.
    """
    recorder = _Recorder(frozenset(keep), edits or {})
    names = [name for name, _ in network.module.named_modules() if name]

    begun: dict[str, int] = {}
    answered: set[str] = set()

    def begin(call: LayerCall) -> None:
        begun[call.name] = len(recorder.nodes)

    def note(call: LayerCall) -> None:
        node = recorder.node_of(tensor_of(call.output))
        if node is None:
            return
        if call.name in answered or node.number < begun[call.name]:
            node.passing.append(call.name)
        else:
            node.names.append(call.name)
            if any(True for _ in call.module.children()):
                node.blocks.append(call.name)
        answered.add(call.name)

    with (
        torch.no_grad(),
        watching(network, names, begin, before_call=True),
        watching(network, names, note),
        FunctionCalls(recorder),
    ):
        answer = network.run(batch)
    tensors = list(tensors_in(answer))
    return Dataflow(recorder.nodes, recorder.node_of(tensors[0]) if len(tensors) == 1 else None, recorder.kept)


class _Recorder:
    """A handler of `FunctionCalls` that makes a node of every tensor that is answered."""

    def __init__(self, keep: frozenset[int], edits: Mapping[int, Edit]) -> None:
        self._keep, self._edits = keep, edits
        self._by_id: dict[int, Node] = {}
        self._alive: list[torch.Tensor] = []  # so that no two have the same id
        self.nodes: list[Node] = []
        self.kept: dict[int, torch.Tensor] = {}

    def node_of(self, tensor: Any) -> Node | None:
        return self._by_id.get(id(tensor)) if isinstance(tensor, torch.Tensor) else None

    def __call__(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        edit = self._edits.get(len(self.nodes))
        if edit is not None and isinstance(args[0], torch.Tensor):
            args = (edit(args[0].clone()), *args[1:])
        # Before the call: a function that works in place answers the tensor that it was given.
        inputs = tuple(self.node_of(tensor) for tensor in tensors_in([*args, *kwargs.values()]))
        if edit is not None:
            inputs = (self.nodes[0], *inputs[1:])  # of an edited tensor nothing is read; only its place counts
        answer = function(*args, **kwargs)
        name = getattr(function, "__name__", "").partition(".")[0]
        for tensor in tensors_in(answer):
            arguments = tuple(self._without_tensors(value) for value in args)
            keywords = {key: self._without_tensors(value) for key, value in kwargs.items()}
            node = Node(len(self.nodes), name, inputs, arguments, keywords, tuple(tensor.shape))
            self.nodes.append(node)
            for source in set(filter(None, inputs)):
                source.readers += 1
            self._by_id[id(tensor)] = node
            self._alive.append(tensor)
            if node.number in self._keep:
                self.kept[node.number] = tensor.clone()
        return answer

    def _without_tensors(self, value: Any) -> Any:
        """Leave out tensors of the pass, which would keep all of it in memory; weights stay."""
        if isinstance(value, list | tuple):
            return (
                type(value)(self._without_tensors(inner) for inner in value) if type(value) in (list, tuple) else None
            )
        return None if self.node_of(value) is not None else value
