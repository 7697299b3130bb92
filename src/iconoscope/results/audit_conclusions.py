"""The conclusions of an audit: the decision rule, applied to the evidence of every class and of all."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.audit_evidence import AuditedImages, Interventions, OcclusionEvidence, finite_mean
from iconoscope.results.decision_rule import (
    ACCUSING,
    IMAGE_PARTS,
    OBJECTS_KNOWN,
    Conclusion,
    Examined,
    conclude,
    examine,
    predictive_area,
    shares_by_image,
)
from iconoscope.results.estimate import Estimate, estimate_mean

__all__ = ["Conclusions", "Swap"]

_FEWEST = 3  # images of a class that patches matter to, before it is said that their middle does
_WELL_INSIDE = 0.75  # of the border's share of the picture: less than this of the drop, and the middle matters


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

    Without what covering costs, they are those of the interventions alone, which decide: so the stages of an audit know which
    classes are accused before all evidence is there.
    """

    images: AuditedImages
    interventions: Interventions
    occlusion: OcclusionEvidence | None = None

    @cached_property
    def answered(self) -> list[int]:
        """The classes that some image is answered with, the most frequent first."""
        counts = np.bincount(self.images.predicted, minlength=len(self.images.class_names))
        return [index for index in np.argsort(-counts, kind="stable").tolist() if counts[index]]

    @cached_property
    def examined(self) -> dict[int, list[Examined]]:
        """Every property held against the rule, by class."""
        evidence = self.interventions
        changes = evidence.pixel_change.tolist()
        trials = list(zip(evidence.trials, evidence.sources, evidence.answers, changes, strict=True))
        values = {nuisance: evidence.statistic(nuisance) for nuisance in evidence.nuisances}
        return {
            index: examine(
                index,
                predicted=self.images.predicted,
                target=self.images.target,
                values=values,
                trials=trials,
                rows=evidence.donors.rows,
                donor=self.images.predicted[evidence.donors.other],
            )
            for index in self.answered
        }

    @cached_property
    def by_class(self) -> dict[int, Conclusion]:
        """The conclusion on every class."""
        within = dict(zip(self.interventions.nuisances, self.interventions.within, strict=True))
        concluded: dict[int, Conclusion] = {}
        for index in self.answered:
            in_class = self.images.predicted == index
            concluded[index] = conclude(
                self.examined[index],
                images=int(in_class.sum()),
                others=int((~in_class).sum()),
                objects_known=self.share_known,
                within=within,
                middle=self._middle_matters(index),
            )
        return concluded

    @cached_property
    def overall(self) -> Conclusion:
        """The conclusion on the network: the gravest of its classes', named by what weighs most among them."""
        concluded = self.by_class
        if self.accused:
            word = next(word for word in ACCUSING if any(concluded[index].word == word for index in self.accused))
            weights: Counter[str] = Counter()
            for index in self.accused:
                effects = {single.name: single.effect.excess for single in self.examined[index]}
                for rank, name in enumerate(concluded[index].names):
                    weights[name] += effects[name] if rank == 0 else 1e-3 * effects[name]  # type: ignore[assignment]
            return Conclusion(word, tuple(name for name, _ in weights.most_common()))
        words = Counter(conclusion.word for conclusion in concluded.values())
        if words["object"] and 2 * words["object"] >= len(concluded):
            return Conclusion("object")
        reasons = Counter(conclusion.reason for conclusion in concluded.values() if conclusion.word == "undecided")
        return Conclusion("undecided", reason=reasons.most_common(1)[0][0] if reasons else "too few images")

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

    def _middle_matters(self, of_class: int) -> bool:
        """Tell whether the answer falls when the middle of the pictures is covered, and less than by chance near the border."""
        if self.occlusion is None:
            return False
        border = self.occlusion.border_share[0, self.images.predicted[self.occlusion.rows] == of_class]
        if int(np.isfinite(border).sum()) < _FEWEST:
            return False
        return finite_mean(border) < _WELL_INSIDE * self.occlusion.border_area
