"""Pillow's modes: how each becomes 8-bit RGB, or a mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import shortened
from iconoscope.subject.images.source import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DEPTHS", "FOUR", "MODES", "as_mask", "depth_of", "indices_of", "mask_of", "rgb_of"]

DEPTHS = (10, 12, 14)
"""Bits of cameras, scanners and microscopes whose pictures are stored in 16."""

SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N", "I")

# Modes that store four channels, each with a meaning of its own.
FOUR = ("RGBA", "RGBX", "CMYK")


def rgb_of(picture: Image, *, bits: int = 16) -> Pixels:
    """Give (height, width, 3) uint8 as stored, not yet turned upright; `bits` are those of a picture in 16 bits that are used.

    Raises ValueError where the range is unknown.
    """
    if picture.mode in SIXTEEN:
        return _grey16(picture, bits)
    if picture.mode not in MODES:
        raise ValueError(f"its colour mode is {picture.mode}; known are {shortened((*MODES, *SIXTEEN), most=99)}")
    return MODES[picture.mode](picture)


def depth_of(picture: Image) -> Pixels:
    """Give the bits that the values of a picture in 16 bits fill, 10, 12, 14 or 16, as an array of one; 8 for any other."""
    if picture.mode not in SIXTEEN:
        return np.array([[8]], np.uint8)
    highest = np.asarray(picture).max()
    return np.array([[next((bits for bits in DEPTHS if highest < 2**bits), 16)]], np.uint8)


def indices_of(picture: Image) -> Pixels:
    """Give (height, width) uint8: the numbers of a palette, or of grey. Raises ValueError on other modes."""
    if picture.mode not in ("P", "L"):
        raise ValueError(f"its colour mode is {picture.mode}, and numbers of objects come in a palette or in grey")
    return np.array(picture)


def mask_of(picture: Image) -> NDArray[np.bool_]:
    """Give (height, width) bool, True on the object. Raises ValueError where it cannot be told what is object."""
    if picture.has_transparency_data:
        raise ValueError("a mask with transparency can be meant in two ways")
    if picture.mode == "P":
        return rgb_of(picture).max(axis=2) > 0
    if picture.mode in ("1", "L") or picture.mode.startswith("I"):
        return as_mask(np.asarray(picture))
    if picture.convert("RGB").getcolors(256) is None:  # a soft edge in one colour has no more
        raise ValueError("it has more than 256 colours: a photograph, not a mask")
    return as_mask(rgb_of(picture).max(axis=2))


def as_mask(values: NDArray) -> NDArray[np.bool_]:
    """Read an array of bool, 0 and 1, or 0 to 255 (128 and more is object) as a mask. Raises ValueError on others.

    >>> as_mask(np.array([[0, 255], [1, 0]])).tolist()
    [[False, True], [False, False]]
    """
    if values.dtype == np.bool_:
        return values.copy()
    if not values.size:
        raise ValueError("a mask without values")
    if values.dtype.kind not in "uif":
        raise ValueError(f"mask values of type {values.dtype}; wanted are bool, 0 and 1, or 0 to 255")
    low, high = values.min(), values.max()
    # Numbers of classes (0, 1, 2, ...) would pass for dark grey, and the mask would be empty without a word.
    if not low >= 0 or (1 < high < 128) or not np.isfinite(high):
        raise ValueError(f"mask values from {low} to {high}; wanted are bool, 0 and 1, or 0 to 255")
    if high <= 1:
        return values > 0.5 if values.dtype.kind == "f" else values > 0
    return values >= (128 if high <= 255 else 128 * 257)


def _opaque(picture: Image) -> Pixels:
    return np.array(picture.convert("RGB"))


def _colors(picture: Image) -> Pixels:
    """8 bits a channel: as it is, or on white where it is transparent."""
    if not picture.has_transparency_data:
        return _opaque(picture)
    values = np.asarray(picture.convert("RGBA")).astype(np.uint32)
    alpha = values[..., 3:]
    return ((values[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _premultiplied(picture: Image) -> Pixels:
    return _colors(picture.convert({"La": "LA", "RGBa": "RGBA"}[picture.mode]))


def _grey16(picture: Image, bits: int) -> Pixels:
    values, last = np.asarray(picture), 2**bits - 1
    if values.min() < 0 or values.max() > last:
        raise ValueError(f"its values run from {values.min()} to {values.max()}, and {bits} bits end at {last}")
    grey = ((values.astype(np.int64) * 255 + last // 2) // last).astype(np.uint8)
    if isinstance(clear := picture.info.get("transparency"), int):
        grey[values == clear] = 255
    return np.repeat(grey[..., None], 3, axis=2)


def _floats(picture: Image) -> Pixels:
    values = np.asarray(picture)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"its values are floats from {low:g} to {high:g}, and only 0 to 1 has one meaning")
    return np.repeat(np.rint(values * 255).astype(np.uint8)[..., None], 3, axis=2)


MODES: dict[str, Callable[[Image], Pixels]] = {
    **dict.fromkeys(("1", "L", "LA", "P", "PA", "RGB", "RGBA"), _colors),
    **dict.fromkeys(("La", "RGBa"), _premultiplied),
    **dict.fromkeys(("RGBX", "CMYK", "YCbCr", "LAB", "HSV"), _opaque),
    "F": _floats,
}
