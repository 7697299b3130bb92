"""Units on the page of a store: those of a concept, pictures made for them; and maps of images and of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iconoscope.language import say
from iconoscope.results import ActivationAtlas, ImageMap, UnitSearch, Visualization
from iconoscope.results.rendering import data_uri, rgb, to_jpeg, to_png
from iconoscope.show.template import Panel

__all__ = ["ActivationAtlasPanel", "ImageMapPanel", "OptimizedPanel", "UnitSearchPanel", "sheet_key"]

_WIDE = 1600  # pixels: a large picture would be larger than all the rest of the page


class UnitSearchPanel(Panel[UnitSearch]):
    """The units that answer a concept: a page for each of the first."""

    MOST: ClassVar = 4

    @property
    def strips(self) -> dict[str, str]:
        """The rows of images, and what each shows."""
        return {
            "most": say("The images it answers most, of all"),
            "concept": say("The concept's images, from the strongest answer to the weakest"),
            "least": say("The images it answers least, of all, the weakest last"),
        }

    @property
    def ranks(self) -> range:
        """The first units, by rank; of a search that found none, the best alone."""
        return range(min(len(self.result.curves), max(1, len(self.result.found)), self.MOST))

    def polyline(self, curve: NDArray[np.float64]) -> str:
        """Give a curve in the template's coordinates."""
        points = zip(self.result.curve_at.tolist(), curve.tolist(), strict=True)
        return " ".join(f"{30 + 150 * across:.1f},{160 - 150 * up:.1f}" for across, up in points)


class ImageMapPanel(Panel[ImageMap]):
    """A map of a set."""

    @property
    def picture(self) -> str:
        """The large picture, shrunk."""
        return _shrunk(self.result.drawn[0])


class ActivationAtlasPanel(Panel[ActivationAtlas]):
    """An atlas of a layer."""

    @property
    def picture(self) -> str:
        """The grid in the middle, shrunk."""
        return _shrunk(self.result.sheet(self.result.middle))

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The classes that cells speak for, and the colours of their frames."""
        return [(self.result.classes[index], ink) for index, ink in self.result.coloured.items()]


def _shrunk(pixels: NDArray[np.uint8]) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_WIDE, _WIDE), Image.Resampling.LANCZOS)
    return data_uri(to_jpeg(np.asarray(picture)))


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
