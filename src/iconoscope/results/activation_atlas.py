"""An activation atlas: the space of a layer laid out on grids, with a picture of what is asked for in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import iconoscope
from iconoscope.errors import QuestionError
from iconoscope.language import say
from iconoscope.results.atlas import pages_in, read_thumbnails
from iconoscope.results.figure import as_text
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.image_map import class_colours, unit_square
from iconoscope.results.rendering import resized, to_png
from iconoscope.results.result import Result, is_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ActivationAtlas", "cells_of", "cosines"]

_FRAME = 2  # pixels around a cell's picture
_COLOURED = 20  # classes that colours can tell apart
_FREQUENT = 12  # classes that have colours where there are more
_SHEET = 10_000  # pixels of a sheet's side: pictures are drawn smaller where many stand side by side


def cells_of(points: NDArray[Any], grids: Sequence[int]) -> NDArray[np.int64]:
    """Give the row and the column of each point on square grids laid over all points, (grids, points, 2).

    Every grid divides the cells of the one before, so each cell lies within one cell of that.

    >>> cells_of(np.array([[0.0, 0.0], [8.0, 8.0], [5.0, 1.0]]), (2, 4)).tolist()
    [[[0, 0], [1, 1], [0, 1]], [[0, 0], [3, 3], [0, 2]]]
    """
    finest = grids[-1]
    cells = np.minimum((unit_square(points) * finest).astype(np.int64), finest - 1)[:, ::-1]
    return np.stack([cells // (finest // side) for side in grids])


def cosines(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Give the cosines of all rows of one array with all of another, (first, second); 0 with a vector of zeros.

    >>> cosines(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])).round(3).tolist()
    [[0.707, 0.0]]
    """
    lengths = [np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second)]
    unit = [rows / np.maximum(length, 1e-12) for rows, length in zip((first, second), lengths, strict=True)]
    return np.asarray(unit[0].astype(np.float64) @ unit[1].astype(np.float64).T)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ActivationAtlas(Result):
    """What a layer can answer, on the plane: n vectors of it, and m cells of grids over them, the coarsest grid's first.

    Attributes
    ----------
    layer : str
        The layer.
    points : ndarray of float32, (n, 2)
        Where each vector lies, across and down, in the units of the map.
    ids : ndarray of str, (n,)
        The images that they are answers to.
    targets : ndarray of int64, (n,)
        Which of the classes these images' labels are, -1 where they are none.
    positions : ndarray of int64, (n, 2)
        The row and the column of the layer's map that each was read at; -1 of a vector without a place.
    map_shape : tuple of int
        Rows and columns of that map; (1, 1) of vectors.
    classes : tuple of str
        The network's classes.
    grids : tuple of int
        How many cells each grid has on a side, the coarsest first.
    cells : ndarray of int64, (m, 3)
        Of every cell that has enough vectors: which grid (0 is the coarsest), its row and its column.
    counts : ndarray of int64, (m,)
        How many vectors lie in it.
    means : ndarray of float32, (m, channels)
        Their mean.
    attributions : ndarray of float32, (m, classes)
        What such a vector adds to each logit, in the mean: the gradient of the logit at the vector times the vector.
    cell_pictures : ndarray of uint8, (m, height, width, 3)
        The picture that was made along the cell's direction.
    answers : ndarray of float32, (m, channels)
        What the layer answers to that picture, in the mean over its map.
    examples : ndarray of int64, (m, k)
        The vectors whose direction is nearest to the mean's, the nearest first; -1 where there are fewer.
    crops, crops_ends : ndarray of uint8 and int64
        What is around the places of these vectors on their images: JPEG pages of thumbnails, and where each ends.
    crop_side : int
        Side of such a thumbnail, pixels.
    crop_numbers : ndarray of int64, (n,)
        Which thumbnail each vector has, -1 where it has none.
    silent : int
        How many vectors that were read were left out, as they are all zero.
    style : str
        How the pictures were made, in words.
    """

    kind: ClassVar[str] = "activation_atlas"

    layer: str
    points: NDArray[np.float32]
    ids: NDArray[np.str_]
    targets: NDArray[np.int64]
    positions: NDArray[np.int64]
    map_shape: tuple[int, int]
    classes: tuple[str, ...]
    grids: tuple[int, ...]
    cells: NDArray[np.int64]
    counts: NDArray[np.int64]
    means: NDArray[np.float32]
    attributions: NDArray[np.float32]
    cell_pictures: NDArray[np.uint8]
    answers: NDArray[np.float32]
    examples: NDArray[np.int64]
    crops: NDArray[np.uint8]
    crops_ends: NDArray[np.int64]
    crop_side: int
    crop_numbers: NDArray[np.int64]
    silent: int
    style: str

    def __len__(self) -> int:
        return len(self.cells)

    def of_grid(self, grid: int) -> NDArray[np.int64]:
        """Give the numbers of the cells of a grid; 0 is the coarsest, -1 the finest.

        Raises
        ------
        QuestionError
            If there is no such grid.
        """
        if not -len(self.grids) <= grid < len(self.grids):
            raise QuestionError(f"There is no grid {grid}.", hint=f"They are 0 to {len(self.grids) - 1}.")
        return np.flatnonzero(self.cells[:, 0] == grid % len(self.grids))

    def cell_at(self, grid: int, row: int, column: int) -> int:
        """Give the number of the cell at a row and a column of a grid; -1 if too few vectors lie there."""
        fits = np.flatnonzero((self.cells == (grid % len(self.grids), row, column)).all(1))
        return int(fits[0]) if len(fits) else -1

    def members(self, cell: int) -> NDArray[np.int64]:
        """Give the numbers of the vectors that lie in a cell."""
        grid, *row_and_column = self.cells[cell].tolist()
        return np.flatnonzero((self._cells_of_points[grid] == row_and_column).all(1))

    def strongest(self, cell: int, k: int = 5) -> list[tuple[str, float]]:
        """Give the classes that a cell speaks for most, with what its vectors add to their logits over that of all classes.

        What is added to all logits alike changes no probability, so the mean over the classes is taken off.
        """
        lead = self.leads[cell]
        order = np.argsort(-lead, kind="stable")[:k].tolist()
        return [(self.classes[index], float(lead[index])) for index in order]

    @cached_property
    def agreement(self) -> NDArray[np.float64]:
        """The cosine between what the layer answers to each cell's picture and the mean of its vectors, (m,)."""
        return np.array([cosines(self.answers[[cell]], self.means[[cell]])[0, 0] for cell in range(len(self))])

    @cached_property
    def recognised(self) -> float:
        """The share of the pictures, 0..1, that the layer answers more along their own cell's mean than any other of the grid.

        Both are taken from the mean over all cells of the grid, which all of them have in common.
        """
        right = 0
        for grid in self._drawn_grids:
            cells = self.of_grid(grid)
            middle = self.means[cells].mean(0)
            nearest = cosines(self.answers[cells] - self.answers[cells].mean(0), self.means[cells] - middle).argmax(1)
            right += int((nearest == np.arange(len(cells))).sum())
        return right / len(self)

    @cached_property
    def leads(self) -> NDArray[np.float32]:
        """What the vectors of each cell add to each logit over what they add to all in the mean, (m, classes)."""
        return self.attributions - self.attributions.mean(1, keepdims=True)

    @cached_property
    def _cells_of_points(self) -> NDArray[np.int64]:
        return cells_of(self.points, self.grids)

    @cached_property
    def _crops(self) -> NDArray[np.uint8]:
        return read_thumbnails(self.crop_pages, int(self.crop_numbers.max()) + 1, self.crop_side)

    @property
    def crop_pages(self) -> tuple[bytes, ...]:
        """The pages of thumbnails, JPEG files, as `iconoscope.results.atlas.pack_thumbnails` lays them out."""
        return pages_in(self.crops, self.crops_ends)

    @property
    def with_crops(self) -> NDArray[np.int64]:
        """The vectors that have a thumbnail, in the order of the thumbnails."""
        order = np.argsort(self.crop_numbers, kind="stable")
        return order[int((self.crop_numbers < 0).sum()) :]

    def crop(self, vector: int) -> NDArray[np.uint8]:
        """Give what is around the place of a vector on its image, (side, side, 3).

        Raises
        ------
        QuestionError
            If none is kept of it, as it is no cell's example.
        """
        number = int(self.crop_numbers[vector])
        if number < 0:
            raise QuestionError(f"No crop of vector {vector} is kept.", hint="Those in examples have one.")
        return self._crops[number]

    def summary(self) -> str:
        """Say in a sentence or two what was laid out, and how well the pictures show it."""
        listed = ", ".join(
            say("{count:,} of {grid}", count=len(self.of_grid(grid)), grid=f"{side}x{side}")
            for grid, side in enumerate(self.grids)
        )
        images = len(set(self.ids.tolist()))
        text = say(
            "{layer}: {vectors:,} vectors of {images:,} images; cells with a picture: {cells}. The layer answers a picture "
            "along its cell's mean with a cosine of {cosine:.2f} in the median, and {recognised:.0%} of the pictures more "
            "along it than along any other cell's of their grid",
            layer=self.layer,
            vectors=len(self.points),
            images=images,
            cells=listed,
            cosine=np.median(self.agreement),
            recognised=self.recognised,
        )
        if self.silent:
            text += say(". {count:,} vectors that are all zero were left out", count=self.silent)
        return f"{text}."

    def _table(self) -> Columns:
        strongest = [self.strongest(cell, 1)[0] for cell in range(len(self))]
        names = [name for name, _ in strongest]
        return self._rows_of(
            len(self),
            **repeated(len(self), layer=self.layer),
            grid=[self.grids[grid] for grid in self.cells[:, 0].tolist()],
            row=self.cells[:, 1],
            column=self.cells[:, 2],
            vectors=self.counts,
            strongest=names,
            strongest_index=[self.classes.index(name) for name in names],
            lead=[lead for _, lead in strongest],
            agreement=self.agreement,
        )

    def to_json(self) -> dict[str, Any]:
        """Give the question, and every cell with its vectors' number and the classes that it speaks for."""
        return {
            **self._stated("layer", "style", "silent", "recognised"),
            "vectors": len(self.points),
            "grids": list(self.grids),
            "cells": [
                {
                    "grid": self.grids[grid],
                    "row": row,
                    "column": column,
                    "vectors": int(self.counts[cell]),
                    "agreement": round(float(self.agreement[cell]), 4),
                    "classes": {name: round(value, 4) for name, value in self.strongest(cell)},
                }
                for cell, (grid, row, column) in enumerate(self.cells.tolist())
            ],
        }

    def save(self, path: str | Path, *, dpi: float | None = None) -> Path:
        """Save the atlas as a page to move about in (.html), as a figure as every result, or everything as a folder."""
        path = Path(path).expanduser()
        if not is_page(path) or dpi is not None:
            return super().save(path, dpi=dpi)
        return iconoscope.report(self, path)

    @cached_property
    def coloured(self) -> dict[int, str]:
        """The classes that cells speak for most and their colours, as ``#rrggbb``.

        Of more than colours can tell apart those that most cells speak for, the most frequent first.
        """
        present, cells = np.unique(self.leads.argmax(1), return_counts=True)
        if len(present) > _COLOURED:
            frequent = present[np.argsort(-cells, kind="stable")][:_FREQUENT].tolist()
            inks = class_colours(_FREQUENT)
            return {index: "#" + bytes(ink).hex() for index, ink in zip(frequent, inks, strict=True)}
        present = present.tolist()
        palette = class_colours(len(self.classes) if len(self.classes) <= _COLOURED else len(present))
        inks = palette if len(palette) == len(self.classes) else dict(zip(present, palette, strict=True))
        return {index: "#" + bytes(inks[index]).hex() for index in present}

    @property
    def unframed(self) -> int:
        """How many classes cells speak for most that have no colour, since there are too many."""
        return len(np.unique(self.leads.argmax(1))) - len(self.coloured)

    def sheet(self, grid: int = -1) -> NDArray[np.uint8]:
        """Draw the cells of a grid, each with its picture, framed in the colour of the class that it speaks for most.

        Where there are more classes than colours can tell apart, cells that speak for one of the less frequent have no frame.
        Cells with too few vectors are white.

        Returns
        -------
        ndarray of uint8, (height, width, 3)
        """
        cells, side = self.of_grid(grid), self.grids[grid]
        height, width = (
            max(1, min(extent, _SHEET * extent // (side * max(self.cell_pictures.shape[1:3]))))
            for extent in self.cell_pictures.shape[1:3]
        )
        frame = _FRAME if self.coloured else 0
        down, across = height + 2 * frame + 1, width + 2 * frame + 1
        sheet = np.full((side * down, side * across, 3), 255, np.uint8)
        for cell in cells.tolist():
            _, row, column = self.cells[cell].tolist()
            top, left = row * down, column * across
            if ink := self.coloured.get(int(self.leads[cell].argmax())):
                sheet[top : top + down - 1, left : left + across - 1] = list(bytes.fromhex(ink[1:]))
            top, left = top + frame, left + frame
            sheet[top : top + height, left : left + width] = resized(self.cell_pictures[cell], height, width)
        return sheet

    def plot(self, ax: Axes | None = None, *, grid: int | None = None) -> Axes:
        """Draw a grid of the atlas.

        Parameters
        ----------
        ax
            Where to draw; without it a new figure is made.
        grid
            Which; 0 is the coarsest. The one in the middle if not given.

        Raises
        ------
        QuestionError
            If there is no such grid, or none of its cells has enough vectors.
        """
        if ax is not None:
            return self._grid(ax, self.middle if grid is None else grid)
        if grid is None:
            return self._shown()
        from iconoscope.results.figure import shown_figure

        return self._grid(shown_figure(*self._extent).subplots(), grid)

    @property
    def middle(self) -> int:
        """The grid that figures show: the one in the middle, or a coarser one where that has more cells."""
        return max(range(len(self.grids) // 2 + 1), key=lambda grid: (len(self.of_grid(grid)), grid))

    @property
    def _drawn_grids(self) -> list[int]:
        """The grids that have any cell; the finest may have none."""
        return np.unique(self.cells[:, 0]).tolist()

    def pictures(self) -> dict[str, bytes]:
        """Give the sheets of all grids, the one in the middle as ``picture.png``."""
        sheets = {
            f"grid-{side}.png": grid
            for grid, side in enumerate(self.grids)
            if grid in self._drawn_grids and grid != self.middle
        }
        return {name: to_png(self.sheet(grid)) for name, grid in {"picture.png": self.middle, **sheets}.items()}

    @property
    def _extent(self) -> tuple[float, float]:
        rows, columns = (np.ptp(self.cells[self.of_grid(self.middle), axis]) + 1 for axis in (1, 2))
        height, width = self.cell_pictures.shape[1:3]
        return 9.0, min(14.0, 0.8 + 9.0 * rows * height / (columns * width))

    def _grid(self, axes: Axes, grid: int) -> Axes:
        if not len(self.of_grid(grid)):
            side = self.grids[grid]
            raise QuestionError(
                f"No cell of the grid of {side}x{side} has enough vectors.", hint=f"Draw grid {self.middle} instead."
            )
        sheet = self.sheet(grid)
        drawn = sheet.min(2) < 255
        rows, columns = (np.flatnonzero(drawn.max(axis)) for axis in (1, 0))
        axes.imshow(sheet[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], interpolation="antialiased")
        axes.set_axis_off()
        return axes

    def _on(self, figure: Figure) -> Axes:
        from matplotlib.patches import Patch

        title = say(
            "{network}, {layer}: what is asked for in each part of the layer's space",
            network=self.question.network,
            layer=self.layer,
        )
        if self.coloured:
            title += say("; frames: the class that a cell speaks for most")
        if self.unframed:
            title += say(" ({count} classes of fewer cells without)", count=self.unframed)
        figure.suptitle(as_text(title), fontsize=9, wrap=True)
        handles = [Patch(color=ink, label=as_text(self.classes[index])) for index, ink in self.coloured.items()]
        if handles:
            columns = min(len(handles), math.ceil(len(handles) / math.ceil(len(handles) / 10)))
            figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
        return self._grid(figure.subplots(), self.middle)
