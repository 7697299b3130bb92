"""The counter-test: give every picture what pictures of another class have, and as a control what its own class has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.answers import AnswersOnce, answers_to, asked_often
from iconoscope.auditing.donors import class_members
from iconoscope.auditing.nuisances import EDITED_ALONE, Nuisance
from iconoscope.auditing.overlays import give_background, give_object
from iconoscope.auditing.segmentation import Pictures
from iconoscope.progress import advancing
from iconoscope.results.audit_evidence import Donors, Interventions
from iconoscope.store.store import PartialAnswers
from iconoscope.subject.network import Network

__all__ = ["exchanged_pictures", "intervene", "measure"]

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class _Edit:
    """An edit of pictures.

    Attributes
    ----------
    make
        From pictures, their donors, which rows of all donors these are, and 0 for donors of another class or 1 for such of the
        same, to the edited pictures.
    first
        (m,): of every row of the donors the first that has the same picture edited to the same; itself where none has.
    """

    make: Callable[[Pictures, Pictures, NDArray[np.int64], int], Floats]
    first: NDArray[np.int64]


# What is exchanged whole, beside the nuisances: it says where the answer comes from, not by what.
_PART_EDITS: dict[str, Callable[[Pictures, Pictures], Floats]] = {"background": give_background, "object": give_object}
_BATCH = 64


def intervene(
    network: Network,
    pictures: Pictures,
    predicted: NDArray[np.int64],
    nuisances: Sequence[Nuisance],
    donors: Donors,
    *,
    target: NDArray[np.int64] | None = None,
    skipped: tuple[tuple[str, str], ...] = (),
    parts: PartialAnswers | None = None,
) -> Interventions:
    """Edit every picture by every nuisance, and by its whole object and background, and ask the network again.

    Parameters
    ----------
    network, pictures, predicted
        The network, the pictures, and the class (n,) that it answers to each as it is.
    nuisances
        What is given from one to another.
    donors
        From whom to whom.
    target
        (n,): the labels, -1 where there is none, if there are any.
    skipped
        Nuisances that could not be tried, and why.
    parts
        Where the answers to some pictures at a time are kept, for a process that is ended.
    """
    parts = PartialAnswers(None) if parts is None else parts
    statistics = {nuisance.name: measure(nuisance, pictures) for nuisance in nuisances}
    edits = _edits(nuisances, statistics, predicted, donors, target)
    count = len(donors.rows)
    answers = np.zeros((len(edits), 2, count), np.int64)
    change = np.zeros((len(edits), count), np.float32)
    pixel_change = np.zeros(len(edits), np.float64)
    asked = AnswersOnce(network)
    with (
        asked_often(network, pictures.pixels[0]),
        advancing(f"exchanging properties, {network.name}", count) as advance,
    ):
        for first in range(0, count, _BATCH):
            batch = np.arange(first, min(first + _BATCH, count))
            ask = partial(_answered, asked, pictures, list(edits.values()), donors, batch)
            answered = parts.get_or_make(f"edits-{first:06d}", ask)
            answers[:, :, batch], change[:, batch] = answered["answers"], answered["change"]
            for index, edit in enumerate(edits.values()):  # what was asked before is not asked again
                answers[index, :, batch] = answers[index][:, edit.first[batch]].T
                change[index, batch] = change[index, edit.first[batch]]
            pixel_change += change[:, batch].sum(1)
            advance(len(batch))
        answers_without = _answers_without(network, pictures)
    measured = list(statistics.values())
    return Interventions(
        nuisances=tuple(nuisance.name for nuisance in nuisances),
        within=tuple(nuisance.within for nuisance in nuisances),
        skipped=skipped,
        statistic_sizes=np.array([values.shape[1] for values in measured], np.int64),
        statistics=np.concatenate(measured, 1) if measured else np.zeros((len(pictures), 0), np.float32),
        trials=tuple(name for name, _ in edits),
        sources=tuple(source for _, source in edits),
        pixel_change=(pixel_change / max(1, count)).astype(np.float32),
        donors=donors,
        answers=answers,
        answers_without=answers_without,
    )


def _answered(
    asked: AnswersOnce, pictures: Pictures, edits: list[_Edit], donors: Donors, batch: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Make every edit on a batch of the rows, but for what was edited to the same before.

    Gives answers (edits, 2, batch), and the mean change of a pixel, (edits, batch); zeros where nothing was made.
    """
    every = pictures[donors.rows[batch]]
    donated = pictures[donors.other[batch]], pictures[donors.same[batch]]
    answers = np.zeros((len(edits), 2, len(batch)), np.int64)
    change = np.zeros((len(edits), len(batch)), np.float32)
    for index, edit in enumerate(edits):
        new = np.flatnonzero(edit.first[batch] == batch)
        unedited = every if len(new) == len(batch) else every[new]
        for control, donor_pictures in enumerate(donated) if len(new) else ():
            edited = edit.make(
                unedited, donor_pictures if unedited is every else donor_pictures[new], batch[new], control
            )
            answers[index, control, new] = asked(edited)
            if not control:
                change[index, new] = np.abs(edited - unedited.pixels).mean((1, 2, 3))
    return {"answers": answers, "change": change}


def exchanged_pictures(
    pictures: Pictures,
    predicted: NDArray[np.int64],
    nuisances: Sequence[Nuisance],
    interventions: Interventions,
    trial: int,
    index: int,
    *,
    target: NDArray[np.int64] | None = None,
) -> tuple[Floats, Floats]:
    """Give the two pictures (height, width, 3) that one edit of a trial showed: with the other's and the own class's."""
    donors, batch = interventions.donors, np.array([index])
    statistics = {nuisance.name: interventions.statistic(nuisance.name) for nuisance in nuisances}
    edit = _edits(nuisances, statistics, predicted, donors, target)[
        interventions.trials[trial], interventions.sources[trial]
    ]
    unedited = pictures[donors.rows[batch]]
    return (
        edit.make(unedited, pictures[donors.other[batch]], batch, 0)[0],
        edit.make(unedited, pictures[donors.same[batch]], batch, 1)[0],
    )


def _answers_without(network: Network, pictures: Pictures) -> NDArray[np.int64]:
    """Give the answers (n, 2) with the object taken out, and with the background greyed; -1 where it is not known."""
    answers = np.full((len(pictures), 2), -1, np.int64)
    rows = np.flatnonzero(pictures.object_known)
    for first in range(0, len(rows), _BATCH):
        batch = rows[first : first + _BATCH]
        chosen = pictures[batch]
        grey = chosen.colour.mean(1)[:, None, None, None]
        answers[batch, 0] = answers_to(network, chosen.ground)
        answers[batch, 1] = answers_to(network, chosen.pixels * chosen.soft + grey * (1 - chosen.soft))
    return answers


def _edits(
    nuisances: Sequence[Nuisance],
    statistics: dict[str, Floats],
    predicted: NDArray[np.int64],
    donors: Donors,
    target: NDArray[np.int64] | None,
) -> dict[tuple[str, str], _Edit]:
    """Give every edit, by what it exchanges and by whether a single ``"donor"`` gives it or the ``"mean"`` of a class."""
    edits: dict[tuple[str, str], _Edit] = {}
    members = class_members(predicted, target)
    for nuisance in nuisances:
        if nuisance.by == "donor":
            edits[nuisance.name, "donor"] = _by_donor(nuisance.edit, len(donors.rows))
        else:
            edits[nuisance.name, "donor"], edits[nuisance.name, "mean"] = _by_statistic(
                nuisance, statistics[nuisance.name], members, predicted[donors.rows], donors
            )
    return edits | {(part, "donor"): _by_donor(edit, len(donors.rows)) for part, edit in _PART_EDITS.items()}


def _by_donor(edit: Callable[[Pictures, Pictures], Floats], count: int) -> _Edit:
    return _Edit(lambda pictures, donor_pictures, rows, control: edit(pictures, donor_pictures), np.arange(count))


def _by_statistic(
    nuisance: Nuisance,
    statistic: Floats,
    members: dict[int, NDArray[np.int64]],
    own_class: NDArray[np.int64],
    donors: Donors,
) -> tuple[_Edit, _Edit]:
    """Give the edits that set a statistic (n, numbers): to a donor's, and by the difference of the means of two classes."""
    means = np.zeros((max(members, default=0) + 1, statistic.shape[1]), np.float32)
    for of_class, rows in members.items():
        means[of_class] = statistic[rows].mean(0)
    shift = means[donors.other_class] - means[own_class]
    donated = statistic[donors.other], statistic[donors.same]

    def by_value(pictures: Pictures, donor_pictures: Pictures, batch: NDArray[np.int64], control: int) -> Floats:
        return nuisance.edit(pictures, donated[control][batch])

    def by_mean(pictures: Pictures, donor_pictures: Pictures, batch: NDArray[np.int64], control: int) -> Floats:
        # The control goes as far the other way.
        return nuisance.edit(pictures, statistic[donors.rows[batch]] + (1 - 2 * control) * shift[batch])

    every = np.arange(len(donors.rows))
    # The mean of a class is the same, however often a picture of a small sample gets it.
    first = first_alike(donors.rows, donors.other_class) if nuisance in EDITED_ALONE else every
    return _Edit(by_value, every), _Edit(by_mean, first)


def first_alike(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give for every row of some columns (m,) the first row that is the same in all of them, (m,).

    >>> first_alike(np.array([4, 5, 4, 4]), np.array([0, 1, 0, 1]))
    array([0, 1, 0, 3])
    """
    _, first, which = np.unique(np.stack(columns, 1), axis=0, return_index=True, return_inverse=True)
    return first[which.reshape(-1)]


def measure(nuisance: Nuisance, pictures: Pictures) -> Floats:
    """Give a nuisance's statistic of all pictures, (n, numbers), some at a time."""
    batches = [np.arange(first, min(first + _BATCH, len(pictures))) for first in range(0, len(pictures), _BATCH)]
    return np.concatenate([nuisance.statistic(pictures[batch]) for batch in batches]).astype(np.float32)
