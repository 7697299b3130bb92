"""Pictures of what units look for, on the page."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from iconoscope.results import Result, Visualization
from iconoscope.results.rendering import data_uri, rgb, to_jpeg, to_png

__all__ = ["Pictured"]


@dataclass(frozen=True)
class Pictured:
    """The pictures made of the units of one network in one way."""

    results: list[Visualization]
    name: Callable[[Result], str]  # of the network that answered, as the whole page calls it

    MOST: ClassVar = 60

    @staticmethod
    def alike(result: Visualization) -> tuple[str, ...]:
        """Tell what two results must have in common to stand in one sheet."""
        return result.question.weights, result.style, result.start, result.prior

    @property
    def first(self) -> Visualization:
        """The first of them."""
        return self.results[0]

    @property
    def network(self) -> str:
        """What the page calls the network."""
        return self.name(self.first)

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return sum(map(len, self.results))

    @property
    def small(self) -> bool:
        """Whether their pixels are to be seen."""
        return max(self.first.images.shape[1:3]) <= 64

    @property
    def cells(self) -> list[dict[str, Any]]:
        """Give what is shown of every picture, at most `MOST`."""
        pairs = [(result, place) for result in self.results for place in range(len(result))]
        return [self._cell(result, place) for result, place in pairs[: self.MOST]]

    @staticmethod
    def _cell(result: Visualization, place: int) -> dict[str, Any]:
        pixels = result.bytes_of(place)
        small = max(pixels.shape[:2]) <= 128
        natural = float(result.natural_activation[place])
        near = None
        if result.neighbours is not None and result.neighbour_distance is not None and result.likelier_than is not None:
            near = {
                "picture": data_uri(to_png(rgb(result.neighbours[place, 0]))),
                "distance": f"{result.neighbour_distance[place]:.2f}",
                "likelier": f"{result.likelier_than[place]:.0%}",
            }
        return {
            "unit": result.units[place],
            "picture": data_uri(to_png(pixels)) if small else data_uri(to_jpeg(pixels)),
            "activation": f"{result.activation[place]:.3g}",
            "moved": f"{result.moved_activation[place]:.3g}",
            "natural": "" if math.isnan(natural) else f"{natural:.3g}",
            "dead": bool(result.dead[place]),
            "near": near,
        }
