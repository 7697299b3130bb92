"""A layer as it is: what it answers to one image, channel by channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from iconoscope import __version__
from iconoscope.errors import ImagesError, NonFiniteError, QuestionError, UnitError
from iconoscope.results import ActivationSheet, Question
from iconoscope.results.rendering import rgb
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store, answered
from iconoscope.subject.activation_layout import token_grid
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import LayerUnit

__all__ = ["activation_maps"]


@checked
def activation_maps(
    network: Network,
    images: Images | Any,
    layer: str,
    *,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> ActivationSheet:
    """Show what every channel of a layer answers to one image, numbered, the brightest first.

    Parameters
    ----------
    network
        The network.
    images
        The image; of several the first that can be read.
    layer
        Name of the layer, as ``iconoscope layers`` lists them, or a unique ending.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    ActivationSheet
        All maps in one scale.

    Raises
    ------
    UnitError
        If there is no such layer, or it answers no maps.
    NonFiniteError
        If it answers NaN or infinity.

    Examples
    --------
    >>> import iconoscope as ico
    >>> sheet = ico.activation_maps(ico.load_network("cars", device="cpu"), ico.demo_images(2, seed=0), "relu1")
    >>> sheet.maps.shape, bool(sheet.maps[0].max() >= sheet.maps[1].max())
    ((16, 48, 48), True)
    """
    import torch

    from iconoscope.subject.response import activations

    check_figure_name(out)
    unit = network.resolve(layer)
    if not isinstance(unit, LayerUnit) or unit.channel is not None:
        raise QuestionError(
            f"{layer!r} is a unit; a sheet shows a whole layer.", hint=f"Give {layer.partition(':')[0]!r}."
        )
    images = load_images(images)
    image = next(images.readable() if len(images) > 1 else iter(images), None)
    if image is None:
        raise ImagesError(f"There are no images to show: an empty selection from {images.source}.")
    picture = network.preprocessing.shown(image)
    question = Question(
        technique="activations",
        network=network.name,
        weights=network.digest(),
        subject=image.id,
        pixels=network.preprocessing.digest_of(image),
        unit=str(unit),
        settings={"preprocessing": network.preprocessing.to_json()},
        version=__version__,
    )

    def read() -> ActivationSheet:
        with network.questioned(), torch.inference_mode():
            batch = network.preprocessing.normalise(picture[None]).to(network.device)
            answer = activations(network, batch, unit.layer)
        if answer.ndim == 3 and (grid := token_grid(answer.shape[2], network.preprocessing.size)) is not None:
            answer = answer[:, :, grid.prefix :].unflatten(2, (grid.rows, grid.columns))
        if answer.ndim != 4:
            raise UnitError(
                f"{unit} answers {tuple(answer.shape[1:])}, not maps (channels, rows, columns) or tokens of patches.",
                hint="Ask a convolution or what follows it; iconoscope layers lists what each answers.",
            )
        maps = answer[0].float().cpu().numpy()
        if not np.isfinite(maps).all():
            raise NonFiniteError(f"{unit} of {network.name} answers NaN or infinity to {image.id}.")
        order = np.argsort(-maps.max((1, 2)), kind="stable")
        return ActivationSheet(
            question=question, picture=rgb(picture), maps=maps[order], channels=order.astype(np.int64)
        )

    return answered(question, ActivationSheet, read, store=store, out=out, witness=network.witness)
