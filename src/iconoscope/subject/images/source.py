"""Sources of images: the questions that every kind of source answers about its row ``i``."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError

__all__ = ["Box", "Label", "Pixels", "Source", "ThreeChannels", "three_channels"]

Label = str | int | None
Pixels = NDArray[np.uint8]


class Box(NamedTuple):
    """A rectangle in pixels of the upright image; ``right`` and ``bottom`` are the first column and row outside it."""

    left: int
    top: int
    right: int
    bottom: int


class Source(Protocol):
    """Rows of images: cheap to list, read one at a time."""

    @property
    def origin(self) -> str:
        """What was given, for messages."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the classes in the source's own order, or ``()``."""
        ...

    def __len__(self) -> int: ...

    def id(self, row: int) -> str:
        """Name the row: the same in every run, and no two the same."""
        ...

    def label(self, row: int) -> Label:
        """Give the class of the row, or None."""
        ...

    def read(self, row: int) -> Pixels:
        """Decode the row: a new (height, width, 3) array, upright RGB. Raises `ImageFileError`."""
        ...

    def bands(self, row: int) -> Pixels:
        """Give all four channels, (height, width, 4), upright. Raises `ImagesError` where the image has only three."""
        ...

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Give the (height, width) mask, True on the object, or None. Raises `ImagesError`."""
        ...

    def boxes(self, row: int) -> tuple[Box, ...]:
        """Give the boxes around the object, not yet held against the size of the image."""
        ...


class ThreeChannels:
    """A source of three channels that knows of no object: no masks, no boxes."""

    def bands(self: Source, row: int) -> Pixels:
        """Refuse: there are three channels."""
        raise three_channels(self.id(row))

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Give None."""
        return None

    def boxes(self, row: int) -> tuple[Box, ...]:
        """Give no boxes."""
        return ()


def three_channels(name: str, channels: str = "three channels") -> ImagesError:
    """Say that an image has not the four channels that it was asked for."""
    return ImagesError(
        f"{name} has {channels}, and four were asked for.",
        hint="Four come from arrays (n, h, w, 4) and (n, 4, h, w), and from image files in RGBA, RGBX or CMYK.",
    )
