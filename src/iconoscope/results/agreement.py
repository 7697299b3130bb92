"""Whether two fills tell the same: the maps of one image under both, held against each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.results.comparison import Comparison
from iconoscope.results.occlusion import Occlusion

__all__ = ["Agreement", "rank_correlation"]

SHARE = 0.1
"""Of the positions: those that drop most, whose overlap is measured."""

LEAST_OVERLAP = 1 / 3
"""Intersection over union of these positions: half of them in common."""

LEAST_CORRELATION = 0.5
"""Rank correlation of all drops."""


@dataclass(frozen=True, eq=False, repr=False)
class Agreement(Comparison):
    """The same question with two fills.

    A fill is a stimulus too. What is seen with both is robust; what is seen with one may be an answer to the fill.

    Attributes
    ----------
    results : tuple of Occlusion
        The two results, whole.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> found = ico.agree(net, ico.demo_images(2, seed=1)[0], fills=("mean", "blur"), patch=24, stride=12)
    >>> found.robust, found.overlap >= 1 / 3
    (True, True)
    """

    kind: ClassVar[str] = "agreement"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.results) != 2:
            raise QuestionError(f"An agreement is between two results; {len(self.results)} were given.")

    def _alike(self, first: Occlusion, other: Occlusion) -> dict[str, tuple[Any, Any]]:
        return {
            "the patch": (first.patch, other.patch),
            "the positions": ([first.top.tolist(), first.left.tolist()], [other.top.tolist(), other.left.tolist()]),
        }

    @cached_property
    def correlation(self) -> float:
        """Spearman's rank correlation of the two maps of drops, -1 to 1; NaN where one of them is the same everywhere."""
        first, second = (result.drop.ravel() for result in self.results)
        return rank_correlation(first, second)

    @cached_property
    def overlap(self) -> float:
        """Of the positions where the answer drops most, a tenth of all: intersection over union, 0 to 1."""
        first, second = (_most(result.drop) for result in self.results)
        return float((first & second).sum() / (first | second).sum())

    @property
    def difference(self) -> float:
        """The largest drop with the first fill minus the largest with the second."""
        first, second = (float(result.drop.max()) for result in self.results)
        return first - second

    @property
    def distance(self) -> float:
        """How far the two patches that cost most are from each other, first row and column, pixels."""
        places = [(result.top[result.minimum[0]], result.left[result.minimum[1]]) for result in self.results]
        return float(np.hypot(places[0][0] - places[1][0], places[0][1] - places[1][1]))

    @property
    def robust(self) -> bool:
        """Whether both fills tell the same: no patch matters with either, or the same patches do with both.

        The same patches matter if the two maps' `overlap` is at least a third (half of the tenth of positions that drop
        most are common), their `correlation` at least 0.5, and neither says that no patch matters.
        """
        indifferent = [result.indifferent for result in self.results]
        if any(indifferent):
            return all(indifferent)
        return bool(self.overlap >= LEAST_OVERLAP and self.correlation >= LEAST_CORRELATION)

    def summary(self) -> str:
        """Say in one sentence whether what is seen depends on the fill."""
        first, second = self.results
        fills = " and ".join(self._label(result).removeprefix("fill ") for result in self.results)
        text = f"{first.question.subject}: {'robust' if self.robust else 'depends on the fill'}. With {fills}"
        if first.indifferent and second.indifferent:
            return f"{text} no single patch matters."
        return (
            f"{text} the largest drops are {first.drop.max():.3f} and {second.drop.max():.3f}, {self.distance:.0f} pixels "
            f"apart; {self.overlap:.0%} overlap of the tenth that drops most, rank correlation {self.correlation:.2f}."
        )

    def to_json(self) -> dict[str, Any]:
        """Give the measures of agreement, and all that both results give."""
        return {
            "kind": self.kind,
            "robust": self.robust,
            "fills": [self._fill(result) for result in self.results],
            "correlation": self.correlation if np.isfinite(self.correlation) else None,
            "overlap": self.overlap,
            "difference": self.difference,
            "distance": self.distance,
            "results": [each.to_json() for each in self.results],
        }

    def _fill(self, result: Occlusion) -> str:
        return str(result.question.settings.get("fill", ""))

    def _label(self, result: Occlusion) -> str:
        same = len({self._fill(each) for each in self.results}) == 1  # the engine, or the seed of the noise
        number = f" ({self.results.index(result) + 1})" if same else ""
        return f"fill {self._fill(result)}{number}"


def _most(drop: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the share of the positions that drop most, and what drops as much as the last of them."""
    count = max(1, round(SHARE * drop.size))
    return drop >= np.partition(drop.ravel(), drop.size - count)[drop.size - count]


def rank_correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Give Spearman's rank correlation of two sets of numbers (n,), equal ones sharing their ranks; NaN if all are equal.

    >>> rank_correlation(np.array([1, 2, 3]), np.array([1, 8, 27]))
    1.0
    """
    ranks = [_ranks(values) - (len(values) - 1) / 2 for values in (first, second)]
    spread = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    return float((ranks[0] * ranks[1]).sum() / spread) if spread else float("nan")


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count + 1) / 2)[place.ravel()]
