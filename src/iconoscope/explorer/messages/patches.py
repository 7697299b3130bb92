"""What a patch changes: at one place, and as a map of all places."""

from __future__ import annotations

from dataclasses import dataclass

from iconoscope.explorer.messages.session import Commands, DamagedRecord

__all__ = [
    "DistanceAnswer",
    "DistanceQuestion",
    "HeatAnswer",
    "HeatQuestion",
    "KeptHeats",
    "PatchAnswer",
    "PatchQuestion",
]


@dataclass(frozen=True)
class PatchQuestion:
    """A patch anywhere on an image, in pixels as the network sees it; it is cut at the border.

    `view` names who asks: a newer question of the same view replaces an older one that still waits.
    """

    image: str
    top: float
    left: float
    height: int
    width: int
    fill: str
    view: str
    network: int = 0


@dataclass(frozen=True)
class PatchAnswer:
    """All probabilities with the patch there, in the order of the classes; `milliseconds` is what the network took."""

    probabilities: list[float]
    milliseconds: float


@dataclass(frozen=True)
class HeatQuestion:
    """An occlusion map of an image; asked coarse first, and then finer."""

    image: str
    unit: str
    patch: int
    stride: int
    fill: str
    view: str
    network: int = 0


@dataclass(frozen=True)
class HeatAnswer:
    """An occlusion map: the drop of the unit's answer with the patch at every position (rows, columns)."""

    top: list[int]
    left: list[int]
    patch: list[int]
    drop: list[list[float]]
    clean: float
    plan: str
    unit: str
    fill: str
    commands: Commands


@dataclass(frozen=True)
class KeptHeats:
    """All occlusion maps of an image that the store has (`GET images/{name}/heat`), and those that cannot be read."""

    maps: list[HeatAnswer]
    damaged: list[DamagedRecord]


@dataclass(frozen=True)
class DistanceQuestion:
    """Why does it lie here: how far the image's vector moves with the patch at every position."""

    image: str
    patch: int
    stride: int
    fill: str
    view: str
    network: int = 0


@dataclass(frozen=True)
class DistanceAnswer:
    """The distance moved at every position (rows, columns), and the mean distance to the image's neighbours as a measure."""

    top: list[int]
    left: list[int]
    patch: list[int]
    distance: list[list[float]]
    neighbour_distance: float
