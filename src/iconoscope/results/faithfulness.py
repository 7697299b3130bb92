"""Deletion and insertion curves of one or several maps of one image."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.language import number, say, term
from iconoscope.results.attribution import FULL, full_colour
from iconoscope.results.curves import Curves
from iconoscope.results.figure import as_text, curve_axes, picture_axes
from iconoscope.results.rendering import both_signs
from iconoscope.results.result import Result, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Faithfulness"]

_INKS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")  # Okabe and Ito 2008


@dataclass(frozen=True, eq=False, repr=False)
class Faithfulness(Series):
    """Faithfulness of one or several maps of one image and one unit: what deleting and inserting pixels in their order changes.

    Attributes
    ----------
    results : tuple of Curves
        One for every map, with the map itself.

    Raises
    ------
    QuestionError
        If there is none, or they are not about the same.
    """

    kind: ClassVar[str] = "faithfulness"
    results: tuple[Curves, ...]

    _of: ClassVar[type[Result]] = Curves
    _alike: ClassVar[Mapping[str, Callable[[Curves], Any]]] = {
        "the weights of the network": attrgetter("question.weights"),
        "the pixels": attrgetter("question.pixels"),
        "the unit": attrgetter("question.unit"),
        "what deleted pixels are covered with": attrgetter("fill"),
        "the picture that insertion starts from": attrgetter("start"),
        "the network's input": attrgetter("picture.shape"),
    }

    def __post_init__(self) -> None:
        if not self.results:
            raise QuestionError("There is no map to score.")
        for other, traits in self._unlike():
            raise QuestionError(
                f"The maps by {self.results[0].ranked_by} and {other.ranked_by} differ in {traits}.",
                hint="Compare maps of one network, one image and one unit, scored alike.",
            )

    @property
    def names(self) -> list[str]:
        """The method of each map, in a word or two; no two the same."""
        short = [curves.ranked_by.partition(",")[0].removeprefix("captum:") for curves in self.results]
        short = ["occlusion" if name.startswith("occlusion with") else name for name in short]
        if len(set(short)) == len(short):
            return short
        full = [curves.ranked_by for curves in self.results]
        return full if len(set(full)) == len(full) else [f"{name} ({number})" for number, name in enumerate(full, 1)]

    @property
    def deletion_areas(self) -> NDArray[np.float64]:
        """Area under the deletion curve of each map (maps,); the lower, the better the map."""
        return np.array([curves.deletion_area for curves in self.results])

    @property
    def insertion_areas(self) -> NDArray[np.float64]:
        """Area under the insertion curve of each map (maps,); the higher, the better the map."""
        return np.array([curves.insertion_area for curves in self.results])

    def summary(self) -> str:
        """Say in one sentence how large the areas are; of several maps, which has the smallest and which the largest."""
        first, names = self.results[0], self.names
        if len(names) == 1:
            return first.summary()
        smallest, largest = int(self.deletion_areas.argmin()), int(self.insertion_areas.argmax())
        return say(
            "{subject}: of {count} maps for the {measure} of {name}, {smallest} has the smallest deletion area "
            "({deletion:.3f}), {largest} the largest insertion area ({insertion:.3f}).",
            subject=first.question.subject_name,
            count=len(names),
            measure=term(first.measure),
            name=first.names[first.target],
            smallest=term(names[smallest]),
            deletion=self.deletion_areas[smallest],
            largest=term(names[largest]),
            insertion=self.insertion_areas[largest],
        )

    def to_json(self) -> dict[str, Any]:
        """Give for every map its areas and those of the map moved elsewhere, and all that the curves give."""
        rows = [
            {
                "map": name,
                "deletion": curves.deletion_area,
                "deletion_elsewhere": float(curves.null_deletion_areas.mean()),
                "insertion": curves.insertion_area,
                "insertion_elsewhere": float(curves.null_insertion_areas.mean()),
            }
            for name, curves in zip(self.names, self.results, strict=True)
        ]
        return {"kind": self.kind, "maps": rows, "results": [curves.to_json() for curves in self.results]}

    def plot(self) -> list[Axes]:
        """Draw the photograph, all maps laid over it, and the curves; of one map also those of the map moved elsewhere.

        Red speaks for the unit, blue against it, each map on a scale of its own that is the same on both sides: full colour
        is reached by the strongest half of a percent of its pixels, since the numbers of two methods have no common unit.

        Returns
        -------
        list of matplotlib.axes.Axes
            Of the maps, then of the deletion and of the insertion curves; of one map, of both its curves. ``.figure`` is the
            whole.
        """
        return self._shown()

    @property
    def _columns(self) -> int:
        """Of the pictures: one row up to six, otherwise two."""
        count = len(self.results) + 1
        return count if count <= 6 else -(-count // 2)

    @property
    def _extent(self) -> tuple[float, float]:
        if len(self.results) == 1:
            return self.results[0]._extent
        rows = -(-(len(self.results) + 1) // self._columns)
        return max(9.0, 2.1 * self._columns), 2.95 * rows + 3.4

    def _on(self, figure: Any) -> list[Axes]:
        first = self.results[0]
        if len(self.results) == 1:
            return [first._on(figure)]
        clean = float(first.deletion[0, first.target])
        answer = say("{measure} of {name}", measure=term(first.measure), name=first.names[first.target])
        subject = f"{first.question.subject_name}: {answer} {number(clean, '.3f')}"
        scale = say(
            "Red speaks for it, blue against it; a gradient has no such sign, and red is its size. Each map has its own scale: "
            "full colour from the {percentile:g}th percentile on.",
            percentile=FULL,
        )
        figure.suptitle(as_text(f"{subject}\n{scale}"), fontsize=9)
        columns = self._columns
        rows = -(-(len(self.results) + 1) // columns)
        # One grid within another and no subfigures, of which `.figure` would be one and not the whole.
        above, below = figure.add_gridspec(2, 1, height_ratios=(2.95 * rows, 3.1))
        panels = above.subgridspec(rows, columns).subplots(squeeze=False).ravel()
        for axes in panels[len(self.results) + 1 :]:
            axes.set_axis_off()
        picture_axes(panels[0], first.picture, say("what the network saw"))
        inks = [_INKS[index % len(_INKS)] for index in range(len(self.results))]
        maps = list(panels[1 : len(self.results) + 1])
        for axes, name, curves, ink in zip(maps, self.names, self.results, inks, strict=True):
            full = full_colour(curves.attribution)
            laid = both_signs(curves.picture, curves.attribution / full if full else curves.attribution)
            picture_axes(axes, laid, as_text("\n".join(textwrap.wrap(term(name), 26))))
            axes.title.set_color(ink)
            axes.set_xlabel(
                say(
                    "deletion {deletion:.3f} ({deletion_null:.3f})\ninsertion {insertion:.3f} ({insertion_null:.3f})",
                    deletion=curves.deletion_area,
                    deletion_null=curves.null_deletion_areas.mean(),
                    insertion=curves.insertion_area,
                    insertion_null=curves.null_insertion_areas.mean(),
                ),
                fontsize=8,
            )
        # Where the photograph has no areas below it, what they are.
        panels[0].set_xlabel(say("area under the curve\n(of the map moved elsewhere)"), fontsize=8)
        return [*maps, *self._curves(below.subgridspec(1, 2), inks)]

    def _curves(self, grid: Any, inks: list[str]) -> list[Axes]:
        deletion, insertion = grid.subplots(sharey=True)
        limits = [curves.limits() for curves in self.results]
        for axes, curve, title in (
            (deletion, "deletion", say("deletion: the lower, the better")),
            (insertion, "insertion", say("insertion: the higher, the better")),
        ):
            for name, curves, ink in zip(self.names, self.results, inks, strict=True):
                values = getattr(curves, curve)[:, curves.target]
                axes.plot(curves.share, values, "-", color=ink, linewidth=1.4, label=as_text(term(name)))
            curve_axes(axes, limits, title, say("deleted") if curve == "deletion" else say("inserted"))
        deletion.set_ylabel(term(self.results[0].measure), fontsize=8)
        insertion.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        return [deletion, insertion]

    def _keep(self, folder: Path) -> Path:
        return self._keep_under(self.names, folder)
