"""The layers of a network: their names, what they are, and what shape they answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iconoscope.errors import UnitError
from iconoscope.signatures import checked
from iconoscope.subject.activation_layout import read_maps
from iconoscope.subject.network.network import Network

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


@checked
def layers(network: Network, *, filters: str | Path | None = None) -> list[Layer]:
    """List the layers that answer when the network runs, in the order in which they do.

    Parameters
    ----------
    network
        The network.
    filters
        Where to write the filters of the first convolution as a figure: a name ending in .png, .pdf, .svg, .jpg or .webp.

    Raises
    ------
    UnitError
        If `filters` are asked of a network that has no convolution.

    Examples
    --------
    >>> from iconoscope.subject.network import load_network
    >>> layers(load_network("cars", device="cpu"))[-1].shape
    (2,)
    """
    import torch

    from iconoscope.subject.network.filters import first_filters
    from iconoscope.subject.probe import LayerCall, watching

    if filters is not None:
        first_filters(network, out=filters)
    if network.opaque:
        return []
    batch = network.blank()
    by_name: dict[str, Layer] = {}

    def note(call: LayerCall) -> None:
        try:
            shape = tuple(int(side) for side in read_maps(call.output, call.module, batch, call.name).shape[1:])
        except UnitError:  # a list is a list; whoever asks such a layer is told why it cannot be asked
            shape = ()
        weights = sum(parameter.numel() for parameter in call.module.parameters())
        by_name.setdefault(call.name, Layer(call.name, type(call.module).__name__, shape, weights))

    names = [name for name, _ in network.module.named_modules() if name]
    with network.questioned(steady=False), watching(network, names, note), torch.inference_mode():
        network.run(batch)
    return list(by_name.values())
