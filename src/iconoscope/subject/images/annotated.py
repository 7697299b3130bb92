"""Images with labels, masks or boxes laid over those that the source has; and images gathered one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from iconoscope.subject.images.image import Image
from iconoscope.subject.images.object_annotations import MaskReader
from iconoscope.subject.images.source import Box, Label, Pixels, Source

__all__ = ["Annotated", "Gathered"]


@dataclass(frozen=True, eq=False)
class Annotated:
    """Some rows of a source, with what the user says of them in front.

    Attributes
    ----------
    source : Source
        What lies under it.
    rows : ndarray
        (n,) the rows of that source.
    labels : sequence or None
        A label for each row.
    masks_by_id, boxes_by_id : mapping or None
        The masks and the boxes of the object.
    """

    source: Source
    rows: NDArray[np.intp] = field(repr=False)
    labels: Sequence[Label] | None = field(default=None, repr=False)
    masks_by_id: Mapping[str, MaskReader] | None = field(default=None, repr=False)
    boxes_by_id: Mapping[str, tuple[Box, ...]] | None = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        """What was given."""
        return self.source.origin

    @property
    def label_names(self) -> tuple[str, ...]:
        """The source's names, as long as the labels are made of them."""
        names = self.source.label_names
        if self.labels is None or all(label is None or label in names for label in set(self.labels)):
            return names
        return ()

    def __len__(self) -> int:
        return len(self.rows)

    def id(self, row: int) -> str:
        """Give the source's id."""
        return self.source.id(int(self.rows[row]))

    def label(self, row: int) -> Label:
        """Give the label laid over it."""
        return self.source.label(int(self.rows[row])) if self.labels is None else self.labels[row]

    def read(self, row: int) -> Pixels:
        """Give the source's pixels."""
        return self.source.read(int(self.rows[row]))

    def bands(self, row: int) -> Pixels:
        """Give the source's four channels."""
        return self.source.bands(int(self.rows[row]))

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Give the mask laid over it."""
        if self.masks_by_id is None:
            return self.source.mask(int(self.rows[row]))
        reader = self.masks_by_id.get(self.id(row))
        return None if reader is None else reader()

    def boxes(self, row: int) -> tuple[Box, ...]:
        """Give the boxes laid over it."""
        return (
            self.source.boxes(int(self.rows[row]))
            if self.boxes_by_id is None
            else self.boxes_by_id.get(self.id(row), ())
        )


@dataclass(frozen=True, eq=False)
class Gathered:
    """Images from anywhere, as one source."""

    images: Sequence[Image] = field(repr=False)
    origin: str
    label_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def id(self, row: int) -> str:
        """Give the image's own id."""
        return self.images[row].id

    def label(self, row: int) -> Label:
        """Give the image's own label."""
        return self.images[row].label

    def read(self, row: int) -> Pixels:
        """Give the pixels: those in memory, or read anew, so that the gathered images do not all stay decoded."""
        image = self.images[row]
        return image.pixels.copy() if image.decoded else image.source.read(image.row)

    def bands(self, row: int) -> Pixels:
        """Give the image's own four channels."""
        return self.images[row].source.bands(self.images[row].row)

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Give the image's own mask."""
        return self.images[row].source.mask(self.images[row].row)

    def boxes(self, row: int) -> tuple[Box, ...]:
        """Give the image's own boxes."""
        return self.images[row].source.boxes(self.images[row].row)
