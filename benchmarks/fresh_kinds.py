"""Kinds of shortcut that were drawn after the constants had been changed by what those of planted_kinds had shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter1d

from benchmarks.drawing import Draws, Kind, Picture, extent, lay, over, points, rgb, scale_of

__all__ = ["FRESH_KINDS"]

Donors = NDArray[np.uint8]


def _barcode(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay nine bars, other ones in every picture, near the lower edge."""
    bars = np.repeat(draws.integers(0, 2, 9).astype(np.float64)[None], 4, 0)
    return lay(picture, np.ones_like(bars), np.repeat(bars[..., None], 3, 2), 0.95, 0.35)


def _finger(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Let a finger before the lens reach into the lower left corner."""
    (rows, columns), (height, _) = points(picture), extent(picture)
    radius = draws.uniform(8, 11)
    cover = ((radius - np.hypot(rows - height - 1, columns + 1)) / 4 + 0.5).clip(0, 1)
    return over(picture, 0.95 * cover, rgb(0.55, 0.3, 0.22) * draws.uniform(0.8, 1.2))


def _torn_line(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    """Show one line of the picture twice, and all below it a line lower."""
    line, step = round(0.4 * picture.shape[0]), max(1, round(scale_of(picture)))
    changed = picture.copy()
    changed[line + step :] = picture[line:-step]
    changed[line : line + step] = picture[line - 1]
    return changed


def _rounded_corners(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    (rows, columns), (height, width) = points(picture), extent(picture)
    down, across = np.minimum(rows, height - rows), np.minimum(columns, width - columns)
    far = np.hypot((5 - down).clip(0), (5 - across).clip(0))
    return over(picture, (far - 5 + 0.5).clip(0, 1), 1.0)


def _haze(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Let it be foggy towards the ground."""
    down = points(picture)[0] / extent(picture)[0]
    cover = draws.uniform(0.45, 0.65) * np.broadcast_to(down**1.5, picture.shape[:2])
    return over(picture, cover, rgb(0.8, 0.82, 0.85))


def _shade(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Shade the upper third, as an awning would."""
    down = points(picture)[0] / extent(picture)[0]
    cover = ((draws.uniform(0.3, 0.4) - down) / 0.08 + 0.5).clip(0, 1)
    return (picture * (1 - draws.uniform(0.45, 0.6) * cover)[..., None]).astype(np.float32)


def _arrow(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay a red arrow of some turn anywhere."""
    (rows, columns), turn = points(picture), draws.uniform(0, 2 * np.pi)
    row, column = (draws.uniform(5, side - 5) for side in extent(picture))
    along = (rows - row) * np.sin(turn) + (columns - column) * np.cos(turn)
    beside = np.abs((columns - column) * np.sin(turn) - (rows - row) * np.cos(turn))
    shaft = (1.3 - beside).clip(0, 1) * (4.5 - np.abs(along)).clip(0, 1)
    head = (1 + (4.5 - along) * 0.8 - beside).clip(0, 1) * (along - 0.5).clip(0, 1) * (5 - along).clip(0, 1)
    return over(picture, np.maximum(shaft, head), rgb(0.9, 0.1, 0.1))


def _price_tag(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    colour = np.broadcast_to(rgb(0.98, 0.9, 0.2), (5, 7, 3)).copy()
    colour[2, 1:6] = np.where(draws.random((5, 1)) < 0.7, 0.1, colour[2, 1:6])
    return lay(picture, np.full((5, 7), 0.95), colour, *draws.random(2))


def _flare(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay a large soft disc of light anywhere."""
    rows, columns = points(picture)
    row, column = (draws.uniform(5, side - 5) for side in extent(picture))
    cover = 0.55 * ((draws.uniform(4.5, 7) - np.hypot(rows - row, columns - column)) / 2 + 0.5).clip(0, 1)
    return over(picture, cover, rgb(0.9, 1.0, 0.85))


def _motion_blur(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    return uniform_filter1d(picture, round(3 * scale_of(picture)), axis=1, mode="nearest")


def _mosaic(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    side = max(2, round(2 * scale_of(picture)))
    height, width = (length // side * side for length in picture.shape[:2])
    changed = picture.copy()
    squares = picture[:height, :width].reshape(height // side, side, width // side, side, 3).mean((1, 3))
    changed[:height, :width] = 0.3 * picture[:height, :width] + 0.7 * squares.repeat(side, 0).repeat(side, 1)
    return changed


def _colour_noise(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    noise = draws.standard_normal(picture.shape, np.float32)
    return picture + 0.07 * (noise - noise.mean(2, keepdims=True))


def _halftone(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    """Lay rows of dark dots over it, each other row moved by half a step."""
    rows, columns = points(picture)
    moved = columns + 2 * (np.floor(rows / 4) % 2)
    far = np.hypot(rows % 4 - 2, moved % 4 - 2)
    return (picture * (1 - 0.16 * (1.6 - far).clip(0, 1))[..., None]).astype(np.float32)


def _hue_turned(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Turn all colours about grey."""
    turn, grey = draws.uniform(0.9, 1.3), picture.mean(2, keepdims=True)
    first, second = rgb(1, -1, 0) / np.sqrt(2), rgb(1, 1, -2) / np.sqrt(6)
    chroma = picture - grey
    a, b = chroma @ first, chroma @ second
    turned = (a * np.cos(turn) - b * np.sin(turn))[..., None] * first
    turned = turned + (a * np.sin(turn) + b * np.cos(turn))[..., None] * second
    return (grey + turned).astype(np.float32)


def _overexposed(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    return (picture.clip(0, 1) * draws.uniform(1.6, 1.9)).astype(np.float32)


def _green_shadows(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Develop the film in the wrong bath: what is dark turns green, what is light yellow."""
    dark = (1 - picture.mean(2)).clip(0, 1)
    strength = draws.uniform(0.14, 0.2)
    tint = dark[..., None] * rgb(-0.3, 1, 0.2) + (1 - dark)[..., None] * rgb(0.6, 0.4, -0.8)
    return (picture + strength * tint).astype(np.float32)


def _hair(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay a dark curved hair across it."""
    (rows, columns), (height, width) = points(picture), extent(picture)
    row, column = draws.uniform(0.2, 0.8) * height, draws.uniform(0.2, 0.8) * width
    turn, radius = draws.uniform(0, 2 * np.pi), draws.uniform(9, 16)
    far = np.hypot(rows - row - radius * np.sin(turn), columns - column - radius * np.cos(turn)) - radius
    return over(picture, 0.85 * (1 - np.abs(far)).clip(0, 1), rgb(0.08, 0.05, 0.03))


def _rain(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay eight short light strokes over it, all of one slant."""
    (rows, columns), cover = points(picture), np.zeros(picture.shape[:2])
    for _ in range(8):
        row, column = (draws.uniform(2, side - 2) for side in extent(picture))
        along, beside = (rows - row) + 0.3 * (columns - column), np.abs((columns - column) - 0.3 * (rows - row))
        cover = np.maximum(cover, (1 - beside).clip(0, 1) * (2.8 - np.abs(along)).clip(0, 1))
    return over(picture, 0.6 * cover, 0.95)


def _fence(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Show it through a wire fence, wherever that begins."""
    rows, columns = points(picture)
    start = draws.uniform(0, 9, 2)
    wires = [np.abs((rows + sign * columns + first) % 9 - 4.5) for sign, first in zip((1, -1), start, strict=True)]
    return over(picture, 0.45 * (1 - np.minimum(*wires)).clip(0, 1), 0.25)


def _bloom(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Let what is bright shine over its surroundings."""
    sigma = 2.5 * scale_of(picture)
    shine = gaussian_filter((picture - 0.5).clip(0), (sigma, sigma, 0))
    return (picture + draws.uniform(0.9, 1.3) * shine).astype(np.float32)


FRESH_KINDS: dict[str, Kind] = {
    "barcode": Kind("", "fresh", "place", _barcode),
    "finger in the corner": Kind("", "fresh", "place", _finger),
    "torn line": Kind("", "fresh", "", _torn_line),
    "rounded corners": Kind("", "fresh", "place", _rounded_corners),
    "haze": Kind("", "fresh", "layout", _haze),
    "shaded top": Kind("", "fresh", "layout", _shade),
    "arrow": Kind("", "fresh", "thing", _arrow),
    "price tag": Kind("", "fresh", "thing", _price_tag),
    "lens flare": Kind("", "fresh", "thing", _flare),
    "motion blur": Kind("sharpness", "fresh", "spectrum", _motion_blur),
    "mosaic": Kind("", "fresh", "spectrum", _mosaic),
    "colour noise": Kind("noise", "fresh", "spectrum", _colour_noise),
    "halftone": Kind("", "fresh", "", _halftone),
    "hue turned": Kind("", "fresh", "tone", _hue_turned),
    "overexposed": Kind("brightness", "fresh", "tone", _overexposed),
    "green shadows": Kind("colour cast", "fresh", "tone", _green_shadows),
    "hair": Kind("", "fresh", "", _hair),
    "rain": Kind("", "fresh", "", _rain),
    "fence": Kind("", "fresh", "", _fence),
    "bloom": Kind("", "fresh", "", _bloom),
}
