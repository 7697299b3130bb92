"""Light and colour, of everything and of the background: statistics, and edits that set them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.segmentation import Pictures, luminance

__all__ = [
    "background_brightness",
    "background_hue",
    "brightness",
    "cast",
    "contrast",
    "gradient",
    "saturation",
    "set_background_brightness",
    "set_background_hue",
    "set_brightness",
    "set_cast",
    "set_contrast",
    "set_gradient",
    "set_saturation",
    "tinted",
    "tints",
]

Floats = NDArray[np.floating]
_DARK = 0.02  # so that the colour of black is not noise


def brightness(pictures: Pictures) -> Floats:
    """Mean brightness of the picture, (n, 1), 0..1."""
    return luminance(pictures.colour)[:, None]


def set_brightness(pictures: Pictures, values: Floats) -> Floats:
    """Bring the whole picture to a brightness by a gamma curve, which leaves black and white and loses nothing between."""
    return _bent(pictures.pixels, brightness(pictures), values.clip(0.02, 0.98))


def _bent(pixels: Floats, current: Floats, goal: Floats) -> Floats:
    """Bring pictures (n, height, width, 3) from a brightness (n, 1) to another by a gamma of 1/12 to 12, found by bisection."""
    low, high = np.full(current.shape, -2.5, np.float32), np.full(current.shape, 2.5, np.float32)
    coarse = luminance(pixels[:, ::2, ::2]).clip(1e-3, 1)
    goal = goal + luminance(pixels[:, ::2, ::2]).mean((1, 2))[:, None] - current
    for _ in range(12):
        middle = (low + high) / 2
        darker = (coarse ** np.exp(middle)[:, :, None]).mean((1, 2))[:, None] < goal
        low, high = np.where(darker, low, middle), np.where(darker, middle, high)
    return pixels.clip(1e-3, 1) ** _wide(np.exp((low + high) / 2))


def background_brightness(pictures: Pictures) -> Floats:
    """Mean brightness of the background, (n, 1), 0..1."""
    return luminance(pictures.background_colour)[:, None]


def set_background_brightness(pictures: Pictures, values: Floats) -> Floats:
    """Shift the background to a brightness, and leave the object."""
    shift = _wide(values - background_brightness(pictures))
    return (pictures.pixels + shift * (1 - pictures.soft)).clip(0, 1)


def contrast(pictures: Pictures) -> Floats:
    """Logarithm of the standard deviation of the brightness within the picture, (n, 1)."""
    return np.log(luminance(pictures.pixels).std((1, 2)) + _DARK)[:, None]


def set_contrast(pictures: Pictures, values: Floats) -> Floats:
    """Stretch the picture about its mean colour to a contrast."""
    factor = np.exp((values - contrast(pictures)).clip(-1.5, 1.5))
    mean = pictures.colour[:, None, None]
    return (mean + (pictures.pixels - mean) * _wide(factor)).clip(0, 1)


def saturation(pictures: Pictures) -> Floats:
    """Mean distance of the colours from grey, (n, 1), 0..1."""
    return _distance_from_grey(pictures.pixels).mean((1, 2))[:, None]


def set_saturation(pictures: Pictures, values: Floats) -> Floats:
    """Move all colours from or towards grey to a saturation."""
    grey = luminance(pictures.pixels)[..., None]
    factor = (values + 1e-3) / (saturation(pictures) + 1e-3)
    return (grey + (pictures.pixels - grey) * _wide(factor.clip(0, 4))).clip(0, 1)


def _distance_from_grey(pixels: Floats) -> Floats:
    return np.abs(pixels - luminance(pixels)[..., None]).mean(-1)


def tints(colours: Floats) -> Floats:
    """Red against green, and blue against both, of colours (n, 3), as logarithms: whatever the brightness, (n, 2)."""
    logs = np.log(colours + _DARK)
    return np.stack([logs[:, 0] - logs[:, 1], logs[:, 2] - (logs[:, 0] + logs[:, 1]) / 2], 1)


def tinted(pixels: Floats, colours: Floats, change: Floats) -> Floats:
    """Turn pictures by a change of the tints; a surface of the colours keeps its brightness.

    Parameters
    ----------
    pixels
        (n, height, width, 3).
    colours
        (n, 3), of the surface that is to keep its brightness.
    change
        (n, 2), what is to be added to the tints.
    """
    red_green, blue = change[:, 0].clip(-2.5, 2.5), change[:, 1].clip(-2.5, 2.5)
    gains = np.exp(np.stack([red_green / 2 - blue / 3, -red_green / 2 - blue / 3, 2 * blue / 3], 1))
    gains *= ((luminance(colours) + _DARK) / (luminance(colours * gains) + _DARK))[:, None]
    return (pixels * gains[:, None, None].astype(np.float32)).clip(0, 1)


def cast(pictures: Pictures) -> Floats:
    """Tints of the whole picture, (n, 2)."""
    return tints(pictures.colour)


def set_cast(pictures: Pictures, values: Floats) -> Floats:
    """Tint the whole picture, the object too, as a coloured light would."""
    return tinted(pictures.pixels, pictures.colour, values - cast(pictures))


def background_hue(pictures: Pictures) -> Floats:
    """Tints of the background, (n, 2)."""
    return tints(pictures.background_colour)


def set_background_hue(pictures: Pictures, values: Floats) -> Floats:
    """Tint the background, and leave the object."""
    turned = tinted(pictures.pixels, pictures.background_colour, values - background_hue(pictures))
    return turned * (1 - pictures.soft) + pictures.pixels * pictures.soft


def gradient(pictures: Pictures) -> Floats:
    """Brightness of the background on the right less that on the left, and below less above, (n, 2), 0..1."""
    light = luminance(pictures.smooth)
    across, down = _across(pictures.shape)
    return np.stack([2 * (light * across).mean((1, 2)), 2 * (light * down).mean((1, 2))], 1) * 1.5


def set_gradient(pictures: Pictures, values: Floats) -> Floats:
    """Add light from one side; the mean brightness stays."""
    change = values - gradient(pictures)
    across, down = _across(pictures.shape)
    plane = (change[:, 0, None, None] * across + change[:, 1, None, None] * down)[..., None]
    return (pictures.pixels + plane).clip(0, 1)


def _across(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Give the coordinates across and down, each -1..1, as (1, height, width)."""
    height, width = shape
    across = np.broadcast_to(((2 * np.arange(width) + 1) / width - 1)[None], shape)
    down = np.broadcast_to(((2 * np.arange(height) + 1) / height - 1)[:, None], shape)
    return across[None].astype(np.float32), down[None].astype(np.float32)


def _wide(values: Floats) -> Floats:
    """Give (n, 1) the shape of pictures."""
    return values[:, :, None, None].astype(np.float32)
