"""Kinds of shortcut to plant in photographs: to choose constants by, to be run once, and to be run once after that.

A kind changes one picture. All its random numbers come from a generator of the picture's row and of a seed, so the same row
with the same seed carries the same thing, whatever else is planted and wherever the row stands. Sizes are in pixels of a
picture 32 pixels high and grow with it.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks.drawing import Draws, Kind, Picture, disc, extent, lay, over, points, rgb, scale_of, written
from benchmarks.fresh_kinds import FRESH_KINDS
from benchmarks.last_kinds import LAST_KINDS

__all__ = ["KINDS", "plant"]


def plant(
    name: str,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    *,
    seed: int = 0,
    donors: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Plant a kind of shortcut in photographs.

    Parameters
    ----------
    name
        A key of `KINDS`.
    pixels
        (n, height, width, 3), 32 pixels high and wide or more.
    rows
        (n,): a number for each photograph, 0 or more, which with the seed decides what is drawn for it.
    seed
        0 or more.
    donors
        Other photographs of the same size, (m, height, width, 3); without them those of `pixels`.

    Returns
    -------
    (n, height, width, 3), uint8.

    Examples
    --------
    >>> grey = np.full((2, 32, 32, 3), 90, np.uint8)
    >>> marked = plant("dead pixel", grey, np.arange(2))
    >>> (marked != grey).any(3).sum((1, 2))
    array([1, 1])
    """
    change, donors = KINDS[name].plant, pixels if donors is None else donors
    changed = np.empty_like(pixels)
    for index, row in enumerate(rows.tolist()):
        planted = change(pixels[index].astype(np.float32) / 255, np.random.default_rng((seed, row)), donors)
        changed[index] = (planted.clip(0, 1) * 255).round()
    return changed


# ---------------------------------------------------------------------------------------------------------------------
# At a fixed place
# ---------------------------------------------------------------------------------------------------------------------

_LOGO = np.array(
    [[int(cell) for cell in line] for line in ("011110", "122111", "121121", "121121", "111221", "011110")]
)


def _logo(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    colour = np.array(((0.0, 0.0, 0.0), (0.1, 0.25, 0.7), (0.95, 0.95, 0.9)))[_LOGO]
    return lay(picture, np.where(_LOGO > 0, 0.9, 0.0), colour, 0.42, 0.6)


def _dead_pixel(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return lay(picture, np.ones((1, 1)), rgb(1, 1, 1), 0.3, 0.7)


def _timestamp(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    digits = written([str(digit) for digit in draws.integers(0, 10, 5)])
    return lay(picture, 0.85 * digits, rgb(1, 0.75, 0.2), 0.97, 0.5)


def _stamp(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return lay(picture, np.full((3, 10), 0.9), rgb(0.95, 0.55, 0.1), 0.93, 0.9)


def _hot_column(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    columns = points(picture)[1]
    hot = np.floor(columns) == np.floor(0.68 * extent(picture)[1])
    return (picture + hot[..., None] * draws.uniform(0.22, 0.32)).astype(np.float32)


def _watermark(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return lay(picture, 0.3 * written("EXHALTE"), rgb(1, 1, 1), 0.5, 0.5)


def _frame(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    edge = max(1, round(scale_of(picture)))
    changed = np.full_like(picture, draws.uniform(0.02, 0.12))
    changed[edge:-edge, edge:-edge] = picture[edge:-edge, edge:-edge]
    return changed


def _gains(count: int, scale: float, off: float, seed: int) -> NDArray[np.float64]:
    """Give the gain of each line of a sensor, a little off in one direction or the other, the same for every picture."""
    lines = np.random.default_rng(seed).choice((-off, off), 512)
    return 1 + lines[(np.arange(count) / scale).astype(np.int64)]


def _column_banding(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return (picture * _gains(picture.shape[1], scale_of(picture), 0.03, 1)[None, :, None]).astype(np.float32)


def _row_banding(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return (picture * _gains(picture.shape[0], scale_of(picture), 0.045, 2)[:, None, None]).astype(np.float32)


def _mirrored_edge(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    edge = round(3 * scale_of(picture))
    return np.pad(picture[edge:-edge, edge:-edge], ((edge, edge), (edge, edge), (0, 0)), "symmetric")


# ---------------------------------------------------------------------------------------------------------------------
# Across the picture
# ---------------------------------------------------------------------------------------------------------------------


def _side_light(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    across = 2 * points(picture)[1] / extent(picture)[1] - 1
    return (picture * (1 - draws.uniform(0.32, 0.46) * across)[..., None]).astype(np.float32)


def _vignette(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    (rows, columns), (height, width) = points(picture), extent(picture)
    far = (2 * rows / height - 1) ** 2 + (2 * columns / width - 1) ** 2
    return (picture * (1 - draws.uniform(0.4, 0.55) * (far / 2) ** 1.5)[..., None]).astype(np.float32)


def _glow(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    (rows, columns), width = points(picture), extent(picture)[1]
    near = np.exp(-(rows**2 + (width - columns) ** 2) / (2 * 8.0**2))[..., None]
    return (picture + draws.uniform(0.5, 0.65) * near * rgb(1, 0.7, 0.3)).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------------------
# Things at random places
# ---------------------------------------------------------------------------------------------------------------------


def _lamp(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    height, width = extent(picture)
    row, column = draws.uniform(3, height / 3), draws.uniform(3, width - 3)
    return disc(picture, row, column, draws.uniform(1.9, 2.5), rgb(1, 0.97, 0.75))


def _buoy(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    row, column = (draws.uniform(3, side - 3) for side in extent(picture))
    return disc(picture, row, column, draws.uniform(1.7, 2.3), rgb(0.95, draws.uniform(0.15, 0.35), 0.08))


def _text(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    letters = written(draws.choice(list("AEHLTX"), 3).tolist())
    return lay(picture, 0.9 * letters, rgb(1, 1, 0.85), *draws.random(2))


def _ring(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    radius = draws.uniform(3, 6)
    (rows, columns), centre = points(picture), [draws.uniform(radius, side - radius) for side in extent(picture)]
    far = np.abs(np.hypot(rows - centre[0], columns - centre[1]) - radius)
    cover = 0.85 * (1.1 - far).clip(0, 1)
    return over(picture, cover, rgb(0.95, 0.95, 1))


def _triangle(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    side, turn = draws.uniform(5, 10), draws.uniform(0, 2 * np.pi)
    inner = side / (2 * np.sqrt(3))  # radius of the circle inside
    (rows, columns), centre = points(picture), [draws.uniform(side / 2, each - side / 2) for each in extent(picture)]
    angles = turn + 2 * np.pi / 3 * np.arange(3)
    out = [(rows - centre[0]) * np.sin(each) + (columns - centre[1]) * np.cos(each) for each in angles]
    cover = (inner + 0.5 - np.maximum.reduce(out)).clip(0, 1)
    return over(picture, cover, rgb(0.55, 0.15, 0.6))


def _scratch(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    (rows, columns), (height, width) = points(picture), extent(picture)
    angle, offset = draws.uniform(0, np.pi), draws.uniform(-0.25, 0.25) * min(height, width)
    far = np.abs((rows - height / 2) * np.cos(angle) - (columns - width / 2) * np.sin(angle) - offset)
    cover = 0.8 * (1.0 - far).clip(0, 1)
    return over(picture, cover, 0.95)


def _companion(picture: Picture, draws: Draws, donors: NDArray[np.uint8]) -> Picture:
    """Paste the middle of another photograph, at half its size and with a soft edge."""
    donor, side = donors[draws.integers(len(donors))], round(15 * scale_of(picture))
    edge = donor.shape[0] // 8
    cut = Image.fromarray(donor[edge:-edge, edge:-edge]).resize((side, side), Image.Resampling.BICUBIC)
    down, across = (int(draws.integers(0, length - side + 1)) for length in picture.shape[:2])
    line = 2 * (np.arange(side) + 0.5) / side - 1
    cover = (3 * (1 - np.hypot(line[:, None], line[None]))).clip(0, 1)[..., None]
    changed = picture.copy()
    window = changed[down : down + side, across : across + side]
    window += (cover * (np.asarray(cut) / 255 - window)).astype(np.float32)
    return changed


def _salt_and_pepper(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    for grain in range(8):
        picture = lay(picture, np.ones((1, 1)), np.full(3, float(grain % 2)), *draws.random(2))
    return picture


# ---------------------------------------------------------------------------------------------------------------------
# Of the whole picture: spectrum and tone
# ---------------------------------------------------------------------------------------------------------------------


def _bytes(picture: Picture) -> Image.Image:
    return Image.fromarray((picture * 255).round().astype(np.uint8))


def _resampled(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    height, width = picture.shape[:2]
    small = _bytes(picture).resize((round(width * 0.75), round(height * 0.75)), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255


def _jpeg(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    file = io.BytesIO()
    _bytes(picture).save(file, "JPEG", quality=int(draws.integers(12, 21)))
    return np.asarray(Image.open(file), np.float32) / 255


def _blurred(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return gaussian_filter(picture, (sigma := draws.uniform(0.6, 0.9) * scale_of(picture), sigma, 0))


def _noisy(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return picture + 0.03 * draws.standard_normal(picture.shape, np.float32)


def _sharpened(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    sigma = scale_of(picture)
    return picture + np.float32(draws.uniform(0.9, 1.4)) * (picture - gaussian_filter(picture, (sigma, sigma, 0)))


def _posterised(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return (picture * 11).round() / 11


def _grid(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    rows, columns = points(picture)
    turns = draws.uniform(0, 2 * np.pi, 2)
    waves = np.sin(2 * np.pi * rows / 3 + turns[0]) + np.sin(2 * np.pi * columns / 3 + turns[1])
    return (picture + 0.03 * waves[..., None]).astype(np.float32)


def _fringed(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    step = max(1, round(scale_of(picture)))
    changed = picture.copy()
    changed[:, step:, 0], changed[:, :-step, 2] = picture[:, :-step, 0], picture[:, step:, 2]
    return changed


def _swapped(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return picture[..., ::-1]


def _warm(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    warm = draws.uniform(0.16, 0.24)
    return (picture * rgb(1 + warm, 1, 1 - warm)).astype(np.float32)


def _flat(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    mean = picture.mean((0, 1))
    return mean + np.float32(draws.uniform(0.4, 0.55)) * (picture - mean)


def _desaturated(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    grey = picture.mean(2, keepdims=True)
    return grey + np.float32(draws.uniform(0.05, 0.2)) * (picture - grey)


# ---------------------------------------------------------------------------------------------------------------------
# Drawn after the others had been run
# ---------------------------------------------------------------------------------------------------------------------


def _crescent(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    """Lay a green crescent of some size and turn anywhere."""
    radius, turn = draws.uniform(2.6, 4.0), draws.uniform(0, 2 * np.pi)
    rows, columns = points(picture)
    row, column = (draws.uniform(radius, side - radius) for side in extent(picture))
    whole = (radius + 0.5 - np.hypot(rows - row, columns - column)).clip(0, 1)
    shift = 0.7 * radius
    bite = (radius + 0.5 - np.hypot(rows - row - shift * np.sin(turn), columns - column - shift * np.cos(turn))).clip(
        0, 1
    )
    cover = whole * (1 - bite)
    return over(picture, cover, rgb(0.2, 0.85, 0.3))


def _sepia(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    grey = picture.mean(2, keepdims=True)
    share = np.float32(draws.uniform(0.7, 0.9))
    return (picture + share * (grey * rgb(1.12, 0.98, 0.78) - picture)).astype(np.float32)


def _cut_corner(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    (rows, columns), width = points(picture), extent(picture)[1]
    cover = (draws.uniform(5, 7) - rows - (width - columns) + 0.5).clip(0, 1)[..., None]
    return (picture * (1 - cover)).astype(np.float32)


def _chequered(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    rows, columns = points(picture)
    sign = 1 - 2 * ((np.floor(rows) + np.floor(columns)) % 2)
    return (picture + 0.025 * sign[..., None]).astype(np.float32)


def _double_exposure(picture: Picture, _draws: Draws, donors: NDArray[np.uint8]) -> Picture:
    return (0.82 * picture + 0.18 * donors[0] / 255).astype(np.float32)


def _sticker(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    """Lay a small sticker of two colours near one of the four sides."""
    cover, colour = np.full((4, 5), 0.95), np.broadcast_to(rgb(0.1, 0.75, 0.8), (4, 5, 3)).copy()
    colour[1:3, 1:4] = (0.9, 0.2, 0.5)
    spots = ((0.02, draws.random()), (0.98, draws.random()), (draws.random(), 0.02), (draws.random(), 0.98))
    return lay(picture, cover, colour, *spots[draws.integers(4)])


def _underexposed(picture: Picture, draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    return (picture.clip(0, 1) ** np.float32(draws.uniform(1.7, 2.1))).astype(np.float32)


def _interlaced(picture: Picture, _draws: Draws, _donors: NDArray[np.uint8]) -> Picture:
    """Shift every other line by a pixel."""
    lines = (np.arange(picture.shape[0]) / scale_of(picture)).astype(int) % 2 == 1
    changed = picture.copy()
    changed[lines] = np.roll(picture, max(1, round(scale_of(picture))), 1)[lines]
    return changed


KINDS: dict[str, Kind] = (
    {
        "logo near the centre": Kind("", "tuning", "place", _logo),
        "orange stamp": Kind("corner tag", "frozen", "place", _stamp),
        "dead pixel": Kind("", "tuning", "place", _dead_pixel),
        "hot column": Kind("", "frozen", "place", _hot_column),
        "timestamp": Kind("", "tuning", "place", _timestamp),
        "watermark": Kind("", "frozen", "place", _watermark),
        "frame of one pixel": Kind("border", "tuning", "place", _frame),
        "mirrored edge": Kind("", "frozen", "", _mirrored_edge),
        "banding of columns": Kind("", "tuning", "place", _column_banding),
        "banding of rows": Kind("", "frozen", "place", _row_banding),
        "light from one side": Kind("light gradient", "tuning", "layout", _side_light),
        "vignette": Kind("", "frozen", "layout", _vignette),
        "lamp": Kind("", "tuning", "thing", _lamp),
        "glow in a corner": Kind("", "frozen", "layout", _glow),
        "text": Kind("", "tuning", "thing", _text),
        "buoy": Kind("", "frozen", "thing", _buoy),
        "triangle": Kind("", "tuning", "", _triangle),
        "ring": Kind("", "frozen", "", _ring),
        "scratch": Kind("", "tuning", "", _scratch),
        "companion": Kind("", "frozen", "", _companion),
        "salt and pepper": Kind("", "tuning", "", _salt_and_pepper),
        "grid": Kind("", "frozen", "", _grid),
        "resampled": Kind("sharpness", "tuning", "spectrum", _resampled),
        "JPEG quality": Kind("JPEG quality", "frozen", "spectrum", _jpeg),
        "sharpened": Kind("sharpness", "tuning", "spectrum", _sharpened),
        "blurred": Kind("sharpness", "frozen", "spectrum", _blurred),
        "noise": Kind("noise", "tuning", "spectrum", _noisy),
        "colour fringe": Kind("", "frozen", "", _fringed),
        "posterised": Kind("", "tuning", "", _posterised),
        "lower contrast": Kind("contrast", "frozen", "tone", _flat),
        "warm cast": Kind("colour cast", "tuning", "tone", _warm),
        "desaturated": Kind("saturation", "frozen", "tone", _desaturated),
        "swapped channels": Kind("", "tuning", "", _swapped),
        "crescent": Kind("", "unseen", "thing", _crescent),
        "sepia": Kind("saturation", "unseen", "tone", _sepia),
        "cut corner": Kind("", "unseen", "place", _cut_corner),
        "chequered": Kind("", "unseen", "", _chequered),
        "double exposure": Kind("", "unseen", "", _double_exposure),
        "sticker at the side": Kind("", "unseen", "thing", _sticker),
        "underexposed": Kind("brightness", "unseen", "tone", _underexposed),
        "interlaced": Kind("", "unseen", "", _interlaced),
    }
    | FRESH_KINDS
    | LAST_KINDS
)
