"""What was found by hiding and exchanging the object and the background of many images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.figure import as_text
from iconoscope.results.rendering import to_png
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CONDITIONS", "Exchange"]

# In the order in which they are asked and shown. "Other" and "own" are the class that the donor image is of.
CONDITIONS = {
    "clean": "the photograph as it is",
    "object hidden": "the whole object hidden",
    "object removed": "the whole object painted over from its surroundings",
    "background hidden": "the whole background hidden",
    "object other": "its object exchanged for one of another class",
    "background other": "its background exchanged for that of another class",
    "object own": "its object exchanged for one of its own class (control)",
    "background own": "its background exchanged for that of its own class (control)",
}
"""What is done to every image of an exchange."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Exchange(Result):
    """The network's answers to images whose object or background was hidden or exchanged.

    Attributes
    ----------
    conditions : tuple of str
        Keys of `CONDITIONS`, in order; the first is ``"clean"``.
    ids : tuple of str
        The images.
    classes : tuple of str
        The classes.
    target : ndarray of int64, (images,)
        The right class of each image.
    other : ndarray of int64, (images,)
        The class of the donor of another class.
    probabilities : ndarray of float32, (conditions, images, classes)
        The answers.
    examples : ndarray of uint8, (conditions, shown, height, width, 3)
        What the network saw, for a few images spread over the set.
    shown : ndarray of int64, (shown,)
        Which images those are.
    fill : str
        What a hidden region was filled with.
    """

    kind: ClassVar[str] = "exchange"

    conditions: tuple[str, ...]
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    target: NDArray[np.int64]
    other: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    examples: NDArray[np.uint8]
    shown: NDArray[np.int64]
    fill: str

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """The predicted class (conditions, images)."""
        return self.probabilities.argmax(2)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Which images the network answers rightly when nothing is touched (images,); only those are counted."""
        return self.answers[0] == self.target

    def changed(self, condition: str) -> float:
        """Share of the rightly answered images whose answer changes; NaN if there are none."""
        answers = self.answers[self.conditions.index(condition)]
        return float((answers != self.target)[self.right].mean()) if self.right.any() else float("nan")

    def becomes_other(self, condition: str) -> float:
        """Share of the rightly answered images whose answer becomes the donor's class; NaN if there are none."""
        answers = self.answers[self.conditions.index(condition)]
        return float((answers == self.other)[self.right].mean()) if self.right.any() else float("nan")

    def mean_probability(self, condition: str) -> float:
        """Mean probability of the right class over the rightly answered images; NaN if there are none."""
        index = self.conditions.index(condition)
        found = self.probabilities[index, np.arange(len(self.ids)), self.target][self.right]
        return float(found.mean()) if self.right.any() else float("nan")

    @cached_property
    def follows(self) -> str:
        """What decides the answer here: ``"object"``, ``"background"``, ``"both"`` or ``"undecided"``.

        A part decides if exchanging it for that of another class changes at least half of the answers more than
        exchanging it for that of the same class does. It is a description of these images, not yet the audit's verdict.
        """
        if self.right.sum() < 10:
            return "undecided"
        excess = {
            part: self.changed(f"{part} other") - self.changed(f"{part} own") for part in ("object", "background")
        }
        decides = [part for part, more in excess.items() if more >= 0.5]
        return "both" if len(decides) == 2 else decides[0] if decides else "undecided"

    def summary(self) -> str:
        """Say in one sentence what the answers follow."""
        count = int(self.right.sum())
        if not count:
            return f"{self.question.network} answers none of the {len(self.ids)} images rightly: nothing to compare."
        background, own_background = (self.changed(f"background {whose}") for whose in ("other", "own"))
        thing, own_thing = (self.changed(f"object {whose}") for whose in ("other", "own"))
        return (
            f"{self.question.network} answers {count} of {len(self.ids)} images rightly. Another class's background changes "
            f"{background:.0%} of these answers (its own class's: {own_background:.0%}), another class's object {thing:.0%} "
            f"(its own class's: {own_thing:.0%})."
        )

    def to_json(self) -> dict[str, Any]:
        """Give the shares and the mean probabilities by condition."""
        return {
            "kind": self.kind,
            "key": self.question.key,
            "question": self.question.to_json(),
            "images": len(self.ids),
            "rightly_answered": int(self.right.sum()),
            "follows": self.follows,
            "fill": self.fill,
            "conditions": {
                condition: {
                    "answers_changed": _finite(self.changed(condition)),
                    "answers_become_other": _finite(self.becomes_other(condition)),
                    "mean_probability": _finite(self.mean_probability(condition)),
                }
                for condition in self.conditions
            },
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw, for every condition, the share of the answers that change."""
        return self._shown() if ax is None else self._bars(ax)

    @property
    def _extent(self) -> tuple[float, float]:
        return 7, 3.4

    def _on(self, figure: Figure) -> Axes:
        return self._bars(figure.subplots())

    def _bars(self, axes: Axes) -> Axes:
        conditions = self.conditions[1:]
        shares = [self.changed(condition) for condition in conditions]
        colours = ["#9aa5b1" if condition.endswith("own") else "#c8553d" for condition in conditions]
        places = np.arange(len(conditions))
        axes.barh(places, np.nan_to_num(shares), color=colours)
        for place, share in enumerate(shares):
            inside = share > 0.9  # there is no room beside it
            axes.text(
                np.nan_to_num(share) + (-0.01 if inside else 0.01),
                place,
                f"{share:.0%}",
                ha="right" if inside else "left",
                va="center",
                color="white" if inside else "black",
                fontsize=8,
            )
        axes.set_yticks(places, [CONDITIONS[condition] for condition in conditions], fontsize=8)
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.set_xlabel(
            f"share of the {int(self.right.sum())} rightly answered images whose answer changes", fontsize=8
        )
        axes.set_title(as_text(f"{self.question.network}: {self.question.subject}"), fontsize=9)
        return axes

    def pictures(self) -> dict[str, bytes]:
        """Give the shown images as one sheet, a row per condition."""
        rows = [np.concatenate(list(row), axis=1) for row in self.examples]
        return {"examples.png": to_png(np.concatenate(rows))}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
