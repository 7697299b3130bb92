"""Deletion and insertion curves of one attribution map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import say, term
from iconoscope.results.figure import as_text, curve_axes, picture_axes
from iconoscope.results.frame import Columns, repeated, stacked
from iconoscope.results.rendering import overlay
from iconoscope.results.result import ImageResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curves"]

_COLOURS = {"deletion": "#c8553d", "insertion": "#2a78a5"}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Curves(ImageResult):
    """The network's answers while the pixels of one image are deleted, and inserted, in the order of an attribution map.

    Attributes
    ----------
    share : ndarray of float64, (points,)
        Share of the pixels that have been changed at each point, from 0 to 1. Pixels of equal value are changed at once, so
        the points lie no denser than the map's plateaus allow.
    deletion : ndarray of float32, (points, outputs)
        The answers with that share of the pixels covered by the fill; the first is that to the untouched photograph.
    insertion : ndarray of float32, (points, outputs)
        The answers with that share of the pixels put into the starting picture; the last is that to the untouched photograph.
    null_deletion, null_insertion : ndarray of float32, (draws, points)
        The target's answers in the order of the same map moved to other places.
    target : int
        Which output was asked about.
    target_origin : str
        Why that one: ``"asked"``, ``"label"`` (the right class) or ``"prediction"`` (there is no label).
    names : tuple of str
        The outputs: the classes, or the channels of the layer.
    measure : str
        What the numbers are: ``"probability"``, ``"logit"``, ``"mean activation"``, ...
    attribution : ndarray of float32, (height, width)
        The map.
    full_red : float
        The value of the map that is laid over the picture in the strongest red: an occlusion map's own, else its highest.
    ranked_by : str
        Where the map comes from.
    picture : ndarray of uint8, (height, width, 3)
        The photograph as the network saw it.
    fill, start : str
        What a deleted pixel was covered with, and the picture that insertion started from.
    """

    kind: ClassVar[str] = "curves"

    share: NDArray[np.float64]
    deletion: NDArray[np.float32]
    insertion: NDArray[np.float32]
    null_deletion: NDArray[np.float32]
    null_insertion: NDArray[np.float32]
    attribution: NDArray[np.float32]
    full_red: float
    ranked_by: str
    fill: str
    start: str

    @cached_property
    def deletion_area(self) -> float:
        """Area under the target's deletion curve over the share (trapezoids); the lower, the better the map."""
        return float(self._area(self.deletion[:, self.target]))

    @cached_property
    def insertion_area(self) -> float:
        """Area under the target's insertion curve over the share (trapezoids); the higher, the better the map."""
        return float(self._area(self.insertion[:, self.target]))

    @cached_property
    def null_deletion_areas(self) -> NDArray[np.float64]:
        """Area under the deletion curve of the map moved to each of the other places (draws,)."""
        return self._area(self.null_deletion)

    @cached_property
    def null_insertion_areas(self) -> NDArray[np.float64]:
        """Area under the insertion curve of the map moved to each of the other places (draws,)."""
        return self._area(self.null_insertion)

    def _area(self, values: NDArray[Any]) -> NDArray[np.float64]:
        values = values.astype(np.float64)
        return ((values[..., 1:] + values[..., :-1]) / 2 * np.diff(self.share)).sum(-1)

    def summary(self) -> str:
        """Say in one sentence how large the areas are, and how large where the map is moved elsewhere."""
        deletion, insertion = self.null_deletion_areas, self.null_insertion_areas
        return say(
            "{subject}: the {measure} of {name}, in the order of {map}, has a deletion area of {deletion:.3f} (the map moved "
            "elsewhere: {deletion_null:.3f} ± {deletion_spread:.3f}) and an insertion area of {insertion:.3f} "
            "({insertion_null:.3f} ± {insertion_spread:.3f}).",
            subject=self.question.subject_name,
            measure=term(self.measure),
            name=self.names[self.target],
            map=term(self.ranked_by),
            deletion=self.deletion_area,
            deletion_null=deletion.mean(),
            deletion_spread=deletion.std(),
            insertion=self.insertion_area,
            insertion_null=insertion.mean(),
            insertion_spread=insertion.std(),
        )

    def to_json(self) -> dict[str, Any]:
        """Give the question, the target's curves, the areas, and those of the null."""
        return {
            **super().to_json(),
            "ranked_by": self.ranked_by,
            "fill": self.fill,
            "start": self.start,
            "share": np.round(self.share, 6).tolist(),
            **{
                name: {
                    "area": area,
                    "null_areas": null.tolist(),
                    "values": np.round(values[:, self.target].astype(float), 6).tolist(),
                }
                for name, area, null, values in (
                    ("deletion", self.deletion_area, self.null_deletion_areas, self.deletion),
                    ("insertion", self.insertion_area, self.null_insertion_areas, self.insertion),
                )
            },
        }

    def _table(self) -> Columns:
        points = len(self.share)
        both = (("deletion", self.deletion, self.null_deletion), ("insertion", self.insertion, self.null_insertion))
        tables = [
            self._target_columns(
                points,
                **repeated(points, map=self.ranked_by, curve=name, fill=self.fill),
                share=self.share,
                answer=values[:, self.target],
                elsewhere=null.mean(0),
            )
            for name, values, null in both
        ]
        return stacked(tables)

    def limits(self) -> tuple[float, float]:
        """Give the range of the answers: 0 to 1 for a probability, otherwise that of what was found."""
        if self.measure == "probability":
            return 0.0, 1.0
        curves = self.deletion[:, self.target], self.insertion[:, self.target], self.null_deletion, self.null_insertion
        return float(min(values.min() for values in curves)), float(max(values.max() for values in curves))

    def overlaid(self) -> NDArray[np.uint8]:
        """Lay the map in red over the picture (height, width, 3); the strongest red is `full_red`, nothing is below zero.

        A map that nowhere rises above zero is laid over it from its lowest value to its highest.
        """
        low, high = (0.0, self.full_red) if self.full_red > 0 else (self.attribution.min(), self.attribution.max())
        return overlay(self.picture, (self.attribution - low) / (high - low))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the photograph under the map and both curves, or on `ax` only the curves.

        Dots are the points that were asked; thin lines are the curves of the map moved elsewhere.

        Returns
        -------
        matplotlib.axes.Axes
            Of the curves; ``.figure`` is the whole.
        """
        return self._shown() if ax is None else self._lines(ax)

    @property
    def _extent(self) -> tuple[float, float]:
        return 9, 3.9

    def _on(self, figure: Figure) -> Axes:
        laid, axes = figure.subplots(1, 2, width_ratios=(1, 1.5))
        picture_axes(laid, self.overlaid(), as_text(term(self.ranked_by).replace(", ", ",\n")))
        figure.suptitle(as_text(self.question.subject_name), fontsize=10)
        return self._lines(axes)

    def _lines(self, axes: Axes) -> Axes:
        curves = {
            "deletion": (self.deletion, self.deletion_area, self.null_deletion, self.null_deletion_areas),
            "insertion": (self.insertion, self.insertion_area, self.null_insertion, self.null_insertion_areas),
        }
        for name, (values, area, null, areas) in curves.items():
            label = say(
                "{curve}: area {area:.3f}\n(thin, moved elsewhere: {null:.3f} ± {spread:.3f})",
                curve=term(name),
                area=area,
                null=areas.mean(),
                spread=areas.std(),
            )
            axes.plot(self.share, null.T, color=_COLOURS[name], linewidth=0.7, alpha=0.45)
            axes.plot(self.share, values[:, self.target], "o-", color=_COLOURS[name], markersize=2.5, label=label)
        title = say("{measure} of {name}", measure=term(self.measure), name=as_text(self.names[self.target]))
        curve_axes(axes, [self.limits()], title, say("deleted, or inserted"))
        axes.set_ylabel(term(self.measure), fontsize=8)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        return axes
