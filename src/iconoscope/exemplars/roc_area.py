"""Does a unit answer some images more than others? Areas under curves for all units at once, and what chance would give."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["areas", "areas_by_class", "curve", "rank_test", "recalls", "stepped"]

_CHUNK = 32_000_000  # numbers that are held at once


def _ranks(answers: NDArray[np.float32]) -> torch.Tensor:
    """Give the ranks of the answers, (images, units), less their mean; equal answers share theirs."""
    ranks = rankdata(np.ascontiguousarray(answers.T), axis=1) - (len(answers) + 1) / 2
    return torch.from_numpy(np.ascontiguousarray(ranks.T, np.float32))  # halves: exact in single precision


def areas(concept: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give the area under every unit's curve: the chance that it answers one image of the concept more than another one.

    Parameters
    ----------
    concept, others
        What the units answer, (images, units).

    Returns
    -------
    ndarray of float64, (units,)
        1 where every image of the concept is answered more than all others, 0.5 by chance; equal answers count half.

    Examples
    --------
    >>> areas(np.float32([[3, 0], [2, 0]]), np.float32([[1, 0], [2, 0]]))
    array([0.875, 0.5  ])
    """
    ranks = _ranks(np.concatenate([concept, others]))
    total = ranks[: len(concept)].sum(0, dtype=torch.float64).numpy()
    return 0.5 + total / (len(concept) * len(others))


def areas_by_class(answers: NDArray[np.float32], targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Give the area under every unit's curve for every class: what `areas` gives of its images against those of all others.

    Parameters
    ----------
    answers
        What the units answer, (images, units).
    targets
        The images' classes, -1 where there is none, (images,); such images are left out.
    classes
        How many classes there are.

    Returns
    -------
    ndarray of float64, (classes, units)
        NaN for a class without images, or without others.

    Examples
    --------
    >>> areas_by_class(np.float32([[3, 0], [2, 0], [1, 0], [2, 0]]), np.array([0, 0, 1, 1]), 2)
    array([[0.875, 0.5  ],
           [0.125, 0.5  ]])
    """
    labelled = np.flatnonzero(targets >= 0)
    members = torch.from_numpy(targets[labelled])
    count = torch.bincount(members, minlength=classes).double()[:, None]
    pairs = count * (len(labelled) - count)
    sums = torch.zeros(classes, answers.shape[1], dtype=torch.float64)
    step = max(1, _CHUNK // max(1, len(labelled)))
    for first in range(0, answers.shape[1], step):
        ranks = _ranks(answers[labelled, first : first + step]).double()
        sums[:, first : first + step].index_add_(0, members, ranks)
    return torch.where(pairs > 0, 0.5 + sums / pairs, torch.nan).numpy()


def rank_test(
    concept: NDArray[np.float32],
    others: NDArray[np.float32],
    *,
    correction: str = "max",
    permutations: int = 999,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Hold every unit against labels that were shuffled: all of them at once, as one product of matrices.

    Units are compared by their rank sums over what those vary by when labels are shuffled, so that a unit with many equal
    answers counts no more than another.

    Parameters
    ----------
    concept, others
        What the units answer, (images, units).
    correction
        A key of `iconoscope.results.unit_search.CORRECTIONS`.
    permutations
        How many times labels are shuffled.
    seed
        Seed of the shuffling.

    Returns
    -------
    ndarray of float64, (units,)
        P-values. By ``max`` the share of shuffled searches in which any unit stands out as much; by ``bh`` the least share of
        false units among those that are found if this one is.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    >>> noise[:20, 1] += 3
    >>> float(rank_test(noise[:20], noise[20:])[1])
    0.001
    """
    answers = np.concatenate([concept, others])
    count, examples = len(answers), len(concept)
    ranks = _ranks(answers)
    spread = ranks.double().square().sum(0) * examples * (count - examples) / (count * max(1, count - 1))
    # Scaled first: the sums are then of the order of one, where single precision has its most digits.
    scaled = torch.where(spread > 0, ranks / spread.clamp(min=1e-30).sqrt(), 0.0).float()
    observed = scaled[:examples].sum(0)
    generator = torch.Generator().manual_seed(seed)
    beaten = torch.zeros(len(observed), dtype=torch.int64)
    pooled: list[torch.Tensor] = []
    step = max(1, _CHUNK // max(count, len(observed)))
    for first in range(0, permutations, step):
        shuffles = min(step, permutations - first)
        chosen = torch.rand(shuffles, count, generator=generator, dtype=torch.float32).topk(examples, 1).indices
        labels = torch.zeros(shuffles, count, dtype=torch.float32).scatter_(1, chosen, 1.0)
        shuffled = labels @ scaled
        if correction == "max":
            beaten += (shuffled.max(1).values[:, None] >= observed - 1e-6).sum(0)
        else:
            pooled.append(shuffled.flatten())
    if correction == "max":
        return (beaten.numpy() + 1) / (permutations + 1)
    chance = torch.cat(pooled).sort().values
    above = len(chance) - torch.searchsorted(chance, observed - 1e-6)
    single = (above.double().numpy() + 1) / (len(chance) + 1)
    return stepped(single)


def stepped(p_value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values after Benjamini and Hochberg, in the order of operations that results on disk were made in.

    `scipy.stats.false_discovery_control` differs from it in the last digit.

    >>> stepped(np.array([0.01, 0.5, 0.02])).round(3).tolist()
    [0.03, 0.5, 0.03]
    """
    order = np.argsort(p_value)
    scaled = p_value[order] * len(p_value) / np.arange(1, len(p_value) + 1)
    adjusted = np.empty_like(p_value)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted


def recalls(concept: NDArray[np.float32], others: NDArray[np.float32], share: float = 0.01) -> NDArray[np.float64]:
    """Give the share of the concept's images that every unit answers more than all but `share` of the others, (units,).

    >>> recalls(np.float32([[9], [5], [1]]), np.arange(8, dtype=np.float32)[:, None])
    array([0.33333333])
    """
    rank = int(share * len(others))
    threshold = -np.partition(-others, rank, axis=0)[rank]
    return (concept > threshold).mean(0)


def curve(concept: NDArray[np.float32], others: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give one unit's curve: the share of the concept's images over a threshold, where `at` of the others are over it.

    It goes up where images of the concept alone are answered so, to the right where others alone are, and slantwise where both
    are answered the same. Where it goes up, its upper end is given.

    >>> curve(np.float32([3, 1]), np.float32([2, 0]), np.array([0, 0.25, 0.5, 1])).tolist()
    [0.5, 0.5, 1.0, 1.0]
    """
    thresholds = np.unique(np.concatenate([concept, others]))[::-1]
    hits = (len(concept) - np.searchsorted(np.sort(concept), thresholds, "left")) / len(concept)
    alarms = (len(others) - np.searchsorted(np.sort(others), thresholds, "left")) / len(others)
    # Of several points with as many others over them, `interp` takes the last to the right and the first from the left.
    return np.interp(at, np.concatenate([[0.0], alarms]), np.concatenate([[0.0], hits]))
