"""What a covered region is filled with.

Every fill is a whole picture in the network's input space, (channels, height, width) after normalisation, from which the
covered region is taken; so the border of a patch is where the two pictures meet, and nothing is blended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, nearest
from iconoscope.subject.images import load_images
from iconoscope.subject.network import Preprocessing

__all__ = ["FILLS", "Fill", "read_fill"]

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]


class Fill(NamedTuple):
    """A way to fill a region.

    Attributes
    ----------
    name
        For people, and for the key of the question.
    draw
        From a picture (height, width, 3) of 0..255, the size of the patch (pixels) and a generator of random numbers, to
        RGB (height, width, 3) in 0..1; None means zero after normalisation.
    random
        Whether it depends on the seed, which is then part of the question.
    """

    name: str
    draw: Callable[[Picture, tuple[int, int], np.random.Generator], NDArray[Any]] | None
    random: bool = False

    def field(self, picture: Picture, preprocessing: Preprocessing, patch: tuple[int, int], seed: int) -> Field:
        """Give the fill for one picture in the network's input space (channels, height, width)."""
        shape = (len(preprocessing.mean), *picture.shape[:2])
        if self.draw is None:
            return np.zeros(shape, np.float32)
        rgb = np.asarray(self.draw(picture, patch, np.random.default_rng(seed)), np.float32)
        normalised = (rgb - np.asarray(preprocessing.mean, np.float32)) / np.asarray(preprocessing.std, np.float32)
        return np.ascontiguousarray(np.broadcast_to(normalised, (*shape[1:], shape[0])).transpose(2, 0, 1), np.float32)


def _blur(picture: Picture, patch: tuple[int, int], generator: np.random.Generator) -> NDArray[Any]:
    from PIL import Image, ImageFilter

    # Half a patch as the standard deviation: nothing as small as the patch survives.
    blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(max(patch) / 2))
    return np.asarray(blurred) / 255


def _mean(picture: Picture, patch: tuple[int, int], generator: np.random.Generator) -> NDArray[Any]:
    return picture.mean((0, 1)) / 255


def _black(picture: Picture, patch: tuple[int, int], generator: np.random.Generator) -> NDArray[Any]:
    return np.zeros(3)


def _noise(picture: Picture, patch: tuple[int, int], generator: np.random.Generator) -> NDArray[Any]:
    return generator.random(picture.shape)


FILLS = {
    "zero": Fill("zero", None),  # after normalisation: the mean colour of the training images, a grey
    "black": Fill("black", _black),  # before normalisation: black paint
    "mean": Fill("mean", _mean),  # the mean colour of the photograph itself
    "blur": Fill("blur", _blur),  # the photograph itself, out of focus
    "noise": Fill("noise", _noise, random=True),  # every pixel and channel uniform from 0 to 1
}


def read_fill(fill: str | Path | NDArray[Any], preprocessing: Preprocessing) -> Fill:
    """Give the fill of that name, or make one of an image.

    Parameters
    ----------
    fill
        A key of `FILLS`; or an image that fills the region: an array (height, width, 3) or a file.
    preprocessing
        Fits the image to the network's input.

    Raises
    ------
    QuestionError
        If it is neither.
    """
    if isinstance(fill, str) and fill in FILLS:
        return FILLS[fill]
    if isinstance(fill, str | Path) and not Path(fill).is_file():
        raise QuestionError(
            f"fill={str(fill)!r} is not a choice, and no image file.",
            hint=f"{nearest(str(fill), FILLS)} Or give an image.",
        )
    images = load_images(fill)
    if len(images) != 1:
        raise QuestionError(f"A fill is one image; {len(images)} were given.")
    fitted = preprocessing.fit(images[0].pixels)
    digest = hashlib.sha256(fitted.tobytes()).hexdigest()[:16]
    return Fill(f"image {digest}", lambda picture, patch, generator: fitted / 255)
