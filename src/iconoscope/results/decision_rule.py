"""The rule that makes a verdict of the effects of exchanged properties, with its constants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.hypothesis_rule import (
    HYPOTHESIS_KINDS,
    SMALL_KINDS,
    STANDARD_ERRORS,
    Condition,
    HypothesisTest,
    error_of_excess,
    may_name,
)
from iconoscope.results.rank_area import predictive_area

__all__ = [
    "ACCUSING",
    "AUDIT_WORDS",
    "IMAGE_PARTS",
    "LEAST_IMAGES",
    "OBJECTS_KNOWN",
    "UNJUDGED",
    "Conclusion",
    "ConflictAccuracy",
    "Effect",
    "Examined",
    "Reason",
    "by_excess",
    "conclude",
    "conflict_accuracy",
    "conflicting_images",
    "effect_on",
    "examine",
    "examine_hypothesis",
    "has_a_say",
    "shares_by_image",
]  # fmt: skip

AUDIT_WORDS = {
    "object": "object region",
    "nothing": "nothing found",
    "shortcut": "shortcut",
    "unnamed": "shortcut: background, unnamed",
    "mixed": "mixed",
    "borderline": "borderline",
    "undecided": "cannot be judged",
}

Reason = Literal[
    "", "preprocessing assumed", "near chance", "never answered", "swap alone", "too few images", "too few others",
    "too many classes", "perhaps the object's", "tells alone",
]  # fmt: skip
"""Why a class or a network cannot be judged; empty where it can."""

ACCUSING = ("shortcut", "unnamed", "mixed")
"""Those of them that say that something other than the object decides, the gravest first."""

UNJUDGED = ("borderline", "undecided")
"""Those that leave it open what decides, so that nobody can sign."""

IMAGE_PARTS = ("background", "object")
"""The parts of an image that are exchanged whole, beside the nuisances."""

# The constants of the rule. They were chosen with the networks of half of the suite's seeds in view, and are frozen:
# docs/audit.md tells how often the rule is right on the other half.
LEAST_IMAGES = 30  # answered with a class: with fewer, an excess of a tenth is within chance (rule of three)
LEAST_EXCESS = 0.115  # of the answers, changed by another class's property beyond what the own class's changes
LEAST_EACH_WAY = 0.075  # both when a class's property is given to others and when it is taken from the class
LEAST_AREA = 0.68  # under the curve by which it tells the answer: what comes with no class cannot have been learned
PAINT_AREA = 0.92  # of the object's own colour, which honest networks may go by: fruit is not painted like animals
TONES = ("brightness", "contrast", "saturation", "colour cast")
"""Of the whole picture: `PAINT_AREA` is asked of them where paint does as much."""
OBJECT_PROPERTIES = ("position", "object size", "paint")  # those that tell the answer so well,
TELLING_OBJECT_AREA = 0.96  # as objects do not by nature,
TELLING_OBJECT_ONE_WAY = 0.15  # may do it one way by so much: a large object may decide where a small one does not
LEAST_CONFLICTING = 15  # images that carry another class's property: with so many, accuracy on them counts
LEAST_LOSS = 0.12  # of accuracy, on conflicting against agreeing images
BACKGROUND_EXCESS = 0.20  # of the whole background, where no nuisance explains it: cutting objects out leaves traces
BACKGROUND_EACH_WAY = 0.10
NOTICEABLE = 0.05  # of the answers, that what does not decide has to change before it is spoken of
OBJECT_EXCESS = 0.25  # of the answers, changed by another class's object: then the object region matters
NEARLY_AS_MUCH = 0.8  # of the largest excess: of properties that do nearly as much, the smallest change is named
MIXED_BELOW = 0.5  # of the answers: what changes fewer leaves room for the object, if that matters too
TELLING_PROPERTY = 0.90  # area of a property that accuses where nobody knows the objects
_LOCAL_SHARE = 0.35  # of the largest excess: with so much the more local hypothesis is named,
_AS_TELLING = 0.05  # if it is small, or its area is no more than so much below the largest
NAMING_SHARE = 0.5  # of a hypothesis' excess: what does so much of it by itself,
NAMING_AREA = 0.10  # and tells the answers by an area no more than so much below, gives it its name
OBJECTS_KNOWN = 0.5  # of the images: where the object is must be known, for what is said of backgrounds and objects


class Effect(NamedTuple):
    """Effect of exchanging a property on the answers of one class.

    Attributes
    ----------
    lost, gained
        The share of the class's own answers that change when its images get another class's property; and the share of other
        images that are answered with the class when they get its property. Each less the same under the control, which gives
        a property from the own class.
    raw, control
        The share of the class's answers that change with the other class's property, and with the own class's.
    error
        Standard error of `excess`.
    pixel_change
        By how much a pixel is changed in the mean, 0..1.
    """

    lost: float
    gained: float
    raw: float
    control: float
    error: float
    pixel_change: float

    @property
    def excess(self) -> float:
        """The mean of both ways."""
        return (self.lost + self.gained) / 2


class ConflictAccuracy(NamedTuple):
    """Accuracy on images that carry the property of their own class, and of another; NaN where there are none."""

    agreeing: float
    conflicting: float
    images: int

    @property
    def loss(self) -> float:
        """Accuracy lost where the property belongs to another class."""
        return self.agreeing - self.conflicting


@dataclass(frozen=True)
class Examined:
    """Everything that is known of one property and one class.

    Attributes
    ----------
    name, source
        The nuisance, or ``"background"`` and ``"object"``, or the kind of a hypothesis; and whether one ``"donor"`` gave it, a
        difference of ``"mean"``, or the ``"class"`` that the hypothesis is about.
    effect
        Of the exchange.
    area
        Under the curve of the best of its numbers for the network's answer; NaN for what has no number.
    accuracy
        With it and against it.
    failed
        Conditions of the rule that it does not meet; none if it is relied on.
    """

    name: str
    source: str
    effect: Effect
    area: float
    accuracy: ConflictAccuracy
    failed: tuple[Condition, ...]

    @property
    def relied_on(self) -> bool:
        """Whether it is a nuisance that meets every condition of the rule."""
        return not self.failed and self.name not in IMAGE_PARTS


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
        Why it cannot be judged; empty otherwise.
    position
        Where in the picture it is that the network relies on, if it has a place.
    """

    word: str
    names: tuple[str, ...] = ()
    reason: Reason = ""
    position: str = ""


def conflicting_images(
    values: NDArray[np.floating], predicted: NDArray[np.int64], target: NDArray[np.int64], of_class: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell the images (n,) that carry their own class's property from those that carry another's, by the best of its numbers.

    An image carries a side's property if its number lies beyond the median of what is answered with that side: the class, or
    any other. Only images with a label count.
    """
    area, column, sign = predictive_area(values, predicted == of_class)
    if math.isnan(area):
        return np.zeros(len(target), np.bool_), np.zeros(len(target), np.bool_)
    number = sign * values[:, column]
    high, low = np.median(number[predicted == of_class]), np.median(number[predicted != of_class])
    in_class, labelled = target == of_class, target >= 0
    agreeing = labelled & np.where(in_class, number >= high, number <= low)
    return agreeing, labelled & np.where(in_class, number <= low, number >= high) & ~agreeing


def conflict_accuracy(
    values: NDArray[np.floating], predicted: NDArray[np.int64], target: NDArray[np.int64], of_class: int
) -> ConflictAccuracy:
    """Compare the accuracy on images that carry their own class's property with that on images that carry another's.

    Both sides weigh alike, as they do in an exchange: of ten classes nine would drown the one. And both must be there. Among
    nine classes some image has any number for a reason of its own, such as a corner as full as one with a tag in it.
    """
    agreeing, conflicting = conflicting_images(values, predicted, target, of_class)
    in_class, correct = target == of_class, predicted == target
    count = _count_both_ways(conflicting, in_class)
    return ConflictAccuracy(
        _balanced_accuracy(correct, agreeing, in_class),
        _balanced_accuracy(correct, conflicting, in_class) if count else math.nan,
        images=count,
    )


_FEWEST_EACH = 5  # conflicting images on either side


def _balanced_accuracy(correct: NDArray[np.bool_], chosen: NDArray[np.bool_], in_class: NDArray[np.bool_]) -> float:
    sides = [chosen & side for side in (in_class, ~in_class)]
    accuracies = [correct[side].mean() for side in sides if side.sum() >= _FEWEST_EACH]
    return float(np.mean(accuracies)) if accuracies else math.nan


def _count_both_ways(conflicting: NDArray[np.bool_], in_class: NDArray[np.bool_]) -> int:
    """Count images on both sides, of the other no more than weigh as much; none if one side has too few to speak of."""
    inside, outside = int((conflicting & in_class).sum()), int((conflicting & ~in_class).sum())
    return inside + min(outside, max(inside, LEAST_CONFLICTING)) if min(inside, outside) >= _FEWEST_EACH else 0


def shares_by_image(
    counted: NDArray[np.bool_], happened: NDArray[np.bool_], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give for every image, among those that count, how often a thing happened: with the other's property, and with its own.

    Parameters
    ----------
    counted
        (m,): which of the edits count.
    happened
        (2, m): whether it happened with the other class's property, and with the own class's.
    rows
        (m,): which image each edit is of. Images count, however often they were asked.
    """
    _, image = np.unique(rows[counted], return_inverse=True)
    times = np.bincount(image)
    return np.bincount(image, happened[0, counted]) / times, np.bincount(image, happened[1, counted]) / times


def effect_on(
    of_class: int,
    before: NDArray[np.int64],
    donor: NDArray[np.int64],
    answers: NDArray[np.int64],
    pixel_change: float,
    rows: NDArray[np.int64] | None = None,
) -> Effect:
    """Give the effect of one exchange on one class.

    Parameters
    ----------
    of_class
        The class.
    before, donor
        (m,): what every image was answered, and the class of the other donor.
    answers
        (2, m): what it was answered with the other class's property, and with its own class's.
    pixel_change
        By how much a pixel is changed.
    rows
        (m,): which image each is, where an image comes more than once.
    """
    rows = np.arange(len(before)) if rows is None else rows
    in_class, lent = before == of_class, (before != of_class) & (donor == of_class)
    if not in_class.any() or not lent.any():
        return Effect(math.nan, math.nan, math.nan, math.nan, math.nan, pixel_change)
    left, left_control = shares_by_image(in_class, answers != of_class, rows)
    joined, joined_control = shares_by_image(lent, answers == of_class, rows)
    lost, gained = left - left_control, joined - joined_control
    error = error_of_excess((float(lost.var()), len(lost)), (float(gained.var()), len(gained)))
    return Effect(
        float(lost.mean()),
        float(gained.mean()),
        float(left.mean()),
        float(left_control.mean()),
        error,
        float(pixel_change),
    )


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
    """Hold every property against the rule, for one class; of its two sources the one that does more.

    Parameters
    ----------
    of_class
        The class.
    predicted, target
        (images,): the answers, and the labels, -1 where there is none.
    values
        The numbers (images, numbers) of every nuisance.
    trials
        Name, source, answers (2, m) and pixel change of every exchange.
    rows, donor
        (m,): the image that was edited, and the class whose property it got.
    """
    before = predicted[rows]
    strongest: dict[str, tuple[str, Effect]] = {}
    for name, source, answers, pixel_change in trials:
        effect = effect_on(of_class, before, donor, answers, pixel_change, rows)
        if name not in strongest or effect.excess > strongest[name][1].excess:
            strongest[name] = source, effect
    examined: list[Examined] = []
    least_areas = _least_areas({name: effect for name, (_, effect) in strongest.items()})
    for name, (source, effect) in strongest.items():
        area, accuracy = math.nan, ConflictAccuracy(math.nan, math.nan, 0)
        if name in values:
            area = predictive_area(values[name], predicted == of_class)[0]
            accuracy = conflict_accuracy(values[name], predicted, target, of_class)
        examined.append(
            Examined(name, source, effect, area, accuracy, _failed(name, effect, area, accuracy, least_areas[name]))
        )
    return by_excess(examined)


def has_a_say(effect: Effect) -> bool:
    """Tell whether a property changes answers beyond its control, by more than chance, though it may be too few to decide."""
    return effect.excess >= max(NOTICEABLE, STANDARD_ERRORS * effect.error)


def by_excess(examined: Iterable[Examined]) -> list[Examined]:
    """Order properties by their excess, the largest first."""
    return sorted(examined, key=lambda single: -np.nan_to_num(single.effect.excess, nan=-1))


def _least_areas(effects: Mapping[str, Effect]) -> dict[str, float]:
    """Give the least area of every property: of the object's colour, and of tones that do no more than that, a higher one."""
    paint = effects["paint"].excess if "paint" in effects else -math.inf
    coloured = {"paint", *(name for name in TONES if name in effects and paint >= effects[name].excess)}
    return {name: PAINT_AREA if name in coloured else LEAST_AREA for name in effects}


def _failed(
    name: str, effect: Effect, area: float, accuracy: ConflictAccuracy, least_area: float
) -> tuple[Condition, ...]:
    least = {"background": BACKGROUND_EXCESS, "object": OBJECT_EXCESS}.get(name, LEAST_EXCESS)
    each_way = BACKGROUND_EACH_WAY if name == "background" else LEAST_EACH_WAY
    # In turn: too few answers change beyond the control; no more than chance changes; only one of giving and taking away
    # changes them; the property does not tell who gets the answer; real images that break the rule are answered as well.
    fails: dict[Condition, bool] = {
        "effect": not effect.excess >= least,
        "chance": not effect.excess > STANDARD_ERRORS * effect.error,
        "one way": not (min(effect.lost, effect.gained) >= each_way or _does_one_way(name, effect, area)),
        "scan": area < least_area,
        "conflict": accuracy.images >= LEAST_CONFLICTING and accuracy.loss < LEAST_LOSS,
    }
    return tuple(condition for condition, failed in fails.items() if failed)


def _does_one_way(name: str, effect: Effect, area: float) -> bool:
    telling = name in OBJECT_PROPERTIES and area >= TELLING_OBJECT_AREA
    return telling and max(effect.lost, effect.gained) >= TELLING_OBJECT_ONE_WAY


def examine_hypothesis(test: HypothesisTest) -> Examined:
    """Give what is known of a hypothesis and a class as it is given of a property."""
    mean = test.mean
    effect = Effect(mean.taken, mean.given, mean.taken + mean.control, mean.control, mean.error, math.nan)
    failed = mean.failed(test.kind, test.classes)
    if not failed and test.decision != "accused":
        failed = ("repeat",)
    return Examined(test.kind, "class", effect, mean.area, ConflictAccuracy(math.nan, math.nan, 0), failed)


def conclude(
    examined: list[Examined],
    *,
    images: int,
    others: int,
    objects_known: float,
    within: Mapping[str, str],
    hypotheses: Mapping[str, HypothesisTest] | None = None,
) -> Conclusion:
    """Draw the conclusion on one class.

    Parameters
    ----------
    examined
        What `examine` gives, and `examine_hypothesis` of every hypothesis.
    images, others
        How many images are answered with the class, and with another.
    objects_known
        The share of images in which it is known where the object is.
    within
        Of every nuisance the broader one that it is a part of, if there is one.
    hypotheses
        Those that were tested, by kind; None where objects and backgrounds alone were swapped.
    """
    if min(images, others) < LEAST_IMAGES:
        return Conclusion("undecided", reason="too few images" if images < LEAST_IMAGES else "too few others")
    hypotheses = hypotheses or {}
    known = objects_known >= OBJECTS_KNOWN
    parts = {single.name: single for single in examined if single.name in IMAGE_PARTS}
    nuisances = [single for single in examined if single.name not in parts and single.name not in hypotheses]
    accusing = [single for single in examined if single.name in hypotheses and not single.failed]
    ambiguous = [kind for kind, test in hypotheses.items() if test.decision == "ambiguous"]

    def accuses(single: Examined) -> bool:
        """Photographs have honest reasons to differ by brightness, hue or texture. Beside known objects none is left."""
        telling = not single.failed and (known or single.area >= TELLING_PROPERTY)
        return telling and not any(may_name(single.name, kind, hypotheses[kind].position) for kind in ambiguous)

    relied_on = [single for single in nuisances if accuses(single)]
    object_matters = known and "object" in parts and not parts["object"].failed
    if accusing or relied_on:
        names, position = _explained(accusing, relied_on, nuisances, within, hypotheses, known=known)
        largest = max(single.effect.excess for single in (*accusing, *relied_on))
        return Conclusion("mixed" if object_matters and largest < MIXED_BELOW else "shortcut", names, position=position)
    if known and parts and not parts["background"].failed:
        return Conclusion("unnamed", ("background",))
    doubtful = [kind for kind, test in hypotheses.items() if test.decision == "borderline"]
    if doubtful:
        strongest = max(doubtful, key=lambda kind: hypotheses[kind].mean.excess)
        return Conclusion("borderline", (strongest,), position=hypotheses[strongest].position)
    if object_matters:
        return Conclusion("object")
    if ambiguous:
        return Conclusion("undecided", reason="perhaps the object's")
    if any(test.tells_alone for test in hypotheses.values()):
        return Conclusion("undecided", reason="tells alone")
    return Conclusion("nothing")


def _explained(
    accusing: list[Examined],
    relied_on: list[Examined],
    nuisances: list[Examined],
    within: Mapping[str, str],
    hypotheses: Mapping[str, HypothesisTest],
    *,
    known: bool,
) -> tuple[tuple[str, ...], str]:
    """Name what a network relies on, and say where: a property that does much of what the best hypothesis does, else that.

    Where it is known where the objects are, what accuses by itself is named too, however little of the hypothesis it does.
    """
    if not accusing:
        return order_names(relied_on, within), ""
    most = max(single.effect.excess for single in accusing)
    telling = max(single.area for single in accusing)

    def explains(single: Examined) -> bool:
        """Whether it does much of what the strongest does; what is small, or tells the answer as well, need not do so much.

        But for pixels, as some of those that are light because all of the picture is do much of what it does; and for tones,
        which are no more local than a spectrum.
        """
        as_telling = single.area >= telling - _AS_TELLING and single.name not in ("pixels", "tone")
        local = single.name in SMALL_KINDS or as_telling
        return single.effect.excess >= (_LOCAL_SHARE if local else NEARLY_AS_MUCH) * most

    best = min(filter(explains, accusing), key=lambda single: HYPOTHESIS_KINDS.index(single.name))
    position = hypotheses[best.name].position

    def names_it(single: Examined) -> bool:
        does_much = single.effect.excess >= NAMING_SHARE * best.effect.excess
        # That some images break the rule speaks of the property's number, which is not the thing itself.
        fits = set(single.failed) <= {"conflict"} and may_name(single.name, best.name, position)
        return does_much and fits and single.area >= best.area - NAMING_AREA

    naming = [single for single in nuisances if names_it(single) or (known and single in relied_on)]
    others = by_excess(single for single in (*accusing, *relied_on) if single not in naming)
    names = order_names(naming, within) if naming else (best.name,)
    return (*names, *(single.name for single in others if single.name not in names)), position


def order_names(relied_on: list[Examined], within: Mapping[str, str]) -> tuple[str, ...]:
    """Order the properties that a network relies on, by name: first the one that explains it with the smallest change.

    Edits overlap: a coloured light changes the background's hue too, and a lighter background the brightness of all. Of those
    that do nearly as much as the strongest, a part comes before the whole that it is within, and then the one that changes the
    picture least.
    """
    strongest = max(single.effect.excess for single in relied_on)
    nearly = [single for single in relied_on if single.effect.excess >= NEARLY_AS_MUCH * strongest]
    wholes = {within.get(single.name, "") for single in nearly}
    first = min(nearly, key=lambda single: (single.name in wholes, single.effect.pixel_change))
    others = sorted((single for single in relied_on if single is not first), key=lambda single: -single.effect.excess)
    return tuple(single.name for single in (first, *others))
