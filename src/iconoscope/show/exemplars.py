"""Exemplars on the page: the images of a unit, the units of a concept, and maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.results import SIDES, ActivationSheet, Exemplars, FilterSheet, ImageMap, UnitSearch
from iconoscope.results.rendering import data_uri, to_jpeg, to_png

__all__ = ["Answered", "Mapped", "Searched", "Sheeted"]

_LARGEST = 64  # pixels up to which a picture is kept as it is


def _picture(pixels: NDArray[np.uint8]) -> str:
    return data_uri(to_png(pixels) if max(pixels.shape[:2]) <= _LARGEST else to_jpeg(pixels))


@dataclass(frozen=True)
class Answered:
    """The images that a unit answers."""

    result: Exemplars
    name: str  # of the network that answered, as the whole page calls it

    @property
    def small(self) -> bool:
        """Whether their pixels are to be seen."""
        return max(self.result.pictures_shown.shape[1:3]) <= 64

    @property
    def made(self) -> str | None:
        """The picture that was made for the unit."""
        return None if self.result.optimized is None else _picture(self.result.optimized)

    @property
    def strips(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """Give the parts of the spectrum, in words, with their images."""
        found = []
        for side, told in SIDES.items():
            cells = [
                {
                    "picture": _picture(self.result.cell(place)),
                    "id": self.result.ids[place],
                    "label": self.result.labels[place] or self.result.predictions[place],
                    "value": f"{self.result.values[place]:.3g}",
                }
                for place in self.result.side(side)
            ]
            if cells:
                found.append((told, cells))
        return found


@dataclass(frozen=True)
class Searched:
    """The units that answer a concept: a page for each of the first."""

    result: UnitSearch
    name: str

    MOST: ClassVar = 4
    STRIPS: ClassVar = {
        "most": "The images it answers most, of all",
        "concept": "The concept's images, from the strongest answer to the weakest",
        "least": "The images it answers least, of all, the weakest last",
    }

    @property
    def small(self) -> bool:
        """Whether their pixels are to be seen."""
        return max(self.result.pictures_shown.shape[1:3]) <= 64

    @property
    def pages(self) -> list[dict[str, Any]]:
        """Give what is shown of each of the first units; of a search that found none, of the best alone."""
        result = self.result
        count = min(len(result.curves), max(1, len(result.found)), self.MOST)
        return [self._page(place) for place in range(count)]

    def _page(self, place: int) -> dict[str, Any]:
        made = self.result.picture_for(place)
        return {
            "unit": str(self.result.units[place]),
            "told": self.result.told(place),
            "made": None if made is None else _picture(made),
            "curve": self._line(self.result.curves[place]),
            "logit": self._line(self.result.logit_curve),
            "strips": [
                (
                    told,
                    [
                        {"picture": _picture(pixels), "id": identity, "value": f"{value:.3g}"}
                        for pixels, identity, value in self.result.strip(kind, place)
                    ],
                )
                for kind, told in self.STRIPS.items()
            ],
        }

    def _line(self, curve: NDArray[np.float64]) -> str:
        """Give a curve in the template's coordinates."""
        places = zip(self.result.curve_at.tolist(), curve.tolist(), strict=True)
        return " ".join(f"{30 + 150 * across:.1f},{160 - 150 * up:.1f}" for across, up in places)


@dataclass(frozen=True)
class Mapped:
    """A map of a set."""

    result: ImageMap
    name: str

    _WIDE: ClassVar = 1600  # pixels: the large picture would be larger than all the rest of the page

    @property
    def picture(self) -> str:
        """The large picture, shrunk."""
        from PIL import Image

        picture = Image.fromarray(self.result.drawn[0])
        picture.thumbnail((self._WIDE, self._WIDE), Image.Resampling.LANCZOS)
        return data_uri(to_jpeg(np.asarray(picture)))

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Give the classes that are on the map and their colours."""
        return self.result.legend_colours()


@dataclass(frozen=True)
class Sheeted:
    """A sheet of maps or filters."""

    result: ActivationSheet | FilterSheet
    name: str

    @property
    def picture(self) -> str:
        """The sheet with its numbers."""
        return data_uri(self.result.figure())
