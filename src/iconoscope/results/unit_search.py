"""Units that answer a concept and nothing else: the search for the "Jennifer Aniston neuron"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import number, say, term
from iconoscope.results.figure import as_text, encoded, localise_ticks, picture_axes
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.rendering import framed, to_png
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CORRECTIONS", "INVARIANT", "UnitSearch"]

CORRECTIONS = {
    "max": "one false unit or more in `level` of all searches (permutation of the greatest, Westfall and Young 1993)",
    "bh": "`level` of the units that are found are false (Benjamini and Hochberg 1995)",
}


INVARIANT = 0.5
"""From which recall at 1% false alarms a unit is called invariant: it answers half of the concept and next to nothing else."""
_DRAWN = 6  # pictures of a kind in a row of the figure


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class UnitSearch(Result):
    """Every unit's answers to a concept's images against others; those that stand out first, by the area on the examples.

    Attributes
    ----------
    concept, others : str
        What was looked for, and what it was held against, in words.
    examples, against : int
        How many images of each there were.
    held_out : int
        How many of the concept's images were held out to measure on; 0 if there were too few.
    units : ndarray of str, (units,)
        The units.
    auc : ndarray of float64, (units,)
        Area under the curve on the examples that the test was made on: the chance that an image of the concept is answered
        more than another one.
    auc_held_out : ndarray of float64, (units,)
        The same on images that were held out: selection does not flatter it. NaN if none were.
    recall : ndarray of float64, (units,)
        The share of the concept's held-out images that are answered more than all but 1% of the others: invariance.
    p_value : ndarray of float64, (units,)
        After correction for there being many units.
    correction : str
        max or bh.
    level : float
        Up to which p-value a unit is found.
    permutations : int
        How many times labels were shuffled.
    logit : str
        The logit of the concept's own class; of the class that its images are most often taken for, if it is none.
    logit_auc, logit_recall : float
        Its area and recall on the same held-out images.
    curves : ndarray of float64, (shown, points)
        Curves of the first units: the share of the concept over that of the others, both held out, as a threshold is lowered.
    curve_at : ndarray of float64, (points,)
        The share of the others at each point of a curve.
    logit_curve : ndarray of float64, (points,)
        The curve of the logit.
    pictures_shown : ndarray of uint8, (pictures, height, width, 3)
        The images that are shown, as the network saw them.
    picture_ids : ndarray of str, (pictures,)
        Their ids.
    most, least, concept_shown : ndarray of int64, (shown, k)
        For each of the first units: which pictures it answers most and least of all that were recorded, and the concept's
        images in order of its answer at equal steps.
    most_values, least_values, concept_values : ndarray of float32, (shown, k)
        What it answers to them.
    most_fields : ndarray of int64, (shown, k, 4)
        What the maximum sees of those that are answered most: top, left, bottom, right.
    optimized : ndarray of uint8, (n, height, width, 3), or None
        Pictures that were made for some of these units.
    optimized_of : ndarray of int64, (n,), or None
        Which of them.
    drawn_from : int
        From how many images of both kinds those that were compared were drawn at random; 0 where all were compared.
    """

    kind: ClassVar[str] = "unit_search"

    concept: str
    others: str
    examples: int
    against: int
    held_out: int
    units: NDArray[np.str_]
    auc: NDArray[np.float64]
    auc_held_out: NDArray[np.float64]
    recall: NDArray[np.float64]
    p_value: NDArray[np.float64]
    correction: str
    level: float
    permutations: int
    logit: str
    logit_auc: float
    logit_recall: float
    curves: NDArray[np.float64]
    curve_at: NDArray[np.float64]
    logit_curve: NDArray[np.float64]
    pictures_shown: NDArray[np.uint8]
    picture_ids: NDArray[np.str_]
    most: NDArray[np.int64]
    least: NDArray[np.int64]
    concept_shown: NDArray[np.int64]
    most_values: NDArray[np.float32]
    least_values: NDArray[np.float32]
    concept_values: NDArray[np.float32]
    most_fields: NDArray[np.int64]
    optimized: NDArray[np.uint8] | None = None
    optimized_of: NDArray[np.int64] | None = None
    drawn_from: int = 0

    @property
    def found(self) -> tuple[str, ...]:
        """The units that answer the concept more than chance allows; the best first, none if none does."""
        return tuple(self.units[self.p_value <= self.level].tolist())

    @property
    def invariant(self) -> tuple[str, ...]:
        """Those of them that answer half of the concept's images, or more, and at most one in a hundred of the others."""
        return tuple(self.units[(self.p_value <= self.level) & (self.recall >= INVARIANT)].tolist())

    def _area(self, index: int) -> float:
        return float(self.auc_held_out[index] if self.held_out else self.auc[index])

    def summary(self) -> str:
        """Say in a sentence or two whether a unit answers the concept and nothing else."""
        sides = say(
            "{concept} ({examples:,} images) against {others} ({against:,})",
            concept=term(self.concept),
            examples=self.examples,
            others=term(self.others),
            against=self.against,
        )
        if self.drawn_from:
            sides += say(", drawn from {count:,}", count=self.drawn_from)
        count = len(self.found)
        if not count:
            best = int(np.argmax(self.auc))
            return say(
                "{sides}: no unit qualifies, none of {count:,} answers the concept more than chance allows. The best, {best}, "
                "has an area of {area:.2f} on the examples (p {chance:.2g}).",
                sides=sides,
                count=len(self.units),
                best=self.units[best],
                area=self.auc[best],
                chance=self.p_value[best],
            )
        firm = self.invariant
        if firm:
            names = ", ".join(firm[:3]) + (say(" and more") if len(firm) > 3 else "")
            if len(firm) > 1:
                text = say("{count} units answer it and little else: {names}", count=len(firm), names=names)
            else:
                text = say("1 unit answers it and little else: {names}", names=names)
        else:
            text = say("no unit answers it alone")
        where = say("on the examples: too few to hold some out")
        if self.held_out:
            where = say("held out ({count} images)", count=self.held_out)
        return say(
            "{text}. {count:,} of {all:,} answer it more than chance allows. The best, {best}, has an area of {area:.3f} "
            "{where}, and answers {recall:.0%} of the concept where it answers 1% of the others; {logit} {logit_area:.3f} and "
            "{logit_recall:.0%}.",
            text=f"{sides}: {text}",
            count=count,
            all=len(self.units),
            best=self.units[0],
            area=self._area(0),
            where=where,
            recall=self.recall[0],
            logit=self.logit,
            logit_area=self.logit_auc,
            logit_recall=self.logit_recall,
        )

    def to_json(self) -> dict[str, Any]:
        """Give the question, the answer, and the figures of every unit that qualifies, or of the ten best."""
        count = min(max(10, len(self.found)), len(self.units))
        return {
            **self._stated("concept", "others", "examples", "against", "held_out", "drawn_from", "correction", "level"),
            "found": list(self.found),
            "invariant": list(self.invariant),
            "logit": {"unit": self.logit, "auc": self.logit_auc, "recall_at_1pct": self.logit_recall},
            "units": [
                {
                    "unit": str(self.units[index]),
                    "auc": float(self.auc[index]),
                    "auc_held_out": None if math.isnan(self.auc_held_out[index]) else float(self.auc_held_out[index]),
                    "recall_at_1pct": float(self.recall[index]),
                    "p_value": float(self.p_value[index]),
                }
                for index in range(count)
            ],
        }

    def _table(self) -> Columns:
        areas = {"auc": self.auc, "auc_held_out": self.auc_held_out, "recall_at_1pct": self.recall}
        chance = {"p_value": self.p_value, "qualifies": self.p_value <= self.level}
        concept = repeated(len(self.units), concept=self.concept)
        return self._rows_of(len(self.units), **concept, unit=self.units, **areas, **chance)

    def figures(self, index: int) -> str:
        """Say the figures of a unit in a line."""
        area = say("area {area:.3f}", area=self._area(index))
        if self.held_out:
            area += say(" held out, {area:.3f} on the examples", area=self.auc[index])
        recall = say("recall at 1% {share:.0%}", share=self.recall[index])
        return f"{area}; {recall}; p {number(self.p_value[index], '.2g')}"

    def picture_for(self, index: int) -> NDArray[np.uint8] | None:
        """Give the picture that was made for one of the first units, if there is one."""
        if self.optimized is None or self.optimized_of is None:
            return None
        rows = np.flatnonzero(self.optimized_of == index)
        return self.optimized[int(rows[0])] if len(rows) else None

    def strip(self, kind: str, index: int) -> list[tuple[NDArray[np.uint8], str, float]]:
        """Give pictures of one of the first units, with their ids and answers.

        Parameters
        ----------
        kind
            ``most``, ``least`` or ``concept``.
        index
            Of the unit, among those that are shown.
        """
        chosen = self.concept_shown if kind == "concept" else getattr(self, kind)
        values = getattr(self, f"{kind}_values")
        cells = []
        for column, picture in enumerate(chosen[index].tolist()):
            pixels = self.pictures_shown[picture]
            if kind == "most":
                pixels = framed(pixels, *self.most_fields[index, column].tolist())
            cells.append((pixels, str(self.picture_ids[picture]), float(values[index, column])))
        return cells

    def pictures(self) -> dict[str, bytes]:
        """Give the images that the first unit answers most, side by side."""
        return {"picture.png": to_png(np.concatenate([pixels for pixels, *_ in self.strip("most", 0)], 1))}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the first units: curve, images answered most, the concept's images in order; on `ax` the curves alone.

        Returns
        -------
        matplotlib.axes.Axes
            Of the curves of the first unit; ``.figure`` is the whole.
        """
        return self._shown() if ax is None else self._curve(ax, 0)

    @property
    def _extent(self) -> tuple[float, float]:
        return 11.0, 0.9 + 1.45 * len(self.curves)

    def _face(self) -> bytes:
        figure = self._drawn()
        figure.suptitle("")
        return encoded(figure, "png")

    def _on(self, figure: Figure) -> Axes:
        count = len(self.curves)
        figure.suptitle(as_text(f"{self.question.network}: {self.summary()}"), fontsize=8.5, wrap=True)
        # Narrow empty columns part the groups; that of made pictures is there if any was made.
        made_width = 1 if self.optimized is not None else 0.05
        widths = (1.9, made_width, *([1] * _DRAWN), 0.25, *([1] * _DRAWN))
        panels = figure.subplots(count, len(widths), squeeze=False, width_ratios=widths)
        for index, line in enumerate(panels):
            self._curve(line[0], index)
            optimized = self.picture_for(index)
            if optimized is None:
                line[1].set_axis_off()
            else:
                picture_axes(line[1], optimized, say("made for it"))
            most, concept = self.strip("most", index), self.strip("concept", index)
            step = max(1, len(concept) // _DRAWN)
            for axes in line[2:]:
                axes.set_axis_off()
            groups = (
                (say("answered most"), 2, most[:_DRAWN]),
                (say("the concept"), 3 + _DRAWN, concept[::step][:_DRAWN]),
            )
            for title, first, cells in groups:
                for column, (pixels, _, value) in enumerate(cells):
                    axes = line[first + column]
                    axes.set_axis_on()
                    picture_axes(axes, pixels, number(value, ".3g"), size=6.5)
                    if column == 0:
                        axes.set_ylabel(title, fontsize=7)
        panels[0, 0].legend(fontsize=6, loc="lower right", frameon=False, borderpad=0)
        return panels[0, 0]

    def _curve(self, axes: Axes, index: int) -> Axes:
        unit = as_text(str(self.units[index]))
        axes.plot(self.curve_at, self.logit_curve, "--", color="#97a1ad", linewidth=1, label=as_text(self.logit))
        axes.plot(self.curve_at, self.curves[index], color="#1f6c9c", linewidth=1.6, label=unit)
        axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.7)
        axes.set_title(f"{unit}: {number(self._area(index), '.3f')}", fontsize=7.5)
        axes.tick_params(labelsize=6)
        axes.set_xlabel(say("share of others"), fontsize=6.5)
        axes.set_ylabel(say("of the concept"), fontsize=6.5)
        localise_ticks(axes)
        return axes
