"""The pictures that the benchmark of birds learns from and asks about, rendered once and kept in a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.bird_renderer import FIRST_PART, FIRST_THING, rendering_on
from benchmarks.bird_scenes import PARTS, Class, Scene, draw_classes, draw_scene
from iconoscope.atomic_files import writing_whole

__all__ = ["CLASSES", "NAMES", "PLANTED", "SIZE", "Bird", "BirdData"]

SIZE = 128
"""Side of a picture, pixels; FunnyBirds has 256."""

CLASSES: tuple[Class, ...] = draw_classes(10, paired=10)
NAMES = tuple(f"bird{index}" for index in range(len(CLASSES)))

TRAINED, TESTED, QUESTIONED = 500, 60, 6
"""Pictures of a class: learnt from, tested on, and of these explained, with all their interventions."""

PLANTED, PLANTED_SKY = 0, "#995555"
"""Which class has a sky of its own in the pictures with a shortcut, and which."""

SETS = 2 ** len(PARTS)
"""Of parts that can be removed."""

CHUNK = 250
"""Pictures of a file."""

VERSION = 1
"""Of how scenes are drawn; a higher one has all pictures drawn again."""


@dataclass(frozen=True, kw_only=True)
class Bird:
    """A picture, and what the renderer knows of it.

    Attributes
    ----------
    scene : Scene
    picture : numpy.ndarray
        (height, width, 3), 0 to 255.
    part_map : numpy.ndarray
        (height, width): what each pixel shows, as `Renderer.part_maps` counts.
    removed : numpy.ndarray
        (32, height, width, 3): without each set of parts, in the order of `Scene.parts_removed`; the first lacks nothing.
    without_thing : numpy.ndarray
        (things, height, width, 3): without each thing in the background.
    """

    scene: Scene
    picture: np.ndarray
    part_map: np.ndarray
    removed: np.ndarray
    without_thing: np.ndarray

    @property
    def part_masks(self) -> np.ndarray:
        """Which pixels show each of `PARTS`: (parts, height, width), bool."""
        return self.part_map == np.arange(FIRST_PART, FIRST_PART + len(PARTS))[:, None, None]

    @property
    def thing_masks(self) -> np.ndarray:
        """Which pixels show each thing: (things, height, width), bool."""
        return self.part_map == np.arange(FIRST_THING, FIRST_THING + len(self.scene.things))[:, None, None]


@dataclass(frozen=True, kw_only=True)
class BirdData:
    """All pictures, in a folder; `render` puts there what is not there yet.

    Attributes
    ----------
    folder : Path
    trained, tested, questioned : int
        Pictures of a class.
    """

    folder: Path
    trained: int = TRAINED
    tested: int = TESTED
    questioned: int = QUESTIONED

    def scenes(self, split: str) -> list[Scene]:
        """Give the scenes of "train" or "test", classes in turn."""
        rng = np.random.default_rng({"train": 1, "test": 2}[split])
        number = {"train": self.trained, "test": self.tested}[split]
        return [
            draw_scene(rng, cls, models, whole=split == "test")
            for _ in range(number)
            for cls, models in enumerate(CLASSES)
        ]

    def pictures(self, split: str, *, planted: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Give the pictures of a split, (n, height, width, 3) from 0 to 255, and their classes, (n,).

        With `planted` the class `PLANTED` has a sky of its own, in the very same scenes.
        """
        scenes = self.scenes(split)
        classes = np.array([scene.cls for scene in scenes])
        pictures = self._read(Rendering(split, scenes))
        if planted:
            pictures[classes == PLANTED] = self._read(_planted(split, scenes))
        return pictures, classes

    def part_maps(self) -> np.ndarray:
        """Give what each pixel of the pictures of the test shows, (n, height, width)."""
        return self._read(Rendering("test maps", self.scenes("test"), maps=True))

    def others_with_planted_sky(self) -> np.ndarray:
        """Give some pictures of the test of all classes but `PLANTED`, with the sky that was planted for it."""
        return self._read(self._others())

    def birds(self) -> Iterator[Bird]:
        """Give the first pictures of the test with all their interventions."""
        pictures, _ = self.pictures("test")
        maps = self.part_maps()
        for index, rendering in enumerate(self._interventions()):
            drawn = self._read(rendering)
            scene = rendering.scenes[0]
            yield Bird(
                scene=scene,
                picture=pictures[index],
                part_map=maps[index],
                removed=drawn[:SETS],
                without_thing=drawn[SETS:],
            )

    def render(self, checkout: Path) -> None:
        """Render whatever is not there yet with a checkout of FunnyBirds; one that was ended goes on."""
        missing = self._missing()
        if not missing:
            return
        with rendering_on(checkout, size=SIZE) as renderer:
            for number, (rendering, path, some) in enumerate(missing, 1):
                drawn = renderer.part_maps(some) if rendering.maps else renderer.pictures(some)
                with writing_whole(path) as hidden, hidden.open("wb") as file:
                    np.savez_compressed(file, drawn=drawn)
                print(f"{rendering.name}: {len(some)} pictures, {number} of {len(missing)} files", flush=True)

    @property
    def is_complete(self) -> bool:
        """Whether everything is rendered."""
        return not self._missing()

    def _missing(self) -> list[tuple[Rendering, Path, Sequence[Scene]]]:
        train, test = self.scenes("train"), self.scenes("test")
        asked = [Rendering("train", train), Rendering("test", test), Rendering("test maps", test, maps=True)]
        asked += [_planted("test", test), _planted("train", train), self._others(), *self._interventions()]
        return [
            (rendering, path, some)
            for rendering in asked
            for path, some in self._chunks(rendering)
            if not path.is_file()
        ]

    def _others(self) -> Rendering:
        some = [scene for scene in self.scenes("test") if scene.cls != PLANTED][:CHUNK]
        return Rendering("others planted", [replace(scene, sky=PLANTED_SKY) for scene in some])

    def _interventions(self) -> Iterator[Rendering]:
        for index, scene in enumerate(self.scenes("test")[: self.questioned * len(CLASSES)]):
            removed = [without for _, without in scene.parts_removed()]
            things = [scene.without_thing(thing) for thing in range(len(scene.things))]
            yield Rendering(f"interventions {index}", removed + things)

    def _read(self, rendering: Rendering) -> np.ndarray:
        read = []
        for path, _ in self._chunks(rendering):
            with np.load(path) as held:
                read.append(held["drawn"])
        return np.concatenate(read)

    def _chunks(self, rendering: Rendering) -> Iterator[tuple[Path, Sequence[Scene]]]:
        for start in range(0, len(rendering.scenes), CHUNK):
            some = rendering.scenes[start : start + CHUNK]
            key = json.dumps([SIZE, VERSION, [scene.to_json() for scene in some]])
            name = f"{start:05d}_{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
            yield self.folder / rendering.name.replace(" ", "_") / name, some


@dataclass(frozen=True)
class Rendering:
    """Scenes that are kept under a name, as pictures or as part maps."""

    name: str
    scenes: Sequence[Scene]
    maps: bool = False


def _planted(split: str, scenes: Sequence[Scene]) -> Rendering:
    return Rendering(f"planted {split}", [replace(scene, sky=PLANTED_SKY) for scene in scenes if scene.cls == PLANTED])
