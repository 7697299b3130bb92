"""The protocols of FunnyBirds: is what an explanation says of a bird's parts what happens when these are really removed?

Hesse, Schaub-Meyer and Roth, "FunnyBirds: A Synthetic Vision Dataset for a Part-Based Analysis of Explainable AI Methods" (ICCV
2023), sections 4 and 5, written from the paper and held against `evaluation_protocols.py` of visinf/funnybirds-framework. All
scores are 0 to 1, and the higher, the better. An explanation is numbers for parts; where these come from is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.bird_scenes import PARTS, Class, contrasting_pair, shared_parts

__all__ = [
    "SETS",
    "THRESHOLDS",
    "Importance",
    "Scores",
    "Truth",
    "background_independence",
    "contrasted",
    "minimal_sufficient_sets",
    "part_importance",
    "rank_correlation",
    "score",
]

Floats = NDArray[np.float64]

THRESHOLDS = np.linspace(0.01, 0.50, 80)
"""Shares of the whole map, above which a part is said to be important; the best for a method counts, as in the paper."""

IRRELEVANT = 0.05
"""The share of the logit below which a part that is removed made no difference."""

SETS = tuple(removed for size in range(len(PARTS) + 1) for removed in combinations(range(len(PARTS)), size))
"""Every set of parts that can be removed, as `Scene.parts_removed` gives them."""

_ROW = {frozenset(removed): row for row, removed in enumerate(SETS)}


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the network answers to a picture and to what is left of it.

    Attributes
    ----------
    cls : int
        The right class.
    removed : ndarray, (32, classes)
        Logits without each of `SETS`; the first is the answer to the whole picture.
    without_thing : ndarray, (things, classes)
        Logits without each thing in the background.
    """

    cls: int
    removed: Floats
    without_thing: Floats

    @property
    def predicted(self) -> int:
        """The class that is answered."""
        return int(self.removed[0].argmax())

    def without(self, parts: Sequence[int] | frozenset[int]) -> Floats:
        """Give the logits (classes,) without some parts, by their numbers."""
        return self.removed[_ROW[frozenset(parts)]]

    @property
    def part_falls(self) -> Floats:
        """How much the right class's logit falls without each part, (parts,)."""
        return self.removed[0, self.cls] - self.removed[1 : 1 + len(PARTS), self.cls]

    @property
    def thing_falls(self) -> Floats:
        """How much the right class's logit falls without each thing, (things,)."""
        return self.removed[0, self.cls] - self.without_thing[:, self.cls]


@dataclass(frozen=True, kw_only=True)
class Importance:
    """What an explanation of one class says of a picture.

    Attributes
    ----------
    parts, things : ndarray, (parts,) and (things,)
        A number for each; the highest is the most important.
    total : float
        That of the whole map, of which the thresholds are shares.
    """

    parts: Floats
    things: Floats
    total: float

    def important(self, threshold: float) -> tuple[frozenset[int], frozenset[int]]:
        """Give the parts and the things with more than a share of the total."""
        parts, things = (np.flatnonzero(values > threshold * self.total) for values in (self.parts, self.things))
        return frozenset(parts.tolist()), frozenset(things.tolist())


Explanation = Callable[[int, int], Importance]
"""From the number of a picture and a class to what is said of it."""


def part_importance(values: Floats, part_masks: NDArray[np.bool_], thing_masks: NDArray[np.bool_]) -> Importance:
    """Sum a map over the parts and the things, each wider by a pixel on all sides, since outlines belong to them.

    Parameters
    ----------
    values
        (height, width).
    part_masks, thing_masks
        (parts, height, width) and (things, height, width).
    """
    parts, things = (
        np.einsum("nij,ij->n", widened(masks), values.astype(np.float64)) for masks in (part_masks, thing_masks)
    )
    return Importance(parts=parts, things=things, total=float(values.sum(dtype=np.float64)))


def widened(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen masks (n, height, width) by a pixel on all sides; FunnyBirds takes two, of pictures twice as large."""
    height, width = masks.shape[1:]
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    shifts = [padded[:, row : row + height, column : column + width] for row in range(3) for column in range(3)]
    return np.logical_or.reduce(shifts)


def rank_correlation(truth: Truth, importance: Importance) -> float:
    """Give Spearman's correlation, -1 to 1, of importances with falls over the parts; NaN where one of them is constant."""
    if np.ptp(importance.parts) == 0 or np.ptp(truth.part_falls) == 0:
        return float("nan")
    ranks = rankdata(np.stack([truth.part_falls, importance.parts]), axis=1)
    return float(np.corrcoef(ranks)[0, 1])


def minimal_sufficient_sets(classes: Sequence[Class], cls: int) -> list[frozenset[int]]:
    """Give the smallest sets of parts that no other class has all alike: what is enough to tell a class."""
    shared = [
        frozenset(PARTS.index(part) for part in shared_parts(classes[cls], other))
        for index, other in enumerate(classes)
        if index != cls
    ]
    enough = [frozenset(some) for some in SETS if some and not any(frozenset(some) <= alike for alike in shared)]
    return [some for some in enough if not any(other < some for other in enough)]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What an explanation reaches.

    Attributes
    ----------
    correlations : ndarray, (pictures,)
        `rank_correlation` of each; NaN where it has none.
    single_deletion : float
        Their mean, brought from -1..1 to 0..1: correctness.
    controlled_check, preservation, deletion : float
        CSDC, PC and DC, whose mean is completeness: the share of a sufficient set of parts that is said to be important; how
        often the answer stays without all other parts; how often it changes without the important ones.
    distractibility : float
        D: one less the share of irrelevant parts and things that are said to be important.
    target_sensitivity : float
        TS, contrastivity: how often the parts shared with another class count more when that class is explained. NaN where
        the network gives no picture to judge it on.
    threshold : float
        The one with the best completeness and distractibility together.
    """

    correlations: Floats
    single_deletion: float
    controlled_check: float
    preservation: float
    deletion: float
    distractibility: float
    target_sensitivity: float
    threshold: float

    @property
    def completeness(self) -> float:
        """The mean of the three checks and of distractibility, in equal halves."""
        return ((self.controlled_check + self.preservation + self.deletion) / 3 + self.distractibility) / 2


def score(explanation: Explanation, truths: Sequence[Truth], classes: Sequence[Class]) -> Scores:
    """Hold an explanation against the truth by all protocols."""
    right = [explanation(index, truth.cls) for index, truth in enumerate(truths)]
    answered = [explanation(index, truth.predicted) for index, truth in enumerate(truths)]
    correlations = np.array([rank_correlation(*pair) for pair in zip(truths, right, strict=True)])
    sufficient = [minimal_sufficient_sets(classes, cls) for cls in range(len(classes))]
    checks = np.array([_checks(truths, right, answered, sufficient, threshold) for threshold in THRESHOLDS])
    best = int((checks[:, :3].mean(1) + checks[:, 3]).argmax())
    return Scores(
        correlations=correlations,
        single_deletion=float(np.nanmean(correlations) / 2 + 0.5) if np.isfinite(correlations).any() else float("nan"),
        controlled_check=float(checks[best, 0]),
        preservation=float(checks[best, 1]),
        deletion=float(checks[best, 2]),
        distractibility=float(checks[best, 3]),
        target_sensitivity=target_sensitivity(explanation, truths, classes),
        threshold=float(THRESHOLDS[best]),
    )


def _checks(
    truths: Sequence[Truth],
    right: Sequence[Importance],
    answered: Sequence[Importance],
    sufficient: Sequence[Sequence[frozenset[int]]],
    threshold: float,
) -> tuple[float, float, float, float]:
    """Give the controlled check, preservation, deletion and distractibility at a threshold."""
    controlled: list[float] = []
    kept: list[bool] = []
    changed: list[bool] = []
    distracted: list[float] = []
    everything = frozenset(range(len(PARTS)))
    for truth, of_right, of_answered in zip(truths, right, answered, strict=True):
        parts, things = of_right.important(threshold)
        if truth.predicted == truth.cls:
            controlled.append(max(len(some & parts) / len(some) for some in sufficient[truth.cls]))
        said = of_answered.important(threshold)[0]
        kept.append(int(truth.without(everything - said).argmax()) == truth.predicted)
        changed.append(int(truth.without(said).argmax()) != truth.predicted)
        no_parts, no_things = (_irrelevant(truth, falls) for falls in (truth.part_falls, truth.thing_falls))
        if no_parts or no_things:
            named = len(parts & no_parts) + len(things & no_things)
            distracted.append(named / (len(no_parts) + len(no_things)))
    return (
        float(np.mean(controlled)) if controlled else float("nan"),
        float(np.mean(kept)),
        float(np.mean(changed)),
        1 - float(np.mean(distracted)) if distracted else float("nan"),
    )


def _irrelevant(truth: Truth, falls: Floats) -> frozenset[int]:
    """Give what can be removed at no cost: the logit rises, or falls by less than a share of itself."""
    bound = IRRELEVANT * abs(float(truth.removed[0, truth.cls]))
    return frozenset(np.flatnonzero((np.abs(falls) < bound) | (falls < 0)).tolist())


def background_independence(truths: Sequence[Truth]) -> float:
    """Give the share of things whose removal costs the right class's logit less than `IRRELEVANT` of itself."""
    things = sum(len(truth.thing_falls) for truth in truths)
    irrelevant = sum(len(_irrelevant(truth, truth.thing_falls)) for truth in truths)
    return irrelevant / things if things else float("nan")


def contrasted(truth: Truth, classes: Sequence[Class]) -> dict[int, frozenset[int]] | None:
    """Give two classes that each share two parts with the bird, and not the same, with these parts.

    None where there is no such pair, or where the network itself does not tell the two apart by these parts: removing those
    that the bird shares with one of them must cost that class more than removing those that it shares with the other.
    """
    pair = contrasting_pair(classes, truth.cls)
    if pair is None:
        return None
    first, second = pair
    shared = {
        other: frozenset(PARTS.index(part) for part in shared_parts(classes[truth.cls], classes[other]))
        for other in pair
    }
    without_first, without_second = (truth.without(shared[other]) for other in pair)
    if without_first[first] < without_second[first] and without_second[second] < without_first[second]:
        return shared
    return None


def target_sensitivity(explanation: Explanation, truths: Sequence[Truth], classes: Sequence[Class]) -> float:
    """Give how often the parts that a bird shares with another class count more when that class is explained.

    The pictures are those with two `contrasted` classes, each of which is explained.
    """
    right: list[bool] = []
    for index, truth in enumerate(truths):
        shared = contrasted(truth, classes) or {}
        said = {other: explanation(index, other).parts for other in shared}
        for own, parts in shared.items():
            of_parts = {other: float(importances[sorted(parts)].sum()) for other, importances in said.items()}
            right.append(all(of_parts[own] > value for other, value in of_parts.items() if other != own))
    return float(np.mean(right)) if right else float("nan")
