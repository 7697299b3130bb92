"""How a network ends: in logits, in probabilities that it has made of them itself, or in one number for two classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iconoscope.errors import NetworkError
from iconoscope.subject.network.network import Network

__all__ = ["with_its_ending"]


def with_its_ending(network: Network) -> Network:
    """Run a network once, where its modules leave a doubt, and say how its answers are to be read.

    What fails here fails again, with its reason, when the first question is asked.
    """
    import torch
    from torch import nn

    kinds: dict[type[nn.Module], str] = {nn.Softmax: "softmax", nn.Sigmoid: "sigmoid"}
    endings = [] if network.opaque else [module for module in network.module.modules() if type(module) in kinds]
    single = len(network.classes) == 2 and any(
        1 in (getattr(module, "out_features", 0), getattr(module, "out_channels", 0))
        for module in network.module.modules()
    )
    if not (endings or single or (network.opaque and len(network.classes) == 2)):
        return network
    last: list[tuple[nn.Module, Any]] = []
    handles = [
        module.register_forward_hook(lambda module, inputs, output: last.append((module, output))) for module in endings
    ]
    try:
        with network.questioned(), torch.inference_mode():
            answer = network.answer(network.blank())
    except NetworkError:
        return network
    finally:
        for handle in handles:
            handle.remove()
    if last and torch.equal(answer, last[-1][1]):
        ending = kinds[type(last[-1][0])]
        network = replace(network, ending=ending)
        if network.activation_origin == "usual":
            network = replace(network, activation=ending, activation_origin=f"the network, which ends in a {ending}")
    if len(network.classes) == 2 and answer.shape[1:].numel() == 1 and network.activation_origin == "usual":
        network = replace(
            network, activation="sigmoid", activation_origin="the network, which has one output for two classes"
        )
    return network
