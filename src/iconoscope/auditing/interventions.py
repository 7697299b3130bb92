"""The counter-test: give every picture what pictures of another class have, and as a control what its own class has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.nuisances import Family
from iconoscope.auditing.overlays import give_background, give_object
from iconoscope.auditing.segmentation import Pictures
from iconoscope.progress import advancing
from iconoscope.store.partial_answers import PartialAnswers
from iconoscope.subject.network import Network

__all__ = ["PARTS", "Donors", "Trials", "ask", "changed_picture", "draw_donors", "hide", "measure", "run_trials"]

Floats = NDArray[np.floating]

# What is exchanged whole, beside the families: they say where the answer comes from, not by what.
PARTS: dict[str, Callable[[Pictures, Pictures], Floats]] = {"background": give_background, "object": give_object}
_BATCH = 64


@dataclass(frozen=True)
class Donors:
    """Whose properties every picture is given; rows of pictures.

    Attributes
    ----------
    rows
        (n,): the picture that is edited; each may come more than once.
    other, same
        (n,): a picture that is answered with another class, and another one of the same.
    """

    rows: NDArray[np.int64]
    other: NDArray[np.int64]
    same: NDArray[np.int64]


@dataclass(frozen=True)
class Trials:
    """What the network answered to the edited pictures.

    Attributes
    ----------
    values
        Of every family its statistic of all pictures, (pictures, numbers).
    names, ways
        (trials,): the family, or ``"background"`` and ``"object"``; and ``"donor"`` or ``"mean"``, by one donor's own value or
        by the difference between the means of two classes.
    donors
        Whose properties were given.
    answers
        (trials, 2, n): the class that is answered after the edit with another class's property, and with the own class's.
    certainty
        (trials, 2, n): the probability of the class that was answered before the edit.
    change
        (trials,): by how much the edit with another class's property changes a pixel in the mean, 0..1.
    """

    values: dict[str, Floats]
    names: tuple[str, ...]
    ways: tuple[str, ...]
    donors: Donors
    answers: NDArray[np.int64]
    certainty: NDArray[np.float32]
    change: NDArray[np.float32]


def draw_donors(predicted: NDArray[np.int64], *, repeats: int, seed: int) -> Donors:
    """Draw for every picture, so many times over, one that is answered otherwise and one that is answered alike.

    The other class is drawn first, each alike likely, then the picture. Classes of a single picture neither give nor take.

    Examples
    --------
    >>> drawn = draw_donors(np.array([0, 0, 1, 1, 1]), repeats=1, seed=0)
    >>> drawn.rows, bool((drawn.same != drawn.rows).all())
    (array([0, 1, 2, 3, 4]), True)
    """
    generator = np.random.default_rng(seed)
    members = {each: np.flatnonzero(predicted == each) for each in np.unique(predicted).tolist()}
    members = {each: rows for each, rows in members.items() if len(rows) > 1}
    found: list[tuple[int, int, int]] = []
    for _ in range(repeats):
        for row, own in enumerate(predicted.tolist()):
            others = [each for each in members if each != own]
            if own not in members or not others:
                continue
            other = int(generator.choice(members[others[int(generator.integers(len(others)))]]))
            alike = members[own][members[own] != row]
            found.append((row, other, int(generator.choice(alike))))
    rows, other, same = np.array(found, np.int64).reshape(-1, 3).T
    return Donors(rows, other, same)


def run_trials(
    network: Network,
    pictures: Pictures,
    predicted: NDArray[np.int64],
    families: Iterable[Family],
    donors: Donors,
    *,
    kept: PartialAnswers | None = None,
) -> Trials:
    """Edit every picture by every family and ask the network again.

    Parameters
    ----------
    network, pictures, predicted
        The network, the pictures, and the class (n,) that it answers to each as it is.
    families
        What is given from one to another.
    donors
        From whom to whom.
    kept
        Where the answers to some pictures at a time are kept, for a process that is ended.
    """
    kept = PartialAnswers(None) if kept is None else kept
    families = tuple(families)
    values = {family.name: measure(family, pictures) for family in families}
    plans = [plan for family in families for plan in _plans(family, values[family.name], predicted, donors)]
    plans += [(name, "donor", _by_donor(give)) for name, give in PARTS.items()]
    count = len(donors.rows)
    answers = np.zeros((len(plans), 2, count), np.int64)
    certainty = np.zeros((len(plans), 2, count), np.float32)
    change = np.zeros(len(plans), np.float64)
    with advancing(f"exchanging properties, {network.name}", count) as advance:
        for first in range(0, count, _BATCH):
            some = slice(first, min(first + _BATCH, count))

            def ask(some: slice = some) -> dict[str, NDArray[Any]]:
                return _tried(network, pictures, predicted, plans, donors, some)

            found = kept.get_or_make(f"{first:06d}", ask)
            answers[:, :, some], certainty[:, :, some] = found["answers"], found["certainty"]
            change = change + found["change"].astype(np.float64)
            advance(some.stop - some.start)
    names, ways = tuple(plan[0] for plan in plans), tuple(plan[1] for plan in plans)
    return Trials(values, names, ways, donors, answers, certainty, (change / max(1, count)).astype(np.float32))


def _tried(
    network: Network,
    pictures: Pictures,
    predicted: NDArray[np.int64],
    plans: list[_Plan],
    donors: Donors,
    some: slice,
) -> dict[str, NDArray[Any]]:
    """Run every plan on some of the rows: answers and certainty (plans, 2, some), and the change summed over them."""
    own, before = pictures[donors.rows[some]], predicted[donors.rows[some]]
    donated = pictures[donors.other[some]], pictures[donors.same[some]]
    answers = np.zeros((len(plans), 2, len(own)), np.int64)
    certainty = np.zeros((len(plans), 2, len(own)), np.float32)
    change = np.zeros(len(plans), np.float64)
    for place, (_, _, edit) in enumerate(plans):
        for which, given in enumerate(donated):
            edited = edit(own, given, some, which)
            found = ask(network, edited)
            answers[place, which] = found.argmax(1)
            certainty[place, which] = found[np.arange(len(found)), before]
            if which == 0:
                change[place] = float(np.abs(edited - own.pixels).mean((1, 2, 3)).sum())
    return {"answers": answers, "certainty": certainty, "change": change}


def changed_picture(
    pictures: Pictures,
    predicted: NDArray[np.int64],
    families: Iterable[Family],
    values: Mapping[str, Floats],
    donors: Donors,
    trial: tuple[str, str],
    at: int,
) -> tuple[Floats, Floats]:
    """Give the two pictures (height, width, 3) that a trial showed at one place: with the other's and the own class's."""
    some = slice(at, at + 1)
    own, given = pictures[donors.rows[some]], (pictures[donors.other[some]], pictures[donors.same[some]])
    name, way = trial
    edit = next(
        (
            plan[2]
            for family in families
            if family.name == name
            for plan in _plans(family, values[name], predicted, donors)
            if plan[1] == way
        ),
        None,
    )
    edit = _by_donor(PARTS[name]) if edit is None else edit
    other, same = (edit(own, given[which], some, which)[0] for which in (0, 1))
    return other, same


def hide(network: Network, pictures: Pictures) -> NDArray[np.int64]:
    """Give the answers (n, 2) with the object taken out, and with the background greyed; -1 where it is not known."""
    answers = np.full((len(pictures), 2), -1, np.int64)
    rows = np.flatnonzero(pictures.known)
    for first in range(0, len(rows), _BATCH):
        some = rows[first : first + _BATCH]
        own = pictures[some]
        grey = own.colour.mean(1)[:, None, None, None]
        for which, edited in enumerate((own.ground, own.pixels * own.soft + grey * (1 - own.soft))):
            answers[some, which] = ask(network, edited).argmax(1)
    return answers


# Own pictures, their donors, which of all these are, and 0 for donors of another class, 1 for such of the same.
_Edit = Callable[[Pictures, Pictures, slice, int], Floats]
_Plan = tuple[str, str, _Edit]


def _by_donor(give: Callable[[Pictures, Pictures], Floats]) -> _Edit:
    return lambda own, given, some, which: give(own, given)


def _plans(family: Family, values: Floats, predicted: NDArray[np.int64], donors: Donors) -> list[_Plan]:
    if family.by == "donor":
        return [(family.name, "donor", _by_donor(family.edit))]
    means = np.zeros((int(predicted.max()) + 1, values.shape[1]), np.float32)
    for each in np.unique(predicted):
        means[each] = values[predicted == each].mean(0)
    shift = means[predicted[donors.other]] - means[predicted[donors.rows]]
    wanted = values[donors.other], values[donors.same]

    def by_donor(own: Pictures, given: Pictures, some: slice, which: int) -> Floats:
        return family.edit(own, wanted[which][some])

    def by_mean(own: Pictures, given: Pictures, some: slice, which: int) -> Floats:
        # The control goes as far the other way.
        return family.edit(own, values[donors.rows[some]] + (1 - 2 * which) * shift[some])

    return [(family.name, "donor", by_donor), (family.name, "mean", by_mean)]


def measure(family: Family, pictures: Pictures) -> Floats:
    """Give a family's statistic of all pictures, (n, numbers), some at a time."""
    return np.concatenate(
        [
            family.statistic(pictures[np.arange(first, min(first + _BATCH, len(pictures)))])
            for first in range(0, len(pictures), _BATCH)
        ]
    ).astype(np.float32)


def ask(network: Network, edited: Floats) -> Floats:
    """Give the probabilities (n, classes) of edited pictures, rounded to whole values as any file would be."""
    import torch

    with torch.inference_mode():
        batch = network.preprocessing.normalise((edited * 255).round().clip(0, 255).astype(np.uint8))
        return network.probabilities(network.logits(batch.to(network.device)).float()).cpu().numpy()
