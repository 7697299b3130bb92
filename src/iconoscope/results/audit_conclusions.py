"""The conclusions of an audit: the decision rule, applied to the evidence of every class and of all."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.audit_evidence import AuditedImages, Hypotheses, Interventions
from iconoscope.results.decision_rule import (
    ACCUSING,
    IMAGE_PARTS,
    LEAST_IMAGES,
    OBJECTS_KNOWN,
    Conclusion,
    Examined,
    Reason,
    by_excess,
    conclude,
    examine,
    examine_hypothesis,
    shares_by_image,
)
from iconoscope.results.estimate import Estimate, estimate_mean
from iconoscope.results.hypothesis_rule import HypothesisTest, power
from iconoscope.results.rank_area import predictive_area

__all__ = ["Conclusions", "Swap"]


class Swap(NamedTuple):
    """Answers of a class that change when a whole part of its images, object or background, is swapped; shares with intervals.

    Attributes
    ----------
    other, control
        With the part of an image of another class, and with that of another image of the own class.
    excess
        The difference, image by image.
    """

    other: Estimate
    control: Estimate
    excess: Estimate


@dataclass(frozen=True, eq=False)
class Conclusions:
    """Conclusions on every class that some image is answered with; worked out when they are read.

    They are those of hypotheses and interventions, which decide: so the other stages of an audit know what is accused.
    """

    images: AuditedImages
    interventions: Interventions
    hypotheses: Hypotheses | None = None

    @cached_property
    def tested(self) -> dict[int, dict[str, HypothesisTest]]:
        """The hypotheses about every class, by kind."""
        return {index: self.hypotheses.of_class(index) if self.hypotheses else {} for index in self.answered}

    @cached_property
    def answered(self) -> list[int]:
        """The classes of interest that some image is answered with, the most frequent first."""
        counts = np.bincount(self.images.predicted, minlength=len(self.images.class_names))
        order = np.argsort(-counts, kind="stable").tolist()
        return [index for index in order if counts[index] and self.images.interests(index)]

    @property
    def never_answered(self) -> list[int]:
        """The classes of interest that images are labelled with, and no image of the set is answered with."""
        return self.images.never_answered

    @property
    def listed(self) -> list[int]:
        """Every class that there is something to say of: those that are answered, then those that never are."""
        return [*self.answered, *self.never_answered]

    def exchanged(self, index: int) -> bool:
        """Whether properties of a class were exchanged in enough images to speak of; else in a few, for illustration."""
        rows = np.unique(self.interventions.donors.rows)
        count = int((self.images.predicted[rows] == index).sum())
        return count > 0 and count >= min(LEAST_IMAGES, int((self.images.predicted == index).sum()))

    @cached_property
    def examined(self) -> dict[int, list[Examined]]:
        """Every property that was exchanged in enough images, and every hypothesis, held against the rule, by class."""
        evidence = self.interventions
        changes = evidence.pixel_change.tolist()
        trials = list(zip(evidence.trials, evidence.sources, evidence.answers, changes, strict=True))
        values = {nuisance: evidence.statistic(nuisance) for nuisance in evidence.nuisances}
        examined: dict[int, list[Examined]] = {}
        for index in self.answered:
            properties = examine(
                index,
                predicted=self.images.predicted,
                target=self.images.target,
                values=values,
                trials=trials,
                rows=evidence.donors.rows,
                donor=evidence.donors.other_class,
            )
            hypotheses = [examine_hypothesis(test) for test in self.tested[index].values()]
            examined[index] = by_excess([*(properties if self.exchanged(index) else ()), *hypotheses])
        return examined | {index: [] for index in self.never_answered}

    @cached_property
    def by_class(self) -> dict[int, Conclusion]:
        """The conclusion on every class."""
        within = dict(zip(self.interventions.nuisances, self.interventions.within, strict=True))
        concluded: dict[int, Conclusion] = {}
        for index in self.answered:
            in_class = self.images.predicted == index
            conclusion = conclude(
                self.examined[index],
                images=int(in_class.sum()),
                others=int((~in_class).sum()),
                objects_known=self.share_known,
                within=within,
                hypotheses=self.tested[index],
            )
            acquitted = conclusion.word in ("object", "nothing")
            concluded[index] = Conclusion("undecided", reason=self.doubt) if acquitted and self.doubt else conclusion
            if conclusion.word == "nothing" and self.hypotheses is None:
                concluded[index] = Conclusion("undecided", reason="swap alone")
        return concluded | {index: Conclusion("undecided", reason="never answered") for index in self.never_answered}

    @cached_property
    def doubt(self) -> Reason:
        """Why no class of this network can be acquitted, whatever is found: a key of the reasons; empty if nothing is."""
        if self.images.preprocessing_assumed:
            return "preprocessing assumed"
        return "near chance" if self.images.near_chance else ""

    def power(self, index: int) -> float:
        """Give the chance that a shortcut of a class that costs 20 points would have passed the rule's bounds."""
        count = int((self.images.predicted == index).sum())
        return power(count, len(self.images) - count) if 0 < count < len(self.images) else math.nan

    @cached_property
    def overall(self) -> Conclusion:
        """The conclusion on the network: the gravest of its classes', named by what weighs most among them."""
        concluded = self.by_class
        if self.images.preprocessing_assumed:
            return Conclusion("undecided", reason=self.doubt)
        if self.accused:
            word = next(word for word in ACCUSING if any(concluded[index].word == word for index in self.accused))
            weights: Counter[str] = Counter()
            for index in self.accused:
                effects = {single.name: single.effect.excess for single in self.examined[index]}
                for rank, name in enumerate(concluded[index].names):
                    weights[name] += effects[name] if rank == 0 else 1e-3 * effects[name]  # type: ignore[assignment]
            names = tuple(name for name, _ in weights.most_common())
            return Conclusion(word, names, position=self._position(names[0]))
        words = Counter(conclusion.word for conclusion in concluded.values())
        if words["borderline"]:
            return next(conclusion for conclusion in concluded.values() if conclusion.word == "borderline")
        if self.doubt and any(conclusion.reason == self.doubt for conclusion in concluded.values()):
            return Conclusion("undecided", reason=self.doubt)
        if words["object"] and 2 * words["object"] >= len(concluded):
            return Conclusion("object")
        if words["object"] + words["nothing"] and 2 * words["undecided"] < len(concluded):
            return Conclusion("nothing")
        if all(conclusion.reason == "too few images" for conclusion in concluded.values()):
            spread = len(concluded) > 2 and self.images.set_size >= 2 * LEAST_IMAGES
            return Conclusion("undecided", reason="too many classes" if spread else "too few images")
        reasons: Counter[Reason] = Counter(
            conclusion.reason for conclusion in concluded.values() if conclusion.word == "undecided"
        )
        return Conclusion("undecided", reason=reasons.most_common(1)[0][0] if reasons else "too few images")

    def _position(self, name: str) -> str:
        """Say where it is, if that is one place in all accused classes that it is named first in."""
        positions = {self.by_class[index].position for index in self.accused if self.by_class[index].names[0] == name}
        return positions.pop() if len(positions) == 1 else ""

    @property
    def accused(self) -> list[int]:
        """The classes in which something other than the object decides."""
        return [index for index, conclusion in self.by_class.items() if conclusion.word in ACCUSING]

    @property
    def objects_known(self) -> bool:
        """Whether it is known in enough images where the object is, for objects and backgrounds to be spoken of."""
        return self.share_known >= OBJECTS_KNOWN

    @property
    def share_known(self) -> float:
        """The share of the images in which it is known where the object is."""
        return float(self.images.object_known.mean()) if len(self.images) else 0.0

    @property
    def relied_on(self) -> list[str]:
        """The nuisances that the network relies on, the one that is named first."""
        return [name for name in self.overall.names if name in self.interventions.nuisances]

    def best_number(self, nuisance: str) -> int:
        """Give the column of the number, among a nuisance's, that tells best which of the answers an image gets."""
        values = self.interventions.statistic(nuisance)
        areas = [predictive_area(values, self.images.predicted == index)[:2] for index in self.answered]
        return max((pair for pair in areas if not math.isnan(pair[0])), default=(0.5, 0))[1]

    def best_values(self, nuisance: str) -> NDArray[np.float32]:
        """Give that number of every image, (n,)."""
        return self.interventions.statistic(nuisance)[:, self.best_number(nuisance)]

    def swaps(self, of_class: int) -> dict[str, Swap]:
        """Give what swapping the whole object and the whole background does; nothing where objects or donors are missing."""
        donors = self.interventions.donors
        in_class = self.images.predicted[donors.rows] == of_class
        if not self.objects_known or not in_class.any():
            return {}
        swaps: dict[str, Swap] = {}
        for part in IMAGE_PARTS:
            answers = self.interventions.answers[self.interventions.trials.index(part)]
            other, control = shares_by_image(in_class, answers != of_class, donors.rows)
            swaps[part] = Swap(estimate_mean(other), estimate_mean(control), estimate_mean(other - control))
        return swaps
