"""The concepts of a class in a layer: non-negative factors of its maps, with what the class's logit loses without each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import listed, number, say
from iconoscope.results.figure import as_text, picture_axes
from iconoscope.results.folders import without_folders
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.rendering import cropped_field, enlarged_map, faint, overlay, to_png
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Concepts"]

_LIT = 0.5  # of the strongest place: the region of an exemplar
_SMALL = 0.5  # of the picture: a place that sees more is shown by its region
_MOST = 12  # concepts that are drawn


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Concepts(Result):
    """Directions of a layer of which its maps of a class are nearly sums, in order of what the class's logit loses.

    Attributes
    ----------
    cls : str
        The class.
    ids : tuple of str
        The images, (images,).
    directions : ndarray of float32, (concepts, channels)
        Of length 1 and nowhere below zero.
    clean : ndarray of float32, (images,)
        The logit of the class with nothing taken out.
    losses : ndarray of float32, (images, concepts)
        By how much it falls where the concept's part is taken out of the layer's maps and everything else stays; below zero
        where it rises.
    explained : float
        The share of the variance of the maps, over images and places, that all concepts together explain.
    explained_without : ndarray of float64, (concepts,)
        The share that is explained without each, the others as they are.
    stability : ndarray of float32, (concepts,)
        The mean cosine with the concepts of resamples of the images, matched one to one; NaN where that was not asked.
    resamples : int
        How many.
    rows, columns : int
        Of the maps.
    shown : ndarray of int64, (pictures,)
        The images that are shown, by their number in `ids`.
    pictures_shown : ndarray of uint8, (pictures, height, width, 3)
        As the network saw them.
    maps : ndarray of float32, (pictures, concepts, rows, columns)
        How much of each concept is at each place of them, in the units of the layer's answers.
    scale : ndarray of float32, (concepts,)
        How much counts as much in the figure: what a twentieth of the images reach.
    exemplars : ndarray of int64, (concepts, exemplars)
        The images in which each is strongest at one place, by their number in `shown`, the strongest first.
    values : ndarray of float32, (concepts, exemplars)
        How strong it is there.
    fields : ndarray of int64, (concepts, exemplars, 4)
        What that place can see: top, left, bottom, right, pixels; the whole image where that is what it sees; of a token the
        patch that it stands for.
    photographs : ndarray of int64, (photographs,)
        Images on which the maps of all concepts are shown, by their number in `shown`: evenly out of all.
    optimized : ndarray of uint8, (concepts, height, width, 3), or None
        The picture that was made for each.
    optimized_style : str
        How.
    """

    kind: ClassVar[str] = "concepts"

    cls: str
    ids: tuple[str, ...]
    directions: NDArray[np.float32]
    clean: NDArray[np.float32]
    losses: NDArray[np.float32]
    explained: float
    explained_without: NDArray[np.float64]
    stability: NDArray[np.float32]
    resamples: int
    rows: int
    columns: int
    shown: NDArray[np.int64]
    pictures_shown: NDArray[np.uint8]
    maps: NDArray[np.float32]
    scale: NDArray[np.float32]
    exemplars: NDArray[np.int64]
    values: NDArray[np.float32]
    fields: NDArray[np.int64]
    photographs: NDArray[np.int64]
    optimized: NDArray[np.uint8] | None = None
    optimized_style: str = ""

    def __len__(self) -> int:
        return len(self.directions)

    @property
    def layer(self) -> str:
        """The layer."""
        return self.question.unit

    @property
    def loss(self) -> NDArray[np.float64]:
        """By how much the logit falls without each concept, in the mean over the images, (concepts,)."""
        return self.losses.mean(0, dtype=np.float64)

    @property
    def loss_error(self) -> NDArray[np.float64]:
        """The standard error of `loss`, (concepts,); NaN of one image."""
        count = len(self.losses)
        if count < 2:
            return np.full(len(self), np.nan)
        return self.losses.std(0, ddof=1, dtype=np.float64) / np.sqrt(count)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of the variance that is explained by each alone: what is lost without it, (concepts,)."""
        return self.explained - self.explained_without

    def summary(self) -> str:
        """Say how much the concepts explain, and what the logit loses without them."""
        changes = listed([number(-loss, "+.3g") for loss in self.loss[:_MOST]])
        text = say(
            "{cls}, {subject}: {count} concepts of {layer} explain {share:.0%} of its variance; without each alone the logit "
            "({clean:.3g} in the mean) changes by {changes}",
            cls=self.cls,
            subject=self.question.subject_name,
            count=len(self),
            layer=self.layer,
            share=self.explained,
            clean=self.clean.mean(),
            changes=changes,
        )
        if np.isfinite(self.stability).all():
            text += say(
                "; stability {low:.2f} to {high:.2f} over {count} resamples",
                low=self.stability.min(),
                high=self.stability.max(),
                count=self.resamples,
            )
        return f"{text}."

    def _table(self) -> Columns:
        count = len(self)
        return self._rows_of(
            count,
            **repeated(count, layer=self.layer, **{"class": self.cls}),
            concept=np.arange(count),
            loss=self.loss,
            loss_error=self.loss_error,
            share=self.shares,
            stability=self.stability,
        )

    def to_json(self) -> dict[str, Any]:
        """Give the question and, of every concept, its figures and its exemplars."""
        return {
            **self._stated("cls", "explained", "resamples"),
            "images": len(self.ids),
            "clean": float(self.clean.mean()),
            "concepts": [
                {
                    "loss": float(self.loss[number]),
                    "loss_error": _plain(self.loss_error[number]),
                    "share": float(self.shares[number]),
                    "stability": _plain(self.stability[number]),
                    "exemplars": [
                        {"id": self.ids[self.shown[image]], "value": float(value), "field": field.tolist()}
                        for image, value, field in zip(
                            self.exemplars[number], self.values[number], self.fields[number], strict=True
                        )
                    ],
                }
                for number in range(len(self))
            ],
        }

    def cell(self, concept: int, exemplar: int) -> NDArray[np.uint8]:
        """Give what is shown of an exemplar: what the place sees or, if that is much, all with the concept's region lit."""
        image = int(self.exemplars[concept, exemplar])
        picture, size = self.pictures_shown[image], self.pictures_shown.shape[1:3]
        extent = (self.fields[..., 2:] - self.fields[..., :2]).reshape(-1, 2).max(0).tolist()
        if extent[0] * extent[1] <= _SMALL * size[0] * size[1]:
            return cropped_field(picture, self.fields[concept, exemplar].tolist(), (extent[0], extent[1]))
        enlarged = enlarged_map(self.maps[image, concept], size)
        return np.where((enlarged >= _LIT * enlarged.max())[..., None], picture, faint(picture))

    def on_photograph(self, concept: int, number: int) -> NDArray[np.uint8]:
        """Give a concept's map in red on one of the `photographs`, greyed."""
        image = int(self.photographs[number])
        enlarged = enlarged_map(self.maps[image, concept] / self.scale[concept], self.pictures_shown.shape[1:3])
        return overlay(self.pictures_shown[image], enlarged**2)  # of which it takes the root

    def pictures(self) -> dict[str, bytes]:
        """Give the strongest exemplar of the first concept."""
        return {"picture.png": to_png(self.cell(0, 0))}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw all concepts, one a row; on `ax` only the strongest exemplar of the first.

        Returns
        -------
        matplotlib.axes.Axes
            Of the strongest exemplar of the first concept; ``.figure`` is the whole.
        """
        if ax is None:
            return self._shown()
        return picture_axes(
            ax, self.cell(0, 0), as_text(say("{layer}: a concept of {cls}", layer=self.layer, cls=self.cls))
        )

    def figure(self) -> bytes:
        """Give the whole as PNG."""
        return self._figure("png")

    @property
    def _across(self) -> tuple[int, int, int]:
        """Pictures in a row: made, exemplars, maps."""
        return int(self.optimized is not None), self.exemplars.shape[1], len(self.photographs)

    @property
    def _extent(self) -> tuple[float, float]:
        return 1.9 + 0.98 * sum(self._across), 0.75 + 1.03 * min(len(self), _MOST)

    def _on(self, figure: Figure) -> Axes:
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
        made, exemplars, photographs = self._across
        drawn = min(len(self), _MOST)
        grid = figure.add_gridspec(
            drawn, 1 + made + exemplars + photographs, width_ratios=[1.7] + [1] * sum(self._across)
        )
        first: Any = None
        for row in range(drawn):
            self._figures(figure.add_subplot(grid[row, 0]), row)
            cells = [self.optimized[row]] if self.optimized is not None else []
            cells += [self.cell(row, exemplar) for exemplar in range(exemplars)]
            cells += [self.on_photograph(row, number) for number in range(photographs)]
            for column, pixels in enumerate(cells):
                axes = picture_axes(figure.add_subplot(grid[row, 1 + column]), pixels, "")
                if row == 0:
                    heads = {made - 1: say("made for it")} if made else {}
                    heads |= {
                        made: say("where it is strongest"),
                        made + exemplars: say("its map on {count} of the images", count=photographs),
                    }
                    axes.set_title(heads.get(column, ""), fontsize=7, loc="left")
                if row == 0 and column == made:
                    first = axes
        title = say(
            "{network}, {layer}: {count} concepts of {cls}{shortfall}, which explain {share:.0%}; {subject}",
            network=self.question.network,
            layer=self.layer,
            count=len(self),
            cls=self.cls,
            shortfall=say(" (showing {drawn} of {count})", drawn=drawn, count=len(self)) if drawn < len(self) else "",
            share=self.explained,
            subject=self.question.subject_name,
        )
        figure.suptitle(as_text(title), fontsize=8.5)
        return first

    def _figures(self, axes: Axes, concept: int) -> None:
        """Write what is known of a concept beside its pictures."""
        error = self.loss_error[concept]
        spread = f" ± {number(error, '.2g')}" if np.isfinite(error) else ""
        lines = [
            say("without it: logit {change:+.2f}", change=-self.loss[concept]) + spread,
            say("explains {share:.0%}", share=self.shares[concept]),
        ]
        if np.isfinite(self.stability[concept]):
            lines.append(say("stability {value:.2f}", value=self.stability[concept]))
        heading = say("concept {number}", number=concept + 1)
        axes.text(0, 0.97, heading, fontsize=8, weight="bold", va="top", transform=axes.transAxes)
        axes.text(0, 0.76, "\n".join(lines), fontsize=7.5, va="top", transform=axes.transAxes)
        axes.set_axis_off()

    def exemplar_name(self, concept: int, exemplar: int) -> str:
        """Give the id of an exemplar without the folders of this disk."""
        return without_folders(self.ids[self.shown[self.exemplars[concept, exemplar]]])


def _plain(number: np.floating[Any]) -> float | None:
    return float(number) if np.isfinite(number) else None
