"""The mean map on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iconoscope.results import MeanMap
from iconoscope.results.mean_map import TABLE
from iconoscope.results.rendering import colour, data_uri, lay_out, to_png

__all__ = ["Averaged"]


@dataclass(frozen=True)
class Averaged:
    """The mean maps of one set of images, asked in one way of one network."""

    result: MeanMap
    name: str  # of the network that answered, as the whole page calls it
    most: int

    @property
    def left_out(self) -> int:
        """How many classes are not shown."""
        return len(self.result.shown(1 + len(self.result.classes))) - len(self.groups)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Give what is shown of every group: its map, and its figures in words."""
        return [self._group(group) for group in self.result.shown(self.most)]

    def _group(self, group: int) -> dict[str, Any]:
        result = self.result
        cells = colour(result.mean[group], low=-result.limit, high=result.limit, table=TABLE)
        row, column = result.worst(group)
        height, width = result.size
        return {
            "name": result.name(group),
            "count": int(result.count[group]),
            "map": data_uri(to_png(lay_out(cells, result.top, result.left, result.patch, result.size))),
            "drop": float(result.mean[group, row, column]),
            "deviation": float(result.deviation[group, row, column]),
            "minima": int(result.minima[group].max()),
            "clean": float(result.clean[group]),
            "changed": float(result.changed[group]),
            "top": 100 * (result.top[row] + min(result.top[row] + result.patch[0], height)) / (2 * height),
            "left": 100 * (result.left[column] + min(result.left[column] + result.patch[1], width)) / (2 * width),
        }
