"""Units on the page of a store: their images, the units of a concept, pictures made for them; image maps and sheets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iconoscope.results import SIDES, ActivationSheet, FilterSheet, ImageMap, TopImages, UnitSearch, Visualization
from iconoscope.results.rendering import data_uri, rgb, to_jpeg, to_png
from iconoscope.show.template import Panel, picture_uri

__all__ = ["ImageMapPanel", "OptimizedPanel", "SheetPanel", "TopImagesPanel", "UnitSearchPanel", "sheet_key"]

_LOSSLESS = 64  # pixels: there are many, and a page is to be sent


class TopImagesPanel(Panel[TopImages]):
    """The images that a unit answers."""

    @property
    def strips(self) -> list[tuple[str, list[dict[str, str]]]]:
        """Give the parts of the spectrum, in words, with their images."""
        top = self.result
        return [
            (
                caption,
                _cells(
                    (top.cell(index), top.ids[index], top.values[index], top.labels[index] or top.predictions[index])
                    for index in top.side(side)
                ),
            )
            for side, caption in SIDES.items()
            if len(top.side(side))
        ]


class UnitSearchPanel(Panel[UnitSearch]):
    """The units that answer a concept: a page for each of the first."""

    MOST: ClassVar = 4
    STRIPS: ClassVar = {
        "most": "The images it answers most, of all",
        "concept": "The concept's images, from the strongest answer to the weakest",
        "least": "The images it answers least, of all, the weakest last",
    }

    @property
    def pages(self) -> list[dict[str, Any]]:
        """Give what is shown of each of the first units; of a search that found none, of the best alone."""
        count = min(len(self.result.curves), max(1, len(self.result.found)), self.MOST)
        return [self._page(rank) for rank in range(count)]

    def _page(self, rank: int) -> dict[str, Any]:
        search = self.result
        return {
            "unit": str(search.units[rank]),
            "finding": search.figures(rank),
            "optimized": search.picture_for(rank),
            "curve": self._polyline(search.curves[rank]),
            "logit": self._polyline(search.logit_curve),
            "strips": [
                (caption, _cells((*image, "") for image in search.strip(strip, rank)))
                for strip, caption in self.STRIPS.items()
            ],
        }

    def _polyline(self, curve: NDArray[np.float64]) -> str:
        """Give a curve in the template's coordinates."""
        points = zip(self.result.curve_at.tolist(), curve.tolist(), strict=True)
        return " ".join(f"{30 + 150 * across:.1f},{160 - 150 * up:.1f}" for across, up in points)


class ImageMapPanel(Panel[ImageMap]):
    """A map of a set."""

    _WIDE: ClassVar = 1600  # pixels: the large picture would be larger than all the rest of the page

    @property
    def picture(self) -> str:
        """The large picture, shrunk."""
        picture = Image.fromarray(self.result.drawn[0])
        picture.thumbnail((self._WIDE, self._WIDE), Image.Resampling.LANCZOS)
        return data_uri(to_jpeg(np.asarray(picture)))


class SheetPanel(Panel[ActivationSheet | FilterSheet]):
    """A sheet of maps or filters."""

    @property
    def picture(self) -> str:
        """The sheet with its numbers."""
        return data_uri(self.result.figure())


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
    def cells(self) -> list[tuple[Visualization, int]]:
        """Give the pictures that are shown, at most `MOST`, by their sheet and their row in it."""
        pairs = [(visualization, index) for visualization in self.results for index in range(len(visualization))]
        return pairs[: self.MOST]

    def nearest(self, neighbours: NDArray[np.uint8], index: int) -> str:
        """Give the real image that is nearest to a picture."""
        return data_uri(to_png(rgb(neighbours[index, 0])))


def _cells(images: Iterable[tuple[NDArray[np.uint8], str, float, str]]) -> list[dict[str, str]]:
    """Give images in a row, each with its id, what the unit answers, and its label."""
    return [
        {"picture": picture_uri(pixels, lossless=_LOSSLESS), "id": id, "value": f"{value:.3g}", "label": label}
        for pixels, id, value, label in images
    ]
