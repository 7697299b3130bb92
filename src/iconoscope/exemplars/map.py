"""The question: what do images look like to the network, and which are alike to it? A map of the set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import iconoscope
from iconoscope.errors import MissingExtraError, NonFiniteError, QuestionError, check_choice, check_counts
from iconoscope.exemplars.load_recording import load_recording
from iconoscope.exemplars.recorded_units import check_images, question_about, recorded_pictures
from iconoscope.progress import advancing
from iconoscope.results import Question
from iconoscope.results.atlas import pack_thumbnails, thumbnail_side
from iconoscope.results.image_map import EXTRAS, METHODS, METRICS, TOPOLOGIES, ImageMap
from iconoscope.results.rendering import resized
from iconoscope.results.result import PAGES, check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Recording, Store, answered
from iconoscope.subject.memory import check_fits
from iconoscope.subject.network.preprocessing import read_size

if TYPE_CHECKING:
    import torch

    from iconoscope.exemplars.layouts import Placed

__all__ = ["LEAST_IMAGES", "carried_over", "check_installed", "map_images", "place_images", "place_vectors"]

LEAST_IMAGES = 4  # that make a map

_TRUSTED = 15  # neighbours that the quality is asked of
_NEIGHBOURS = 8  # that are kept for every image
_MOST, _FEWEST = 2000, 500  # images that are asked whether their neighbours on the map are neighbours in truth
_SURE = 100_000  # images of a map of which so many are asked; of larger ones fewer, since each is compared with all


@checked
def map_images(
    recording: Recording | str | Path,
    method: str = "tsne",
    *,
    vectors: str = "penultimate",
    metric: str = "cosine",
    perplexity: float | None = None,
    iterations: int = 250,
    cells: int | tuple[int, int] | None = None,
    topology: str = "rectangular",
    epochs: int = 10,
    grid: bool = False,
    limit: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> ImageMap:
    """Lay the images of a recording out on the plane, so that those that the network answers alike are near each other.

    Its quality is said with it: how many neighbours on the map are neighbours in truth, and how many have the same label.

    Parameters
    ----------
    recording
        What `record` gave, or where it is.
    method
        tsne, umap, pacmap, pca or som (a self-organising map).
    vectors
        What is compared: penultimate (the vector before the logits), logits, probabilities, or a recorded layer: its name or
        mean:NAME for the mean over its map, max:NAME for the maximum.
    metric
        What near means: cosine (the angle between vectors) or euclidean.
    perplexity
        About how many neighbours each image has, of t-SNE and UMAP; 30 by default, less for few images. From 100,000 images on
        t-SNE lays 50,000 of them out, puts the others beside those, and lets all settle with a perplexity of at most 10.
    iterations
        Of t-SNE, after the first 250; of more than 100,000 images those in which all settle. More spread the groups further
        apart.
    cells
        Rows and columns of a self-organising map, as 20 or 20x30. By default a square of about five times the root of the
        number of images.
    topology
        Of a self-organising map: rectangular or hexagonal.
    epochs
        How many times a self-organising map looks at all vectors.
    grid
        Move every image to a place of its own on a full grid, each as little as possible; not of a self-organising map.
    limit
        How many images, chosen at random; all by default.
    seed
        Seed of all that is random.
    out
        Where to write the map: a page (.html) to move about in, of more than 100,000 images a folder of that name; such a
        folder (a name without an ending); or a large picture (.png, .jpg, .webp, .pdf, .svg).
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    ImageMap
        Places, thumbnails and quality.

    Raises
    ------
    QuestionError
        If a setting is no choice or out of range, or the images are not at hand.
    MissingExtraError
        If the method's package is not installed.

    Examples
    --------
    >>> import tempfile, iconoscope as ico
    >>> network = ico.load_network("cars-honest", device="cpu")
    >>> recording = ico.record(network, ico.demo_images(80, seed=3), store=tempfile.mkdtemp() + "/run")
    >>> ico.map_images(recording, "pca").points.shape
    (80, 2)
    """
    from iconoscope.exemplars.approximate_neighbours import neighbour_settings
    from iconoscope.exemplars.tsne import SAMPLE, WHOLE

    check_choice("method", method, METHODS)
    check_installed(method)
    check_choice("metric", metric, METRICS)
    check_choice("topology", topology, TOPOLOGIES)
    check_counts(limit=1 if limit is None else limit)
    check_counts(most=10**6, iterations=iterations, epochs=epochs)
    if method == "som" and grid:
        raise QuestionError("A self-organising map is a grid already.", hint="Leave grid out, or take another method.")
    folder = out if out is not None and not Path(out).suffix else None
    if folder is None:
        check_figure_name(out, pages=PAGES)
    recording = load_recording(recording)
    check_images(recording)
    rows = _sampled_rows(len(recording), limit, seed)
    settings: dict[str, Any] = {
        "method": method,
        "vectors": vectors,
        "metric": metric,
        "seed": seed,
        "grid": grid,
        "limit": None if len(rows) == len(recording) else len(rows),
    }
    if method == "som":
        settings |= {"shape": _som_shape(cells, len(rows)), "topology": topology, "epochs": epochs}
    elif method != "pca":
        settings["perplexity"] = _fitting_perplexity(perplexity, len(rows))
        if method == "tsne" and len(rows) > WHOLE:
            settings["embedded"] = SAMPLE
        wanted = _neighbours_wanted(settings)
        check_fits(  # of every neighbour its number and how far it is, and the symmetric matrix that is made of them
            80.0 * len(rows) * wanted / 3,
            f"{wanted} neighbours of each of {len(rows):,} images",
            hint="Give a smaller perplexity or limit.",
        )
        settings["iterations"] = iterations if method == "tsne" else None
    settings |= neighbour_settings(len(rows))
    question = question_about(recording, "map", **settings)

    figure = out if folder is None else None
    answer = answered(question, ImageMap, lambda: _image_map(recording, rows, question), store=store, out=figure)
    if folder is not None:
        iconoscope.report(answer, folder)
    return answer


def check_installed(method: str) -> None:
    """Refuse a method whose package is not installed, with the line that installs it."""
    if method in EXTRAS and find_spec(method) is None:
        raise MissingExtraError(
            f"{METHODS[method].partition(':')[0]} is not installed.",
            hint=f"pip install 'iconoscope[{method}]', in a clone pip install '.[{method}]'",
        )


def _sampled_rows(count: int, limit: int | None, seed: int) -> NDArray[np.int64]:
    """Choose at most `limit` of `count` images at random, in order."""
    rows = np.arange(count)
    if limit is not None and limit < count:
        rows = np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))
    if len(rows) < LEAST_IMAGES:
        few = "Record four or more." if count < LEAST_IMAGES else "Give a limit of four or more."
        raise QuestionError(f"{len(rows)} image{'s' * (len(rows) != 1)} make{'s' * (len(rows) == 1)} no map.", hint=few)
    return rows


def _som_shape(cells: int | tuple[int, int] | None, count: int) -> tuple[int, ...]:
    """Give rows and columns of a self-organising map of so many images: about five cells for each root of their number."""
    if cells is None:
        return (max(2, round(np.sqrt(5 * np.sqrt(count)))),) * 2
    return read_size(cells) or ()


def _fitting_perplexity(perplexity: float | None, count: int) -> float:
    most = (count - 1) / 3
    fitting = min(30.0, most) if perplexity is None else float(perplexity)
    if not 1 <= fitting <= most:
        raise QuestionError(
            f"perplexity={fitting:g} is not possible with {count} images.",
            hint=f"Give 1 to {(count - 1) // 3}: a third of the images.",
        )
    return fitting


def _neighbours_wanted(settings: Any) -> int:
    """Give how many neighbours of each image a method looks at: three times as many as the perplexity says."""
    from iconoscope.exemplars.tsne import FINE

    return int(3 * (min(FINE, settings["perplexity"]) if "embedded" in settings else settings["perplexity"]))


def _finite(recording: Recording, name: str) -> NDArray[np.float32]:
    vectors = recording.vectors(name)
    if not np.isfinite(vectors).all():
        raise NonFiniteError(f"Some vectors {name!r} hold infinity, so that nothing is near them.")
    return vectors


def _image_map(recording: Recording, rows: NDArray[np.int64], question: Question) -> ImageMap:
    from iconoscope.exemplars.approximate_neighbours import neighbours_of
    from iconoscope.exemplars.layouts import LAYOUTS
    from iconoscope.exemplars.nearest_neighbours import metric_vectors

    settings = question.settings
    near = metric_vectors(_finite(recording, settings["vectors"])[rows], settings["metric"])
    count = max(_TRUSTED, _NEIGHBOURS)
    if settings["method"] == "tsne":
        count = max(count, _neighbours_wanted(settings))
    neighbours, distances = neighbours_of(near, count)
    placed = LAYOUTS[settings["method"]](near, neighbours, distances, settings)
    return _assembled(recording, rows, near, neighbours, placed, question)


def _assembled(
    recording: Recording,
    rows: NDArray[np.int64],
    near: torch.Tensor,
    neighbours: NDArray[np.integer[Any]],
    placed: Placed,
    question: Question,
) -> ImageMap:
    import torch

    from iconoscope.exemplars.approximate_neighbours import neighbour_recall
    from iconoscope.exemplars.nearest_neighbours import kept_class, nearest_points, trustworthiness

    settings = question.settings
    approximate = settings.get("neighbours") == "approximate"
    sample = min(len(rows), max(_FEWEST, min(_MOST, _MOST * _SURE // len(rows))))
    points = torch.from_numpy(placed.points)
    k = min(_TRUSTED, max(1, (len(rows) - 2) // 2))
    on_map = nearest_points(placed.points, k)
    labels = np.array([label or "" for label in recording.labels.chosen(rows)])
    classes = np.where(labels == "", -1, np.unique(labels, return_inverse=True)[1])
    side = thumbnail_side(len(rows), min(recording.question.settings["preprocessing"]["size"]))
    atlas, atlas_ends = pack_thumbnails(_thumbnails(recording, rows, side), len(rows), side)
    return ImageMap(
        question=question,
        points=placed.points,
        ids=np.array(recording.ids.chosen(rows)),
        labels=labels,
        targets=recording.targets[rows],
        predictions=recording.predictions[rows],
        classes=recording.classes,
        method=settings["method"],
        vectors=settings["vectors"],
        metric=settings["metric"],
        neighbours=neighbours[:, :_NEIGHBOURS].astype(np.int32),
        trustworthiness=trustworthiness(near, points, k, sample=sample, seed=settings["seed"]),
        trusted_k=k,
        trusted_sample=sample,
        neighbour_recall=neighbour_recall(near, neighbours, k, seed=settings["seed"]) if approximate else 1.0,
        same_class_vectors=kept_class(neighbours[:, :k], classes),
        same_class_map=kept_class(on_map, classes),
        atlas=atlas,
        atlas_ends=atlas_ends,
        side=side,
        **_grid_fields(placed, settings),
    )


def _grid_fields(placed: Placed, settings: Any) -> dict[str, Any]:
    """Give every image's row and column, if there is a grid, and what a self-organising map says of itself."""
    from iconoscope.exemplars.grid_assignment import snap_to_grid

    som = placed.som
    if som is None:
        return dict(zip(("cells", "shape"), snap_to_grid(placed.points), strict=True)) if settings["grid"] else {}
    best = np.full(som.shape[0] * som.shape[1], -1, np.int64)
    order = np.argsort(-som.distances, kind="stable")
    best[som.cells[order]] = order  # the nearest comes last, and stays
    return {
        "cells": np.stack(np.divmod(som.cells, som.shape[1]), 1),
        "shape": som.shape,
        "topology": som.topology,
        "u_matrix": som.u_matrix(),
        "best": best.reshape(som.shape),
        "quantisation_error": som.quantisation_error,
        "topographic_error": som.topographic_error,
    }


def _thumbnails(recording: Recording, rows: NDArray[np.int64], side: int) -> Iterator[NDArray[np.uint8]]:
    with advancing("thumbnails", len(rows)) as advance:
        for first in range(0, len(rows), 256):
            pictures = recorded_pictures(recording, rows[first : first + 256])
            for picture in pictures:
                short = min(picture.shape[:2])
                top, left = (picture.shape[0] - short) // 2, (picture.shape[1] - short) // 2
                yield resized(picture[top : top + short, left : left + short], side, side)
            advance(len(pictures))


@checked
def place_images(
    recording: Recording | str | Path, old: ImageMap, old_recording: Recording | str | Path, *, seed: int = 0
) -> ImageMap:
    """Place new images into a map that is there, without moving what is on it.

    Parameters
    ----------
    recording
        Of the new images, by the same network and with the same vectors.
    old
        A map that `map_images` made by t-SNE or PCA.
    old_recording
        The recording that it was made of.
    seed
        Seed of all that is random.

    Returns
    -------
    ImageMap
        Of the new images alone, in the coordinates of the old map. Neighbours and quality are among the new images.

    Raises
    ------
    QuestionError
        If the map was made in another way, or the recordings do not belong to it.
    """
    from iconoscope.exemplars.approximate_neighbours import neighbour_settings, neighbours_of
    from iconoscope.exemplars.layouts import Placed

    recording, old_recording = load_recording(recording), load_recording(old_recording)
    check_images(recording)
    if recording.question.weights != old.question.weights:
        raise QuestionError(f"The map was made of {old.question.network}, the images were recorded by another network.")
    points, new = _placed_among(_finite(recording, old.vectors), old, old_recording, seed=seed)
    of_old = ("recording", "embedded", "neighbours")
    settings = {name: setting for name, setting in old.question.settings.items() if name not in of_old}
    settings |= {"into": old.question.key, "limit": None, "grid": False, "seed": seed} | neighbour_settings(
        len(recording)
    )
    question = question_about(recording, "map", **settings)
    neighbours, _ = neighbours_of(new, max(_TRUSTED, _NEIGHBOURS))
    return _assembled(recording, np.arange(len(recording)), new, neighbours, Placed(points), question)


def place_vectors(
    vectors: NDArray[np.float32], old: ImageMap, old_recording: Recording, *, seed: int = 0
) -> NDArray[np.float32]:
    """Give where vectors (m, numbers), of the kind that a map was made of, come to lie on it, (m, 2).

    Raises
    ------
    QuestionError
        As `place_images` does.
    """
    points, _ = _placed_among(vectors, old, old_recording, seed=seed)
    return points


def carried_over(image_map: ImageMap, recording: Recording) -> ImageMap | None:
    """Give a map as one of another recording of the same images by the same network, as where a layer more was recorded.

    The vectors are the same, so the map is what would be made anew. None where the recording is of other images or another
    network, or lacks the layer of which the map was made.
    """
    asked, recorded = image_map.question, recording.question
    if (asked.weights, asked.pixels) != (recorded.weights, recorded.pixels):
        return None
    layer = image_map.vectors.removeprefix("mean:").removeprefix("max:")
    if layer not in {"penultimate", "logits", "probabilities", *(layer.name for layer in recording.layers)}:
        return None
    if not set(recording.ids).issuperset(image_map.ids.tolist()):
        return None
    settings = {name: setting for name, setting in asked.settings.items() if name != "recording"}
    return replace(image_map, question=question_about(recording, "map", **settings))


def _placed_among(
    vectors: NDArray[np.float32], old: ImageMap, old_recording: Recording, *, seed: int
) -> tuple[NDArray[np.float32], torch.Tensor]:
    """Give where new vectors come to lie, and these in the space in which the map's were compared."""
    from iconoscope.exemplars.layouts import in_plane
    from iconoscope.exemplars.tsne import place_among

    if old.method not in ("tsne", "pca"):
        raise QuestionError(
            f"New images are not placed into a map by {old.method}.", hint="Make the old one by tsne or pca."
        )
    if old_recording.question.key != old.question.settings["recording"]:
        raise QuestionError("The old recording is not the one that the map was made of.")
    new, mapped = _comparable(vectors, old, old_recording)
    if old.method == "pca":
        return in_plane(new, mapped), new
    return place_among(mapped, new, old.points, old.question.settings["perplexity"], seed=seed), new


def _comparable(
    vectors: NDArray[np.float32], old: ImageMap, old_recording: Recording
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give new vectors and those of a map in the space in which the map's were compared."""
    import torch

    from iconoscope.exemplars.nearest_neighbours import metric_vectors

    row_of = {identity: row for row, identity in enumerate(old_recording.ids)}
    mapped = old_recording.vectors(old.vectors)[[row_of[str(identity)] for identity in old.ids]]
    if old.metric != "euclidean":
        return metric_vectors(vectors, "cosine"), metric_vectors(mapped, "cosine")
    # Centred like the map's own vectors, so that both are in its coordinates.
    middle = torch.from_numpy(np.array(mapped)).mean(0)
    return torch.from_numpy(np.array(vectors)) - middle, torch.from_numpy(np.array(mapped)) - middle
