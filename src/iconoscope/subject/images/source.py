"""Sources of images: the questions that every kind of source answers about its row ``i``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.columns import NumberedNames
from iconoscope.errors import ImagesError

__all__ = ["Box", "Label", "MaskReader", "Pixels", "Source", "numbered", "three_channels"]

Label = str | int | None
Pixels = NDArray[np.uint8]
MaskReader = Callable[[], NDArray[np.bool_]]
"""Reads a mask (height, width), True on the object, when it is asked for."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright image; ``right`` and ``bottom`` are the first column and row outside it."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, eq=False)
class Source(ABC):
    """Rows of images: cheap to list, read one at a time. It is sent to the processes that decode.

    Attributes
    ----------
    origin : str
        What was given, for messages.
    ids : sequence of str
        The names of the rows: the same in every run, and no two the same.
    labels : sequence or None
        The class of each row.
    label_names : tuple of str
        The names of the classes in the source's own order, or ``()``.
    masks_by_id, boxes_by_id : mapping or None
        The masks and the boxes of the object, where there are some.
    """

    origin: str
    ids: Sequence[str] = field(repr=False)
    labels: Sequence[Label] | None = field(repr=False)
    _: KW_ONLY
    label_names: tuple[str, ...] = ()
    masks_by_id: Mapping[str, MaskReader] | None = field(default=None, repr=False)
    boxes_by_id: Mapping[str, tuple[Box, ...]] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def label(self, row: int) -> Label:
        """Give the class of the row, or None."""
        return None if self.labels is None else self.labels[row]

    @abstractmethod
    def read(self, row: int) -> Pixels:
        """Decode the row: a new (height, width, 3) array, upright RGB. Raises `ImageFileError`."""

    def bands(self, row: int) -> Pixels:
        """Give all four channels, (height, width, 4), upright. Raises `ImagesError` where the image has only three."""
        raise three_channels(self.ids[row])

    def stamp(self, row: int) -> bytes:
        """Give what tells the row from another of the same name without decoding it, as far as that costs little."""
        return b""

    def depth(self, row: int) -> int:
        """Give the bits that the row's values fill: fewer than 16 of a file that has 16 and uses fewer, else 8 or 16."""
        return 8

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Give the (height, width) mask, True on the object, or None. Raises `ImagesError`."""
        reader = (self.masks_by_id or {}).get(self.ids[row])
        return None if reader is None else reader()

    def boxes(self, row: int) -> tuple[Box, ...]:
        """Give the boxes around the object, not yet held against the size of the image."""
        return (self.boxes_by_id or {}).get(self.ids[row], ())


def numbered(count: int) -> NumberedNames:
    """Give ids to images that have no names: their indices in six digits."""
    return NumberedNames([""], [count], digits=6)


def three_channels(name: str, channels: str = "three channels") -> ImagesError:
    """Say that an image has not the four channels that it was asked for."""
    return ImagesError(
        f"{name} has {channels}, and four were asked for.",
        hint="Four come from arrays (n, h, w, 4) and (n, 4, h, w), and from image files in RGBA, RGBX or CMYK.",
    )
