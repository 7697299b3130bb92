"""What was found by covering one image with patches of several sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from iconoscope.results.comparison import Comparison
from iconoscope.results.occlusion import Occlusion

__all__ = ["Scales"]


@dataclass(frozen=True, eq=False, repr=False)
class Scales(Comparison):
    """One image asked about with patches of several sizes.

    Attributes
    ----------
    results : tuple of Occlusion
        One for every size, whole, in the order in which the sizes were given.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> found = ico.occlude_scales(net, ico.demo_images(2, seed=1)[1], patches=(12, 24), stride=12, fill="mean")
    >>> found.largest.patch
    (24, 24)
    """

    kind: ClassVar[str] = "scales"

    @property
    def largest(self) -> Occlusion:
        """The result with the largest drop; the smaller patch of two with the same."""
        return max(self.results, key=lambda result: (float(result.drop.max()), -result.patch[0] * result.patch[1]))

    def summary(self) -> str:
        """Say in one sentence how much each size costs."""
        first, largest = self.results[0], self.largest
        drops = ", ".join(f"{each.drop.max():.3f} ({_size(each)})" for each in self.results)
        row, column = largest.minimum
        text = (
            f"{first.question.subject}: the {first.measure} of {first.names[first.target]} is "
            f"{first.clean[first.target]:.3f} and falls by at most {drops}"
        )
        if all(each.indifferent for each in self.results):
            return f"{text}: no patch of these sizes matters."
        return f"{text}; the most at row {largest.top[row]}, column {largest.left[column]} with {_size(largest)}."

    def to_json(self) -> dict[str, Any]:
        """Give the size with the largest drop, and all that every result gives."""
        return {
            "kind": self.kind,
            "largest": list(self.largest.patch),
            "drops": [float(each.drop.max()) for each in self.results],
            "results": [each.to_json() for each in self.results],
        }

    def _label(self, result: Occlusion) -> str:
        return f"patch {_size(result)}"


def _size(result: Occlusion) -> str:
    return f"{result.patch[0]}x{result.patch[1]}"
