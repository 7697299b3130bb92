"""Images in a list, and the page of one: its answers, its neighbours, its activation maps."""

from __future__ import annotations

from dataclasses import dataclass

from iconoscope.explorer.messages.session import Commands

__all__ = ["ActivationMaps", "ClassProbability", "ImageCard", "ImagePage", "ImageSearch", "Neighbour"]


@dataclass(frozen=True)
class ImageCard:
    """An image in a list; `wrong` as in `ImageAnswer`.

    `other` is what the other network answers; empty where there is none, or what it answers was not recorded.
    """

    number: int
    id: str
    label: str
    prediction: str
    wrong: bool | None
    other: str = ""


@dataclass(frozen=True)
class ImageSearch:
    """Images that a search found (`?q=&label=&prediction=&mistakes=1&differ=1&from=&limit=`), and how many there are in all."""

    total: int
    images: list[ImageCard]


@dataclass(frozen=True)
class ClassProbability:
    """A class and its probability."""

    name: str
    index: int
    probability: float


@dataclass(frozen=True)
class Neighbour:
    """An image near by in the space of the last layer, and how far; `wrong` as in `ImageAnswer`."""

    number: int
    id: str
    label: str
    prediction: str
    wrong: bool | None
    distance: float


@dataclass(frozen=True)
class ImagePage:
    """What is known of an image.

    Attributes
    ----------
    name
        What addresses it: its number in the recording, or `upload-...` of a dropped photograph.
    size
        Height and width as the network sees it, pixels.
    point
        Where it lies on the map, 0 to 1 each; empty where there is no map.
    wrong
        As in `ImageAnswer`.
    occluded
        Whether the store has maps of it: what `images/{name}/heat` gives.
    """

    name: str
    id: str
    label: str
    prediction: str
    wrong: bool | None
    size: list[int]
    probabilities: list[ClassProbability]
    neighbours: list[Neighbour]
    point: list[float]
    kept: bool
    occluded: bool
    commands: Commands


@dataclass(frozen=True)
class ActivationMaps:
    """What units of a layer answer at every place of an image, the strongest first (`GET images/{name}/maps/{layer}?limit=`).

    Attributes
    ----------
    low, high
        For each unit, what 0 and 255 stand for.
    values
        Base64 of one byte for each unit, row and column, in this order.
    """

    layer: str
    units: list[str]
    rows: int
    columns: int
    low: list[float]
    high: list[float]
    values: str
    commands: Commands
