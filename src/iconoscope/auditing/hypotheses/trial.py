"""A hypothesis that can be tested: how an image shows it, and how it is taken from one and given to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from iconoscope.results.rank_area import rank_areas

__all__ = ["Edited", "Trial", "discriminant", "on_grey", "roc_area"]

Floats = NDArray[np.floating]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Edited:
    """Pictures with what a hypothesis says, and as a control with as much that it does not say.

    Attributes
    ----------
    pictures
        (m, height, width, 3), 0..1.
    controls
        Each like the pictures.
    """

    pictures: Floats
    controls: tuple[Floats, ...]

    @staticmethod
    def of(versions: Iterable[Floats]) -> Edited:
        """Give the first of some versions of the pictures, and the others as its controls."""
        pictures, *controls = versions
        return Edited(pictures, tuple(controls))


@dataclass(frozen=True, eq=False)
class Trial:
    """One hypothesis about one class, made from one half of the pictures.

    Attributes
    ----------
    score
        (n,): statistic of every picture, large where it is there.
    take, give
        Rows of the class's pictures, or of others, to the pictures without it, or with it.
    picture
        (height, width, 3), 0..1: what it says, to be looked at.
    strength
        (height, width): where it is, as far as it is at a place.
    margin
        (n,): the same statistic of the picture's margin alone, if the hypothesis is of the whole picture and the object is in
        it: what the margin does not have may be the object's own.
    """

    score: Floats
    take: Callable[[Rows], Edited]
    give: Callable[[Rows], Edited]
    picture: Floats
    strength: Floats
    margin: Floats | None = None


def discriminant(features: Floats, is_class: NDArray[np.bool_], fit: NDArray[np.bool_], ridge: float) -> Floats:
    """Score pictures by Fisher's linear discriminant of some of them, with a ridge; larger where they are of the class.

    Parameters
    ----------
    features
        (n, numbers).
    is_class, fit
        (n,): of the class or not, and which it is learned from.
    ridge
        Share of the mean variance that is added to every variance.

    Examples
    --------
    >>> features = np.array([[0.0, 1], [1, 0], [0, 0], [1, 1]])
    >>> discriminant(features, np.array([False, True, False, True]), np.ones(4, bool), 0.1).round(1)
    array([-40.,  40., -40.,  40.])
    """
    mean, deviation = features[fit].mean(0), features[fit].std(0) + 1e-6
    standard = (features - mean) / deviation
    inside, outside = standard[fit & is_class], standard[fit & ~is_class]
    within = np.concatenate((inside - inside.mean(0), outside - outside.mean(0))) / math.sqrt(len(standard[fit]))
    difference = inside.mean(0) - outside.mean(0)
    count, size = within.shape
    added = ridge * float(np.square(within).sum()) / size + 1e-9
    if count < size:  # the same by Woodbury's identity, where there are fewer pictures than numbers of each
        gram = within @ within.T + added * np.eye(count)
        correction = within.T @ linalg.cho_solve(linalg.cho_factor(gram), within @ difference)
        return standard @ ((difference - correction) / added)
    covariance = within.T @ within + added * np.eye(size)
    return standard @ linalg.cho_solve(linalg.cho_factor(covariance), difference)


def roc_area(score: Floats, is_class: NDArray[np.bool_]) -> float:
    """Give the area under the curve by which a score tells a class, 0..1 (Mann and Whitney's statistic).

    >>> roc_area(np.array([0.0, 1, 2, 2]), np.array([False, False, True, False]))
    0.8333333333333334
    """
    if is_class.all() or not is_class.any():
        return float("nan")
    return float(rank_areas(score[:, None], is_class)[0])


def on_grey(pattern: Floats) -> Floats:
    """Give a pattern of both signs as a picture of 0..1: grey where it is zero."""
    return (0.5 + 0.5 * pattern / max(float(np.abs(pattern).max()), 1e-9)).clip(0, 1).astype(np.float32)
