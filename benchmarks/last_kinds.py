"""Kinds of shortcut that were drawn last of all: when the others had been run, and the rule changed by what they had shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from benchmarks.drawing import Draws, Kind, Picture, disc, extent, lay, over, points, rgb, scale_of, written

__all__ = ["LAST_KINDS"]

Donors = NDArray[np.uint8]


def _crosshair(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    """Lay the thin cross of a viewfinder over the middle."""
    (rows, columns), (height, width) = points(picture), extent(picture)
    down, across = np.abs(rows - height / 2), np.abs(columns - width / 2)
    cover = np.maximum(
        (0.9 - down).clip(0, 1) * (6 - across).clip(0, 1), (0.9 - across).clip(0, 1) * (6 - down).clip(0, 1)
    )
    return over(picture, 0.6 * cover, rgb(0.2, 1, 0.2))


def _letterbox(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Blacken a strip above and below, as of a film."""
    rows, height = points(picture)[0], extent(picture)[0]
    strip = draws.uniform(1.5, 3)
    cover = np.broadcast_to((np.minimum(rows, height - rows) < strip) * 1.0, picture.shape[:2])
    return over(picture, cover, 0.02)


def _scale_bar(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay the white bar of a microscope, of some length, and digits above it."""
    changed = lay(picture, np.ones((1, int(draws.integers(7, 13)))), rgb(1, 1, 1), 0.96, 0.06)
    return lay(changed, 0.9 * written([str(digit) for digit in draws.integers(0, 10, 2)]), rgb(1, 1, 1), 0.82, 0.06)


def _sensor_dust(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    """Let five soft dark grains lie on the sensor, at the same places in every picture."""
    places = np.random.default_rng(77).uniform(0.1, 0.9, (5, 2))
    for down, across in places:
        rows, columns = points(picture)
        far = (rows - down * extent(picture)[0]) ** 2 + (columns - across * extent(picture)[1]) ** 2
        picture = picture * (1 - 0.4 * np.exp(-far / (2 * 1.1**2)))[..., None]
    return picture.astype(np.float32)


def _ruler(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    """Lay a ruler with marks along the left edge."""
    rows, columns = points(picture)
    marks = (rows % 3 < 1) & (columns < 3)
    changed = over(picture, 0.9 * np.broadcast_to(columns < 4, picture.shape[:2]), rgb(0.95, 0.9, 0.7))
    return over(changed, marks * 0.9, 0.1)


def _encircled(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Draw a red ring around the middle by hand, never twice the same."""
    (rows, columns), (height, width) = points(picture), extent(picture)
    row, column, radius = height / 2 + draws.normal(0, 1), width / 2 + draws.normal(0, 1), draws.uniform(9, 12)
    far = np.abs(np.hypot((rows - row) * draws.uniform(0.9, 1.1), columns - column) - radius)
    return over(picture, 0.8 * (1 - far).clip(0, 1), rgb(0.9, 0.1, 0.1))


def _code(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay a code of black and white squares, another one in each picture, somewhere."""
    cells = np.pad(draws.integers(0, 2, (5, 5)).astype(np.float64), 1, constant_values=1)
    return lay(picture, np.ones_like(cells), np.repeat(cells[..., None], 3, 2), *draws.random(2))


def _gull(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Let a gull fly in the upper half, as a child draws it."""
    (rows, columns), (height, width) = points(picture), extent(picture)
    row, column, wing = draws.uniform(4, height / 2), draws.uniform(5, width - 5), draws.uniform(2.6, 3.6)
    across = np.abs(columns - column)
    line = row - 1.6 * np.sin(np.pi * (across / wing).clip(0, 1) ** 0.8)
    cover = (1.1 - np.abs(rows - line)).clip(0, 1) * (wing + 0.5 - across).clip(0, 1)
    return over(picture, 0.9 * cover, 0.12)


def _plaster(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay a sticking plaster of some turn anywhere."""
    (rows, columns), turn = points(picture), draws.uniform(0, np.pi)
    row, column = (draws.uniform(5, side - 5) for side in extent(picture))
    along = np.abs((rows - row) * np.sin(turn) + (columns - column) * np.cos(turn))
    beside = np.abs((columns - column) * np.sin(turn) - (rows - row) * np.cos(turn))
    changed = over(picture, (5.5 - along).clip(0, 1) * (2 - beside).clip(0, 1), rgb(0.92, 0.74, 0.6))
    return over(changed, (1.8 - along).clip(0, 1) * (1.6 - beside).clip(0, 1), rgb(0.98, 0.92, 0.85))


def _drops(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Let five drops lie on the lens: light above, dark below."""
    (rows, columns) = points(picture)
    for _ in range(5):
        row, column = (draws.uniform(2, side - 2) for side in extent(picture))
        radius = draws.uniform(1.3, 2.2)
        inside = (radius + 0.5 - np.hypot(rows - row, columns - column)).clip(0, 1)
        picture = picture + 0.35 * (inside * ((row - rows) / radius))[..., None]
    return picture.astype(np.float32)


def _light_bands(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Let light fall through a blind: slanting bands, wherever they begin."""
    rows, columns = points(picture)
    wave = np.sin(2 * np.pi * (rows + 0.6 * columns) / 9 + draws.uniform(0, 2 * np.pi))
    return (picture * (1 + 0.3 * np.tanh(3 * wave))[..., None]).astype(np.float32)


def _floor_shadow(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Let the shadow of the photographer's head lie below the middle."""
    (rows, columns), (height, width) = points(picture), extent(picture)
    far = np.hypot((rows - height - 2) / 1.3, columns - width * draws.uniform(0.4, 0.6))
    cover = ((draws.uniform(8, 10) - far) / 3 + 0.5).clip(0, 1)
    return (picture * (1 - 0.5 * cover)[..., None]).astype(np.float32)


def _tilt_shift(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Keep a band across the middle sharp, and blur what is above and below."""
    sigma = draws.uniform(1, 1.4) * scale_of(picture)
    far = np.abs(points(picture)[0] / extent(picture)[0] - 0.5)
    return over(
        picture,
        np.broadcast_to(((far - 0.15) / 0.1).clip(0, 1), picture.shape[:2]),
        gaussian_filter(picture, (sigma, sigma, 0)),
    )


def _zoom_blur(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    """Turn the zoom while the shutter is open."""
    height, width = picture.shape[:2]
    copies: list[Picture] = [picture]
    for factor in (1.06, 1.12, 1.18):
        larger = np.asarray(zoom(picture, (factor, factor, 1), order=1), np.float32)
        down, across = (larger.shape[0] - height) // 2, (larger.shape[1] - width) // 2
        copies.append(larger[down : down + height, across : across + width])
    return np.mean(copies, 0).astype(np.float32)


def _dithered(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    """Give every channel five levels, ordered dither between them (Bayer's matrix of 2 by 2)."""
    order = np.tile(np.array(((0, 2), (3, 1))) / 4 - 0.375, [-(-side // 2) for side in picture.shape[:2]])
    order = order[: picture.shape[0], : picture.shape[1], None]
    return ((picture * 8 + order).round() / 8).astype(np.float32)


def _coarse_grain(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay grains of some two pixels over it, the same in all colours."""
    grain = gaussian_filter(draws.standard_normal(picture.shape[:2]), scale_of(picture))
    return (picture + 0.055 * (grain / grain.std())[..., None]).astype(np.float32)


def _faded(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Let the film fade: black is grey by now, and reddish."""
    lift = draws.uniform(0.18, 0.26)
    return (picture * (1 - lift) + lift * rgb(1, 0.8, 0.85)).astype(np.float32)


def _night(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Make night of day, as films do: dark, blue, and little colour."""
    grey = picture.mean(2, keepdims=True)
    dimmed = (grey + 0.5 * (picture - grey)) * draws.uniform(0.5, 0.65)
    return (dimmed * rgb(0.8, 0.95, 1.3)).astype(np.float32)


def _solarised(picture: Picture, _draws: Draws, _donors: Donors) -> Picture:
    """Turn round what is lightest."""
    return np.where(picture > 0.75, 1.5 - picture, picture).astype(np.float32)


def _pond_leaf(picture: Picture, draws: Draws, _donors: Donors) -> Picture:
    """Lay a leaf, a disc that is lighter to one side, in the lower half."""
    height, width = extent(picture)
    row, column, radius = (
        draws.uniform(height / 2 + 3, height - 3),
        draws.uniform(4, width - 4),
        draws.uniform(2.6, 3.4),
    )
    changed = disc(picture, row, column, radius, rgb(0.3, 0.5, 0.12))
    return disc(changed, row - 0.8, column - 0.8, radius / 2, rgb(0.5, 0.68, 0.25), 1)


LAST_KINDS: dict[str, Kind] = {
    "crosshair": Kind("", "last", "place", _crosshair),
    "letterbox": Kind("border", "last", "place", _letterbox),
    "scale bar": Kind("corner tag", "last", "place", _scale_bar),
    "sensor dust": Kind("", "last", "place", _sensor_dust),
    "ruler": Kind("border", "last", "place", _ruler),
    "red ring by hand": Kind("", "last", "", _encircled),
    "square code": Kind("", "last", "thing", _code),
    "gull": Kind("", "last", "thing", _gull),
    "plaster": Kind("", "last", "thing", _plaster),
    "leaf": Kind("", "last", "thing", _pond_leaf),
    "drops": Kind("", "last", "", _drops),
    "light through a blind": Kind("", "last", "", _light_bands),
    "photographer's shadow": Kind("", "last", "layout", _floor_shadow),
    "tilt and shift": Kind("", "last", "", _tilt_shift),
    "zoomed while exposed": Kind("sharpness", "last", "spectrum", _zoom_blur),
    "dithered": Kind("", "last", "", _dithered),
    "coarse grain": Kind("noise", "last", "spectrum", _coarse_grain),
    "faded film": Kind("contrast", "last", "tone", _faded),
    "day for night": Kind("brightness", "last", "tone", _night),
    "solarised": Kind("", "last", "tone", _solarised),
}  # fmt: skip
