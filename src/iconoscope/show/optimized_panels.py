"""Optimised pictures on the page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from iconoscope.results import Visualization
from iconoscope.results.rendering import data_uri, rgb, to_png
from iconoscope.show.template import picture_uri, pixelated

__all__ = ["OptimizedPanel", "sheet_key"]


def sheet_key(visualization: Visualization) -> tuple[str, ...]:
    """Give what two results must have in common to stand in one sheet."""
    return visualization.question.weights, visualization.style, visualization.start, visualization.prior


@dataclass(frozen=True)
class OptimizedPanel:
    """The pictures made of the units of one network in one way."""

    results: list[Visualization]
    network: str  # the name of the network that answered, as the whole page calls it

    MOST: ClassVar = 60

    @property
    def first(self) -> Visualization:
        """The first of them."""
        return self.results[0]

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return sum(map(len, self.results))

    @property
    def small(self) -> bool:
        """Whether their pixels are to be seen."""
        return pixelated(*self.first.images.shape[1:3])

    @property
    def cells(self) -> list[dict[str, Any]]:
        """Give what is shown of every picture, at most `MOST`."""
        pairs = [(visualization, index) for visualization in self.results for index in range(len(visualization))]
        return [_cell(visualization, index) for visualization, index in pairs[: self.MOST]]


def _cell(visualization: Visualization, index: int) -> dict[str, Any]:
    natural = float(visualization.natural_activation[index])
    neighbours, distance, likelier = (
        visualization.neighbours,
        visualization.neighbour_distance,
        visualization.likelier_than,
    )
    nearest = None
    if neighbours is not None and distance is not None and likelier is not None:
        nearest = {
            "picture": data_uri(to_png(rgb(neighbours[index, 0]))),
            "distance": f"{distance[index]:.2f}",
            "likelier": f"{likelier[index]:.0%}",
        }
    return {
        "unit": visualization.units[index],
        "picture": picture_uri(visualization.bytes_of(index)),
        "activation": f"{visualization.activation[index]:.3g}",
        "moved": f"{visualization.moved_activation[index]:.3g}",
        "natural": "" if math.isnan(natural) else f"{natural:.3g}",
        "dead": bool(visualization.dead[index]),
        "nearest": nearest,
    }
