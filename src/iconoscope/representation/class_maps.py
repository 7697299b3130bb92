"""A layer's maps over the images of a class, and the class's logit: as they are, and with a part taken out of the maps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import ImagesError, NonFiniteError, UnitError, shortened
from iconoscope.progress import track
from iconoscope.subject.activation_layout import read_maps, token_grid
from iconoscope.subject.images import Images
from iconoscope.subject.memory import check_fits
from iconoscope.subject.network import Network
from iconoscope.subject.predict import predict
from iconoscope.subject.probe import LOGITS, LayerCall, answer_with, probe, watching
from iconoscope.vocabulary.labels import match_labels

__all__ = ["OVER", "ClassMaps", "choose_images", "read_class_maps"]

OVER = {
    "class": "the images that are labelled with the class; where none has a label, those answered so",
    "answered": "the images that the network answers so, whatever their label",
    "all": "all images",
}
"""Which images the maps are of."""

NEGATIVE = {
    "refuse": "a layer that answers less than zero is refused",
    "cut": "what is below zero is left out of the concepts, and stays in the network's maps",
}
"""What is done where a layer answers less than zero."""

BATCH = 64
"""Images that go through the network at once."""


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """What a layer answers to the images of a class.

    Attributes
    ----------
    network, layer
        Who was asked.
    target : int
        The class.
    ids : tuple of str
        Of the images, (images,).
    pictures : ndarray of uint8, (images, height, width, channels)
        As the network sees them.
    logits : ndarray of float32, (images,)
        The logit of the class.
    maps : ndarray of float32, (images, places, channels)
        Places in rows from above; of tokens those of the patches alone.
    rows, columns : int
        How the places lie; 1 and 1 of a vector.
    """

    network: Network
    layer: str
    target: int
    ids: tuple[str, ...]
    pictures: NDArray[np.uint8]
    logits: NDArray[np.float32]
    maps: NDArray[np.float32]
    rows: int
    columns: int

    def logits_without(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the logit of the class of every image where a part (images, places, channels) is taken out of the maps.

        Whatever else the maps hold stays, so that with a part of nothing the logits are the clean ones, to the last bit.
        """
        network, size = self.network, 1 if self.network.singly else BATCH
        logits: list[NDArray[np.float32]] = []
        with network.questioned(), torch.inference_mode():
            for start in range(0, len(self.ids), size):
                batch = network.preprocessing.normalise(self.pictures[start : start + size]).to(network.device)
                removed = torch.from_numpy(part[start : start + size]).to(network.device).transpose(1, 2)

                def change(maps: torch.Tensor, removed: torch.Tensor = removed) -> torch.Tensor:
                    places = (
                        maps[:, :, None] if maps.ndim == 2 else maps.flatten(2)
                    )  # a copy where the layer's order differs
                    places = places.clone()
                    places[:, :, places.shape[2] - removed.shape[2] :] -= removed.to(places.dtype)
                    return places.reshape(maps.shape)

                answer = answer_with(network, batch, self.layer, change)
                logits.append(answer[:, self.target].float().cpu().numpy())
        return np.concatenate(logits)


def choose_images(network: Network, images: Images, target: int, over: str) -> tuple[Images, str]:
    """Give the images that are asked about, and which they are, in words; nothing of all.

    Raises
    ------
    ImagesError
        If there are none.
    """
    name = network.classes[target]
    if over == "all":
        return images, ""
    labels = match_labels(network.names, images.labels)
    if over == "class" and (labels >= 0).any():
        chosen, words = images[labels == target], f" labelled {name},"
    else:
        chosen, words = images[predict(network, images).argmax(1) == target], f" answered {name},"
    if not len(chosen):
        counts = Counter(network.classes[label] for label in labels.tolist() if label >= 0)
        counted = shortened((f"{label} {count}" for label, count in counts.most_common()), most=6)
        raise ImagesError(
            f"None of {len(images):,} images from {images.source} is{words[:-1]}.",
            hint=(f"Their labels are {counted}. " if counted else "") + "over='all' takes every image (--over all).",
        )
    return chosen, words


def read_class_maps(network: Network, images: Images, layer: str, target: int, negative: str) -> ClassMaps:
    """Ask a layer about images.

    Raises
    ------
    UnitError
        If it answers no maps, or less than zero and that is refused.
    NonFiniteError
        If it answers NaN or infinity.
    """
    preprocessing = network.preprocessing
    ids: list[str] = []
    pictures: list[NDArray[np.uint8]] = []
    for image in images.readable():
        ids.append(image.id)
        pictures.append(preprocessing.shown(image))
    stacked = np.stack(pictures)
    maps: list[NDArray[np.float32]] = []
    logits: list[NDArray[np.float32]] = []
    rows = columns = 1
    size = 1 if network.singly else BATCH
    starts = range(0, len(stacked), size)
    with network.questioned(), torch.inference_mode(), probe(network, [layer, LOGITS]) as read:
        for start in track(starts, f"reading {layer}, {network.name}"):
            answers = read(preprocessing.normalise(stacked[start : start + size]).to(network.device))
            places, rows, columns = _places(answers[layer], layer, preprocessing.size)
            if not start:
                check_fits(
                    12.0 * len(stacked) * places.shape[1:].numel(),
                    f"What {layer} answers to {len(stacked):,} images",
                    hint="Take fewer: images.sample(500), or --limit 500.",
                )
            maps.append(places.float().cpu().numpy())
            logits.append(answers[LOGITS][:, target].float().cpu().numpy())
    values = np.concatenate(maps)
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{layer} of {network.name} answers NaN or infinity.")
    if negative == "refuse" and values.min() < 0:
        raise UnitError(
            f"{layer} of {network.name} answers less than zero ({values.min():.3g}): its maps have no non-negative factors.",
            hint=_layers_that_do(network, stacked[:2]),
        )
    return ClassMaps(network, layer, target, tuple(ids), stacked, np.concatenate(logits), values, rows, columns)


def _places(answer: torch.Tensor, layer: str, size: tuple[int, int]) -> tuple[torch.Tensor, int, int]:
    """Give what a layer answers as (images, places, channels), and how many rows and columns of places there are."""
    if answer.ndim == 2:
        return answer[:, None], 1, 1
    if answer.ndim == 4:
        return answer.flatten(2).transpose(1, 2), int(answer.shape[2]), int(answer.shape[3])
    grid = token_grid(int(answer.shape[2]), size)
    if grid is None:
        raise UnitError(
            f"{layer} answers {answer.shape[2]} tokens, which are no patches of a picture of {size[0]}x{size[1]} pixels.",
            hint="Ask another layer; iconoscope layers lists what each answers.",
        )
    return answer[:, :, grid.prefix :].transpose(1, 2), grid.rows, grid.columns


def _layers_that_do(network: Network, pictures: NDArray[np.uint8]) -> str:
    """Say which layers of maps or tokens never answer less than zero, the last ones first."""
    names: list[str] = []
    batch = network.preprocessing.normalise(pictures).to(network.device)

    def look(call: LayerCall) -> None:
        try:
            maps = read_maps(call.output, call.module, batch, call.name)
        except UnitError:
            return
        if maps.ndim > 2 and call.name not in names and bool((maps >= 0).all()):
            names.append(call.name)

    layers = [name for name, _ in network.module.named_modules() if name]
    with network.questioned(), torch.inference_mode(), watching(network, layers, look):
        network.run(batch)
    if not names:
        return "No layer of it would do. negative='cut' leaves out what is below zero (--negative cut)."
    return (
        f"Ask one behind a ReLU: {shortened(reversed(names), most=6)}. Or negative='cut' leaves out what is below zero."
    )
