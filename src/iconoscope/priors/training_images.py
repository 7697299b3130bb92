"""The images that a prior is learnt from, at one size, read as often as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import PriorError
from iconoscope.priors.prior_images import as_pictures
from iconoscope.progress import track
from iconoscope.subject.images import Image, Images
from iconoscope.subject.network.preprocessing import Preprocessing

__all__ = ["TrainingImages"]

BATCH = 256
CACHED = 10**9
"""Bytes of pixels that are kept from the first reading; of larger sets every pass reads the files again."""


class TrainingImages:
    """Images at one size, with their labels and names.

    Parameters
    ----------
    images
        Any; those that cannot be read are left out.
    size
        Height and width to which they are brought; the middle is cut out if it does not fit.

    Attributes
    ----------
    size : tuple of int
        Height and width.
    labels : list of str or None
        Of every image that can be read.
    names : list of str
        Their ids.
    pixels : ndarray of uint8, (n, height, width, channels), or None
        All of them, if they are few enough to be kept.
    """

    def __init__(self, images: Images, size: tuple[int, int]) -> None:
        self._images, self.size = images, size
        self._fit = Preprocessing(size=size, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bicubic").fit
        self.labels: list[str | None] = []
        self.names: list[str] = []
        pixels: list[NDArray[np.uint8]] | None = []
        for image in self._readable("reading images"):
            self.labels.append(None if image.label is None else str(image.label))
            self.names.append(image.id)
            if pixels is not None:
                pixels.append(self._fit(image.pixels))
                pixels = pixels if len(pixels) * pixels[0].nbytes <= CACHED else None
        if len(self.names) < 2:
            raise PriorError(f"{len(self)} images can be read; how images vary is not learnt from fewer than two.")
        self.pixels = None if pixels is None else np.stack(pixels)

    def __len__(self) -> int:
        return len(self.names)

    def _readable(self, about: str) -> Iterator[Image]:
        yield from track(self._images.readable(), about, total=len(self._images))

    def pictures(self, about: str) -> Iterator[torch.Tensor]:
        """Give them in batches (n, channels, height, width) of 0..1, in their order."""
        if self.pixels is not None:
            for first in track(range(0, len(self), BATCH), about):
                yield as_pictures(self.pixels[first : first + BATCH])
            return
        pixels = (self._fit(image.pixels) for image in self._readable(about))
        while batch := list(islice(pixels, BATCH)):
            yield as_pictures(np.stack(batch))
