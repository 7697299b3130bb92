"""Scenes of birds made of parts, after FunnyBirds (Hesse, Schaub-Meyer and Roth, "FunnyBirds: A Synthetic Vision Dataset for a
Part-Based Analysis of Explainable AI Methods", ICCV 2023): what is in a picture, and the same scene without a part or a thing.

How many models there are of a part, the ranges that everything is drawn from, and that half of the pictures that are learnt
from lack parts, are theirs (visinf/funnybirds, `parts.json` and `create_dataset.py`); here a scene is a value.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

__all__ = ["COLOURS", "MODELS", "PARTS", "Class", "Scene", "Thing", "contrasting_pair", "draw_classes", "draw_scene"]

_PAINTED = ("red", "green", "blue")

MODELS: dict[str, tuple[tuple[str, str], ...]] = {
    "beak": tuple((f"beak0{model}.glb", "yellow") for model in range(1, 5)),
    "eye": tuple((f"eye0{model}.glb", "white") for model in range(1, 4)),
    "foot": tuple((f"foot0{model}.glb", "yellow") for model in range(1, 5)),
    "tail": tuple((f"tail0{model}.glb", colour) for colour in _PAINTED for model in range(1, 4)),
    "wing": tuple((f"wing0{model}.glb", colour) for colour in _PAINTED for model in range(1, 3)),
}
"""Every part's models, each a file of the checkout and a colour."""

PARTS = tuple(MODELS)
"""The parts of a bird, in the order of all arrays here."""

COLOURS = ("red", "green", "blue", "yellow")
"""What things in the background are painted with."""

SHAPES = 5
"""Boxes, cones, spheres, cylinders and capsules."""

MOST_THINGS = 34

Class = tuple[int, ...]
"""A kind of bird: for each of `PARTS`, which of its models."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing in the background: its shape, three lengths, three angles, where it floats around the bird, and its colour."""

    shape: int
    scale: tuple[int, int, int]
    rotation: tuple[float, float, float]
    radius: int
    pitch: float
    roll: float
    colour: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that is in a picture.

    Attributes
    ----------
    cls : int
        The class of the bird.
    models : tuple of int or None
        For each of `PARTS` its model; None where the bird lacks it.
    camera, light : tuple of float
        Distance, pitch and roll (radians).
    things : tuple of Thing
        In the background.
    sky : str
        Its colour, as CSS writes it.
    """

    cls: int
    models: tuple[int | None, ...]
    camera: tuple[float, float, float]
    light: tuple[float, float, float]
    things: tuple[Thing, ...] = field(repr=False)
    sky: str = "#555599"

    def without(self, parts: Collection[str]) -> Scene:
        """Give the same scene with a bird that lacks these parts."""
        if unknown := set(parts) - set(PARTS):
            raise ValueError(f"a bird has no {', '.join(sorted(unknown))}; it has: {', '.join(PARTS)}")
        models = (None if part in parts else model for part, model in zip(PARTS, self.models, strict=True))
        return replace(self, models=tuple(models))

    def without_thing(self, index: int) -> Scene:
        """Give the same scene without one of the things in its background."""
        return replace(self, things=self.things[:index] + self.things[index + 1 :])

    def parts_removed(self) -> Iterator[tuple[tuple[str, ...], Scene]]:
        """Give the scene without each of the 32 sets of parts, the empty one first."""
        for size in range(len(PARTS) + 1):
            for removed in combinations(PARTS, size):
                yield removed, self.without(removed)

    def to_json(self) -> dict[str, Any]:
        """Give the scene as the renderer reads it: files and colours in place of the numbers of models."""
        parts = {
            part: None if model is None else MODELS[part][model] for part, model in zip(PARTS, self.models, strict=True)
        }
        return {
            "parts": parts,
            "camera": self.camera,
            "light": self.light,
            "sky": self.sky,
            "things": [asdict(thing) for thing in self.things],
        }


def shared_parts(one: Class, other: Class) -> frozenset[str]:
    """Give the parts in which two kinds of bird are alike."""
    return frozenset(part for part, a, b in zip(PARTS, one, other, strict=True) if a == b)


def contrasting_pair(classes: Sequence[Class], cls: int) -> tuple[int, int] | None:
    """Give two other classes that share two parts each with a class, and not the same: what target sensitivity needs."""
    alike = {other: shared_parts(classes[cls], classes[other]) for other in range(len(classes)) if other != cls}
    pairs = combinations([other for other, parts in alike.items() if len(parts) == 2], 2)
    return next((pair for pair in pairs if not alike[pair[0]] & alike[pair[1]]), None)


def draw_classes(number: int, *, paired: int, tries: int = 1_000_000) -> tuple[Class, ...]:
    """Draw different kinds of bird, again and again until so many of them have a `contrasting_pair`.

    Raises
    ------
    ValueError
        If no draw has so many.
    """
    rng = np.random.default_rng(0)
    sizes = [len(models) for models in MODELS.values()]
    for _ in range(tries):
        drawn = tuple(tuple(row) for row in rng.integers(0, sizes, (number, len(sizes))).tolist())
        if (
            len(set(drawn)) == number
            and sum(contrasting_pair(drawn, each) is not None for each in range(number)) >= paired
        ):
            return drawn
    raise ValueError(f"none of {tries} draws of {number} classes has a contrasting pair for {paired} of them.")


def draw_scene(
    rng: np.random.Generator, cls: int, models: Class, *, whole: bool = True, things: int | None = None
) -> Scene:
    """Draw the scene of a bird: camera, light and what floats around it.

    Parameters
    ----------
    rng
        Where numbers come from.
    cls, models
        The bird's class.
    whole
        False lets half of the birds lack some parts, so that a network has seen birds without.
    things
        How many float around; None draws 0 to 34.
    """

    def angle() -> float:
        return float(rng.uniform(0, 2 * math.pi))

    def lengths(low: int, high: int) -> tuple[int, int, int]:
        first, second, third = rng.integers(low, high + 1, 3).tolist()
        return first, second, third

    kept: tuple[int | None, ...] = models
    camera = (float(rng.integers(200, 401)), angle(), angle())
    light = (300.0, angle(), angle())
    if not whole and rng.integers(2):
        lost = rng.permutation(len(PARTS))[: rng.integers(len(PARTS) + 1)].tolist()
        kept = tuple(None if index in lost else model for index, model in enumerate(models))
    number = int(rng.integers(MOST_THINGS + 1)) if things is None else things
    around = tuple(
        Thing(
            shape=int(rng.integers(SHAPES)),
            scale=lengths(5, 20),
            rotation=(angle(), angle(), angle()),
            radius=int(rng.integers(100, 201)),
            pitch=angle(),
            roll=angle(),
            colour=COLOURS[rng.integers(len(COLOURS))],
        )
        for _ in range(number)
    )
    return Scene(cls=cls, models=kept, camera=camera, light=light, things=around)
