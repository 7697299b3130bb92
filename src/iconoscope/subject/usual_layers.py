"""The layers of a network that are asked where nobody names any: what comes out of its blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

import torch
from torch import nn

from iconoscope.errors import UnitError
from iconoscope.subject.activation_layout import read_maps, tensor_of
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LayerCall, watching

__all__ = ["LayerAnswer", "layer_answers", "usual_among"]

_NO_NEW_UNITS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Flatten,
    nn.Identity,
)
"""Layers whose units say nothing that those before them did not say."""
_GATES = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax)
"""Layers that are never below zero because they weigh others."""
_SMOOTH = r"(Quick)?(SiLU|Swish|GELU|Mish|ELU|Hardswish|HardSwish|LeakyReLU|PReLU|StarReLU)(Tanh|Activation)?"
"""Activations that stand where others have ReLUs, by name, since libraries have classes of their own."""


@dataclass(frozen=True)
class LayerAnswer:
    """A layer's answer to noise.

    Attributes
    ----------
    shape : tuple of int
        Of its answer to one image, the channels first.
    positive : bool
        Whether it was never below zero.
    handed_on : str
        Whose answer it hands on as it is.
    refusal : str
        Why no unit of it can be asked, if so.
    """

    shape: tuple[int, ...]
    positive: bool = False
    handed_on: str = ""
    refusal: str = ""


def layer_answers(network: Network) -> tuple[dict[str, LayerAnswer], torch.Tensor]:
    """Show a network in evaluation mode noise once, and look at every layer's answer; give the logits with them."""
    noise = torch.randn(
        2,
        network.channels,
        *network.preprocessing.size,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float32,
    )
    batch = noise[: 1 if network.singly else 2].to(network.device)
    answers: dict[str, LayerAnswer] = {}
    first_layer: dict[int, str] = {}  # by the identity of a tensor, the layer that answered it first
    alive: list[torch.Tensor] = []  # so that no two have the same id

    def look(call: LayerCall) -> None:
        if call.name in answers:
            return
        try:
            maps = read_maps(call.output, call.module, batch, call.name)
        except UnitError as error:
            answers[call.name] = LayerAnswer((), refusal=error.message)
            return
        output = tensor_of(call.output)
        alive.append(output)
        handed_on = first_layer.setdefault(id(output), call.name)
        shape = tuple(int(side) for side in maps.shape[1:])
        positive = bool((output >= 0).all())
        answers[call.name] = LayerAnswer(shape, positive, handed_on if handed_on != call.name else "")

    names = [] if network.opaque else [name for name, _ in network.module.named_modules() if name]
    with watching(network, names, look), torch.inference_mode():
        logits = network.logits(batch)
    return answers, logits


def usual_among(network: Network, answers: dict[str, LayerAnswer]) -> list[str]:
    """Give the layers that are asked where nobody names any, in the order in which they answer."""
    modules = dict(network.module.named_modules())
    shapes = {name: answer.shape for name, answer in answers.items() if len(answer.shape) > 1}
    fitting = [
        name
        for name, shape in shapes.items()
        if answers[name].positive
        and len(shape) == 3
        and not answers[name].handed_on
        and not isinstance(modules[name], (*_NO_NEW_UNITS, *_GATES))
    ]
    # A ReLU that works in place hands on its convolution's tensor, and is the one that is meant; one behind a linear layer is
    # none of these, in place or not.
    fitting += [
        name
        for name in shapes
        if answers[name].handed_on and isinstance(modules[name], nn.ReLU | nn.ReLU6) and answers[name].positive
    ]
    # Maps of one place are those of squeeze and excitation, or come after the pooling.
    fitting = [name for name in fitting if prod(shapes[name][1:]) > 1] or fitting
    outer = [name for name in answers if name in fitting and not any(name.startswith(f"{other}.") for other in fitting)]
    return (
        outer
        or [name for name in shapes if _widens(name, modules)]
        or [
            name
            for name in shapes
            if re.fullmatch(_SMOOTH, type(modules[name]).__name__) and prod(shapes[name][1:]) > 1
        ]
        or [name for name in shapes if isinstance(modules[name], nn.Conv2d)]
        or [name for name in shapes if not any(True for _ in modules[name].children())]
    )


def _widens(name: str, modules: dict[str, nn.Module]) -> bool:
    """Tell whether it is the first layer of a multilayer perceptron, as in transformers: its features are the neurons."""
    module, around = modules[name], type(modules[name.rpartition(".")[0]]).__name__
    return isinstance(module, nn.Linear) and module.out_features >= 2 * module.in_features and "Att" not in around
