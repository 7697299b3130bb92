"""The end of a network: in logits, in probabilities that it has made of them itself, or in one number for two classes."""

from __future__ import annotations

from dataclasses import replace

from iconoscope.errors import NetworkError
from iconoscope.subject.network.network import Network

__all__ = ["with_its_ending"]


def with_its_ending(network: Network) -> Network:
    """Run a network once, where its modules leave a doubt, and say how its answers are to be read.

    What fails here fails again, with its reason, when the first question is asked.
    """
    import torch
    from torch import nn

    from iconoscope.subject.probe import LayerCall, watching

    activations: dict[type[nn.Module], str] = {nn.Softmax: "softmax", nn.Sigmoid: "sigmoid"}
    modules = {} if network.opaque else dict(network.module.named_modules())
    endings = [name for name, module in modules.items() if type(module) in activations]
    single = len(network.classes) == 2 and any(
        1 in (getattr(module, "out_features", 0), getattr(module, "out_channels", 0))
        for module in network.module.modules()
    )
    if not (endings or single or (network.opaque and len(network.classes) == 2)):
        return network
    calls: list[LayerCall] = []
    try:
        with network.questioned(), watching(network, endings, calls.append), torch.inference_mode():
            answer = network.answer(network.blank())
    except NetworkError:
        return network
    usual = network.activation_origin == "usual"
    if calls and torch.equal(answer, calls[-1].output):
        ending = activations[type(calls[-1].module)]
        network = replace(network, ending=ending)
        if usual:
            origin = f"the network, which ends in a {ending}"
            return replace(network, activation=ending, activation_origin=origin)
    elif usual and len(network.classes) == 2 and answer.shape[1:].numel() == 1:
        return replace(
            network, activation="sigmoid", activation_origin="the network, which has one output for two classes"
        )
    return network
