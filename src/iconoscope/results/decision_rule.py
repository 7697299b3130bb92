"""What a network relies on: effects of exchanged properties, and the rule that makes a verdict of them, with its constants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ACCUSING",
    "AUDIT_WORDS",
    "LEAST_IMAGES",
    "PARTS",
    "Agreement",
    "Conclusion",
    "Effect",
    "Examined",
    "agreement",
    "conclude",
    "examine",
    "predictive_area",
]  # fmt: skip

AUDIT_WORDS = {
    "object": "object region",
    "shortcut": "shortcut",
    "unnamed": "shortcut: background, unnamed",
    "mixed": "mixed",
    "undecided": "undecided",
}

ACCUSING = ("shortcut", "unnamed", "mixed")
"""Those of them that say that something other than the object decides, the gravest first."""

PARTS = ("background", "object")
"""What is exchanged whole, beside the families."""

# The constants of the rule. They were chosen with the networks of half of the suite's seeds in view, and are frozen:
# docs/audit.md tells how often the rule is right on the other half.
LEAST_IMAGES = 30  # answered with a class: with fewer, an excess of a tenth is within chance (rule of three)
LEAST_EXCESS = 0.115  # of the answers, changed by another class's property beyond what the own class's changes
LEAST_EACH_WAY = 0.075  # both when a class's property is given to others and when it is taken from the class
ERRORS = 3.0  # standard errors by which an excess must be over zero
LEAST_AREA = 0.68  # under the curve by which it tells the answer: what comes with no class cannot have been learned
LEAST_CONFLICTING = 15  # images that carry another class's property: with so many, accuracy on them counts
LEAST_LOSS = 0.12  # of accuracy, on conflicting against agreeing images
BACKGROUND_EXCESS = (
    0.20  # for the background as a whole, where no family explains it: cutting objects out leaves traces
)
BACKGROUND_EACH_WAY = 0.10
OBJECT_EXCESS = 0.25  # of the answers, changed by another class's object: then the object region matters
NEARLY = 0.8  # of the largest excess: of properties that do nearly as much, the smallest change is named
MOST = 0.5  # of the answers: what changes fewer leaves room for the object, if that matters too
KNOWN = 0.5  # of the images: where the object is must be known, for what is said of backgrounds and objects


class Effect(NamedTuple):
    """What exchanging a property does to the answers of one class.

    Attributes
    ----------
    taken, given
        The share of the class's own answers that change when its images get another class's property; and the share of other
        images that are answered with the class when they get its property. Each less the same under the control, which gives
        a property from the own class.
    raw, control
        The share of the class's answers that change with the other class's property, and with the own class's.
    error
        Standard error of `excess`.
    change
        By how much a pixel is changed in the mean, 0..1.
    """

    taken: float
    given: float
    raw: float
    control: float
    error: float
    change: float

    @property
    def excess(self) -> float:
        """The mean of both ways."""
        return (self.taken + self.given) / 2


class Agreement(NamedTuple):
    """Accuracy on images that carry the property of their own class, and of another; NaN where there are none."""

    agreeing: float
    conflicting: float
    images: int

    @property
    def loss(self) -> float:
        """How much accuracy is lost where the property belongs to another class."""
        return self.agreeing - self.conflicting


@dataclass(frozen=True)
class Examined:
    """Everything that is known of one property and one class.

    Attributes
    ----------
    name, way
        The family, or ``"background"`` and ``"object"``; by one donor's value or by the difference of means.
    effect
        Of the exchange.
    area
        Under the curve of the best of its numbers for the network's answer; NaN for what has no number.
    agreement
        Accuracy with it and against it.
    failed
        Which conditions of the rule it does not meet (effect, chance, one way, scan, conflict); none if it is relied on.
    """

    name: str
    way: str
    effect: Effect
    area: float
    agreement: Agreement
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Conclusion:
    """A verdict on one class, or on all.

    Attributes
    ----------
    word
        A key of `AUDIT_WORDS`.
    names
        The properties that the network relies on, the one that is named first; ``"background"`` alone if it has no name.
    reason
        A key of the reasons why it is undecided; empty otherwise.
    """

    word: str
    names: tuple[str, ...] = ()
    reason: str = ""


def predictive_area(values: NDArray[np.floating], is_class: NDArray[np.bool_]) -> tuple[float, int, int]:
    """Say how well the best of some numbers (images, numbers) tells a class: the area under its curve, 0.5 to 1.

    Returns
    -------
    tuple of float, int, int
        The area, the place of the number, and 1 if it is larger for the class, -1 if smaller.

    Examples
    --------
    >>> predictive_area(np.array([[0.0, 5], [0, 6], [0, 2], [1, 1]]), np.array([True, True, False, False]))
    (1.0, 1, 1)
    """
    yes, no = int(is_class.sum()), int((~is_class).sum())
    if not yes or not no:
        return math.nan, 0, 1
    areas = []
    for column in values.T:
        _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranks = np.cumsum(counts) - (counts - 1) / 2  # ties share their mean rank
        areas.append((ranks[inverse][is_class].sum() - yes * (yes + 1) / 2) / (yes * no))
    best = int(np.abs(np.array(areas) - 0.5).argmax())
    return float(max(areas[best], 1 - areas[best])), best, 1 if areas[best] >= 0.5 else -1


def agreement(
    values: NDArray[np.floating],
    predicted: NDArray[np.int64],
    target: NDArray[np.int64],
    of_class: int,
) -> Agreement:
    """Compare the accuracy on images that carry their own class's property with that on images that carry the other's.

    An image carries a side's property if its number lies beyond the median of what is answered with that side: the class, or
    any other. Only images with a label count.
    """
    area, column, sign = predictive_area(values, predicted == of_class)
    if math.isnan(area):
        return Agreement(math.nan, math.nan, 0)
    number = sign * values[:, column]
    high, low = np.median(number[predicted == of_class]), np.median(number[predicted != of_class])
    mine, labelled = target == of_class, target >= 0
    agreeing = labelled & np.where(mine, number >= high, number <= low)
    conflicting = labelled & np.where(mine, number <= low, number >= high) & ~agreeing
    # Both sides weigh alike, as they do in an exchange: of ten classes nine would drown the one. And both must be there. Among
    # nine classes some image has any number for a reason of its own, such as a corner as full as one with a tag in it.
    right, count = predicted == target, _both_ways(conflicting, mine)
    return Agreement(
        _balanced(right, agreeing, mine), _balanced(right, conflicting, mine) if count else math.nan, images=count
    )


_FEWEST_EACH = 5  # conflicting images on either side


def _balanced(right: NDArray[np.bool_], some: NDArray[np.bool_], mine: NDArray[np.bool_]) -> float:
    parts = [right[some & side].mean() for side in (mine, ~mine) if (some & side).sum() >= _FEWEST_EACH]
    return float(np.mean(parts)) if parts else math.nan


def _both_ways(some: NDArray[np.bool_], mine: NDArray[np.bool_]) -> int:
    """Count images on both sides, of the other no more than weigh as much; none if one side has too few to speak of."""
    own, other = int((some & mine).sum()), int((some & ~mine).sum())
    return own + min(other, max(own, LEAST_CONFLICTING)) if min(own, other) >= _FEWEST_EACH else 0


def effect_on(
    of_class: int,
    before: NDArray[np.int64],
    donor: NDArray[np.int64],
    answers: NDArray[np.int64],
    change: float,
    rows: NDArray[np.int64] | None = None,
) -> Effect:
    """Give the effect of one exchange on one class.

    Parameters
    ----------
    of_class
        The class.
    before, donor
        (n,): what every image was answered, and the class of the other donor.
    answers
        (2, n): what it was answered with the other class's property, and with its own class's.
    change
        By how much a pixel is changed.
    rows
        (n,): which image each is, where an image comes more than once. Images count, however often they were asked.
    """
    rows = np.arange(len(before)) if rows is None else rows
    own, lent = before == of_class, (before != of_class) & (donor == of_class)
    if not own.any() or not lent.any():
        return Effect(math.nan, math.nan, math.nan, math.nan, math.nan, change)
    moved = [_by_image(each != of_class, rows, own) for each in answers]
    came = [_by_image(each == of_class, rows, lent) for each in answers]
    taken, given = moved[0] - moved[1], came[0] - came[1]
    error = math.sqrt(_squared_error(taken) + _squared_error(given)) / 2
    return Effect(
        float(taken.mean()), float(given.mean()), float(moved[0].mean()), float(moved[1].mean()), error, float(change)
    )


def _by_image(happened: NDArray[np.bool_], rows: NDArray[np.int64], some: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give for every image among some the share of times that it happened."""
    _, image = np.unique(rows[some], return_inverse=True)
    return np.bincount(image, happened[some]) / np.bincount(image)


def _squared_error(values: NDArray[np.floating]) -> float:
    """Give the squared standard error of a mean of shares from -1 to 1; never nothing, however few of them agree."""
    return (float(values.var()) + 1 / len(values)) / len(values)


def examine(
    of_class: int,
    *,
    predicted: NDArray[np.int64],
    target: NDArray[np.int64],
    values: Mapping[str, NDArray[np.floating]],
    trials: list[tuple[str, str, NDArray[np.int64], float]],
    rows: NDArray[np.int64],
    donor: NDArray[np.int64],
) -> list[Examined]:
    """Hold every property against the rule, for one class; of its two ways the one that does more.

    Parameters
    ----------
    of_class
        The class.
    predicted, target
        (images,): the answers, and the labels, -1 where there is none.
    values
        The numbers (images, numbers) of every family.
    trials
        Name, way, answers (2, n) and change of every exchange.
    rows, donor
        (n,): the image that was edited, and the class whose property it got.
    """
    before = predicted[rows]
    best: dict[str, tuple[str, Effect]] = {}
    for name, way, answers, change in trials:
        effect = effect_on(of_class, before, donor, answers, change, rows)
        if name not in best or effect.excess > best[name][1].excess:
            best[name] = way, effect
    found: list[Examined] = []
    for name, (way, effect) in best.items():
        area, agreed = math.nan, Agreement(math.nan, math.nan, 0)
        if name in values:
            area = predictive_area(values[name], predicted == of_class)[0]
            agreed = agreement(values[name], predicted, target, of_class)
        found.append(Examined(name, way, effect, area, agreed, _failed(name, effect, area, agreed)))
    return sorted(found, key=lambda each: -np.nan_to_num(each.effect.excess, nan=-1))


def _failed(name: str, effect: Effect, area: float, agreed: Agreement) -> tuple[str, ...]:
    least = BACKGROUND_EXCESS if name == "background" else OBJECT_EXCESS if name == "object" else LEAST_EXCESS
    fails = {
        "effect": not effect.excess >= least,
        "chance": not effect.excess > ERRORS * effect.error,
        "one way": not min(effect.taken, effect.given)
        >= (BACKGROUND_EACH_WAY if name == "background" else LEAST_EACH_WAY),
        "scan": area < LEAST_AREA,
        "conflict": agreed.images >= LEAST_CONFLICTING and agreed.loss < LEAST_LOSS,
    }
    return tuple(name for name, failed in fails.items() if failed)


def conclude(
    tested: list[Examined], *, images: int, others: int, known: float, within: Mapping[str, str], middle: bool = False
) -> Conclusion:
    """Draw the conclusion on one class.

    Parameters
    ----------
    tested
        What `examine` gives.
    images, others
        How many images are answered with the class, and with another.
    known
        The share of images in which it is known where the object is.
    within
        Of every family the broader one that it is a part of, if there is one.
    middle
        Whether covering the middle of the pictures costs the answer, where it is not known where the object is.
    """
    if min(images, others) < LEAST_IMAGES:
        return Conclusion("undecided", reason="too few images" if images < LEAST_IMAGES else "too few others")
    parts = {each.name: each for each in tested if each.name in PARTS}
    families = {each.name: each for each in tested if each.name not in parts}
    standing = [each for each in families.values() if not each.failed]
    thing = parts.get("object")
    matters = thing is not None and known >= KNOWN and not thing.failed
    if standing:
        names = named(standing, within)
        largest = families[names[0]].effect.excess
        return Conclusion("mixed" if matters and largest < MOST else "shortcut", names)
    if known < KNOWN or not parts:
        return Conclusion("object", reason="middle") if middle else Conclusion("undecided", reason="no objects")
    if not parts["background"].failed:
        return Conclusion("unnamed", ("background",))
    return Conclusion("object") if matters else Conclusion("undecided", reason="nothing decides")


def named(standing: list[Examined], within: Mapping[str, str]) -> tuple[str, ...]:
    """Order the properties that a network relies on, by name: first the one that explains it with the smallest change.

    Edits overlap: a coloured light changes the background's hue too, and a lighter background the brightness of all. Of those
    that do nearly as much as the strongest, a part comes before the whole that it is within, and then the one that changes the
    picture least.
    """
    strongest = max(each.effect.excess for each in standing)
    nearly = [each for each in standing if each.effect.excess >= NEARLY * strongest]
    wholes = {within.get(each.name, "") for each in nearly}
    first = min(nearly, key=lambda each: (each.name in wholes, each.effect.change))
    rest = sorted((each for each in standing if each is not first), key=lambda each: -each.effect.excess)
    return tuple(each.name for each in (first, *rest))
