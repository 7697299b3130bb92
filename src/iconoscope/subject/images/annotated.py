"""Images with labels, masks or boxes laid over those that the source has; and images gathered one by one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from iconoscope.subject.images.image import Image
from iconoscope.subject.images.source import Box, Label, Pixels, Source

__all__ = ["Annotated", "Gathered"]


class Derived(Source):
    """Rows of other sources; the masks and boxes that it has itself are in front of theirs."""

    @abstractmethod
    def under(self, row: int) -> tuple[Source, int]:
        """Give the source under a row, and the row there."""

    def read(self, row: int) -> Pixels:
        """Give the source's pixels."""
        source, row = self.under(row)
        return source.read(row)

    def bands(self, row: int) -> Pixels:
        """Give the source's four channels."""
        source, row = self.under(row)
        return source.bands(row)

    def depth(self, row: int) -> int:
        """Give the bits that the source's values fill."""
        source, row = self.under(row)
        return source.depth(row)

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Give the mask laid over it, or the source's."""
        if self.masks_by_id is not None:
            return super().mask(row)
        source, row = self.under(row)
        return source.mask(row)

    def boxes(self, row: int) -> tuple[Box, ...]:
        """Give the boxes laid over it, or the source's."""
        if self.boxes_by_id is not None:
            return super().boxes(row)
        source, row = self.under(row)
        return source.boxes(row)


@dataclass(frozen=True, eq=False)
class Annotated(Derived):
    """Some rows of a source, with what the user says of them in front.

    Attributes
    ----------
    source : Source
        What lies under it.
    rows : ndarray
        (n,) the rows of that source.
    """

    source: Source
    rows: NDArray[np.intp] = field(repr=False)

    def label(self, row: int) -> Label:
        """Give the label laid over it, or the source's."""
        return self.source.label(int(self.rows[row])) if self.labels is None else self.labels[row]

    def under(self, row: int) -> tuple[Source, int]:
        """Give the source, and the row there."""
        return self.source, int(self.rows[row])


@dataclass(frozen=True, eq=False)
class Gathered(Derived):
    """Images from anywhere, as one source."""

    images: Sequence[Image] = field(repr=False)

    def under(self, row: int) -> tuple[Source, int]:
        """Give the source of the image, and its row there."""
        return self.images[row].source, self.images[row].row

    def read(self, row: int) -> Pixels:
        """Give the pixels: those in memory, or read anew, so that the gathered images do not all stay decoded."""
        image = self.images[row]
        return image.pixels.copy() if image.decoded else super().read(row)
