"""Mean maps on the page."""

from __future__ import annotations

from typing import Any

from iconoscope.results import MeanMap
from iconoscope.results.mean_map import TABLE
from iconoscope.results.rendering import colour, data_uri, lay_out, to_png
from iconoscope.show.panel import Panel

__all__ = ["MeanMapPanel"]


class MeanMapPanel(Panel[MeanMap]):
    """The mean maps of one set of images, asked in one way of one network."""

    @property
    def left_out(self) -> int:
        """How many classes are not shown."""
        return len(self.result.shown(1 + len(self.result.classes))) - len(self.groups)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Give what is shown of every group: its map, and its figures in words."""
        return [self._group(group) for group in self.result.shown(self.most)]

    def _group(self, group: int) -> dict[str, Any]:
        mean_map = self.result
        cells = colour(mean_map.mean[group], low=-mean_map.limit, high=mean_map.limit, table=TABLE)
        row, column = mean_map.worst(group)
        height, width = mean_map.size
        top, left = mean_map.top[row], mean_map.left[column]
        return {
            "name": mean_map.name(group),
            "count": int(mean_map.count[group]),
            "map": data_uri(to_png(lay_out(cells, mean_map.top, mean_map.left, mean_map.patch, mean_map.size))),
            "drop": float(mean_map.mean[group, row, column]),
            "deviation": float(mean_map.deviation[group, row, column]),
            "clean": float(mean_map.clean[group]),
            "changed": float(mean_map.changed[group]),
            # The middle of the worst patch, percent of the picture.
            "top": 100 * (top + min(top + mean_map.patch[0], height)) / (2 * height),
            "left": 100 * (left + min(left + mean_map.patch[1], width)) / (2 * width),
        }
