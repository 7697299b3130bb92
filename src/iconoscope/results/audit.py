"""What an audit found: the evidence of three techniques, and a conclusion for every class and in all."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.results.audit_text import LANGUAGES, AuditText
from iconoscope.results.decision_rule import (
    ACCUSING,
    KNOWN,
    PARTS,
    Conclusion,
    Examined,
    conclude,
    examine,
    predictive_area,
)
from iconoscope.results.figure import as_text, encoded
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Audit", "ClassFinding"]

_FEWEST = 3  # images of a class that patches matter to, before it is said that their middle does
_WELL_INSIDE = 0.75  # of the border's share of the picture: less than this of the drop, and the middle matters


@dataclass(frozen=True)
class ClassFinding:
    """What was concluded about one class.

    Attributes
    ----------
    name : str
        The class.
    images, labelled : int
        How many of the audited images are answered with it, and how many carry its label.
    accuracy : float
        The share of the labelled ones that are answered rightly; NaN if there are none.
    conclusion : Conclusion
        The word, and what it names.
    tested : list of Examined
        Every property, the most effective first.
    border, area : float
        The share of the occlusion's drop that lies near the border, and the share of the picture that is near the border; NaN
        where nothing was occluded, or no patch mattered.
    on_object, object_area : float
        Likewise on the object, where it is known.
    verdict, advice : str
        The conclusion in words, and what to do next.
    """

    name: str
    images: int
    labelled: int
    accuracy: float
    conclusion: Conclusion
    tested: list[Examined]
    border: float
    area: float
    on_object: float
    object_area: float
    verdict: str
    advice: str

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain JSON values."""
        return {
            "class": self.name,
            "verdict": self.verdict,
            "word": self.conclusion.word,
            "relies_on": list(self.conclusion.names),
            "reason": self.conclusion.reason or None,
            "advice": self.advice,
            "images": self.images,
            "labelled": self.labelled,
            "accuracy": _finite(self.accuracy),
            "occlusion": {
                "border_share": _finite(self.border),
                "border_area": _finite(self.area),
                "object_share": _finite(self.on_object),
                "object_area": _finite(self.object_area),
            },
            "properties": [_tested_json(each) for each in self.tested],
        }


def _tested_json(each: Examined) -> dict[str, Any]:
    effect, agreed = each.effect, each.agreement
    return {
        "property": each.name,
        "relied_on": not each.failed and each.name not in PARTS,
        "fails": list(each.failed),
        "by": each.way,
        "excess": _finite(effect.excess),
        "standard_error": _finite(effect.error),
        "taken": _finite(effect.taken),
        "given": _finite(effect.given),
        "flips_other_class": _finite(effect.raw),
        "flips_own_class": _finite(effect.control),
        "area": _finite(each.area),
        "accuracy_agreeing": _finite(agreed.agreeing),
        "accuracy_conflicting": _finite(agreed.conflicting),
        "conflicting_images": agreed.images,
    }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Audit(Result):
    """What decides a network's answers, class by class: the object, or something that comes with it.

    n images were audited; each of m times one of them got the properties of two donors. The conclusion is worked out when it is
    read: `verdict`, `classes`, `to_json`.

    Attributes
    ----------
    names : tuple of str
        The network's classes.
    ids : ndarray of str, (n,)
        The images.
    target, predicted : ndarray of int64, (n,)
        The label, -1 where there is none, and the answer.
    certainty : ndarray of float32, (n,)
        The probability of the answer.
    known, given : ndarray of bool, (n,)
        Whether it is known where the object is, and whether it was given as a mask or box.
    seen : int
        How many images the set has; those that were audited are chosen from it, so many of each answer.
    families, within : tuple of str
        The families of properties that were tried, and for each the broader one that it is a part of, or nothing.
    skipped : tuple of tuple of str
        Families that could not be tried, and why.
    numbers : ndarray of int64, (families,)
        How many numbers the statistic of each family has.
    values : ndarray of float32, (n, numbers in all)
        These numbers of every image.
    trials, ways : tuple of str
        What was exchanged, families and the parts ``background`` and ``object``; and how: a donor's, or a difference of means.
    change : ndarray of float32, (trials,)
        By how much a pixel is changed in the mean, 0..1.
    rows, other, same : ndarray of int64, (m,)
        The image that was edited, and its donors of another class and of its own.
    answers : ndarray of int64, (trials, 2, m)
        What was answered with the other's, and with the own class's.
    hidden : ndarray of int64, (n, 2)
        What is answered with the object taken out, and with the background greyed; -1 where it is not known.
    patches : tuple of int
        Sides of the patches that were slid over some of the images, pixels of the network's input.
    occluded : ndarray of int64, (q,)
        Which images those are.
    drops : ndarray of float16, (patches, classes, height, width)
        The mean drop of the answer's probability under the patch, over the images of each of the `shown_classes`, small.
    border, on_object, largest : ndarray of float32, (patches, q)
        The share of the drop near the border and on the object, NaN where there is none; and the largest drop.
    border_area : float
        The share of the picture that is near the border.
    object_area : ndarray of float32, (q,)
        The share that is the object.
    shown_classes : tuple of int
        The classes that have pictures, the most frequent answers first.
    shown : ndarray of int64, (k,)
        Images that are shown, rows of the n.
    photographs, changed : ndarray of uint8, (k, height, width, 3) and (k, 2, height, width, 3)
        Those images, and the same with the property that matters most from another class, and from the own class.
    changed_by : ndarray of int64, (k,)
        Which of the trials that was.
    changed_answers : ndarray of int64, (k, 2)
        What is answered then.
    shown_drops : ndarray of float16, (patches, k, height, width)
        Where covering costs the answer, small.
    thumbnails : ndarray of uint8, (n, side, side, 3)
        All images, small.
    points : ndarray of float32, (n, 2)
        The images on the plane, near each other where the network's last layer answers alike.
    neighbours : ndarray of float32, (1 + families, 2)
        Of the nearest in the last layer's space, the share that have an image's own answer, and that by chance; then for every
        family the share that are on its side of the family's best number, and that by chance.
    units, unit_families : tuple of str
        Units that tell one side of a property from the other, and whose property it is.
    unit_area : ndarray of float32, (units,)
        On images that were held out.
    exemplars : ndarray of uint8, (classes, some, side, side, 3)
        The images of the whole set that the logit of each of the `shown_classes` answers most.
    made : ndarray of uint8, (units, height, width, 3)
        Optimised pictures; of `made_units`.
    made_units : tuple of str
        Units in the grammar of units.
    made_values : ndarray of float32, (units, numbers in all)
        The families' numbers of these pictures.
    """

    kind: ClassVar[str] = "audit"

    names: tuple[str, ...]
    ids: NDArray[np.str_]
    target: NDArray[np.int64]
    predicted: NDArray[np.int64]
    certainty: NDArray[np.float32]
    known: NDArray[np.bool_]
    given: NDArray[np.bool_]
    seen: int
    families: tuple[str, ...]
    within: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    numbers: NDArray[np.int64]
    values: NDArray[np.float32]
    trials: tuple[str, ...]
    ways: tuple[str, ...]
    change: NDArray[np.float32]
    rows: NDArray[np.int64]
    other: NDArray[np.int64]
    same: NDArray[np.int64]
    answers: NDArray[np.int64]
    hidden: NDArray[np.int64]
    patches: tuple[int, ...]
    occluded: NDArray[np.int64]
    drops: NDArray[np.float16]
    border: NDArray[np.float32]
    on_object: NDArray[np.float32]
    largest: NDArray[np.float32]
    border_area: float
    object_area: NDArray[np.float32]
    shown_classes: tuple[int, ...]
    shown: NDArray[np.int64]
    photographs: NDArray[np.uint8]
    changed: NDArray[np.uint8]
    changed_by: NDArray[np.int64]
    changed_answers: NDArray[np.int64]
    shown_drops: NDArray[np.float16]
    thumbnails: NDArray[np.uint8]
    points: NDArray[np.float32]
    neighbours: NDArray[np.float32]
    units: tuple[str, ...]
    unit_families: tuple[str, ...]
    unit_area: NDArray[np.float32]
    exemplars: NDArray[np.uint8]
    made: NDArray[np.uint8]
    made_units: tuple[str, ...]
    made_values: NDArray[np.float32]

    # -----------------------------------------------------------------------------------------------------------------
    # The conclusion
    # -----------------------------------------------------------------------------------------------------------------

    @property
    def verdict(self) -> str:
        """The conclusion on the network in one line."""
        return self.told("en").overall(self)

    @property
    def word(self) -> str:
        """The conclusion on the network as a key of `AUDIT_WORDS`."""
        return self.overall.word

    @cached_property
    def classes(self) -> dict[str, ClassFinding]:
        """The conclusions by class, the classes that are answered most first."""
        return self.findings("en")

    def findings(self, lang: str) -> dict[str, ClassFinding]:
        """Give the conclusions by class in a language, ``en`` or ``es``."""
        told = self.told(lang)
        return {self.names[each]: self._finding(each, told) for each in self.answered}

    @staticmethod
    def told(lang: str) -> AuditText:
        """Give the sentences of a language.

        Raises
        ------
        QuestionError
            If there is no such language.
        """
        if lang not in LANGUAGES:
            raise QuestionError(f"lang={lang!r} is not a choice.", hint=f"There are: {', '.join(LANGUAGES)}.")
        return AuditText(lang)

    @cached_property
    def answered(self) -> list[int]:
        """The classes that some image is answered with, the most frequent first."""
        counts = np.bincount(self.predicted, minlength=len(self.names))
        return [each for each in np.argsort(-counts, kind="stable").tolist() if counts[each]]

    @cached_property
    def conclusions(self) -> dict[int, Conclusion]:
        """The conclusion on every class that some image is answered with."""
        within = {family: whole for family, whole in zip(self.families, self.within, strict=True) if whole}
        concluded: dict[int, Conclusion] = {}
        for each in self.answered:
            mine = self.predicted == each
            concluded[each] = conclude(
                self.tested[each],
                images=int(mine.sum()),
                others=int((~mine).sum()),
                known=float(self.known.mean()) if len(self.known) else 0.0,
                within=within,
                middle=self._middle(each),
            )
        return concluded

    @cached_property
    def tested(self) -> dict[int, list[Examined]]:
        """Every property held against the rule, by class."""
        trials = [
            (name, way, answers, float(change))
            for name, way, answers, change in zip(self.trials, self.ways, self.answers, self.change, strict=True)
        ]
        values = {family: self.values_of(family) for family in self.families}
        donor = self.predicted[self.other]
        return {
            each: examine(
                each,
                predicted=self.predicted,
                target=self.target,
                values=values,
                trials=trials,
                rows=self.rows,
                donor=donor,
            )
            for each in self.answered
        }

    @property
    def sure(self) -> bool:
        """Whether it is known in enough images where the object is, for objects and backgrounds to be spoken of."""
        return bool(len(self.known)) and float(self.known.mean()) >= KNOWN

    def values_of(self, family: str, among: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Give the numbers of one family, (n, numbers)."""
        place = self.families.index(family)
        first = int(self.numbers[:place].sum())
        return (self.values if among is None else among)[:, first : first + int(self.numbers[place])]

    def strongest_number(self, family: str) -> NDArray[np.float32]:
        """Give of a family's numbers the one, (n,), that tells best which of the answers an image gets."""
        return self.values_of(family)[:, self.strongest(family)]

    def strongest(self, family: str) -> int:
        """Give the place of that number among the family's."""
        values = self.values_of(family)
        areas = [predictive_area(values, self.predicted == each)[:2] for each in self.answered]
        return max((each for each in areas if not math.isnan(each[0])), default=(0.5, 0))[1]

    @cached_property
    def overall(self) -> Conclusion:
        """The conclusion on the network: the gravest of its classes', named by what weighs most among them."""
        concluded = self.conclusions
        accused = [each for each, found in concluded.items() if found.word in ACCUSING]
        if accused:
            word = next(word for word in ACCUSING if any(concluded[each].word == word for each in accused))
            weights: Counter[str] = Counter()
            for each in accused:
                effects = {tested.name: tested.effect.excess for tested in self.tested[each]}
                for place, name in enumerate(concluded[each].names):
                    weights[name] += effects[name] if place == 0 else 1e-3 * effects[name]  # type: ignore[assignment]
            return Conclusion(word, tuple(name for name, _ in weights.most_common()))
        words = Counter(found.word for found in concluded.values())
        if words["object"] and 2 * words["object"] >= len(concluded):
            return Conclusion("object")
        reasons = Counter(found.reason for found in concluded.values() if found.word == "undecided")
        return Conclusion("undecided", reason=reasons.most_common(1)[0][0] if reasons else "too few images")

    def accused(self) -> list[str]:
        """Give the classes in which something other than the object decides."""
        return [self.names[each] for each, found in self.conclusions.items() if found.word in ACCUSING]

    def _finding(self, each: int, told: AuditText) -> ClassFinding:
        mine, labelled = self.predicted == each, self.target == each
        border, on_object = self._shares(each)
        conclusion = self.conclusions[each]
        accuracy = float((self.predicted[labelled] == each).mean()) if labelled.any() else math.nan
        of_class = self.predicted[self.occluded] == each
        return ClassFinding(
            name=self.names[each],
            images=int(mine.sum()),
            labelled=int(labelled.sum()),
            accuracy=accuracy,
            conclusion=conclusion,
            tested=self.tested[each],
            border=border,
            area=self.border_area,
            on_object=on_object,
            object_area=_mean(self.object_area[of_class]),
            verdict=told.verdict(conclusion, self.tested[each], images=int(mine.sum()), classes=len(self.answered)),
            advice=told.advice(conclusion, name=self.names[each]),
        )

    def _shares(self, each: int) -> tuple[float, float]:
        """Give the mean share of the drop near the border and on the object, of the smallest patch."""
        of_class = self.predicted[self.occluded] == each
        if not len(self.patches) or not of_class.any():
            return math.nan, math.nan
        return _mean(self.border[0, of_class]), _mean(self.on_object[0, of_class])

    def _middle(self, each: int) -> bool:
        """Tell whether the answer falls when the middle of the pictures is covered, and less than by chance near the border."""
        of_class = self.predicted[self.occluded] == each
        if not len(self.patches) or int(np.isfinite(self.border[0, of_class]).sum()) < _FEWEST:
            return False
        return _mean(self.border[0, of_class]) < _WELL_INSIDE * self.border_area

    # -----------------------------------------------------------------------------------------------------------------
    # What it looks like
    # -----------------------------------------------------------------------------------------------------------------

    def summary(self) -> str:
        """Say in one sentence what was concluded."""
        return f"{self.question.network}: {self.verdict}"

    def report(self, path: str | Path = "audit.html", *, lang: str = "en") -> Path:
        """Write the whole audit as one self-contained page.

        Parameters
        ----------
        path
            Where to write it.
        lang
            en or es.

        Raises
        ------
        StoreError
            If it cannot be written.
        QuestionError
            If there is no such language.
        """
        from iconoscope.show.audit_page import audit_page  # the one door from a result to its page

        return audit_page(self, path, lang=lang)

    def to_json(self) -> dict[str, Any]:
        """Give verdicts, evidence and advice as plain JSON values."""
        effects = dict(zip(self.families, self.neighbours[1:].tolist(), strict=True))
        same = self.neighbours[0].tolist() if len(self.neighbours) else [math.nan, math.nan]
        return {
            "kind": self.kind,
            "key": self.question.key,
            "question": self.question.to_json(),
            "verdict": self.verdict,
            "word": self.word,
            "relies_on": list(self.overall.names),
            "images": {"seen": self.seen, "audited": len(self.ids), "objects_known": int(self.known.sum())},
            "classes": [found.to_json() for found in self.classes.values()],
            "skipped": [{"property": name, "reason": self.told("en").say(reason)} for name, reason in self.skipped],
            "neighbourhoods": {
                "answer": {"share": _finite(same[0]), "by_chance": _finite(same[1])},
                "properties": {
                    family: {"share": _finite(share), "by_chance": _finite(chance)}
                    for family, (share, chance) in effects.items()
                },
            },
            "made": [
                {
                    "unit": unit,
                    "properties": {
                        family: [_finite(float(number)) for number in self.values_of(family, self.made_values)[place]]
                        for family in self.families
                    },
                }
                for place, unit in enumerate(self.made_units)
            ],
            "units": [
                {"unit": unit, "property": family, "area_held_out": _finite(float(area))}
                for unit, family, area in zip(self.units, self.unit_families, self.unit_area, strict=True)
            ],
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the strongest properties of every class: how many answers change beyond the control.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; without it a new figure is made.
        """
        return self._shown() if ax is None else self._bars(ax)

    @property
    def _rows(self) -> list[tuple[str, Examined]]:
        return [(self.names[each], tested) for each in self.answered[:8] for tested in self.tested[each][:5]]

    @property
    def _extent(self) -> tuple[float, float]:
        return 7.0, 1.2 + 0.25 * max(4, len(self._rows))

    def _face(self) -> bytes:
        figure = self._drawn()
        figure.axes[0].set_title("")
        return encoded(figure, "png")

    def _on(self, figure: Figure) -> Axes:
        figure.set_layout_engine("constrained")
        return self._bars(figure.add_subplot())

    def _bars(self, axes: Axes) -> Axes:
        rows = self._rows
        places = np.arange(len(rows))[::-1]
        excess = np.array([tested.effect.excess for _, tested in rows])
        error = np.array([2 * tested.effect.error for _, tested in rows])
        colours = ["#b3341f" if not tested.failed and tested.name not in PARTS else "#97a1ad" for _, tested in rows]
        axes.barh(places, np.nan_to_num(excess), xerr=np.nan_to_num(error), color=colours, error_kw={"lw": 1})
        axes.set_yticks(places, [as_text(f"{name}: {tested.name}") for name, tested in rows], fontsize=8)
        axes.set_xlim(min(0.0, float(np.nan_to_num(excess).min(initial=0))) - 0.05, 1.05)
        axes.set_xlabel("answers changed beyond the control (share)")
        axes.set_title(as_text(self.summary()), fontsize=9, wrap=True)
        return axes


def _mean(values: NDArray[np.floating]) -> float:
    """Give the mean of what is known; NaN if nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
