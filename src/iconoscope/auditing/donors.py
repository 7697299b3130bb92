"""Who gives what comes with a class to whom: which images are edited, and whose properties they get."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.audit_evidence import Donors
from iconoscope.results.decision_rule import LEAST_IMAGES

__all__ = ["class_members", "draw_donors", "edited_rows"]

_EDITS = 300  # of a small sample: each picture is edited more than once
_SHOWN = 4  # pictures of a class that nothing is suspected in


def class_members(
    predicted: NDArray[np.int64], target: NDArray[np.int64] | None = None
) -> dict[int, NDArray[np.int64]]:
    """Give for every class that is answered the rows of the images that show what comes with it, two or more.

    They are those that are labelled with it. Images that a poor network answers with a class have what led it there, another
    background by chance: given to others it would do the same, and an honest network would seem to go by it. Where few are
    labelled with a class, or most of these are answered with another, so that the labels are not of this network's classes,
    they are the images that are answered with it.

    Parameters
    ----------
    predicted, target
        (n,): the answers, and the labels, -1 where there is none; no labels if it is None.

    Examples
    --------
    >>> answers, labels = np.repeat([0, 1], [50, 30]), np.repeat([0, 1], [40, 40])
    >>> [len(rows) for rows in class_members(answers, labels).values()]
    [40, 40]
    >>> [len(rows) for rows in class_members(answers).values()]
    [50, 30]
    """
    target = np.full(len(predicted), -1) if target is None else target
    members: dict[int, NDArray[np.int64]] = {}
    for of_class in np.unique(predicted).tolist():
        labelled = np.flatnonzero(target == of_class)
        answers = np.bincount(predicted[labelled], minlength=of_class + 1)
        by_label = len(labelled) >= LEAST_IMAGES and answers[of_class] == answers.max()
        rows = labelled if by_label else np.flatnonzero(predicted == of_class)
        if len(rows) > 1:
            members[of_class] = rows
    return members


def edited_rows(predicted: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which images (n,) are edited: of each class those that are not answered wrongly, if they are enough to speak of.

    Examples
    --------
    >>> answers = np.repeat([0, 1], [40, 10])
    >>> edited = edited_rows(answers, np.where(np.arange(50) % 10, answers, 1 - answers))
    >>> int(edited[:40].sum()), int(edited[40:].sum())
    (36, 10)
    """
    edited = (target < 0) | (target == predicted)
    for of_class in np.unique(predicted).tolist():
        answered = predicted == of_class
        if (edited & answered).sum() < LEAST_IMAGES:
            edited |= answered
    return edited


def draw_donors(
    predicted: NDArray[np.int64],
    target: NDArray[np.int64] | None = None,
    *,
    repeats: int | None = None,
    seed: int,
    suspected: Set[int] | None = None,
) -> Donors:
    """Draw for every picture that is edited, so many times over, one of another class and one of the class that it is answered.

    The other class is drawn first, each alike likely, then the picture. Classes of a single picture neither give nor take.

    Parameters
    ----------
    predicted, target
        (n,): the answers, and the labels, -1 where there is none; no labels if it is None.
    repeats
        How often each picture gets a donor; if it is None so often that there are some 300 edits.
    seed
        Of the draw.
    suspected
        The classes that are asked about; all if it is None. Of others only a few pictures are edited, to be looked at, and so
        many get a suspected class's property as that class has pictures.

    Examples
    --------
    >>> drawn = draw_donors(np.array([0, 0, 1, 1, 1]), repeats=1, seed=0)
    >>> drawn.rows, bool((drawn.same != drawn.rows).all())
    (array([0, 1, 2, 3, 4]), True)
    """
    target = np.full(len(predicted), -1) if target is None else target
    generator = np.random.default_rng(seed)
    members = class_members(predicted, target)
    edited = edited_rows(predicted, target)
    drawn: list[tuple[int, int, int, int]] = []

    def draw(row: int, others: list[int]) -> None:
        answer = int(predicted[row])
        if answer in members and others:
            other_class = others[int(generator.integers(len(others)))]
            other = int(generator.choice(members[other_class][members[other_class] != row]))
            drawn.append((row, other, int(generator.choice(members[answer][members[answer] != row])), other_class))

    def others_than(answer: int) -> list[int]:
        return [of_class for of_class in members if of_class != answer]

    if suspected is None:
        for _ in range(repeats or max(1, round(_EDITS / max(1, edited.sum())))):
            for row in np.flatnonzero(edited).tolist():
                draw(row, others_than(int(predicted[row])))
    else:
        for of_class in members:
            of_it = np.flatnonzero(edited & (predicted == of_class))
            chosen = of_it if of_class in suspected else generator.permutation(of_it)[:_SHOWN]
            for row in chosen.tolist():
                draw(row, others_than(of_class))
        for of_class in sorted(suspected & members.keys()):
            lent = np.flatnonzero(edited & (predicted != of_class))
            for row in generator.permutation(lent)[: len(members[of_class])].tolist():
                draw(row, [of_class])
    rows, other, same, other_class = np.array(drawn, np.int64).reshape(-1, 4).T
    return Donors(rows, other, same, other_class)
