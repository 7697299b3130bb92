"""Concepts of a class: the non-negative factors of a layer's maps over its images, and what the network does without each."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import ImageFileError, QuestionError, check_choice, check_counts, warn
from iconoscope.progress import track
from iconoscope.results import Concepts, Question
from iconoscope.results.folders import without_folders
from iconoscope.results.rendering import rgb
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store, answered
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import LayerUnit

if TYPE_CHECKING:
    from iconoscope.representation.class_maps import ClassMaps

__all__ = ["concepts"]

EXEMPLARS = 6
"""Images that are shown of each concept."""
PHOTOGRAPHS = 3
"""Images on which the maps of all concepts are shown."""
_FLAT = 1e-10  # of the mean square: a variance that is rounding alone


@checked
def concepts(
    network: Network,
    images: Images | Any,
    layer: str,
    cls: str | int,
    *,
    count: int = 6,
    over: str = "class",
    negative: str = "refuse",
    resamples: int = 8,
    steps: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> Concepts:
    """Take a layer's maps over the images of a class apart into a few concepts: what is this class made of?

    The vectors at all places of all maps are written as sums of a few directions with weights that are not negative (Olah et
    al. 2018, "The Building Blocks of Interpretability"; Fel et al. 2023, "CRAFT"). Each direction is a concept: it has the
    places where it is strongest, a map on every image, and a picture that is made for it. How much it counts is measured and
    not estimated: its part is taken out of the maps, whatever the concepts leave unexplained stays in them, and the rest of
    the network is run.

    Parameters
    ----------
    network
        The network.
    images
        A set of images, or what makes one.
    layer
        Name of the layer, as ``iconoscope layers`` lists them, or a unique ending; one behind a ReLU.
    cls
        The class, by name or index.
    count
        How many concepts.
    over
        Which images: class (those labelled with it; where none has a label, those answered so), answered or all.
    negative
        What is done where the layer answers less than zero, as in transformers: refuse, or cut (it is left out of the
        concepts and stays in the network's maps).
    resamples
        How often the images are drawn anew to see whether the same concepts come out; 0 leaves it out, as does one image.
    steps
        Steps of the picture made for each concept, as in `optimize`; 0 makes none.
    seed
        Of the draws and the pictures.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    Concepts
        That without which the logit of the class falls most comes first.

    Raises
    ------
    UnitError
        If there is no such layer or class, or the layer answers less than zero.
    ImagesError
        If no image is of the class.
    QuestionError
        If there are fewer places or channels than concepts, or the layer answers the same everywhere.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> lynx = ico.concepts(net, ico.demo_images(20, seed=0), "relu3", "lynx", count=3, resamples=2, steps=0)
    >>> lynx.directions.shape, bool(lynx.loss[0] >= lynx.loss[1] >= lynx.loss[2])
    ((3, 48), True)
    """
    from iconoscope.representation.class_maps import NEGATIVE, OVER, choose_images, read_class_maps

    check_figure_name(out)
    check_counts(most=1000, count=count)
    check_choice("over", over, OVER)
    check_choice("negative", negative, NEGATIVE)
    for name, number, most in (("resamples", resamples, 1000), ("steps", steps or 0, 10**6)):
        if not 0 <= number <= most:
            raise QuestionError(f"{name}={number} must be 0 to {most:,}.")
    unit = network.resolve(layer)
    if not isinstance(unit, LayerUnit) or unit.channel is not None:
        hint = f"Give {unit.layer!r}." if isinstance(unit, LayerUnit) else "Give the name of a layer."
        raise QuestionError(f"{layer!r} is a unit; concepts are of a whole layer.", hint=hint)
    target = network.class_index(cls)
    chosen, words = choose_images(network, load_images(images), target, over)
    question = Question(
        technique="concepts",
        network=network.name,
        weights=network.digest(),
        subject=f"{len(chosen):,} images{words} from {chosen.source}",
        pixels=_digest(network, chosen),
        unit=unit.layer,
        settings={
            "preprocessing": network.preprocessing.to_json(),
            "classes": network.classes_digest,
            "class": target,
            "count": count,
            "negative": negative,
            "resamples": resamples,
            "steps": steps,
            "seed": seed,
        },
        version=__version__,
    )

    def ask() -> Concepts:
        maps = read_class_maps(network, chosen, unit.layer, target, negative)
        return _take_apart(maps, question, count=count, resamples=resamples, steps=steps, seed=seed)

    return answered(question, Concepts, ask, store=store, out=out, witness=network.witness)


def _digest(network: Network, images: Images) -> str:
    """Give the digest of the pixels of all images."""
    sha = hashlib.sha256()
    for image in images:
        try:
            sha.update(f"{image.id}\0{network.preprocessing.digest_of(image)}\n".encode())
        except ImageFileError as error:  # it is left out, and said, when the images are read
            sha.update(f"{image.id}\0{type(error).__name__}\n".encode())
    return sha.hexdigest()


def _take_apart(
    maps: ClassMaps, question: Question, *, count: int, resamples: int, steps: int | None, seed: int
) -> Concepts:
    from iconoscope.representation.factors import amounts, factorize, stability

    if len(maps.ids) == 1:
        warn(
            f"Concepts of one image alone, {without_folders(maps.ids[0])}: they are parts of that picture, and whether they "
            "would be those of others cannot be seen. Give more images."
        )
    positive = np.maximum(maps.maps, 0)
    if not positive.any():
        raise QuestionError(f"{maps.layer} answers nothing to any of these images.", hint="Ask another layer.")
    if _variance(positive) <= _FLAT * float(np.square(positive).mean(dtype=np.float64)):
        raise QuestionError(
            f"{maps.layer} answers the same at all places of all {len(maps.ids):,} images: nothing varies that concepts "
            "could explain.",
            hint="Give more images, or ask a layer whose answer has places.",
        )
    flat = positive.reshape(-1, positive.shape[2])
    directions = factorize(flat, count, seed=seed)
    weights = amounts(flat, directions).reshape(*positive.shape[:2], count)
    losses = np.stack(
        [
            maps.logits - maps.logits_without(weights[:, :, [concept]] * directions[concept])
            for concept in track(range(count), f"removing concepts, {maps.network.name}")
        ],
        1,
    )
    order = np.argsort(-losses.mean(0), kind="stable")
    directions, weights, losses = directions[order], weights[:, :, order], losses[:, order]
    explained, left_out = _explained(positive, weights, directions)
    return Concepts(
        question=question,
        cls=maps.network.classes[maps.target],
        ids=maps.ids,
        directions=directions,
        clean=maps.logits,
        losses=losses,
        explained=explained,
        explained_without=left_out,
        stability=stability(list(positive), directions, resamples=resamples, seed=seed),
        resamples=resamples,
        **_shown(maps, weights),
        **_pictures(maps, directions, steps, seed),
    )


def _variance(maps: NDArray[np.float32]) -> float:
    """Give the variance of maps (images, places, channels) over images and places, in the mean over the channels."""
    return float(np.square(maps - maps.mean((0, 1))).mean(dtype=np.float64))


def _explained(
    maps: NDArray[np.float32], weights: NDArray[np.float32], directions: NDArray[np.float32]
) -> tuple[float, NDArray[np.float64]]:
    """Give the share of the variance that all concepts explain, and that which all but each explain."""
    total = _variance(maps) * maps.size
    residual = maps - weights @ directions
    squares = float(np.square(residual).sum(dtype=np.float64))
    # |rest + w d|^2 with d of length 1: no array of the size of the maps for every concept.
    along = 2 * (weights * (residual @ directions.T)).sum((0, 1), dtype=np.float64)
    more = along + np.square(weights).sum((0, 1), dtype=np.float64)
    return 1 - squares / total, 1 - (squares + more) / total


def _shown(maps: ClassMaps, weights: NDArray[np.float32]) -> dict[str, Any]:
    """Give the exemplars of every concept, and the images that are shown with the maps of all concepts on them."""
    images, _, count = weights.shape
    most = min(EXEMPLARS, images)
    strongest, places = weights.max(1), weights.argmax(1)  # (images, concepts)
    exemplars = np.argsort(-strongest, axis=0, kind="stable")[:most].T  # (concepts, exemplars)
    # Evenly from all, as they come, so that the maps are not of the best images alone.
    usual = np.unique(np.linspace(0, images - 1, min(PHOTOGRAPHS, images)).round().astype(np.int64))
    shown = np.unique(np.concatenate([exemplars.ravel(), usual]))
    fields = _fields(maps)
    of_concept = np.arange(count)[:, None]
    return {
        "rows": maps.rows,
        "columns": maps.columns,
        "shown": shown,
        "pictures_shown": np.stack([rgb(maps.pictures[row]) for row in shown.tolist()]),
        "maps": weights[shown].transpose(0, 2, 1).reshape(len(shown), count, maps.rows, maps.columns),
        "scale": np.maximum(np.percentile(strongest, 95, axis=0), 1e-12).astype(np.float32),
        "exemplars": np.searchsorted(shown, exemplars).astype(np.int64),
        "values": strongest[exemplars, of_concept],
        "fields": fields[places[exemplars, of_concept]],
        "photographs": np.searchsorted(shown, usual).astype(np.int64),
    }


def _fields(maps: ClassMaps) -> NDArray[np.int64]:
    """Give what each place of the maps can see: top, left, bottom, right, pixels, (places, 4); of tokens their patch."""
    from iconoscope.exemplars.recordable_layers import choose_layers

    size = maps.network.preprocessing.size
    with maps.network.questioned():
        (layer,), _ = choose_layers(maps.network, [maps.layer])
    whole_image = (0, 0, *size)
    first = layer.places - maps.rows * maps.columns  # tokens that stand before the patches
    return np.array(
        [
            (layer.patch(first + index, size) or whole_image)
            if layer.tokens
            else layer.field.at(*divmod(index, maps.columns), size)
            if layer.field is not None
            else whole_image
            for index in range(maps.rows * maps.columns)
        ],
        np.int64,
    )


def _pictures(maps: ClassMaps, directions: NDArray[np.float32], steps: int | None, seed: int) -> dict[str, Any]:
    """Make the picture of every concept, unless none are asked for."""
    from iconoscope.optimization import direction
    from iconoscope.representation.finished_pictures import finished_pictures

    if steps == 0:
        return {"optimized": None}
    # With the cosine: a picture of little but the concept.
    objectives = [direction(maps.layer, vector, cosine=1) for vector in directions]
    pictures = finished_pictures(maps.network, objectives, steps=steps, seed=seed)
    return {"optimized": np.stack([rgb(picture) for picture in pictures.images]), "optimized_style": pictures.style}
