"""The evidence of an audit: a dataclass for each of its stages, which makes it once. Plain data, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.hypothesis_rule import WHOLE_KINDS, HypothesisTest, position_word, split_tests

__all__ = [
    "AuditedImages", "Donors", "Hypotheses", "Illustrations", "Interventions", "Neighbourhoods", "OcclusionEvidence",
    "OptimizedPictures", "finite_mean",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditedImages:
    """The n images that are audited, and what the network answers to them.

    Attributes
    ----------
    class_names : tuple of str
        The network's classes.
    ids : ndarray of str, (n,)
        The images.
    target, predicted : ndarray of int64, (n,)
        The label, -1 where there is none, and the answer.
    object_known, object_given : ndarray of bool, (n,)
        Whether it is known where the object is, and whether it was given as a mask or box.
    set_size : int
        How many images the set has; those that are audited are chosen from it, so many of each answer.
    confusion : ndarray of int64, (pairs, 3)
        Label (-1 where there is none), answer, and how many images of the whole set have both; what none has is left out.
    preprocessing : str
        What the images went through, and who said so.
    preprocessing_assumed : bool
        Whether nobody said so.
    date : str
        Of the audit, as 2026-11-29.
    of_interest : tuple of str
        The classes that are asked about; all if there are none.
    """

    class_names: tuple[str, ...]
    ids: NDArray[np.str_]
    target: NDArray[np.int64]
    predicted: NDArray[np.int64]
    object_known: NDArray[np.bool_]
    object_given: NDArray[np.bool_]
    set_size: int
    confusion: NDArray[np.int64]
    preprocessing: str
    preprocessing_assumed: bool
    date: str
    of_interest: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> int:
        """How many images of the whole set are labelled with one of the classes."""
        return int(self.confusion[self.confusion[:, 0] >= 0, 2].sum())

    @property
    def right(self) -> int:
        """How many of these are answered with their label."""
        return int(self.confusion[self.confusion[:, 0] == self.confusion[:, 1], 2].sum())

    @property
    def accuracy(self) -> float:
        """The share of the whole set's labelled images that are answered with their label; NaN where none is labelled."""
        return self.right / self.labelled if self.labelled else math.nan

    @property
    def near_chance(self) -> bool:
        """Whether the network is not significantly more often right (1%) than if it always answered the most frequent label."""
        from scipy.stats import binomtest  # half a second to import

        if not self.labelled:
            return False
        labelled = self.confusion[self.confusion[:, 0] >= 0]
        share = np.bincount(labelled[:, 0], labelled[:, 2]).max() / self.labelled
        return bool(binomtest(self.right, self.labelled, min(1.0, share), alternative="greater").pvalue > 0.01)

    def interests(self, index: int) -> bool:
        """Tell whether a class is asked about."""
        return not self.of_interest or self.class_names[index] in self.of_interest

    @property
    def never_answered(self) -> list[int]:
        """The classes of interest that images of the set are labelled with, and none is answered with."""
        labels, answers = (set(column.tolist()) for column in self.confusion[:, :2].T)
        return [index for index in sorted(labels - answers - {-1}) if self.interests(index)]

    def confused(self, label: int, answer: int) -> int:
        """Count the images of the whole set with this label and this answer."""
        return int(self.confusion[(self.confusion[:, 0] == label) & (self.confusion[:, 1] == answer), 2].sum())

    @property
    def misclassified(self) -> NDArray[np.bool_]:
        """Which images (n,) carry a label that the network does not answer."""
        return (self.target >= 0) & (self.target != self.predicted)


@dataclass(frozen=True)
class Donors:
    """The images whose properties every image is given; row numbers among the n.

    Attributes
    ----------
    rows : ndarray of int64, (m,)
        The image that is edited; each may come more than once.
    other, same : ndarray of int64, (m,)
        An image of another class, and another one of the class that the edited image is answered with: labelled so where labels
        can be gone by, else answered so.
    other_class : ndarray of int64, (m,)
        The class that the other image stands for.
    """

    rows: NDArray[np.int64]
    other: NDArray[np.int64]
    same: NDArray[np.int64]
    other_class: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Interventions:
    """Properties that were exchanged between images, and what the network answered then.

    Attributes
    ----------
    nuisances, within : tuple of str
        The nuisances that were tried, and for each the broader one that it is a part of, or nothing.
    skipped : tuple of tuple of str
        Nuisances that could not be tried, and why.
    statistic_sizes : ndarray of int64, (nuisances,)
        How many numbers the statistic of each nuisance has.
    statistics : ndarray of float32, (n, numbers in all)
        These numbers of every image.
    trials, sources : tuple of str
        What was exchanged, nuisances and the parts ``background`` and ``object``; and whether a single ``"donor"`` gave it or
        the difference between the ``"mean"`` of two classes.
    pixel_change : ndarray of float32, (trials,)
        By how much the edit with another class's property changes a pixel in the mean, 0..1.
    donors : Donors
        Who gave to whom, m times.
    answers : ndarray of int64, (trials, 2, m)
        What was answered with the other's, and with the own class's.
    answers_without : ndarray of int64, (n, 2)
        What is answered with the object taken out, and with the background greyed; -1 where the object is not known.
    """

    nuisances: tuple[str, ...]
    within: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    statistic_sizes: NDArray[np.int64]
    statistics: NDArray[np.float32]
    trials: tuple[str, ...]
    sources: tuple[str, ...]
    pixel_change: NDArray[np.float32]
    donors: Donors
    answers: NDArray[np.int64]
    answers_without: NDArray[np.int64]

    def statistic(self, nuisance: str, among: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Give the numbers of one nuisance (n, numbers), of the images or of others that were measured likewise."""
        position = self.nuisances.index(nuisance)
        first = int(self.statistic_sizes[:position].sum())
        return (self.statistics if among is None else among)[:, first : first + int(self.statistic_sizes[position])]


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypotheses:
    """What may decide a class, made from one half of the images and tested on the other; t tests in all.

    Attributes
    ----------
    answered : int
        How many classes are answered.
    kinds : tuple of str, (t,)
        Each of `HYPOTHESIS_KINDS`.
    classes : ndarray of int64, (t,)
        The class that each is about.
    tests : ndarray of float32, (t, splits, 6)
        Area, taken, given, control and error as in `SplitTest`; NaN where nothing was asked.
    pictures : ndarray of uint8, (t, side, side, 3)
        What it says: the difference of the class from others, on grey, or the thing.
    strengths : ndarray of float16, (t, cells, cells)
        Where in the picture it is, 0..1.
    examples : ndarray of uint8, (t, examples, 2, height, width, 3)
        Images of the class that show it most, as they are and without it; black where it was far from accusing.
    """

    answered: int
    kinds: tuple[str, ...]
    classes: NDArray[np.int64]
    tests: NDArray[np.float32]
    pictures: NDArray[np.uint8]
    strengths: NDArray[np.float16]
    examples: NDArray[np.uint8]

    def of_class(self, index: int) -> dict[str, HypothesisTest]:
        """Give the tests of one class, by kind."""
        tests: dict[str, HypothesisTest] = {}
        for number in np.flatnonzero(self.classes == index).tolist():
            kind = self.kinds[number]
            position = position_word(self.strengths[number]) if kind not in WHOLE_KINDS else ""
            tests[kind] = HypothesisTest(kind, self.answered, split_tests(self.tests[number]), position)
        return tests

    def number(self, index: int, kind: str) -> int:
        """Give the row of a class and a kind."""
        return int(np.flatnonzero((self.classes == index) & (np.array(self.kinds) == kind))[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class OcclusionEvidence:
    """Costs of patches of several sizes, slid over q of the images.

    Attributes
    ----------
    patches : tuple of int
        Their sides, pixels of the network's input.
    rows : ndarray of int64, (q,)
        Which images those are.
    border_share, object_share, largest_drop, pointing : ndarray of float32, (patches, q)
        The share of the drop near the border and on the object, NaN where no patch matters or the object is not known; the
        largest drop; and 1 where the patch that costs most is centred on the object, else 0 (the pointing game), NaN likewise.
    border_area : float
        The share of the picture that is near the border.
    object_area : ndarray of float32, (q,)
        The share that is the object, NaN where it is not known.
    mean_drops : ndarray of float16, (patches, classes, height, width)
        The mean drop of the answer's probability under the patch, over the images of each class that has pictures, small.
    """

    patches: tuple[int, ...]
    rows: NDArray[np.int64]
    border_share: NDArray[np.float32]
    object_share: NDArray[np.float32]
    largest_drop: NDArray[np.float32]
    pointing: NDArray[np.float32]
    border_area: float
    object_area: NDArray[np.float32]
    mean_drops: NDArray[np.float16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbourhoods:
    """The images in the space of the network's last layer, and units that follow a property.

    Attributes
    ----------
    points : ndarray of float32, (n, 2)
        The images on the plane, near each other where the last layer answers alike.
    shared : ndarray of float32, (1 + nuisances, 2)
        Of the nearest in the space, the share that have an image's own answer, and that by chance; then for every nuisance the
        share that are on its side of the nuisance's best number, and that by chance.
    units, unit_nuisances : tuple of str
        Units that tell one side of a property from the other, and whose property it is.
    unit_areas : ndarray of float32, (units,)
        Areas under the curve on images that were held out.
    """

    points: NDArray[np.float32]
    shared: NDArray[np.float32]
    units: tuple[str, ...]
    unit_nuisances: tuple[str, ...]
    unit_areas: NDArray[np.float32]

    @property
    def following(self) -> list[tuple[str, str, float]]:
        """These units, each with its property and its area."""
        return list(zip(self.units, self.unit_nuisances, self.unit_areas.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class Illustrations:
    """Images to be looked at: k of them exchanged, all of them small, and those of the set that answer a class most.

    Attributes
    ----------
    rows : ndarray of int64, (k,)
        Images that are shown, rows of the n.
    photographs, exchanged : ndarray of uint8, (k, height, width, 3) and (k, 2, height, width, 3)
        Those images, and the same with the property that matters most from another class, and from the own class.
    trials : ndarray of int64, (k,)
        Which of the trials that was.
    answers : ndarray of int64, (k, 2)
        What is answered then.
    drops : ndarray of float16, (patches, k, height, width)
        Where covering costs the answer, small; no patches where nothing was covered.
    thumbnails : ndarray of uint8, (n, side, side, 3)
        All audited images, small.
    exemplars : ndarray of uint8, (classes, some, side, side, 3)
        The images of the whole set that the logit of each class that has pictures answers most.
    """

    rows: NDArray[np.int64]
    photographs: NDArray[np.uint8]
    exchanged: NDArray[np.uint8]
    trials: NDArray[np.int64]
    answers: NDArray[np.int64]
    drops: NDArray[np.float16]
    thumbnails: NDArray[np.uint8]
    exemplars: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class OptimizedPictures:
    """Pictures that classes and units answer most, and the properties measured on them.

    Attributes
    ----------
    units : tuple of str
        The logits of the classes that have pictures, then the units that follow a property; in the grammar of units.
    pictures : ndarray of uint8, (units, height, width, 3)
        One for each.
    statistics : ndarray of float32, (units, numbers in all)
        The nuisances' numbers of these pictures, NaN where a picture that was made has none.
    """

    units: tuple[str, ...]
    pictures: NDArray[np.uint8]
    statistics: NDArray[np.float32]


def finite_mean(values: NDArray[np.floating]) -> float:
    """Give the mean of the numbers that are known; NaN if none is.

    >>> finite_mean(np.array([1.0, np.nan, 2.0])), finite_mean(np.array([]))
    (1.5, nan)
    """
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan
