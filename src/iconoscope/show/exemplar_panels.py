"""The images of a unit, the units of a concept, maps and sheets on the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iconoscope.results import SIDES, ActivationSheet, FilterSheet, ImageMap, TopImages, UnitSearch
from iconoscope.results.rendering import data_uri, to_jpeg
from iconoscope.show.panel import Panel
from iconoscope.show.template import picture_uri, pixelated

__all__ = ["ImageMapPanel", "SheetPanel", "TopImagesPanel", "UnitSearchPanel"]

_LOSSLESS = 64  # pixels: there are many, and a page is to be sent


class TopImagesPanel(Panel[TopImages]):
    """The images that a unit answers."""

    @property
    def small(self) -> bool:
        """Whether the pixels of the images are to be seen."""
        return pixelated(*self.result.pictures_shown.shape[1:3])

    @property
    def optimized(self) -> str | None:
        """The picture that was made for the unit."""
        return _optimized(self.result.optimized)

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
    def small(self) -> bool:
        """Whether the pixels of the images are to be seen."""
        return pixelated(*self.result.pictures_shown.shape[1:3])

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
            "optimized": _optimized(search.picture_for(rank)),
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

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Give the classes that are on the map and their colours."""
        return self.result.legend_colours()


class SheetPanel(Panel[ActivationSheet | FilterSheet]):
    """A sheet of maps or filters."""

    @property
    def picture(self) -> str:
        """The sheet with its numbers."""
        return data_uri(self.result.figure())


def _optimized(picture: NDArray[np.uint8] | None) -> str | None:
    """Give the picture that was made for a unit, if there is one."""
    return None if picture is None else picture_uri(picture, lossless=_LOSSLESS)


def _cells(images: Iterable[tuple[NDArray[np.uint8], str, float, str]]) -> list[dict[str, str]]:
    """Give images in a row, each with its id, what the unit answers, and its label."""
    return [
        {"picture": picture_uri(pixels, lossless=_LOSSLESS), "id": id, "value": f"{value:.3g}", "label": label}
        for pixels, id, value, label in images
    ]
