"""The result of an audit: the evidence of its stages, and a conclusion for every class and in all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import iconoscope
from iconoscope.errors import check_choice
from iconoscope.language import LANGUAGES, current_language, say
from iconoscope.results.audit_conclusions import Conclusions, Swap
from iconoscope.results.audit_evidence import (
    AuditedImages,
    Hypotheses,
    Illustrations,
    Interventions,
    Neighbourhoods,
    OcclusionEvidence,
    OptimizedPictures,
    finite_mean,
)
from iconoscope.results.audit_text import MEASURED_DETECTION, AuditText
from iconoscope.results.decision_rule import ACCUSING, UNJUDGED, Conclusion, Examined, has_a_say
from iconoscope.results.estimate import UNKNOWN, Estimate, estimate_mean
from iconoscope.results.figure import as_text, encoded, localise_ticks
from iconoscope.results.frame import Columns
from iconoscope.results.hypothesis_rule import HypothesisTest
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Audit", "ClassVerdict"]


@dataclass(frozen=True)
class ClassVerdict:
    """The conclusion on one class, with the evidence for it.

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
    examined : list of Examined
        Every property, the most effective first.
    swaps : dict of str to Swap
        What swapping the whole ``"object"`` and ``"background"`` does, with 95% intervals; nothing where it is not known where
        the objects are.
    border_share, border_area : float
        The share of the occlusion's drop that lies near the border, and the share of the picture that is near the border; NaN
        where nothing was occluded, or no patch mattered.
    object_share : Estimate
        Likewise the share that lies on the object, where it is known, with its 95% interval.
    object_area : float
        The share of the picture that is the object.
    pointing : Estimate
        The pointing game (Zhang et al. 2016): the share of images in which the patch that costs most is centred on the object.
    verdict, advice : str
        The conclusion in words, and what to do next.
    tested : dict of str to HypothesisTest
        The hypotheses that were made of the images, by kind, as they were tested.
    power : float
        How probably a shortcut of these kinds that costs 20 points would have been found with so many images, 0..1; NaN where
        none was looked for.
    """

    name: str
    images: int
    labelled: int
    accuracy: float
    conclusion: Conclusion
    examined: list[Examined]
    swaps: dict[str, Swap]
    border_share: float
    border_area: float
    object_share: Estimate
    object_area: float
    pointing: Estimate
    verdict: str
    advice: str
    tested: dict[str, HypothesisTest]
    power: float

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain JSON values."""
        return {
            "class": self.name,
            "verdict": self.verdict,
            "word": self.conclusion.word,
            "relies_on": list(self.conclusion.names),
            "reason": self.conclusion.reason or None,
            "position": self.conclusion.position or None,
            "power": _finite(self.power),
            "advice": self.advice,
            "images": self.images,
            "labelled": self.labelled,
            "accuracy": _finite(self.accuracy),
            "occlusion": {
                "border_share": _finite(self.border_share),
                "border_area": _finite(self.border_area),
                **_estimated("object_share", self.object_share),
                "object_area": _finite(self.object_area),
                **_estimated("pointing", self.pointing),
            },
            "swaps": {
                part: {
                    **_estimated("flips_other_class", swap.other),
                    **_estimated("flips_own_class", swap.control),
                    **_estimated("excess", swap.excess),
                }
                for part, swap in self.swaps.items()
            },
            "hypotheses": [_tested_json(test) for test in self.tested.values()],
            "properties": [_examined_json(single) for single in self.examined],
        }


def _tested_json(test: HypothesisTest) -> dict[str, Any]:
    mean = test.mean
    figures = {name: _finite(getattr(mean, name)) for name in ("area", "taken", "given", "control", "excess")}
    splits = [{name: _finite(getattr(split, name)) for name in split._fields} for split in test.splits]
    return {
        "kind": test.kind,
        "decision": test.decision,
        "position": test.position or None,
        **figures,
        "splits": splits,
    }


def _examined_json(examined: Examined) -> dict[str, Any]:
    effect, accuracy = examined.effect, examined.accuracy
    return {
        "property": examined.name,
        "relied_on": examined.relied_on,
        "fails": list(examined.failed),
        "by": examined.source,
        "excess": _finite(effect.excess),
        "standard_error": _finite(effect.error),
        "taken": _finite(effect.lost),
        "given": _finite(effect.gained),
        "flips_other_class": _finite(effect.raw),
        "flips_own_class": _finite(effect.control),
        "area": _finite(examined.area),
        "accuracy_agreeing": _finite(accuracy.agreeing),
        "accuracy_conflicting": _finite(accuracy.conflicting),
        "conflicting_images": accuracy.images,
    }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Audit(Result):
    """The conclusion on what decides a network's answers, class by class: the object, or something that comes with it.

    It holds the evidence of every stage, made once by that stage; the conclusion is worked out when it is read: `verdict`,
    `classes`, `to_json`. Where object and background alone were swapped, there are
    images, interventions and illustrations only.

    Attributes
    ----------
    images : AuditedImages
        The images, their labels and the network's answers.
    interventions : Interventions
        Properties that were exchanged, and what was answered then: what names it, and decides beside known objects.
    shown_classes : tuple of int
        The classes that have pictures, those that are accused and the most frequent answers first.
    hypotheses : Hypotheses, optional
        What may decide, made from one half of the images and tested on the other: what decides.
    occlusion : OcclusionEvidence, optional
        Where covering costs the answer.
    neighbourhoods : Neighbourhoods, optional
        The images in the space of the last layer, and units that follow a property.
    illustrations : Illustrations
        Images as they are and exchanged, to be looked at.
    optimized : OptimizedPictures, optional
        Pictures that the classes' logits, and those units, answer most.
    """

    kind: ClassVar[str] = "audit"

    images: AuditedImages
    interventions: Interventions
    shown_classes: tuple[int, ...]
    illustrations: Illustrations
    hypotheses: Hypotheses | None = None
    occlusion: OcclusionEvidence | None = None
    neighbourhoods: Neighbourhoods | None = None
    optimized: OptimizedPictures | None = None

    # -----------------------------------------------------------------------------------------------------------------
    # The conclusion
    # -----------------------------------------------------------------------------------------------------------------

    @cached_property
    def conclusions(self) -> Conclusions:
        """The conclusions on every class and in all, by the class's index."""
        return Conclusions(self.images, self.interventions, self.hypotheses)

    @property
    def names(self) -> tuple[str, ...]:
        """The network's classes."""
        return self.images.class_names

    @property
    def swap_alone(self) -> bool:
        """Whether object and background alone were swapped, and nothing else was asked."""
        return self.occlusion is None and bool(self.interventions.trials)

    @property
    def overall(self) -> Conclusion:
        """The conclusion on the network: the gravest of its classes', named by what weighs most among them."""
        return self.conclusions.overall

    @property
    def outcome(self) -> str:
        """Whether it can be signed: ``fail`` if a shortcut decides anywhere, ``unjudged`` if anything is open, or ``pass``."""
        words = {self.word, *(conclusion.word for conclusion in self.conclusions.by_class.values())}
        if self.word in ACCUSING:
            return "fail"
        return "unjudged" if words & {*UNJUDGED} else "pass"

    @property
    def word(self) -> str:
        """The conclusion on the network as a key of `AUDIT_WORDS`."""
        return self.overall.word

    @property
    def verdict(self) -> str:
        """The conclusion on the network in one line."""
        return self.sentences("en").overall(self.conclusions)

    @cached_property
    def classes(self) -> dict[str, ClassVerdict]:
        """The conclusions by class, the classes that are answered most first."""
        return self.findings("en")

    def accused(self) -> list[str]:
        """Give the classes in which something other than the object decides."""
        return [self.names[index] for index in self.conclusions.accused]

    def findings(self, lang: str) -> dict[str, ClassVerdict]:
        """Give the conclusions by class in a language, ``en`` or ``es``."""
        sentences = self.sentences(lang)
        return {self.names[index]: self._finding(index, sentences) for index in self.conclusions.listed}

    @staticmethod
    def sentences(lang: str) -> AuditText:
        """Give the sentences of a language.

        Raises
        ------
        QuestionError
            If there is no such language.
        """
        check_choice("lang", lang, LANGUAGES)
        return AuditText(lang)

    def _finding(self, of_class: int, sentences: AuditText) -> ClassVerdict:
        in_class, labelled = self.images.predicted == of_class, self.images.target == of_class
        conclusion, examined = self.conclusions.by_class[of_class], self.conclusions.examined[of_class]
        border_share = object_area = border_area = math.nan
        object_share = pointing = UNKNOWN
        if self.occlusion is not None:
            # The smallest patch tells best where the cost lies.
            covered = in_class[self.occlusion.rows]
            border_share, border_area = finite_mean(self.occlusion.border_share[0, covered]), self.occlusion.border_area
            shares = self.occlusion.object_share[0, covered]
            object_share = estimate_mean(shares)._replace(value=finite_mean(shares))
            object_area = finite_mean(self.occlusion.object_area[covered])
            pointing = estimate_mean(self.occlusion.pointing[0, covered])
        return ClassVerdict(
            name=self.names[of_class],
            images=int(in_class.sum()),
            labelled=int(labelled.sum()),
            accuracy=float((self.images.predicted[labelled] == of_class).mean()) if labelled.any() else math.nan,
            conclusion=conclusion,
            examined=examined,
            swaps=self.conclusions.swaps(of_class),
            border_share=border_share,
            border_area=border_area,
            object_share=object_share,
            object_area=object_area,
            pointing=pointing,
            verdict=sentences.verdict(of_class, self.conclusions),
            tested=self.conclusions.tested.get(of_class, {}),
            power=MEASURED_DETECTION * self.conclusions.power(of_class) if self.hypotheses else math.nan,
            advice=sentences.advice(
                conclusion,
                name=self.names[of_class],
                swap_alone=self.swap_alone,
                objects_known=self.conclusions.objects_known,
                background=any(single.name == "background" and has_a_say(single.effect) for single in examined),
            ),
        )

    # -----------------------------------------------------------------------------------------------------------------
    # What it looks like
    # -----------------------------------------------------------------------------------------------------------------

    def summary(self) -> str:
        """Say in one sentence what was concluded."""
        return f"{self.question.network}: {self.sentences(current_language()).overall(self.conclusions)}"

    def report(self, path: str | Path = "audit.html", *, lang: str | None = None) -> Path:
        """Write the whole audit as one self-contained page.

        Parameters
        ----------
        path
            Where to write it.
        lang
            en or es; if not given the language that `set_language` chose.

        Raises
        ------
        StoreError
            If it cannot be written.
        QuestionError
            If there is no such language.
        """
        return iconoscope.report(self, path, lang=lang)

    def to_json(self) -> dict[str, Any]:
        """Give verdicts, evidence and advice as plain JSON values."""
        reason_in_words = self.sentences("en").say
        return {
            "kind": self.kind,
            "key": self.question.key,
            "question": self.question.to_json(),
            "verdict": self.verdict,
            "word": self.word,
            "outcome": self.outcome,
            "relies_on": list(self.overall.names),
            "position": self.overall.position or None,
            "reason": self.overall.reason or None,
            "accuracy": _finite(self.images.accuracy),
            "preprocessing": {"is": self.images.preprocessing, "assumed": self.images.preprocessing_assumed},
            "date": self.images.date,
            "images": {
                "seen": self.images.set_size,
                "audited": len(self.images),
                "objects_known": int(self.images.object_known.sum()),
            },
            "classes": [finding.to_json() for finding in self.classes.values()],
            "skipped": [
                {"property": name, "reason": reason_in_words(reason)} for name, reason in self.interventions.skipped
            ],
            **self._representation_json(),
        }

    def _table(self) -> Columns:
        verdicts = list(self.classes.values())
        plain = ("verdict", "images", "labelled", "accuracy", "border_share", "object_area", "power", "advice")
        return self._rows_of(
            len(verdicts),
            **{"class": [verdict.name for verdict in verdicts], "class_index": list(self.conclusions.listed)},
            word=[verdict.conclusion.word for verdict in verdicts],
            relies_on=[", ".join(verdict.conclusion.names) for verdict in verdicts],
            object_share=[verdict.object_share.value for verdict in verdicts],
            pointing=[verdict.pointing.value for verdict in verdicts],
            **{name: [getattr(verdict, name) for verdict in verdicts] for name in plain},
        )

    def _representation_json(self) -> dict[str, Any]:
        """Give what neighbours share, the optimised pictures' properties, and the units that follow one."""
        nuisances, optimized = self.interventions.nuisances, self.optimized
        shared: list[dict[str, float | None]] = []
        following: list[tuple[str, str, float]] = []
        if self.neighbourhoods is not None:
            shared = [
                {"share": _finite(share), "by_chance": _finite(chance)}
                for share, chance in self.neighbourhoods.shared.tolist()
            ]
            following = self.neighbourhoods.following
        measured = () if optimized is None else zip(optimized.units, optimized.statistics, strict=True)
        return {
            "neighbourhoods": {
                "answer": shared[0] if shared else None,
                "properties": dict(zip(nuisances, shared[1:], strict=False)),
            },
            "made": [
                {
                    "unit": unit,
                    "properties": {
                        nuisance: [
                            _finite(number) for number in self.interventions.statistic(nuisance, row[None])[0].tolist()
                        ]
                        for nuisance in nuisances
                    },
                }
                for unit, row in measured
            ],
            "units": [
                {"unit": unit, "property": nuisance, "area_held_out": _finite(area)}
                for unit, nuisance, area in following
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
        examined = self.conclusions.examined
        return [
            (self.names[index], single) for index in self.conclusions.answered[:8] for single in examined[index][:5]
        ]

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
        heights = np.arange(len(rows))[::-1]
        excess = np.array([single.effect.excess for _, single in rows])
        error = np.array([2 * single.effect.error for _, single in rows])
        colours = ["#b3341f" if single.relied_on else "#97a1ad" for _, single in rows]
        axes.barh(heights, np.nan_to_num(excess), xerr=np.nan_to_num(error), color=colours, error_kw={"lw": 1})
        text = self.sentences(current_language())
        axes.set_yticks(heights, [as_text(f"{name}: {text.exchanged_name(single.name)}") for name, single in rows])
        axes.tick_params(axis="y", labelsize=8)
        axes.set_xlim(min(0.0, float(np.nan_to_num(excess).min(initial=0))) - 0.05, 1.05)
        axes.set_xlabel(say("answers changed beyond the control (share)"), fontsize=10)
        axes.set_title(as_text(self.summary()), fontsize=9, wrap=True)
        localise_ticks(axes)
        return axes


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)


def _estimated(name: str, estimate: Estimate) -> dict[str, Any]:
    return {name: _finite(estimate.value), f"{name}_interval": [_finite(estimate.low), _finite(estimate.high)]}
