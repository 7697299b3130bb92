"""One image: an id, a label, pixels that are decoded when they are asked for, and where the object is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError
from iconoscope.subject.images.source import Box, Label, Pixels, Source

__all__ = ["Image"]


@dataclass(frozen=True)
class Image:
    """One image of a set, decoded on first use and kept decoded for as long as this object lives.

    Attributes
    ----------
    id : str
        Its name, unique in its set and the same in every run.
    label : str, int or None
        Its class.

    Examples
    --------
    >>> import numpy as np
    >>> from iconoscope.subject.images import load_images
    >>> image = load_images(np.zeros((1, 4, 6, 3), np.uint8), labels=["night"], boxes={"000000": [[1, 0, 3, 2]]})[0]
    >>> image
    Image(id='000000', label='night')
    >>> image.pixels.shape, image.pixels.dtype, image.boxes
    ((4, 6, 3), dtype('uint8'), (Box(left=1, top=0, right=3, bottom=2),))
    >>> image.mask.astype(int)
    array([[0, 1, 1, 0, 0, 0],
           [0, 1, 1, 0, 0, 0],
           [0, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0]])
    """

    id: str
    label: Label
    source: Source = field(repr=False)
    row: int = field(repr=False)

    @cached_property
    def pixels(self) -> Pixels:
        """The upright image: (height, width, 3) uint8, RGB, read-only. Raises `ImageFileError`."""
        pixels = self.source.read(self.row)
        pixels.setflags(write=False)
        return pixels

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes around the object. Raises `ImagesError` where one is empty or reaches outside the image."""
        boxes = self.source.boxes(self.row)
        if not boxes:
            return ()
        height, width = self.pixels.shape[:2]
        for box in boxes:
            if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
                raise ImagesError(
                    f"The box {tuple(box)} of {self.id} is empty or reaches outside the image, "
                    f"which is {width} pixels wide and {height} high.",
                    hint="A box is left, top, right, bottom in pixels of the upright image; the last two exclusive.",
                )
        return boxes

    @cached_property
    def mask(self) -> NDArray[np.bool_] | None:
        """The object, (height, width) bool, read-only: the mask that was given, else all boxes together, else None.

        Raises `ImagesError` where the mask and the image differ in size.
        """
        mask = self.source.mask(self.row)
        if mask is None:
            if not self.boxes:
                return None
            mask = np.zeros(self.pixels.shape[:2], np.bool_)
            for left, top, right, bottom in self.boxes:
                mask[top:bottom, left:right] = True
        elif mask.shape != self.pixels.shape[:2]:
            (rows, columns), (height, width) = mask.shape, self.pixels.shape[:2]
            raise ImagesError(
                f"The mask of {self.id} is {columns} pixels wide and {rows} high; "
                f"the image, upright, is {width} wide and {height} high.",
                hint="A mask has one value for every pixel of its image.",
            )
        mask.setflags(write=False)
        return mask

    @cached_property
    def digest(self) -> str:
        """The sha256 of the shape and the pixels, as hex: equal for equal pixels, whatever file they came from."""
        return _sha256(self.pixels)

    @cached_property
    def bands(self) -> Pixels:
        """All four channels, upright, as they are stored: (height, width, 4) uint8, read-only.

        For networks that take four: RGB with transparency, infrared or depth, or CMYK. `pixels` is RGB all the same.
        Raises `ImagesError` where the image has not four channels.
        """
        bands = self.source.bands(self.row)
        bands.setflags(write=False)
        return bands

    @cached_property
    def bands_digest(self) -> str:
        """The sha256 of the shape and the values of `bands`, as hex."""
        return _sha256(self.bands)

    @property
    def decoded(self) -> bool:
        """Whether the pixels are in memory."""
        return "pixels" in self.__dict__


def _sha256(values: Pixels) -> str:
    sha = hashlib.sha256(str(values.shape).encode())
    sha.update(values.tobytes())
    return sha.hexdigest()
