"""Circuits: what feeds a unit, by its weights and, on an image, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import NetworkError, QuestionError, UnitError, check_counts, warn
from iconoscope.results import Circuit, Question
from iconoscope.results.folders import without_folders
from iconoscope.results.rendering import rgb
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store, answered
from iconoscope.subject.images import load_images
from iconoscope.subject.network import Network
from iconoscope.subject.network.connections import Connection
from iconoscope.vocabulary.resolver import check_channel
from iconoscope.vocabulary.unit import ClassUnit, LayerUnit, Unit

if TYPE_CHECKING:
    import torch

    from iconoscope.representation.arrivals import Arrival, Arrivals
    from iconoscope.representation.dataflow import Dataflow, Edit, Node
    from iconoscope.subject.images import Image

__all__ = ["Feeder", "dataflow", "fed_units", "feeders", "feeds"]

PICTURE = "input"
"""The name of what a network is given, in the names of its channels."""


class Feeder(NamedTuple):
    """A unit that drives another or holds it back: the layers by whose names it goes, its number in them, and the weight."""

    layers: tuple[str, ...]
    channel: int
    weight: float


@checked
def feeds(
    network: Network,
    unit: str | Unit,
    image: Any = None,
    *,
    k: int = 8,
    steps: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> Circuit:
    """Say what feeds a unit: the units before it with the strongest weights and, on an image, what each of them adds.

    Between two activations a network is linear. So a unit's value before its ReLU, or whatever stands there, is a sum: what
    each channel before it adds by its kernel, what a shortcut adds as it is, and a constant; batch norms are taken into the
    weights (Olah et al. 2020, "Zoom In: An Introduction to Circuits"). On an image the sum is exact, and the strongest inputs
    are checked: the network is run with the input's map at zero for this layer.

    Parameters
    ----------
    network
        The network.
    unit
        A channel, a neuron or a logit: layer3.2:17, layer3.2:17@5,3, logit:bird. Of a channel the mean over its map is asked.
    image
        An image; of several the first that can be read, with a warning. Without one only weights are given.
    k
        How many of the strongest are shown.
    steps
        Steps of the pictures made for the unit and these, as in `optimize`; 0 makes none.
    seed
        Of the pictures.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    Circuit
        All inputs, and the strongest with their pictures.

    Raises
    ------
    UnitError
        If there is no such unit, or its value is no sum of weights: behind a pooling, a norm of layers, an attention.
    ImagesError
        If images are given, and none can be read.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> circuit = ico.feeds(net, "conv3:4", ico.demo_images(2, seed=0)[:1], steps=0)
    >>> circuit.inputs[0], bool(abs(circuit.contributions.sum() + circuit.constant - circuit.value) < 1e-4)
    ('relu2:0', True)
    """
    check_figure_name(out)
    check_counts(k=k)
    if not 0 <= (steps or 0) <= 10**6:
        raise QuestionError(f"steps={steps} must be 0 to {10**6:,}.")
    resolved = network.resolve(unit)
    if isinstance(resolved, ClassUnit) and resolved.kind == "prob":
        raise UnitError(f"{resolved} is no sum: all classes share in it.", hint=f"Ask logit:{resolved.name}.")
    if isinstance(resolved, LayerUnit) and resolved.channel is None:
        raise UnitError(f"{resolved} is a whole layer.", hint=f"Ask a channel of it: {resolved}:0.")
    images = None if image is None else load_images(image)
    # One that cannot be read is refused by its own error; of none at all `readable` says so.
    photograph = None if images is None else next(iter(images) if len(images) == 1 else images.readable())
    if images is not None and photograph is not None and len(images) > 1:
        warn(f"What feeds a unit is said of one image: of {len(images):,} {without_folders(photograph.id)} is asked.")
    question = Question(
        technique="feeds",
        network=network.name,
        weights=network.digest(),
        subject="its weights" if photograph is None else photograph.id,
        pixels="" if photograph is None else network.preprocessing.digest_of(photograph),
        unit=str(resolved),
        settings={
            "preprocessing": network.preprocessing.to_json(),
            "classes": network.classes_digest,
            "k": k,
            "steps": steps,
            "seed": seed,
        },
        version=__version__,
    )

    def ask() -> Circuit:
        return _circuit(network, resolved, photograph, question, k=k, steps=steps, seed=seed)

    return answered(question, Circuit, ask, store=store, out=out, witness=network.witness)


def dataflow(network: Network) -> Dataflow:
    """Give how a network computes, as `feeders` reads it: one pass of it.

    Raises
    ------
    UnitError
        If its layers cannot be asked, as those of TorchScript.
    """
    from iconoscope.representation.dataflow import pass_of

    if network.opaque:
        raise UnitError(f"{network.name} is TorchScript, whose layers cannot be asked.", hint="Load it from Python.")
    with network.questioned():
        return pass_of(network, network.blank())


def feeders(network: Network, flow: Dataflow, unit: Unit) -> list[Feeder]:
    """Give all units that feed a unit, with their weights, also through a pooling; nothing where that is not known."""
    try:
        located = _located(network, flow, unit, pools=True)
    except (
        UnitError,
        NetworkError,
    ):  # it is no layer of the pass, or no logit: whoever lists what is known leaves it out
        return []
    return [
        Feeder(names, number, float(weight))
        for part in located.arrivals.parts
        if part.way != "unknown"
        for (names, number), weight in zip(part.names(), part.kernels.sum((1, 2)), strict=True)
    ]


def fed_units(connections: Sequence[Connection], layer: str, channel: int, channels: int) -> list[Feeder]:
    """Give the units behind that a channel of a layer feeds, one of `channels`, by the network's `connections`."""
    return [
        Feeder(connection.targets, number, float(weight))
        for connection in connections
        if layer in connection.sources
        for number, weight in enumerate(
            connection.weights.reshape(len(connection.weights), channels, -1).sum(2)[:, channel]
        )
    ]


class _Located(NamedTuple):
    """The tensor of a unit before its activation, the unit's channel of it, its place if it has one, and what arrives there.

    `answering` is the tensor that the unit answers with, behind its activation, and `answering_channel` the unit's of it.
    """

    node: Node
    channel: int
    place: tuple[int, ...] | None
    arrivals: Arrivals
    answering: Node
    answering_channel: int

    def at_place(self, values: torch.Tensor) -> torch.Tensor:
        """Take the place of values (..., places), or the mean over all."""
        if self.place is not None:
            return values[(..., *self.place)]
        places = len(self.node.shape) - 2
        return values.flatten(values.ndim - places).mean(-1) if places else values

    def value(self, kept: dict[int, torch.Tensor]) -> float:
        """Give the unit's value of one image before its activation, from what a pass has kept."""
        maps = kept[self.node.number].double().movedim(self.node.channel_axis, 1)
        return float(self.at_place(maps[0, self.channel]))

    def answer(self, kept: dict[int, torch.Tensor]) -> float:
        """Give what the unit answers to one image, from what a pass has kept."""
        maps = kept[self.answering.number].double().movedim(self.answering.channel_axis, 1)
        return float(self.at_place(maps[0, self.answering_channel]))


def _located(network: Network, flow: Dataflow, unit: Unit, *, pools: bool = False) -> _Located:
    """Find the tensor of a unit, and take it apart."""
    from iconoscope.representation.arrivals import arrivals_at, before_activation
    from iconoscope.subject.activation_layout import place_at

    if isinstance(unit, LayerUnit):
        node = flow.of_layer(unit.layer)
        axis, map_index = node.channel_axis, None
        check_channel(unit, node.shape[axis])
        assert unit.channel is not None
        if unit.position is not None:
            places = [side for number, side in enumerate(node.shape) if number not in (0, axis)]
            map_index = place_at((1, node.shape[axis], *places), unit.layer, unit.position, network.preprocessing.size)
        answering = node
        node, channel = before_activation(node, unit.channel, pools=pools)
        return _Located(node, channel, map_index, arrivals_at(node, channel), answering, unit.channel)
    node = flow.answer
    if node is not None and network.ending and node.inputs and node.inputs[0] is not None:
        node = node.inputs[0]  # the softmax is undone
    if node is None or node.shape[1:] != (len(network.classes),):
        last = node.channel_names[0] if node is not None and node.channel_names else ""
        raise UnitError(
            f"{network.name} does not answer one number for each class: what feeds {unit} is not read from it.",
            hint=f"Ask a channel of its last layer: {last}:0." if last else "Ask a channel of its last layer.",
        )
    assert unit.index is not None
    return _Located(node, unit.index, None, arrivals_at(node, unit.index), node, unit.index)


def _circuit(
    network: Network, unit: Unit, image: Image | None, question: Question, *, k: int, steps: int | None, seed: int
) -> Circuit:
    flow = dataflow(network)
    located = _located(network, flow, unit)
    node, arrivals = located.node, located.arrivals
    if not any(part.way == "weights" for part in arrivals.parts):
        before = next((name for other in node.inputs if other is not None for name in other.channel_names), None)
        raise UnitError(
            f"{unit} comes out of {node.function}, and is no sum of weights.",
            hint=f"Ask a layer of weights before it: {before}." if before else "Ask a convolution or a linear layer.",
        )
    names = [_named(part, layers, number) for part in arrivals.parts for layers, number in part.names()]
    kernels = _padded([part.kernels for part in arrivals.parts])
    weights = kernels.sum((1, 2))
    on_image = {} if image is None else _on_image(network, image, located)
    strengths = on_image["contributions"] if on_image else weights
    order = np.argsort(-np.abs(strengths), kind="stable")[:k]
    if on_image:
        on_image = _checked_by_occlusion(network, located, order, **on_image)
    counts = [len(part.kernels) for part in arrivals.parts]
    return Circuit(
        question=question,
        inputs=tuple(names),
        by=tuple(part.by for part, count in zip(arrivals.parts, counts, strict=True) for _ in range(count)),
        ways=tuple(part.way for part, count in zip(arrivals.parts, counts, strict=True) for _ in range(count)),
        weights=weights.astype(np.float32),
        kernels=kernels.astype(np.float32),
        constant=arrivals.constant,
        order=order,
        made=_pictures(network, unit, [names[row] for row in order.tolist()], steps, seed),
        **on_image,
    )


def _named(part: Arrival, layers: tuple[str, ...], number: int) -> str:
    if part.way == "unknown":
        return part.by
    return f"{layers[0] if layers else PICTURE}:{number}"


def _padded(kernels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Put kernels (channels, rows, columns) of different sizes into one array, each in the middle of zeros."""
    rows, columns = (max(kernel.shape[axis] for kernel in kernels) for axis in (1, 2))
    padded: list[NDArray[np.float64]] = []
    for kernel in kernels:
        above, left = (rows - kernel.shape[1]) // 2, (columns - kernel.shape[2]) // 2
        sides = ((0, 0), (above, rows - kernel.shape[1] - above), (left, columns - kernel.shape[2] - left))
        padded.append(np.pad(kernel, sides))
    return np.concatenate(padded)


def _on_image(network: Network, image: Image, located: _Located) -> dict[str, Any]:
    """Give the unit's value on an image, what every input adds, and where."""
    import torch

    from iconoscope.representation.dataflow import pass_of

    parts = located.arrivals.parts
    picture = network.preprocessing.shown(image)
    batch = network.preprocessing.normalise(picture[None]).to(network.device)
    with network.questioned():
        kept_nodes = [located.node.number, located.answering.number, *(part.source.number for part in parts)]
        values = pass_of(network, batch, keep=kept_nodes).kept
    added = torch.cat([part.contributions(values) for part in parts])
    return {
        "picture": rgb(picture),
        "batch": batch,
        "kept": values,
        "value": located.value(values),
        "answer": located.answer(values),
        "contributions": located.at_place(added).cpu().numpy(),
        "maps": added,
    }


def _checked_by_occlusion(
    network: Network,
    located: _Located,
    order: NDArray[np.int64],
    *,
    batch: torch.Tensor,
    kept: dict[int, torch.Tensor],
    value: float,
    maps: torch.Tensor,
    **fields: Any,
) -> dict[str, Any]:
    """Run the network with the map of each of the strongest inputs at zero, and say by how much the unit falls."""
    from iconoscope.representation.dataflow import pass_of

    inputs = [(part, number) for part in located.arrivals.parts for number in range(len(part.kernels))]
    weighted = [part for part in located.arrivals.parts if part.way == "weights"]
    falls = np.full(len(order), np.nan)
    with network.questioned():
        for rank, row in enumerate(order.tolist()):
            part, number = inputs[row]
            if part.way != "weights":
                continue
            # What the other branches are given stays as it is, though one may come behind another, as in a transformer's block.
            edits = {other.node.number: _given(kept[other.source.number]) for other in weighted}
            edits[part.node.number] = _without(part, number)
            falls[rank] = value - located.value(pass_of(network, batch, keep=[located.node.number], edits=edits).kept)
    strongest_maps = maps[order.tolist()].float().cpu().numpy()
    return {
        **fields,
        "value": value,
        "occluded": falls,
        "maps": strongest_maps if strongest_maps.ndim == 3 and strongest_maps[0].size > 1 else None,
    }


def _given(clean: torch.Tensor) -> Edit:
    """Give what puts the clean tensor in place of the one that is given."""
    return lambda answer: clean


def _without(part: Arrival, number: int) -> Edit:
    """Give what sets a channel of the tensor that goes into a layer to zero, also where its maps were flattened."""

    def occlude(answer: torch.Tensor) -> torch.Tensor:
        if part.node.function == "linear":
            answer.unflatten(-1, (part.source.channels, -1))[..., number, :] = 0
        else:
            answer[:, number] = 0
        return answer

    return occlude


def _pictures(
    network: Network, unit: Unit, names: Sequence[str], steps: int | None, seed: int
) -> NDArray[np.uint8] | None:
    """Make a picture for the unit and for every input that is a unit; grey for the others."""
    from iconoscope.representation.finished_pictures import finished_pictures

    if steps == 0:
        return None
    units = [name for name in names if ":" in name and not name.startswith(f"{PICTURE}:")]
    units_asked = [unit, *dict.fromkeys(units)]
    made = finished_pictures(network, units_asked, steps=steps, seed=seed)
    pictures = dict(zip(made.units, map(rgb, made.images), strict=True))
    grey = np.full_like(rgb(made.images[0]), 160)
    return np.stack([rgb(made.images[0]), *(pictures.get(name, grey) for name in names)])
