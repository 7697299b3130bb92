"""Which units feed which, and by what weights: read off one pass of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.subject.activation_layout import tensor_of
from iconoscope.subject.batch_norm import scale_and_shift
from iconoscope.subject.network.network import Network

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Connection", "connections"]


@dataclass(frozen=True, eq=False)
class Connection:
    """The weights of a convolution or of a linear layer.

    Attributes
    ----------
    layer
        Its name.
    sources
        Layers whose channels go into it, as they are or through a norm, an activation or a pooling.
    targets
        Layers whose channels are what comes out of it: itself, the norm and the activation behind it, the block that ends with
        them, up to the next layer that has weights.
    weights : ndarray of float32, (outputs, inputs)
        The sums of the kernels, times what a batch norm behind it multiplies each output by.
    kernels : ndarray of float32, (outputs, numbers)
        All weights of each output.
    """

    layer: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    weights: NDArray[np.float32]
    kernels: NDArray[np.float32]


@dataclass(eq=False)
class _Call:
    """A layer that has answered: what it was given, and what it answered."""

    name: str
    module: nn.Module
    input: Any
    output: Any

    @property
    def channels(self) -> int:
        """The number of channels of its answer; 0 if that is no batch of them."""
        shape = [int(side) for side in getattr(self.output, "shape", ())]
        return shape[1] if len(shape) in (2, 4) else 0


def connections(network: Network) -> list[Connection]:
    """Give the weights between the layers of a network, in the order in which they are used.

    What goes into a layer is known by its being the very tensor that another answered; where a function that is no module lies
    between, it is what the layers just before it answered, if that has as many channels.

    Examples
    --------
    >>> from iconoscope.subject.network import load_network
    >>> first, second, *_ = connections(load_network("cars", device="cpu"))
    >>> second.layer, "relu1" in second.sources, "relu2" in second.targets, second.weights.shape
    ('conv2', True, True, (32, 16))
    """
    calls = [] if network.opaque else _calls(network)
    weighted = [index for index, call in enumerate(calls) if _is_weighted(call.module)]
    connected: list[Connection] = []
    sources_of: dict[int, tuple[str, ...]] = {}  # by the identity of what goes in
    for position, index in enumerate(weighted):
        call = calls[index]
        after = weighted[position + 1] if position + 1 < len(weighted) else len(calls)
        before = weighted[position - 1] if position else 0
        outputs, inputs = _sides(call.module)
        sources = sources_of.setdefault(id(call.input), _sources(call, calls[:index], since=before, inputs=inputs))
        for producer in connected:  # its channels stay what they are through norm, activation and pooling
            if set(producer.targets) & set(sources):
                sources = tuple(dict.fromkeys((*sources, *producer.targets)))
        behind = [other for other in calls[index:after] if other.channels == outputs]
        weights, kernels = _read(call.module, _scale([other.module for other in behind]))
        targets = tuple(other.name for other in behind)
        connected.append(Connection(call.name, sources, targets, weights, kernels))
    number = {call.name: index for index, call in enumerate(calls)}
    return sorted([*connected, *_joined(calls, connected)], key=lambda connection: number[connection.layer])


def _joined(calls: list[_Call], connected: list[Connection]) -> list[Connection]:
    """Give the weights of layers that put side by side what some before them answer, as the Fire modules of SqueezeNet do.

    That they do is seen in their answer.
    """
    import torch

    number = {call.name: index for index, call in enumerate(calls)}
    connected_names = {name for connection in connected for name in connection.targets}
    joined: list[Connection] = []
    for index, call in enumerate(calls):
        if call.name in connected_names or not call.channels:
            continue
        parts: list[Connection] = []
        for connection in reversed([other for other in connected if other.targets and number[other.layer] < index]):
            parts.insert(0, connection)
            if sum(len(part.weights) for part in parts) >= call.channels:
                break
        answers = [_last_answer(calls[number[part.layer] : index], len(part.weights)) for part in parts]
        alike = len({part.sources for part in parts}) == 1 and len({answer.shape[2:] for answer in answers}) == 1
        if len(parts) > 1 and alike and torch.equal(torch.cat(answers, 1), call.output):
            following = next((i for i in range(index, len(calls)) if _is_weighted(calls[i].module)), len(calls))
            targets = tuple(other.name for other in calls[index:following] if other.channels == call.channels)
            weights = np.concatenate([part.weights for part in parts])
            joined.append(Connection(call.name, parts[0].sources, targets, weights, weights))
            connected_names |= {*targets}
    return joined


def _last_answer(calls: list[_Call], channels: int) -> Any:
    """Give what comes out of a layer, the first of the calls, and of what handles its channels up to the next with weights."""
    ends = (index for index, call in enumerate(calls[1:], 1) if _is_weighted(call.module))
    return [call.output for call in calls[: next(ends, len(calls))] if call.channels == channels][-1]


def _calls(network: Network) -> list[_Call]:
    """Run the network once, and note every layer that answers."""
    import torch

    from iconoscope.subject.probe import LayerCall, watching

    calls: list[_Call] = []

    def note(call: LayerCall) -> None:
        first_input = call.inputs[0] if call.inputs else None
        calls.append(_Call(call.name, call.module, first_input, tensor_of(call.output)))

    names = [name for name, _ in network.module.named_modules() if name]
    with network.questioned(steady=False), watching(network, names, note), torch.inference_mode():
        network.run(torch.rand(*network.blank().shape, generator=torch.Generator().manual_seed(0)).to(network.device))
    return calls


def _sources(call: _Call, earlier: list[_Call], *, since: int, inputs: int) -> tuple[str, ...]:
    """Give the names of whatever answered what a layer is given: a layer, and the block that it ends."""
    input_tensor = call.input
    if not any(other.output is input_tensor for other in earlier):
        flat = hasattr(call.module, "out_features")  # a linear layer may be given maps, one place after another
        fitting = [
            other
            for other in earlier[since:]
            if other.channels == inputs or (flat and other.channels and inputs % other.channels == 0)
        ]
        input_tensor = fitting[-1].output if fitting else None
    return () if input_tensor is None else tuple(other.name for other in earlier if other.output is input_tensor)


def _is_weighted(module: nn.Module) -> bool:
    from torch import nn

    return isinstance(module, nn.Conv2d | nn.Linear)


def _sides(module: Any) -> tuple[int, int]:
    """Give the numbers of outputs and of inputs."""
    return (
        tuple(module.weight.shape[:2]) if hasattr(module, "out_features") else (module.out_channels, module.in_channels)
    )


def _scale(behind: list[nn.Module]) -> NDArray[np.float32] | None:
    """Give what the first batch norm behind a layer multiplies its outputs by; None without one."""
    from torch import nn

    norm = next((module for module in behind[1:2] if isinstance(module, nn.BatchNorm2d)), None)
    if norm is None or norm.running_mean is None or norm.running_var is None:
        return None
    scale, _ = scale_and_shift(norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps)
    return scale.detach().float().cpu().numpy()


def _read(module: Any, scale: NDArray[np.float32] | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weight = module.weight.detach().float().cpu().numpy()
    kernels = weight.reshape(len(weight), -1)
    sums = weight.reshape(*weight.shape[:2], -1).sum(2)
    groups = getattr(module, "groups", 1)
    if groups > 1:  # every output reads the inputs of its own group alone
        outputs, inputs = _sides(module)
        dense = np.zeros((outputs, inputs), np.float32)
        for output in range(outputs):
            first = output // (outputs // groups) * (inputs // groups)
            dense[output, first : first + inputs // groups] = sums[output]
        sums = dense
    return (sums if scale is None else sums * scale[:, None]), kernels
