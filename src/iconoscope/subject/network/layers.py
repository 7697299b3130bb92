"""The layers of a network: their names, what they are, and what shape they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iconoscope.subject.network.network import Network

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Layer", "layers"]


@dataclass(frozen=True)
class Layer:
    """A named part of a network.

    Attributes
    ----------
    name : str
        As ``named_modules()`` has it: what units are asked by.
    kind : str
        The name of its class.
    shape : tuple of int
        What it answers to one image: (channels, rows, columns) or (channels,); empty if it does not answer one tensor.
    parameters : int
        Number of weights in it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def layers(network: Network) -> list[Layer]:
    """List the layers that answer when the network runs, in the order in which they do.

    Parameters
    ----------
    network
        The network.

    Examples
    --------
    >>> from iconoscope.subject.network import load_network
    >>> layers(load_network("cars", device="cpu"))[-1].shape
    (2,)
    """
    import torch

    found: dict[str, Layer] = {}
    handles = []

    def listen(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            shape = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else ()
            weights = sum(parameter.numel() for parameter in module.parameters())
            found.setdefault(name, Layer(name, type(module).__name__, shape, weights))

        return hook

    try:
        for name, module in network.module.named_modules():
            if name:
                handles.append(module.register_forward_hook(listen(name)))
        with network.questioned(), torch.inference_mode():
            height, width = network.preprocessing.size
            network.run(torch.zeros(1, len(network.preprocessing.mean), height, width, device=network.device))
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())
