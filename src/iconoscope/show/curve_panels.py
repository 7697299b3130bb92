"""Deletion and insertion curves on the page."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.results import Curves
from iconoscope.show.panel import Panel
from iconoscope.show.template import picture_uri, pixelated

__all__ = ["CurvesPanel", "areas_key", "mean_areas"]


class CurvesPanel(Panel[Curves]):
    """The curves of one map, and the map laid over its image."""

    @property
    def small(self) -> bool:
        """Whether the pixels of the image are to be seen."""
        return pixelated(*self.result.picture.shape[:2])

    @property
    def overlay(self) -> str:
        """Give the map laid over the image."""
        return picture_uri(self.result.overlaid())

    @property
    def ticks(self) -> list[tuple[str, int]]:
        """Give the ends of the scale and their heights in the template's coordinates."""
        low, high = self.result.limits()
        return [(f"{low:.3g}", 112), (f"{high:.3g}", 11)]

    @property
    def polylines(self) -> list[tuple[str, list[str]]]:
        """Give the curves of either kind in the template's coordinates: the map's own comes last."""
        curves = self.result
        return [
            ("deletion", list(map(self._polyline, (*curves.null_deletion, curves.deletion[:, curves.target])))),
            ("insertion", list(map(self._polyline, (*curves.null_insertion, curves.insertion[:, curves.target])))),
        ]

    def _polyline(self, values: NDArray[np.floating]) -> str:
        low, high = self.result.limits()
        scale = 106 / max(high - low, 1e-12)
        points = zip(self.result.share.tolist(), values.tolist(), strict=True)
        return " ".join(f"{26 + 170 * share:.1f},{110 - scale * (value - low):.1f}" for share, value in points)


def areas_key(curves: Curves) -> tuple[str, ...]:
    """Give what curves must have in common for a mean over them."""
    return curves.question.weights, curves.ranked_by, curves.fill, curves.start


def mean_areas(group: list[Curves], network: str) -> dict[str, Any]:
    """Average the areas of one kind of map over images: its own, and those of the map moved elsewhere."""
    first = group[0]
    deletion = [curves.deletion_area for curves in group], [curves.null_deletion_areas for curves in group]
    insertion = [curves.insertion_area for curves in group], [curves.null_insertion_areas for curves in group]
    return {
        "network": network,
        "ranked_by": first.ranked_by,
        "fill": first.fill,
        "start": first.start,
        "images": len({curves.question.pixels for curves in group}),
        "areas": [(float(np.mean(areas)), float(np.mean(moved))) for areas, moved in (deletion, insertion)],
    }
