"""The answer of a network that is asked about a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iconoscope.errors import NonFiniteError
from iconoscope.subject.activation_layout import place_at, read_maps, tensor_of
from iconoscope.subject.network.network import Network
from iconoscope.vocabulary.resolver import check_channel
from iconoscope.vocabulary.unit import ClassUnit, LayerUnit, Unit

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Response", "activations", "respond", "responding"]


@dataclass(frozen=True)
class Response:
    """The answers to a batch.

    Attributes
    ----------
    values : torch.Tensor
        (images, outputs), float32.
    names : tuple of str
        The outputs: the network's classes; or the layer's channels; or, for a whole layer, the layer itself.
    target : int or None
        The output that the unit names.
    measure : str
        What the values are, in words.
    logits : torch.Tensor or None
        (images, classes), float32: what the probabilities of classes were made of.
    """

    values: torch.Tensor
    names: tuple[str, ...]
    target: int | None
    measure: str
    logits: torch.Tensor | None = None


def respond(network: Network, batch: torch.Tensor, unit: Unit) -> Response:
    """Ask a resolved unit about a batch of normalised input (n, channels, height, width).

    A probability or a logit comes with those of all other classes, a channel with all channels of its layer, since they
    cost nothing more. A channel answers with the mean of its map or over all tokens, a neuron with its activation, a whole
    layer with the mean of the squares of its activations.

    Raises
    ------
    UnitError
        If the layer has no such channel or position, or is not one of maps or vectors.
    NonFiniteError
        If an answer is NaN or infinite.
    """
    if isinstance(unit, ClassUnit):
        logits = network.logits(batch).float()
        if unit.kind == "logit":
            return Response(logits, network.classes, unit.index, "logit")
        return Response(network.probabilities(logits), network.classes, unit.index, "probability", logits)
    maps = activations(network, batch, unit.layer).float()
    check_channel(unit, maps.shape[1])
    response = _read(maps, unit, (int(batch.shape[2]), int(batch.shape[3])))
    if not bool(response.values.isfinite().all()):
        raise NonFiniteError(f"{unit} of {network.name} answers NaN or infinity.")
    return response


def responding(network: Network, unit: LayerUnit) -> nn.Module:
    """Give a module that answers as `respond` does, (images, outputs), for tracing; it shares the network's weights."""
    from iconoscope.subject.probe import LayerCall, watching

    def answer(batch: torch.Tensor) -> torch.Tensor:
        # To the end: a trace cannot be left half way, and what nobody reads is dropped from it.
        maps: list[torch.Tensor] = []

        def keep(call: LayerCall) -> None:
            maps.append(read_maps(tensor_of(call.output).clone(), call.module, batch, unit.layer))

        with watching(network, [unit.layer], keep):
            network.module(batch)
        return _read(maps[0], unit, (int(batch.shape[2]), int(batch.shape[3]))).values

    return network.traceable(answer)


def _read(maps: torch.Tensor, unit: LayerUnit, size: tuple[int, int]) -> Response:
    if unit.channel is None:
        return Response(maps.flatten(1).square().mean(1, keepdim=True), (unit.layer,), 0, "mean square of activations")
    if unit.position is None:
        values, measure = maps.flatten(2).mean(2) if maps.ndim > 2 else maps, "mean activation"
    else:
        values, measure = maps[(..., *place_at(maps.shape, unit.layer, unit.position, size))], "activation"
    names = tuple(str(LayerUnit(unit.layer, channel, unit.position)) for channel in range(maps.shape[1]))
    return Response(values, names, unit.channel, measure)


def activations(network: Network, batch: torch.Tensor, layer: str) -> torch.Tensor:
    """Run the network as far as a layer and give a copy of what the layer answers, as `read_maps` orders it."""
    from iconoscope.subject.probe import probe

    with probe(network, [layer]) as read:
        return read(batch)[layer]
