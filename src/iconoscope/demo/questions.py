"""What the demo asks of each of the two networks, in three steps; all answers are kept in its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iconoscope.auditing import audit
from iconoscope.demo.photographs import demo_images, keep_photographs
from iconoscope.exemplars import find_units, map_images, record
from iconoscope.occlusion import occlude
from iconoscope.results import Audit, OcclusionSeries, UnitSearch
from iconoscope.store import Store
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network, load_network

__all__ = ["OCCLUDED", "RECORDED", "RECORDED_COUNT", "STEPS", "Questions", "dark_backgrounds", "draw_recorded"]

# Sides of the patch, pixels: a window of a car, and half a car. It is filled with the mean colour, as by default: on a dark
# wall the grey of fill="zero" is itself something to see, and looks like a van.
PATCHES, STRIDE = [12, 24], 4
OCCLUDED = 4
"""Images that are covered patch by patch."""
RECORDED = "recorded"
"""Folder of the photographs on any background that are recorded."""
RECORDED_COUNT = 400
"""How many there are."""
# Photographs that are left in a folder, to try the other commands on.
_SAVED_ANY_BACKGROUND = 120

STEPS: Mapping[str, tuple[str, ...]] = {
    "covered": ("occlude",),
    "mapped": ("record", "map", "find"),
    "audited": ("audit",),
}
"""The steps in their order, and the techniques whose answers each leaves in the store."""


@dataclass(frozen=True)
class Questions:
    """What is asked of one network.

    Attributes
    ----------
    network : Network
        The network.
    photographs : Images
        That it is audited on.
    out : Path
        The folder of the demo.
    seed : int
        Of the photographs.
    """

    network: Network
    photographs: Images
    out: Path
    seed: int

    @classmethod
    def about(
        cls, name: str, photographs: Images, out: Path, *, seed: int, device: str, checkpoint: Path | None
    ) -> Questions:
        """Load a network and give what is asked of it."""
        return cls(load_network(name, checkpoint=checkpoint, device=device), photographs, out, seed)

    @property
    def store(self) -> Store:
        """Where the answers are."""
        return Store(self.out / "store")

    def covered(self) -> list[OcclusionSeries]:
        """Cover one region of some photographs after another."""
        return occlude(self.network, self.photographs[:OCCLUDED], patch=PATCHES, stride=STRIDE, store=self.store)

    def mapped(self, *, page: Path | None = None) -> tuple[int, UnitSearch, UnitSearch]:
        """Map the recorded photographs, and look for units; give their number, and those of dark backgrounds and of bisons."""
        folder = self.out / RECORDED
        photographs = load_images(folder / "photographs", masks=folder / "masks")
        recording = record(self.network, photographs, store=self.store)
        map_images(recording, out=page, store=self.store)
        dark = dark_backgrounds(photographs)
        of_dark = find_units(recording, dark, name="a dark background", store=self.store)
        return len(recording.units), of_dark, find_units(recording, "bison", store=self.store)

    def audited(self) -> Audit:
        """Audit the network."""
        return audit(self.network, self.photographs, quick=True, seed=self.seed, store=self.store)


def draw_recorded(out: Path, *, seed: int) -> None:
    """Draw the photographs on any background that are recorded, as files, so that the explorer finds them again."""
    drawn = demo_images(RECORDED_COUNT, backgrounds="neutral", seed=seed + 1)
    keep_photographs(drawn, out / RECORDED)
    keep_photographs(drawn[:_SAVED_ANY_BACKGROUND], out / "any-background")


def dark_backgrounds(photographs: Images) -> list[str]:
    """Give the ids of the photographs whose background is darker than that of most."""
    brightness = {image.id: float(image.pixels[~np.asarray(image.mask)].mean()) for image in photographs}
    median = float(np.median(list(brightness.values())))
    return [id for id, value in brightness.items() if value < median]
