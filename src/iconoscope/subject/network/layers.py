"""The layers of a network: their names, what they are, and what shape they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iconoscope.errors import UnitError
from iconoscope.subject.activation_layout import read_maps
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
        What it answers to one image, as `read_maps` orders it: (channels, rows, columns), (channels, tokens) or (channels,);
        empty if no unit of it can be asked.
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

    if network.opaque:
        return []
    batch = network.blank()
    found: dict[str, Layer] = {}
    handles = []

    def listen(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            try:
                shape = tuple(int(side) for side in read_maps(output, module, batch, name).shape[1:])
            except UnitError:  # a list is a list; whoever asks such a layer is told why it cannot be asked
                shape = ()
            weights = sum(parameter.numel() for parameter in module.parameters())
            found.setdefault(name, Layer(name, type(module).__name__, shape, weights))

        return hook

    try:
        for name, module in network.module.named_modules():
            if name:
                handles.append(module.register_forward_hook(listen(name)))
        with network.questioned(), torch.inference_mode():
            network.run(batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())
