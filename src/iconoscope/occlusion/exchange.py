"""The object and the background, hidden as a whole and exchanged for those of other images.

A small patch cannot show everything: it cannot move the mean of a background, and hiding a cue whose absence is informative
reveals nothing. What decides is an exchange with an image of another class, held against the same exchange with an image of
the same class.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import IconoscopeWarning, ImagesError, QuestionError, shortened
from iconoscope.occlusion.fills import Fill, FillLike, name_fills, read_fill
from iconoscope.occlusion.inpainting import fill_hole
from iconoscope.occlusion.object_masks import fitted_object
from iconoscope.progress import track
from iconoscope.results import CONDITIONS, Exchange, Question
from iconoscope.results.rendering import rgb
from iconoscope.store import Store
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.labels import match_labels

__all__ = ["exchange"]


def exchange(
    network: Network,
    images: Images | Any,
    *,
    fill: FillLike = "black",
    shown: int = 6,
    batch: int = 64,
    seed: int = 0,
    store: Store | str | Path | None = None,
) -> Exchange:
    """Hide and exchange the whole object and the whole background, and count the answers that change.

    Every image gets two donors drawn at random: one of another class and one of its own class (the control). A background
    is exchanged by putting the object into the donor's picture, whose own object is painted over from its surroundings; an
    object by putting the donor's into this picture, likewise.

    Parameters
    ----------
    network
        The network.
    images
        A set of images with labels and with masks or boxes of the object, of at least two classes.
    fill
        What covers a hidden region: black, zero (in the network's normalised input), mean, blur, noise, or an image (in
        Python also a function from picture to picture).
    shown
        How many images are kept in the result to be looked at.
    batch
        How many images go through the network at once.
    seed
        Seed of the choice of donors and of the random fill.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    Exchange
        Counts are over the images that the network answers rightly when nothing is touched.

    Raises
    ------
    ImagesError
        If masks or labels are missing, or a class has fewer than two images.
    QuestionError
        If a setting is no choice.

    Examples
    --------
    >>> import iconoscope as ico
    >>> images = ico.demo_images(24, backgrounds="telling", seed=1)
    >>> ico.exchange(ico.load_network("cars", device="cpu"), images).follows
    'background'
    """
    if batch < 1 or shown < 1 or seed < 0:
        raise QuestionError(f"batch={batch} and shown={shown} must be at least 1, and seed={seed} at least 0.")
    filling = read_fill(fill, network.preprocessing).for_regions()
    cast = _cast(network, load_images(images))
    fills = [filling.of(picture) for picture in cast.pictures]
    question = Question(
        technique="exchange",
        network=network.name,
        weights=network.digest(),
        subject=f"{len(cast.ids)} images from {cast.source}",
        pixels=cast.digest,
        settings={
            "preprocessing": network.preprocessing.to_json(),
            "classes": network.classes_digest,
            "fill": name_fills(filling, fills),
            "shown": shown,
            "seed": seed,
        },
        version=__version__,
    )

    def ask() -> Exchange:
        return _ask(network, cast, fills, question, shown=shown, batch=batch, seed=seed)

    return ask() if store is None else Store.at(store).answer(question, Exchange, ask)


@dataclass(frozen=True)
class _Cast:
    """The images that take part, at the network's size."""

    source: str
    ids: tuple[str, ...]
    target: NDArray[np.int64]
    pictures: NDArray[np.uint8]  # (images, height, width, 3)
    masks: NDArray[np.bool_]  # (images, height, width)

    @cached_property
    def grounds(self) -> NDArray[np.uint8]:
        """The pictures with their objects painted over (images, height, width, 3)."""
        # One pixel more around the object: the edge of a mask mixes the two, and half a mixed pixel would carry the old part.
        pairs = zip(self.pictures, self.masks, strict=True)
        return np.stack([fill_hole(picture, _grown(mask)) for picture, mask in pairs])

    @property
    def digest(self) -> str:
        digest = hashlib.sha256("\n".join(self.ids).encode())
        digest.update(self.target.tobytes())
        digest.update(self.pictures.tobytes())
        digest.update(np.packbits(self.masks).tobytes())
        return digest.hexdigest()


def _cast(network: Network, images: Images) -> _Cast:
    labels = dict(zip(images.ids, match_labels(network.names, images.labels).tolist(), strict=True))
    if max(labels.values(), default=-1) < 0:
        raise ImagesError(
            f"None of the {len(images)} images has a label that is a class of {network.name}.",
            hint="Images in folders named after the classes have labels; or give labels (id,label as CSV, or JSON).",
        )
    taken: list[tuple[str, int, NDArray[np.uint8], NDArray[np.bool_]]] = []
    left_out: dict[str, str] = {}
    for image in images.readable():
        if labels[image.id] < 0:
            continue  # match_labels has said so
        mask, reason = fitted_object(network.preprocessing, image)
        if mask is None:
            left_out[image.id] = reason
        else:
            taken.append((image.id, labels[image.id], network.preprocessing.shown(image), mask))
    if left_out:
        named = shortened(f"{name} ({reason})" for name, reason in left_out.items())
        message = f"{len(left_out)} of {len(images)} images cannot take part in an exchange: {named}."
        if not taken:
            raise ImagesError(
                message,
                hint="Say where the object is: masks (a folder parallel to the images) or boxes (CSV or JSON, in pixels).",
            )
        warnings.warn(message, IconoscopeWarning, stacklevel=3)
    target = np.array([label for _, label, _, _ in taken], np.int64)
    few = [network.classes[index] for index, count in enumerate(np.bincount(target)) if count == 1]
    if few or len(np.unique(target)) < 2:
        raise ImagesError(
            "An exchange needs images of two classes or more, and two or more of each; "
            + (f"there is only one of: {shortened(few)}." if few else f"all are {network.classes[int(target[0])]!r}."),
            hint="Give more images, or leave those classes out.",
        )
    ids, _, pictures, masks = zip(*taken, strict=True)
    return _Cast(images.source, ids, target, np.stack(pictures), np.stack(masks))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    sideways = grown.copy()
    grown[:, 1:] |= sideways[:, :-1]
    grown[:, :-1] |= sideways[:, 1:]
    return grown


def _donors(target: NDArray[np.int64], generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw for every image another one of another class, and another one of its own class."""
    places = np.arange(len(target))
    other = np.array([generator.choice(places[target != wanted]) for wanted in target])
    own = np.array([generator.choice(places[(target == wanted) & (places != me)]) for me, wanted in enumerate(target)])
    return other, own


def _ask(
    network: Network, cast: _Cast, fills: list[Fill], question: Question, *, shown: int, batch: int, seed: int
) -> Exchange:
    import torch

    other, own = _donors(cast.target, np.random.default_rng(seed))
    count = len(cast.ids)
    probabilities = np.empty((len(CONDITIONS), count, len(network.classes)), np.float32)
    # Spread over the set, so that a set sorted by class shows every class.
    kept = np.unique(np.linspace(0, count - 1, min(shown, count)).round().astype(np.int64))
    examples = np.empty((len(CONDITIONS), len(kept), *cast.pictures.shape[1:3], 3), np.uint8)
    whole = cast.pictures.shape[1:3]
    with network.questioned(), torch.inference_mode():
        for first in track(range(0, count, batch), f"exchanging, {network.name}"):
            some = np.arange(first, min(first + batch, count))
            plain = network.preprocessing.normalise(cast.pictures[some])
            fields = [fills[i].field(cast.pictures[i], network.preprocessing, whole, seed + int(i)) for i in some]
            filled = torch.from_numpy(np.stack(fields))
            masks = torch.from_numpy(cast.masks[some])[:, None]
            inputs = {
                "clean": plain,
                "object hidden": torch.where(masks, filled, plain),
                "object removed": network.preprocessing.normalise(cast.grounds[some]),
                "background hidden": torch.where(masks, plain, filled),
            }
            for whose, donors in (("other", other[some]), ("own", own[some])):
                for part, things, grounds in (("object", donors, some), ("background", some, donors)):
                    inputs[f"{part} {whose}"] = network.preprocessing.normalise(_composed(cast, things, grounds))
            for index, condition in enumerate(CONDITIONS):
                logits = network.logits(inputs[condition].to(network.device)).float()
                probabilities[index, some] = network.probabilities(logits).cpu().numpy()
                for place in np.flatnonzero(np.isin(kept, some)):
                    examples[index, place] = rgb(network.preprocessing.restore(inputs[condition][kept[place] - first]))
    return Exchange(
        question=question,
        conditions=tuple(CONDITIONS),
        ids=cast.ids,
        classes=network.classes,
        target=cast.target,
        other=cast.target[other],
        probabilities=probabilities,
        examples=examples,
        shown=kept,
        fill=str(question.settings["fill"]),
    )


def _composed(cast: _Cast, things: NDArray[np.int64], grounds: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Put the objects of some images into the painted-over pictures of others."""
    return np.where(cast.masks[things][..., None], cast.pictures[things], cast.grounds[grounds])
