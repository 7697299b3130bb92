"""Fills: the baseline that a covered region is replaced by.

A fill is a whole picture in the network's input space, (channels, height, width) after normalisation, from which the
covered region is taken; so the border of a patch is where the two pictures meet, and nothing is blended. One fill,
patch-mean, is a colour for every position instead.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, nearest
from iconoscope.occlusion.geometry import Cover, Grid
from iconoscope.subject.images import load_images
from iconoscope.subject.network import Preprocessing
from iconoscope.subject.network.preprocessing import GREY

__all__ = ["FILLS", "Fill", "FillLike", "patch_means", "read_fill"]

Picture = NDArray[np.uint8]
FillLike = str | Path | float | NDArray[Any] | Callable[[Picture], NDArray[Any]]


@dataclass(frozen=True)
class Fill:
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
    draw: Callable[[Picture, tuple[int, int], np.random.Generator], NDArray[Any]] | None = None
    random: bool = False

    drops: ClassVar[bool] = False
    """Whether it puts nothing in the place of a region, and takes away the tokens that see it."""

    by_position: ClassVar[bool] = False
    """Whether it has a colour for every position of a patch, and is no picture."""

    def of(self, picture: Picture) -> Fill:
        """Give the fill of one picture, whose name says all that decides what is drawn."""
        return self

    def for_regions(self) -> Fill:
        """Give a fill for regions that are no patch.

        Raises
        ------
        QuestionError
            If it is a colour for every position of a patch.
        """
        return self

    def field(
        self, picture: Picture, preprocessing: Preprocessing, patch: tuple[int, int], seed: int
    ) -> NDArray[np.float32]:
        """Give the fill for one picture in the network's input space (channels, height, width)."""
        shape = (preprocessing.channels, *picture.shape[:2])
        if self.draw is None:
            return np.zeros(shape, np.float32)
        rgb = np.asarray(self.draw(picture, patch, np.random.default_rng(seed)))
        normalised = np.broadcast_to(_normalised(rgb, preprocessing), (*shape[1:], shape[0]))
        return np.array(normalised.transpose(2, 0, 1), np.float32, order="C")

    def cover(self, picture: Picture, preprocessing: Preprocessing, grid: Grid, seed: int) -> Cover:
        """Give what covers one picture (height, width, 3) where the patch is."""
        import torch

        return Cover(torch.from_numpy(self.field(picture, preprocessing, grid.patch, seed)))


@dataclass(frozen=True)
class _PatchMean(Fill):
    """The mean colour of the pixels that the patch covers."""

    by_position: ClassVar[bool] = True

    def for_regions(self) -> Fill:
        raise QuestionError(
            f"fill={self.name!r} has a colour for every position of a patch, and here there is no patch.",
            hint="Take mean: the mean colour of the whole image.",
        )

    def field(
        self, picture: Picture, preprocessing: Preprocessing, patch: tuple[int, int], seed: int
    ) -> NDArray[np.float32]:
        return self.for_regions().field(picture, preprocessing, patch, seed)

    def cover(self, picture: Picture, preprocessing: Preprocessing, grid: Grid, seed: int) -> Cover:
        import torch

        return Cover(colours=torch.from_numpy(_normalised(patch_means(picture, grid), preprocessing)))


@dataclass(frozen=True)
class _Dropped(Fill):
    """Nothing: the tokens of what is covered are taken out of a transformer, and nothing is put in their place."""

    drops: ClassVar[bool] = True

    def field(
        self, picture: Picture, preprocessing: Preprocessing, patch: tuple[int, int], seed: int
    ) -> NDArray[np.float32]:
        raise QuestionError(
            f"fill={self.name!r} is no picture: it takes tokens away.", hint="Take a fill that is one, as mean."
        )


@dataclass(frozen=True)
class _Called(Fill):
    """A function of the user's. It is called once for a picture, and a digest of what it drew is part of the name."""

    function: Callable[[Picture], Any] = np.asarray

    def of(self, picture: Picture) -> Fill:
        drawn = self._drawn(picture)
        digest = hashlib.sha256(drawn.tobytes()).hexdigest()[:16]
        return Fill(f"{self.name} {digest}", lambda picture, patch, generator: drawn)

    def _drawn(self, picture: Picture) -> NDArray[np.float32]:
        try:
            drawn = np.asarray(self.function(picture.copy()))
        # It is the user's code that runs here, and it may raise anything; the traceback is kept as the cause.
        except Exception as error:
            raise QuestionError(
                f"The fill {self.name} fails on a picture of shape {picture.shape}: {type(error).__name__}: {error}"
            ) from error
        says = f"The fill {self.name} drew {drawn.dtype} {drawn.shape} for a picture of shape {picture.shape}"
        hint = f"It should give {picture.shape}, RGB: uint8 of 0..255, or floats of 0..1."
        if drawn.shape != picture.shape or not (drawn.dtype == np.uint8 or drawn.dtype.kind == "f"):
            raise QuestionError(f"{says}.", hint=hint)
        rgb = drawn.astype(np.float32) / np.float32(255 if drawn.dtype == np.uint8 else 1)
        if not (rgb.min() >= 0 and rgb.max() <= 1):  # NaN is neither
            raise QuestionError(f"{says}, of {rgb.min():.3g} to {rgb.max():.3g}.", hint=hint)
        return np.asarray(rgb, np.float32)


def _normalised(rgb: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Put colours (..., 3 or 4) of 0..1 into the network's input space."""
    if preprocessing.channels == 1:
        rgb = rgb @ np.asarray(GREY)[:, None]
    mean, std = (np.asarray(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    return (rgb.astype(np.float32) - mean) / std


def patch_means(picture: Picture, grid: Grid) -> NDArray[np.float64]:
    """Give the mean colour, in 0..1, of what the patch covers at every position (grid rows, grid columns, 3).

    From sums over all pixels above and to the left of every corner (Crow 1984, "Summed-area tables"), which are whole
    numbers: nothing is rounded before the division.
    """
    sums = np.zeros((picture.shape[0] + 1, picture.shape[1] + 1, picture.shape[2]), np.int64)
    sums[1:, 1:] = picture.cumsum(0, dtype=np.int64).cumsum(1)
    bottom, right = (
        np.minimum(starts + side, length)
        for starts, side, length in zip((grid.top, grid.left), grid.patch, grid.size, strict=True)
    )
    total = (
        sums[np.ix_(bottom, right)]
        - sums[np.ix_(grid.top, right)]
        - sums[np.ix_(bottom, grid.left)]
        + sums[np.ix_(grid.top, grid.left)]
    )
    return total / (255.0 * np.outer(bottom - grid.top, right - grid.left)[..., None])


def _blur(picture: Picture, patch: tuple[int, int], generator: np.random.Generator) -> NDArray[Any]:
    from PIL import Image, ImageFilter

    # Half a patch as the standard deviation: nothing as small as the patch survives.
    blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(max(patch) / 2))
    return np.asarray(blurred) / 255


def _mean(picture: Picture, patch: tuple[int, int], generator: np.random.Generator) -> NDArray[Any]:
    return picture.mean((0, 1)) / 255


def _black(picture: Picture, patch: tuple[int, int], generator: np.random.Generator) -> NDArray[Any]:
    return np.zeros(picture.shape[2])


def _noise(picture: Picture, patch: tuple[int, int], generator: np.random.Generator) -> NDArray[Any]:
    return generator.random(picture.shape)


FILLS = {
    "zero": Fill("zero", None),  # after normalisation: the mean colour of the training images, a grey
    "black": Fill("black", _black),  # before normalisation: black paint
    "mean": Fill("mean", _mean),  # the mean colour of the photograph itself
    "patch-mean": _PatchMean("patch-mean"),  # the mean colour of what the patch covers, another at every position
    "blur": Fill("blur", _blur),  # the photograph itself, out of focus
    "noise": Fill("noise", _noise, random=True),  # every pixel and channel uniform from 0 to 1
    "drop": _Dropped("drop"),  # no colour: the tokens of a transformer that the region touches are left out
}


def _grey(level: float) -> Fill:
    """Give a grey of 0..1."""
    if not 0 <= level <= 1:
        raise QuestionError(f"fill={level} is not a grey.", hint="Greys are 0.0, black, to 1.0, white.")
    return Fill(f"grey {level:g}", lambda picture, patch, generator: np.full(picture.shape[2], level))


def read_fill(fill: FillLike, preprocessing: Preprocessing) -> Fill:
    """Give the fill of that name, or make one of an image or a function.

    Parameters
    ----------
    fill
        A key of `FILLS`; or a grey of 0.0, black, to 1.0, white; or an image that fills the region: an array (height, width, 3)
        or a file; or a function from the picture as the network sees it, (height, width, 3) uint8, to another of that shape,
        uint8 or floats of 0..1.
    preprocessing
        Fits the image to the network's input.

    Raises
    ------
    QuestionError
        If it is none of these. If it is a function, when it draws something else.
    """
    if isinstance(fill, str) and fill in FILLS:
        return FILLS[fill]
    if isinstance(fill, float) or (isinstance(fill, str) and re.fullmatch(r"0?\.\d+|[01]\.0*", fill)):
        return _grey(float(fill))
    if callable(fill):
        function = fill if hasattr(fill, "__qualname__") else type(fill)
        return _Called(f"{function.__module__}.{function.__qualname__}", function=fill)
    if isinstance(fill, str | Path) and not Path(fill).is_file():
        raise QuestionError(
            f"fill={str(fill)!r} is not a choice, and no image file.",
            hint=f"{nearest(str(fill), FILLS)} Or give an image.",
        )
    images = load_images(fill)
    if len(images) != 1:
        raise QuestionError(f"A fill is one image; {len(images)} were given.")
    fitted = preprocessing.shown(images[0])
    digest = hashlib.sha256(fitted.tobytes()).hexdigest()[:16]
    return Fill(f"image {digest}", lambda picture, patch, generator: fitted / 255)
