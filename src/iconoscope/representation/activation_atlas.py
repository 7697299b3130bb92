"""The activation atlas (Carter et al. 2019): the space of a layer as a map of pictures that were made for each part of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import ImagesError, QuestionError, check_choice, check_counts
from iconoscope.exemplars.map import check_installed
from iconoscope.exemplars.record import fingerprint
from iconoscope.optimization import direction
from iconoscope.optimization.style import Style, read_style
from iconoscope.progress import track
from iconoscope.representation.finished_pictures import finished_pictures
from iconoscope.results import ActivationAtlas, Question
from iconoscope.results.activation_atlas import cells_of, cosines
from iconoscope.results.atlas import pack_thumbnails
from iconoscope.results.rendering import resized, rgb
from iconoscope.results.result import PAGES, check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.store.store import PartialAnswers
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.memory import check_fits
from iconoscope.subject.network import Network
from iconoscope.subject.network.preprocessing import read_size
from iconoscope.vocabulary.labels import match_labels
from iconoscope.vocabulary.unit import LayerUnit

__all__ = ["activation_atlas"]

METHODS = ("tsne", "umap", "pca")
"""Layouts of `iconoscope.exemplars.layouts` that a grid can be laid over."""

COSINE = 1.0
"""The power of the cosine in what a picture is asked for."""

RIDGE = 0.3
"""What is added to the mean squares of the layer's answers, in their mean, before directions are divided by them."""

LEAST_VECTORS = 16
_TOGETHER = 64  # pictures that are made, and kept, at once
_EXAMPLES = 6
_PERPLEXITY = 30.0


@checked
def activation_atlas(
    network: Network,
    images: Images | Any,
    layer: str,
    *,
    positions: int = 1,
    grids: Sequence[int] = (10, 20, 40),
    least: int = 5,
    method: str = "tsne",
    style: Style | str = "all",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> ActivationAtlas:
    """Lay out what a layer answers, and make a picture for every part of it: what is there in the space of the layer?

    The layer is read at random places of many images (Carter et al. 2019, "Activation Atlas"). These vectors are put on the
    plane so that near ones lie near each other, grids are laid over them, and for each cell a picture is made of the direction
    that its vectors have in common. Unlike photographs that a unit answers, such pictures show what the network asks for and
    not only what exists. With each cell stand the classes that its vectors speak for, and crops of the photographs it is from.

    Parameters
    ----------
    network
        The network; its weights are not touched.
    images
        A set of images, or what makes one: thousands of them, or fewer with more positions.
    layer
        The layer: layer3, features.12.
    positions
        Places of each image at which the layer is read, drawn at random; those at a map's border are left out.
    grids
        Cells of each grid on a side, as 10,20,40: the coarsest first, each a multiple of the one before.
    least
        Vectors that a cell must have for a picture to be made.
    method
        How vectors are put on the plane: tsne, umap or pca.
    style
        How pictures are made, as in `optimize`.
    size
        Side of the pictures, or height and width as 96x128, in pixels; that of the network's input if not given. The network is
        shown pictures of just that size, so that smaller ones take less time.
    steps
        Steps of each picture. If not given, as many as `optimize` takes: 64 under 100 pixels, else 128.
    seed
        Seed of the places, the map and the pictures.
    out
        Where to write the atlas: a page to move about in (.html), or the figure of the middle grid (.png, .pdf, .svg, .jpg,
        .webp).
    store
        Folder where the answer is looked for first, and kept. Pictures that were made before Ctrl-C are not made again.

    Returns
    -------
    ActivationAtlas
        The vectors' places, and of each cell its picture, its number of vectors, its classes and its photographs.

    Raises
    ------
    UnitError
        If the network has no such layer, or it answers no maps, tokens or vectors.
    QuestionError
        If a setting is no choice or out of range, or there are too few vectors.
    NetworkError
        If the logits do not come by the layer, or the network cannot be shown pictures of that size.
    NonFiniteError
        If the network answers NaN or infinity.
    ImagesError
        If no image can be read. Those that cannot are left out, and a warning names them.
    MissingExtraError
        If the method is umap and its package is not installed.

    Notes
    -----
    What a vector adds to a logit is taken to be linear: the gradient of the logit at the vector, times the vector. Where all
    that follows the layer is linear, as a mean over the map and one linear layer, that is exact; else it is a first order.

    A picture is made along the mean of the cell's vectors, multiplied by the inverse of the mean squares (the second moments)
    of the layer's answers, so that what all answers have in common counts for less; by the dot product times a power of the
    cosine, in the mean over the map.

    Examples
    --------
    >>> import iconoscope as ico
    >>> network = ico.load_network("cars-honest", device="cpu")
    >>> atlas = activation_atlas(network, ico.demo_images(40, seed=3), "relu3", grids=(2, 4), steps=2, method="pca")
    >>> atlas.of_grid(0).size, atlas.cell_pictures.shape[1:]
    (3, (96, 96, 3))
    """
    check_figure_name(out, pages=PAGES)
    check_counts(positions=positions, least=least)
    check_counts(most=10**6, steps=1 if steps is None else steps)
    check_choice("method", method, METHODS)
    check_installed(method)
    chosen = read_style(style)
    unit = network.resolve(layer)
    if not isinstance(unit, LayerUnit) or unit.channel is not None:
        raise QuestionError(f"{layer!r} is a unit; an atlas is of a whole layer.", hint="Give the name of a layer.")
    images = load_images(images)
    if not len(images):
        raise ImagesError(f"There are no images to read: an empty selection from {images.source}.")
    network.notice_changes()
    targets = match_labels(network.names, images.labels)
    sides = read_size(size) or network.preprocessing.size
    request = _Asked(network, images, targets, unit.layer, _checked_grids(grids), least, chosen, sides, steps)
    settings = {"positions": positions, "method": method, "seed": seed, "ridge": RIDGE, "cosine": COSINE}
    question = request.question(settings)
    if store is None:
        atlas = request.atlas(question, PartialAnswers(None))
    else:
        chosen.check_storable()
        opened_store = Store.at(store, witness=network.witness)
        # What is made on the way is kept beside the store for as long as the atlas takes, so that it can go on where it was.
        aside = opened_store.folder / f".atlas-{question.key[:24]}"
        parts = PartialAnswers(None if question.unkept else aside)
        atlas = opened_store.answer(question, ActivationAtlas, lambda: request.atlas(question, parts))
        shutil.rmtree(aside, ignore_errors=True)
    if out is not None:
        atlas.save(out)
    return atlas


def _checked_grids(grids: Sequence[int]) -> tuple[int, ...]:
    """Refuse grids that do not divide each other."""
    if not grids:
        raise QuestionError("grids is empty.", hint="Give 10,20,40.")
    check_counts(most=1000, grids=min(grids))
    check_counts(most=1000, grids=max(grids))
    for coarse, fine in pairwise(grids):
        if fine <= coarse or fine % coarse:
            raise QuestionError(
                f"grids={','.join(map(str, grids))}: {fine} is not a multiple of {coarse}.",
                hint="Cells lie within cells of the grid before: give 10,20,40.",
            )
    return tuple(grids)


@dataclass(frozen=True)
class _Cells:
    """Cells that have enough vectors: m of them, the coarsest grid's first."""

    cells: NDArray[np.int64]
    counts: NDArray[np.int64]
    means: NDArray[np.float32]
    attributions: NDArray[np.float32]
    examples: NDArray[np.int64]


def cells_with_vectors(
    places: NDArray[np.int64], vectors: NDArray[np.float32], attributions: NDArray[np.float32], least: int
) -> _Cells:
    """Gather the vectors of each cell.

    Parameters
    ----------
    places
        Row and column of each vector on each grid, (grids, n, 2).
    vectors, attributions
        (n, channels) and (n, classes).
    least
        How many make a cell.
    """
    cells, counts, means, added, examples = [], [], [], [], []
    for grid, of_grid in enumerate(places):
        distinct, cell_numbers = np.unique(of_grid, axis=0, return_inverse=True)
        order = np.argsort(cell_numbers.ravel(), kind="stable")
        for row_and_column, members in zip(
            distinct, np.split(order, np.cumsum(np.bincount(cell_numbers.ravel()))[:-1]), strict=True
        ):
            mean = vectors[members].mean(0, dtype=np.float64)
            if len(members) < least or not mean.any():
                continue
            near = np.argsort(-cosines(vectors[members], mean[None])[:, 0], kind="stable")[:_EXAMPLES]
            cells.append((grid, *row_and_column))
            counts.append(len(members))
            means.append(mean)
            added.append(attributions[members].mean(0, dtype=np.float64))
            examples.append(np.pad(members[near], (0, _EXAMPLES - len(near)), constant_values=-1))
    if not cells:
        raise QuestionError(
            f"No cell has {least} of the {len(vectors):,} vectors.",
            hint="Give a smaller least, a coarser grid, more positions or more images.",
        )
    return _Cells(
        np.array(cells, np.int64),
        np.array(counts, np.int64),
        np.array(means, np.float32),
        np.array(added, np.float32),
        np.array(examples, np.int64),
    )


def whitened(means: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Multiply directions (m, channels) by the inverse of the second moments of vectors (n, channels), with a ridge."""
    moments = vectors.T.astype(np.float64) @ vectors / len(vectors)
    ridge = RIDGE * np.trace(moments) / len(moments)
    return np.linalg.solve(moments + ridge * np.eye(len(moments)), means.T.astype(np.float64)).T


@dataclass(frozen=True)
class _Asked:
    """All that an atlas is asked of."""

    network: Network
    images: Images
    targets: NDArray[np.int64]
    layer: str
    grids: tuple[int, ...]
    least: int
    style: Style
    size: tuple[int, int]
    steps: int | None

    def question(self, settings: dict[str, Any]) -> Question:
        network, images = self.network, self.images
        return Question(
            technique="atlas",
            network=network.name,
            weights=network.digest(),
            subject=f"{len(images):,} images from {images.source}",
            pixels=fingerprint(images, self.targets, network.preprocessing),
            unit=self.layer,
            settings={
                "preprocessing": network.preprocessing.to_json(),
                "classes": network.classes_digest,
                "grids": self.grids,
                "least": self.least,
                "style": self.style.to_json(),
                "size": self.size,
                "steps": self.steps,
                **settings,
            },
            version=__version__,
        )

    def atlas(self, question: Question, parts: PartialAnswers) -> ActivationAtlas:
        """Make it; what is done is kept in `parts`."""
        settings = question.settings
        read: dict[str, Any] = parts.get_or_make(
            "vectors", lambda: self._vectors(settings["positions"], settings["seed"])
        )
        points: Any = parts.get_or_make("points", lambda: {"points": self._points(read["vectors"], settings)})["points"]
        occupied = cells_with_vectors(cells_of(points, self.grids), read["vectors"], read["attributions"], self.least)
        directions = whitened(occupied.means, read["vectors"])
        blocks: list[Any] = [
            parts.get_or_make(
                f"pictures-{first}",
                lambda block=directions[first : first + _TOGETHER]: self._made(block, settings["seed"]),
            )
            for first in track(range(0, len(directions), _TOGETHER), f"making {len(directions):,} pictures")
        ]
        ids = np.array(self.images.ids)
        numbers, crops, ends, side = self._crops(occupied.examples, read)
        return ActivationAtlas(
            question=question,
            layer=self.layer,
            points=points,
            ids=ids[read["rows"]],
            targets=self.targets[read["rows"]],
            positions=read["positions"],
            map_shape=(int(read["shape"][0]), int(read["shape"][1])),
            classes=self.network.classes,
            grids=self.grids,
            cells=occupied.cells,
            counts=occupied.counts,
            means=occupied.means,
            attributions=occupied.attributions,
            cell_pictures=np.concatenate([part["pictures"] for part in blocks]),
            answers=np.concatenate([part["answers"] for part in blocks]),
            examples=occupied.examples,
            crops=crops,
            crops_ends=ends,
            crop_side=side,
            crop_numbers=numbers,
            silent=int(read["silent"]),
            style=str(blocks[0]["style"]),
        )

    def _vectors(self, each: int, seed: int) -> dict[str, NDArray[Any]]:
        from iconoscope.representation.layer_vectors import read_vectors

        with self.network.questioned():
            read = read_vectors(self.network, self.images, self.layer, each=each, seed=seed)
        speaking = np.flatnonzero(np.abs(read.vectors).max(1) > 0)
        if len(speaking) < LEAST_VECTORS:
            raise QuestionError(
                f"{self.layer} answers {len(speaking)} vectors that are not all zero; an atlas is made of "
                f"{LEAST_VECTORS} or more.",
                hint="Give more images, or more positions of each.",
            )
        names = ("rows", "positions", "vectors", "attributions")
        silent = np.array(len(read.vectors) - len(speaking))
        return {name: getattr(read, name)[speaking] for name in names} | {
            "shape": np.array(read.shape), "silent": silent,
        }  # fmt: skip

    def _points(self, vectors: NDArray[np.float32], settings: Any) -> NDArray[np.float32]:
        from iconoscope.exemplars.approximate_neighbours import neighbours_of
        from iconoscope.exemplars.layouts import LAYOUTS
        from iconoscope.exemplars.nearest_neighbours import metric_vectors
        from iconoscope.exemplars.tsne import SAMPLE, WHOLE

        perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
        check_fits(80.0 * len(vectors) * perplexity, f"A map of {len(vectors):,} vectors", hint="Give fewer positions.")
        near = metric_vectors(vectors, "cosine")
        layout = {"perplexity": perplexity, "iterations": 250, "seed": settings["seed"]}
        if len(vectors) > WHOLE:
            layout["embedded"] = SAMPLE
        return LAYOUTS[settings["method"]](near, *neighbours_of(near, int(3 * perplexity)), layout).points

    def _made(self, directions: NDArray[np.float64], seed: int) -> dict[str, NDArray[Any]]:
        """Make the pictures of some directions, and ask the layer about them."""
        import torch

        from iconoscope.subject.response import activations

        network = self.network
        if self.size != network.preprocessing.size:
            network = replace(network, preprocessing=replace(network.preprocessing, size=self.size))
        objectives = [direction(self.layer, vector, cosine=COSINE) for vector in directions]
        made = finished_pictures(network, objectives, style=self.style, steps=self.steps, seed=seed)
        with network.questioned(), torch.inference_mode():
            pixels = (made.images * 255).round().astype(np.uint8)
            maps = activations(network, network.preprocessing.normalise(pixels).to(network.device), self.layer)
            answers = (maps.flatten(2).mean(2) if maps.ndim > 2 else maps).float().cpu().numpy()
        pictures = np.stack([rgb(picture) for picture in made.images])
        return {"pictures": pictures, "answers": answers, "style": np.array(made.style)}

    def _crops(
        self, examples: NDArray[np.int64], read: dict[str, NDArray[Any]]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64], int]:
        """Cut what is around the places of all examples out of their images.

        Returns
        -------
        tuple
            The number of each vector's thumbnail, -1 where it has none; the pages and where they end; a thumbnail's side.
        """
        vectors = np.unique(examples[examples >= 0])
        vectors = vectors[np.argsort(read["rows"][vectors], kind="stable")]  # so that each image is read once
        numbers = np.full(len(read["rows"]), -1, np.int64)
        numbers[vectors] = np.arange(len(vectors))
        side = 32 if min(self.network.preprocessing.size) < 64 else 64
        pages, ends = pack_thumbnails(self._cut(vectors, read, side), len(vectors), side)
        return numbers, pages, ends, side

    def _cut(self, vectors: NDArray[np.int64], read: dict[str, NDArray[Any]], side: int) -> Iterator[NDArray[np.uint8]]:
        shape = read["shape"].tolist()
        last, picture = -1, np.zeros((1, 1, 3), np.uint8)
        for vector in track(vectors.tolist(), "crops"):
            row = int(read["rows"][vector])
            if row != last:
                last, picture = row, rgb(self.network.preprocessing.shown(self.images[row]))
            box = crop_box(read["positions"][vector].tolist(), shape, picture.shape[:2])
            yield resized(picture[box[0] : box[2], box[1] : box[3]], side, side)


def crop_box(position: Sequence[int], shape: Sequence[int], size: Sequence[int]) -> tuple[int, int, int, int]:
    """Give a square around a place of a map on the picture: half as large as that, but 64 pixels where it can be.

    Without a place it is in the middle, as large as the picture. A layer may see more than that, or less.

    >>> crop_box((0, 12), (13, 13), (227, 227)), crop_box((3, 3), (8, 8), (32, 32))
    ((0, 114, 113, 227), (0, 0, 32, 32))
    """
    shortest = min(size)
    side = shortest if min(position) < 0 else min(shortest, max(64, shortest // 2))
    starts = []
    for index, length, extent in zip(position, shape, size, strict=True):
        middle = extent / 2 if index < 0 else (index + 0.5) * extent / length
        starts.append(int(min(max(0, round(middle - side / 2)), extent - side)))
    return starts[0], starts[1], starts[0] + side, starts[1] + side
