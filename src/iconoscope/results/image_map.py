"""A map of a set of images: near each other on it is what the network answers alike."""

from __future__ import annotations

import colorsys
import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import iconoscope
from iconoscope.language import say, term
from iconoscope.results.atlas import pages_in, read_thumbnails
from iconoscope.results.figure import RESOLUTION, as_text
from iconoscope.results.frame import Columns
from iconoscope.results.rendering import Picture, colour, resized, to_png
from iconoscope.results.result import Result, is_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EXTRAS", "METHODS", "METRICS", "TOPOLOGIES", "ImageMap", "class_colours", "unit_square"]

METHODS = {
    "tsne": "t-SNE: neighbours stay neighbours, distances between groups mean little",
    "umap": "UMAP: likewise, groups are drawn closer together (needs iconoscope[umap])",
    "pacmap": "PaCMAP: likewise, with more of the large shape kept (needs iconoscope[pacmap])",
    "pca": "the two directions in which the vectors differ most: distances are shadows of true ones",
    "som": "a self-organising map: a sheet of cells, near cells standing for near vectors",
}
"""Endings of a map's page."""
EXTRAS = ("umap", "pacmap")
"""Methods that need a package which is not always installed: extras and modules of these names."""
METRICS = {
    "cosine": "the angle between two vectors",
    "euclidean": "the distance of two vectors",
}
TOPOLOGIES = {
    "rectangular": "cells in rows and columns",
    "hexagonal": "every other row moved by half a cell, so that all six neighbours are equally far",
}


_SIDE = 4096  # pixels of a large picture
_SHOWN = 1400  # pixels of its longer side in a notebook
_COLOURED = 20  # classes that colours can tell apart
_RASTER = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
# Okabe and Ito 2008, then more in the same spirit; beyond these, hues in equal steps.
_COLOURS = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0), (86, 180, 233), (190, 180, 20),
    (120, 80, 200), (140, 86, 60), (120, 120, 120), (220, 60, 90), (60, 150, 60),
)  # fmt: skip


def unit_square(points: NDArray[Any], others: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Put points, or others in their place, where points fill the square from 0 to 1, by one scale for both axes."""
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    span = max(float((high - low).max()), 1e-12)
    return (((points if others is None else others) - (low + high) / 2) / span + 0.5).clip(0, 1)


def class_colours(count: int) -> list[tuple[int, int, int]]:
    """Give as many colours as there are classes, 0..255.

    >>> class_colours(2), len(set(class_colours(1000))) > 900
    ([(0, 114, 178), (230, 159, 0)], True)
    """
    if count <= len(_COLOURS):
        return list(_COLOURS[:count])
    # Neighbours in the list are far apart on the circle, and differ in how light they are.
    colours = [
        colorsys.hls_to_rgb((index * 0.618034) % 1, 0.38 + 0.14 * (index % 3), 0.55 + 0.1 * (index % 4))
        for index in range(count)
    ]
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in colours]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ImageMap(Result):
    """A set of images on the plane: n of them.

    Attributes
    ----------
    points : ndarray of float32, (n, 2)
        Where each image is, across and down, in the method's own units.
    ids : ndarray of str, (n,)
        The images.
    labels : ndarray of str, (n,)
        Their labels; empty where there is none.
    targets, predictions : ndarray of int64, (n,)
        Which of the classes the label is, -1 where it is none, and which the network answers.
    classes : tuple of str
        The network's classes.
    method, vectors, metric : str
        How the map was made, of which vectors, and what near means.
    neighbours : ndarray of int32, (n, k)
        The images whose vectors are nearest to each image's, the nearest first.
    trustworthiness : float
        Whether neighbours on the map are neighbours in truth (Venna and Kaski 2001), 0..1.
    trusted_k : int
        How many neighbours that was asked of.
    trusted_sample : int or None
        How many images, drawn at random, it was asked of; None is not known.
    neighbour_recall : float
        The share of the true nearest that are among `neighbours`, of a sample: 1 where every pair was looked at.
    same_class_vectors, same_class_map : float or None
        The share of these many nearest that have an image's own label: of the vectors, and on the map.
    atlas, atlas_ends : ndarray of uint8 and int64
        Thumbnails: JPEG pages one after another, and where each ends.
    side : int
        Side of a thumbnail, pixels.
    cells : ndarray of int64, (n, 2), or None
        Row and column of each image: on the full grid that it was moved to, or its cell of a self-organising map.
    shape : tuple of int or None
        Rows and columns of the grid, or of the self-organising map.
    topology : str
        Of a self-organising map: rectangular or hexagonal; otherwise empty.
    u_matrix : ndarray of float32, (rows, columns), or None
        How far each cell of a self-organising map is from its neighbours.
    best : ndarray of int64, (rows, columns), or None
        The image that each such cell stands for best, -1 where it has none.
    quantisation_error, topographic_error : float or None
        The mean distance of an image to its cell, and the share of images whose two nearest cells are not neighbours.
    """

    kind: ClassVar[str] = "image_map"

    points: NDArray[np.float32]
    ids: NDArray[np.str_]
    labels: NDArray[np.str_]
    targets: NDArray[np.int64]
    predictions: NDArray[np.int64]
    classes: tuple[str, ...]
    method: str
    vectors: str
    metric: str
    neighbours: NDArray[np.int32]
    trustworthiness: float
    trusted_k: int
    same_class_vectors: float | None
    same_class_map: float | None
    atlas: NDArray[np.uint8]
    atlas_ends: NDArray[np.int64]
    side: int
    cells: NDArray[np.int64] | None = None
    shape: tuple[int, int] | None = None
    topology: str = ""
    u_matrix: NDArray[np.float32] | None = None
    best: NDArray[np.int64] | None = None
    quantisation_error: float | None = None
    topographic_error: float | None = None
    trusted_sample: int | None = None
    neighbour_recall: float = 1.0

    def __len__(self) -> int:
        return len(self.points)

    @property
    def method_name(self) -> str:
        """The method's name, as people write it."""
        names = {"tsne": "t-SNE", "umap": "UMAP", "pacmap": "PaCMAP", "pca": "PCA", "som": say("self-organising map")}
        return names[self.method]

    @property
    def quality(self) -> dict[str, float | int | None]:
        """How far the map can be trusted, and of how many images that is known.

        With ``embedded``, of a t-SNE of very many: so many were laid out first, and the others put beside them.
        """
        names = (
            "trustworthiness", "trusted_k", "trusted_sample", "same_class_vectors", "same_class_map", "neighbour_recall",
            "quantisation_error", "topographic_error",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"embedded": self.question.settings.get("embedded")}

    def summary(self) -> str:
        """Say in a sentence what is on the map, and how far it can be trusted."""
        titles = {
            "penultimate": say("the vectors before the logits"),
            "logits": say("the logits"),
            "probabilities": say("the probabilities"),
        }
        text = say(
            "{count:,} images by {method} of {vectors}: trustworthiness {trust:.3f} at {k}",
            count=len(self),
            method=self.method_name,
            vectors=titles.get(self.vectors, self.vectors),
            trust=self.trustworthiness,
            k=self.trusted_k,
        )
        if self.same_class_map is not None and self.same_class_vectors is not None:
            text += say(
                "; of an image's {k} nearest {on_map:.0%} on the map have its label, {of_vectors:.0%} of the vectors",
                k=self.trusted_k,
                on_map=self.same_class_map,
                of_vectors=self.same_class_vectors,
            )
        if self.quantisation_error is not None and self.topographic_error is not None and self.shape is not None:
            text += say(
                "; {shape} {topology} cells, quantisation error {quantisation:.3g}, topographic error {topographic:.3f}",
                shape=f"{self.shape[0]}x{self.shape[1]}",
                topology=term(self.topology),
                quantisation=self.quantisation_error,
                topographic=self.topographic_error,
            )
        if self.neighbour_recall < 1:
            text += say("; an index found {share:.1%} of the nearest", share=self.neighbour_recall)
        if embedded := self.question.settings.get("embedded"):
            text += say("; {count:,} were laid out first, and the others beside them", count=embedded)
        return f"{text}."

    def save(self, path: str | Path, *, dpi: float | None = None) -> Path:
        """Save the map as a page to move about in (.html), as a figure as every result, or everything as a folder.

        The page of more than 100,000 images is a folder, as `report` writes it.
        """
        path = Path(path).expanduser()
        if not is_page(path) or dpi is not None:
            return super().save(path, dpi=dpi)
        return iconoscope.report(self, path)

    def to_json(self) -> dict[str, Any]:
        """Give the question, the quality, and every image with its place."""
        return {
            **self._stated("method", "vectors", "metric"),
            **self.quality,
            "shape": None if self.shape is None else list(self.shape),
            "images": [
                {"id": identity, "label": label or None, "prediction": self.classes[answer], "x": x, "y": y}
                for identity, label, answer, (x, y) in zip(
                    self.ids.tolist(),
                    self.labels.tolist(),
                    self.predictions.tolist(),
                    np.round(self.points.astype(np.float64), 4).tolist(),
                    strict=True,
                )
            ],
        }

    def _table(self) -> Columns:
        labels = {"label": [label or None for label in self.labels.tolist()], "label_index": self.targets}
        answers = {
            "prediction": [self.classes[index] for index in self.predictions.tolist()],
            "prediction_index": self.predictions,
        }
        return self._rows_of(len(self), id=self.ids, x=self.points[:, 0], y=self.points[:, 1], **labels, **answers)

    @property
    def pages(self) -> tuple[bytes, ...]:
        """The pages of thumbnails, JPEG files, as `iconoscope.results.atlas.pack_thumbnails` lays them out."""
        return pages_in(self.atlas, self.atlas_ends)

    @cached_property
    def _thumbnails(self) -> NDArray[np.uint8]:
        return read_thumbnails(self.pages, len(self), self.side)

    def thumbnail(self, index: int) -> NDArray[np.uint8]:
        """Give the thumbnail of an image, (side, side, 3)."""
        return self._thumbnails[index]

    @cached_property
    def drawn(self) -> tuple[NDArray[np.uint8], int]:
        """The large picture, (height, width, 3), and how many of the images are on it."""
        if self.best is not None and self.u_matrix is not None:
            return self._sheet(self.best, self.u_matrix)
        if self.cells is not None and self.shape is not None:
            return self._grid(self.cells, self.shape)
        return self._scattered()

    @property
    def _classes_or_answers(self) -> NDArray[np.int64]:
        """The class of every image's label or, where there is none, of the network's answer, (n,)."""
        return np.where(self.targets >= 0, self.targets, self.predictions)

    def _inks(self) -> NDArray[np.uint8]:
        """Give the colour of every image: that of its label or, where there is none, of the network's answer.

        Many classes are not told apart by colours: then all are grey.
        """
        if not self.legend_colours():
            return np.full((len(self), 3), 205, np.uint8)
        colours = np.array(class_colours(len(self.classes)), np.uint8)
        return colours[self._classes_or_answers]

    def _scattered(self) -> tuple[NDArray[np.uint8], int]:
        """Draw every thumbnail at its place, and leave out those that would hide others."""
        step = self.side + 6
        low, high = self.points.min(0), self.points.max(0)
        scale = (_SIDE - step - 8) / max(float((high - low).max()), 1e-12)
        places = ((self.points - low) * scale).round().astype(np.int64) + 4
        width, height = (places.max(0) + step + 4).tolist()
        picture = np.full((height, width, 3), 255, np.uint8)
        covered = np.zeros((height, width), np.bool_)
        inks = self._inks()
        count = 0
        # In an order at random, so that no class goes over the others.
        for index in np.random.default_rng(0).permutation(len(self)).tolist():
            left, top = places[index].tolist()
            if covered[top : top + step : step - 1, left : left + step : step - 1].any():
                continue
            row, column = covered[top + step // 2, left : left + step], covered[top : top + step, left + step // 2]
            if row.any() or column.any():
                continue
            covered[top : top + step, left : left + step] = True
            self._framed(picture, index, top, left, inks[index], 3)
            count += 1
        return picture, count

    def _framed(
        self, picture: Picture, index: int, top: int, left: int, ink: Picture, width: int, side: int | None = None
    ) -> None:
        """Draw a thumbnail, or a larger picture of it, with a frame so many pixels wide in its colour."""
        side = self.side if side is None else side
        picture[top : top + side + 2 * width, left : left + side + 2 * width] = ink
        pixels = resized(self._thumbnails[index], side, side)
        picture[top + width : top + width + side, left + width : left + width + side] = pixels

    def _grid(self, cells: NDArray[np.int64], shape: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
        step = self.side + 6
        picture = np.full((shape[0] * step, shape[1] * step, 3), 255, np.uint8)
        inks = self._inks()
        for index, (row, column) in enumerate(cells.tolist()):
            self._framed(picture, index, row * step, column * step, inks[index], 3)
        return picture, len(self)

    def _sheet(self, best: NDArray[np.int64], ridges: NDArray[np.float32]) -> tuple[NDArray[np.uint8], int]:
        """Draw the best image of every cell on ground as dark as the cell is far from its neighbours."""
        side = max(32, min(max(64, self.side), round(_SIDE / (max(best.shape) + 1) / 1.3)))
        step = round(1.3 * side)
        down = round(step * math.sqrt(3) / 2) if self.topology == "hexagonal" else step
        rows, columns = best.shape
        extra = step // 2 if self.topology == "hexagonal" else 0
        picture = np.full((rows * down + step - down, columns * step + extra, 3), 255, np.uint8)
        low, high = np.percentile(ridges, [2, 98])
        inks = self._inks()
        ground = colour(ridges, low=float(low), high=float(high), table="Greys")
        for row in range(rows):
            for column in range(columns):
                top, left = row * down, column * step + (extra if row % 2 else 0)
                picture[top : top + down, left : left + step] = ground[row, column]
                index = int(best[row, column])
                if index >= 0:
                    top, left = top + (down - side) // 2 - 2, left + (step - side) // 2 - 2
                    self._framed(picture, index, top, left, inks[index], 2, side)
        return picture, int((best >= 0).sum())

    def caption(self) -> str:
        """Say what the large picture shows."""
        _, count = self.drawn
        if self.best is not None:
            manner = say(
                "the best image of each cell; the darker the ground, the farther a cell is from its neighbours"
            )
        elif self.cells is not None:
            manner = say("each moved to a place of its own on a grid")
        elif count < len(self):
            manner = say("those that would overlap are left out")
        else:
            manner = say("each at its place")
        return say("Showing {count:,} of {all:,} images, {manner}.", count=count, all=len(self), manner=manner)

    def pictures(self) -> dict[str, bytes]:
        """Give the large picture."""
        return {"picture.png": to_png(self.drawn[0])}

    def _figure(self, form: str, *, dpi: float = RESOLUTION) -> bytes:
        """Encode the large picture as it is, with its captions under it; a PDF or an SVG is drawn by matplotlib.

        Its pixels are those of the thumbnails, so `dpi` is only noted in the file.
        """
        from PIL import Image

        if form not in _RASTER:
            return super()._figure(form, dpi=dpi)
        buffer = io.BytesIO()
        captions = (self.summary(), f"{self.question.network}, {self.question.subject_name}. {self.caption()}")
        Image.fromarray(self._captioned(self.drawn[0], captions)).save(buffer, _RASTER[form], dpi=(dpi, dpi))
        return buffer.getvalue()

    def _face(self) -> bytes:
        from PIL import Image

        picture = Image.fromarray(self.drawn[0])
        picture.thumbnail((_SHOWN, _SHOWN), Image.Resampling.LANCZOS)
        return to_png(self._captioned(np.asarray(picture), (f"{self.question.network}. {self.caption()}",)))

    def _captioned(self, picture: NDArray[np.uint8], captions: Sequence[str]) -> NDArray[np.uint8]:
        """Write sentences and the colours' meaning under the picture."""
        from matplotlib import get_data_path
        from PIL import Image, ImageDraw, ImageFont

        if picture.shape[1] < 800:  # few images, or a narrow map: the caption wants some room
            picture = np.pad(picture, ((0, 0), (0, 800 - picture.shape[1]), (0, 0)), constant_values=255)
        size = max(13, picture.shape[1] // 110)
        # Pillow's own lacks letters with accents.
        font = ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
        legend = self.legend_colours()
        letters = int((picture.shape[1] - 2 * size) / font.getlength("abcdefghij klmnopqrs") * 20)
        lines = [line for text in captions for line in textwrap.wrap(text, letters)]
        canvas = Image.new("RGB", (picture.shape[1], round((len(lines) + bool(legend)) * 1.5 * size + size)), "white")
        drawing = ImageDraw.Draw(canvas)
        for number, line in enumerate(lines):
            drawing.text((size, size * (0.5 + 1.5 * number)), line, "black", font=font)
        across = float(size)
        for name, ink in legend:
            wide = drawing.textlength(name, font=font) + 2.6 * size
            if across + wide > canvas.width - 2 * size:
                drawing.text((across, size * (0.5 + 1.5 * len(lines))), "…", "black", font=font)
                break
            top = size * (0.6 + 1.5 * len(lines))
            drawing.rectangle((across, top, across + size, top + size), fill=ink)
            drawing.text((across + 1.4 * size, top - 0.1 * size), name, "black", font=font)
            across += wide
        return np.concatenate([picture, np.asarray(canvas)])

    def legend_colours(self) -> list[tuple[str, str]]:
        """Give the classes that are on the map and their colours, as ``#rrggbb``; none if there are too many to tell apart."""
        present = set(self._classes_or_answers.tolist())
        if len(present) > _COLOURED:
            return []
        colours = class_colours(len(self.classes))
        return [
            (name, f"#{bytes(colours[index]).hex()}") for index, name in enumerate(self.classes) if index in present
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the large picture and, of a self-organising map, its U-matrix; on `ax` the picture alone.

        Returns
        -------
        matplotlib.axes.Axes
            Of the picture; ``.figure`` is the whole.
        """
        return self._shown() if ax is None else self._picture(ax)

    def _picture(self, axes: Axes) -> Axes:
        axes.imshow(self.drawn[0], interpolation="antialiased")
        axes.set_title(as_text(self.caption()), fontsize=8)
        axes.set_axis_off()
        return axes

    @property
    def _extent(self) -> tuple[float, float]:
        return (15.0, 8.5) if self.u_matrix is not None else (9.0, 9.5)

    def _on(self, figure: Figure) -> Axes:
        from matplotlib.patches import Patch

        figure.suptitle(as_text(f"{self.question.network}: {self.summary()}"), fontsize=8, wrap=True)
        if self.u_matrix is not None:
            left, right = figure.subplots(1, 2, width_ratios=(1, 0.8))
            drawing = right.imshow(self.u_matrix, cmap="Greys")
            figure.colorbar(drawing, ax=right, fraction=0.046, pad=0.03).set_label(
                say("mean distance of a cell to its neighbours"), fontsize=8
            )
            right.set_title(say("U-matrix"), fontsize=8)
            right.set_xticks([])
            right.set_yticks([])
            return self._picture(left)
        axes = figure.subplots()
        handles = [Patch(color=ink, label=as_text(name)) for name, ink in self.legend_colours()]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=7, frameon=False)
        return self._picture(axes)
