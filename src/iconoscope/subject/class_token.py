"""The last layers of a transformer that answers by its class token: what they compute for all other tokens is never read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from iconoscope.errors import NetworkError
from iconoscope.subject.network import Network

if TYPE_CHECKING:
    import torch

__all__ = ["class_token_alone", "layers_of_class_token"]

TRIED = 8
"""Layers that are tried, the last that multiply tokens: those of one block."""

TOLERANCE = 1e-5
"""Of the largest logit: what the answer may differ by where a layer is given the class token alone."""


def layers_of_class_token(network: Network, picture: torch.Tensor) -> tuple[str, ...]:
    """Give the last layers that may be given the first token alone: the answer stays what it is.

    What such a layer answers for one token is added to all tokens of a residual branch. So the others are not what they were,
    and the answer is the same only where none of them is read; of the first nothing changes. Each layer is tried on the
    network, with those before it that were found already.

    Parameters
    ----------
    network
        Under a question, in inference mode.
    picture
        (1, channels, height, width), normalised; not blank, or all tokens might be alike.
    """
    from iconoscope.subject.probe import LayerCall, watching

    calls: dict[str, None] = {}

    def look(call: LayerCall) -> None:
        if call.inputs and getattr(call.inputs[0], "ndim", 0) == 3 and call.inputs[0].shape[1] > 1:
            calls.setdefault(call.name)

    with watching(network, _multiplying(network), look, before_call=True):
        clean = network.answer(picture).float()
    narrowed: list[str] = []
    for layer in list(calls)[-TRIED:]:
        if any(layer.startswith(f"{outer}.") for outer in narrowed):
            continue
        try:
            with class_token_alone(network, (*narrowed, layer)):
                answer = network.answer(picture).float()
        except NetworkError:  # attention that wants as many tokens as there were
            continue
        if answer.shape == clean.shape and float((answer - clean).abs().max()) <= TOLERANCE * float(clean.abs().max()):
            narrowed.append(layer)
    return tuple(narrowed)


def class_token_alone(network: Network, layers: tuple[str, ...]) -> AbstractContextManager[None]:
    """Give some layers the first token alone, for the time of a block."""
    from iconoscope.subject.probe import changed_inputs

    return changed_inputs(network, dict.fromkeys(layers, lambda tokens: tokens[:, :1]))


def _multiplying(network: Network) -> list[str]:
    """Name the layers in which a linear layer is."""
    from torch import nn

    if network.opaque:
        return []
    named = [name for name, layer in network.module.named_modules() if isinstance(layer, nn.Linear)]
    return [
        name
        for name, _ in network.module.named_modules()
        if name and any(linear == name or linear.startswith(f"{name}.") for linear in named)
    ]
