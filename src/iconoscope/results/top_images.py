"""The images that a unit answers most and least, and what can be said of it from all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import number, say, term
from iconoscope.results.figure import as_text, picture_axes
from iconoscope.results.folders import without_folders
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.rendering import cropped_field, framed, to_png
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SIDES", "TopImages"]

SIDES = {
    "most": "the images it answers most",
    "between": "steps between, from high to low",
    "least": "the images it answers least, the weakest last",
}
"""The parts of the spectrum and what they are, from the strongest answer to the weakest."""

_ACROSS = 9  # pictures in a row of the figure
_LISTED = 8  # classes that are drawn


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TopImages(Result):
    """The images of a set in order of what one unit answers, as far as they are shown: n of all.

    Attributes
    ----------
    ids : tuple of str
        The images that are shown, from the strongest answer to the weakest, (n,).
    labels : tuple of str or None
        Their labels, (n,).
    predictions : tuple of str
        What the network says they are, (n,).
    sides : tuple of str
        Which part of the spectrum each belongs to: keys of `SIDES`, (n,).
    ranks : ndarray of int64, (n,)
        Their places among all images, 0 is the strongest answer.
    values : ndarray of float32, (n,)
        What the unit answers: the maximum of the channel's map, or the logit.
    pictures_shown : ndarray of uint8, (n, height, width, 3)
        The images as the network saw them.
    fields : ndarray of int64, (n, 4)
        The receptive field of the maximum: top, left, bottom, right, pixels; the whole image where that is what is seen, or
        where the place of the maximum was not kept, as between the most and the least.
    crop : bool
        Whether the figure shows the field alone. Otherwise the whole image with the field drawn in.
    of_tokens : bool
        Whether the fields are the patches that tokens stand for, which see more than that.
    images : int
        How many images there are in all.
    ranked : int
        How many of the strongest the class make-up is counted over.
    classes : tuple of str
        The network's classes.
    top_classes : ndarray of int64, (classes,)
        How many of the `ranked` strongest images have that label.
    class_means : ndarray of float32, (classes,)
        The mean answer to the images of that label (of a channel, of the mean over its map); NaN where there are none.
    class_selectivity : float or None
        Class selectivity index (Morcos et al. 2018): the mean answer to the class answered most, less the mean over the other
        classes' means, over the sum of both; 0 is none and 1 is an answer to one class only.
    ccmas : float or None
        Class-conditional mean activation selectivity (Zhou et al. 2018): the same against the mean of all other images.
    refused : str
        Why there is no selectivity; empty if there is.
    edges : ndarray of float64, (bins + 1,)
        Edges of the histogram.
    counts : ndarray of int64, (bins,)
        How many images answered so.
    silent : float
        The share of images to which the unit answers nothing, 0..1.
    optimized : ndarray of uint8, (height, width, 3), or None
        The picture that was made for the unit, if one was in the store.
    optimized_style : str
        How it was made.
    """

    kind: ClassVar[str] = "top_images"

    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    predictions: tuple[str, ...]
    sides: tuple[str, ...]
    ranks: NDArray[np.int64]
    values: NDArray[np.float32]
    pictures_shown: NDArray[np.uint8]
    fields: NDArray[np.int64]
    crop: bool
    images: int
    ranked: int
    classes: tuple[str, ...]
    top_classes: NDArray[np.int64]
    class_means: NDArray[np.float32]
    class_selectivity: float | None
    ccmas: float | None
    refused: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    silent: float
    optimized: NDArray[np.uint8] | None = None
    optimized_style: str = ""
    of_tokens: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def unit(self) -> str:
        """The unit."""
        return self.question.unit

    def makeup(self) -> list[tuple[str, int]]:
        """Give the classes of the strongest images with how many of them there are, the most frequent first."""
        order = np.argsort(-self.top_classes, kind="stable")
        return [(self.classes[index], int(self.top_classes[index])) for index in order if self.top_classes[index]]

    def summary(self) -> str:
        """Say in a sentence or two which images the unit answers, and how selective it is."""
        if self.values.max() == self.values.min() == 0 and self.silent == 1:
            return say(
                "{unit} answers nothing to any of {images:,} images: it is dead.", unit=self.unit, images=self.images
            )
        text = say(
            "{unit} answers {value:.3g} to {id}, most of {images:,} images",
            unit=self.unit,
            value=self.values[0],
            id=without_folders(self.ids[0]),
            images=self.images,
        )
        labelled = int(self.top_classes.sum())
        if labelled:
            listed = ", ".join(f"{name} {count}" for name, count in self.makeup()[:3])
            text += say("; of the {count} it answers most: {classes}", count=labelled, classes=listed)
        if self.class_selectivity is not None and self.ccmas is not None:
            best = self.classes[int(np.nanargmax(self.class_means))]
            text += say(
                ". Selectivity {selectivity:.2f} (CCMAS {ccmas:.2f}), for {name}",
                selectivity=self.class_selectivity,
                ccmas=self.ccmas,
                name=best,
            )
        elif self.refused:
            text += say(". No selectivity: {reason}", reason=term(self.refused))
        if self.silent >= 0.005:
            text += say(". It answers nothing to {share:.0%} of the images", share=self.silent)
        return f"{text}."

    def to_json(self) -> dict[str, Any]:
        """Give the question, the images with what the unit answers to them, and the figures about classes."""
        return {
            **self._stated("unit", "images", "ranked", "class_selectivity", "ccmas", "refused", "silent"),
            "shown": [
                {
                    "id": self.ids[index],
                    "label": self.labels[index],
                    "prediction": self.predictions[index],
                    "side": self.sides[index],
                    "rank": int(self.ranks[index]),
                    "value": float(self.values[index]),
                    "field": self.fields[index].tolist(),
                }
                for index in range(len(self))
            ],
            "top_classes": dict(self.makeup()),
        }

    def _table(self) -> Columns:
        images = {"id": list(self.ids), "label": list(self.labels), "prediction": list(self.predictions)}
        index_of = {name: index for index, name in enumerate(self.classes)}
        indices = {
            f"{name}_index": [index_of.get(of_class) if of_class else None for of_class in images[name]]
            for name in ("label", "prediction")
        }
        ranks = {"side": list(self.sides), "rank": self.ranks, "value": self.values}
        return self._rows_of(len(self), **repeated(len(self), unit=self.unit), **ranks, **images, **indices)

    def cell(self, index: int) -> NDArray[np.uint8]:
        """Give what is shown of an image: its field alone, or the whole with the field drawn in, (height, width, 3)."""
        top, left, bottom, right = self.fields[index].tolist()
        picture = self.pictures_shown[index]
        if not self.crop:
            return framed(picture, top, left, bottom, right)
        cut = picture[top:bottom, left:right]
        extent = picture.shape[:2]
        cropped = [field for field in self.fields.tolist() if field != [0, 0, *extent]]
        if not cropped or cut.shape == picture.shape:
            return cut
        height = max(field[2] - field[0] for field in cropped)
        width = max(field[3] - field[1] for field in cropped)
        return cropped_field(picture, (top, left, bottom, right), (height, width))

    def side(self, name: str) -> list[int]:
        """Give the indices of the images of a part of the spectrum."""
        return [index for index, side in enumerate(self.sides) if side == name]

    def pictures(self) -> dict[str, bytes]:
        """Give the image that the unit answers most."""
        return {"picture.png": to_png(self.cell(0))}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the spectrum, the histogram and the classes; on `ax` only the image that is answered most.

        Returns
        -------
        matplotlib.axes.Axes
            Of the image that is answered most; ``.figure`` is the whole.
        """
        if ax is None:
            return self._shown()
        return picture_axes(ax, self.cell(0), f"{as_text(self.unit)}: {number(self.values[0], '.3g')}")

    @property
    def _rows(self) -> list[tuple[str, list[int]]]:
        rows = []
        for side in SIDES:
            indices = self.side(side)
            rows += [(side, indices[first : first + _ACROSS]) for first in range(0, len(indices), _ACROSS)]
        return rows

    @property
    def _extent(self) -> tuple[float, float]:
        return 11.0, 0.9 + 1.08 * max(3, len(self._rows))

    def _on(self, figure: Figure) -> Axes:
        aside, main = figure.add_gridspec(1, 2, width_ratios=(2.3, 8.7))
        parts = [self._classes, self._histogram] if self.top_classes.sum() else [self._histogram]
        within = aside.subgridspec(len(parts) + (self.optimized is not None), 1)
        panels = [figure.add_subplot(within[row]) for row in range(within.nrows)]
        if self.optimized is not None:
            picture_axes(panels.pop(0), self.optimized, say("made for it"))
        for draw, axes in zip(parts, panels, strict=True):
            draw(axes)
        rows = self._rows
        cells = main.subgridspec(len(rows), _ACROSS)
        grid = [[figure.add_subplot(cells[row, column]) for column in range(_ACROSS)] for row in range(len(rows))]
        for (side, indices), line in zip(rows, grid, strict=True):
            for index, axes in zip(indices, line, strict=False):
                label = self.labels[index] if self.labels[index] is not None else self.predictions[index]
                title = f"{number(self.values[index], '.3g')} {as_text(_cut(str(label)))}"
                picture_axes(axes, self.cell(index), title, size=6.5)
            for axes in line[len(indices) :]:
                axes.set_axis_off()
            if indices[0] == self.side(side)[0]:
                line[0].set_ylabel(term(side), fontsize=8)
        subtitle = say("what the maximum sees of each") if self.crop else say("the frame is what the maximum sees")
        if self.unit.startswith("logit:"):
            subtitle = say("by what the network answers")
        if self.of_tokens:
            subtitle = say("the frame is the patch of the token that answers most")
        if self.labels and not any(self.labels):
            subtitle += say("; the names are its answers")
        figure.suptitle(
            as_text(f"{self.question.network}, {self.unit}: {subtitle}; {self.question.subject_name}"), fontsize=9
        )
        return grid[0][0]

    def _classes(self, axes: Axes) -> None:
        makeup = self.makeup()[:_LISTED]
        axes.barh([_cut(name) for name, _ in makeup], [count for _, count in makeup], color="#2a78a5", height=0.7)
        axes.invert_yaxis()
        axes.set_title(say("labels of the {count} strongest", count=int(self.top_classes.sum())), fontsize=8)
        axes.tick_params(labelsize=6.5)

    def _histogram(self, axes: Axes) -> None:
        axes.stairs(self.counts, self.edges, fill=True, color="#2a78a5")
        axes.set_title(say("answers to all {images:,}", images=self.images), fontsize=8)
        axes.tick_params(labelsize=6.5)
        if math.isfinite(self.silent) and self.silent >= 0.005:
            axes.set_xlabel(say("nothing: {share:.0%}", share=self.silent), fontsize=7)


def _cut(text: str, most: int = 13) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
