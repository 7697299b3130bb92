"""What comes at a fixed place: the difference of class means, of what is fine and of what is coarse (a layout).

What is fine is either added to the picture (a watermark, stripes) or covers it (a stamp). The control of what is added is a
difference between halves of the class's own pictures, made as strong; of what covers, the same elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from iconoscope.auditing.hypotheses.photographs import (
    Halves,
    Photographs,
    filled_from_around,
    full_size,
    margin_of,
    reduced,
    shift_elsewhere,
)
from iconoscope.auditing.hypotheses.trial import Edited, Trial, discriminant, on_grey

__all__ = ["cell_means", "layouts", "marks", "stamps"]

Floats = NDArray[np.floating]
Rows = NDArray[np.int64]

_FINE, _COARSE = 1.5, 3.0  # standard deviations of the blur, 32nds of the shorter side
_CELLS = 8  # of a layout, along each side
_CONTROLS = 2
_STRONG = 0.3  # of the strongest difference, for a pixel to belong to a stamp
_LARGEST = 0.3  # of the picture, for it to be one
_DONORS = 0.5  # of the class's pictures, those that show it most


def marks(photographs: Photographs, of_class: int, halves: Halves, rng: np.random.Generator) -> Iterator[Trial]:
    """Make a mark, which is added to the pictures."""
    pattern, controls = _patterns(photographs, of_class, halves, rng, fine=True)
    yield _added(photographs, _filtered(photographs, pattern), pattern, controls)


def stamps(photographs: Photographs, of_class: int, halves: Halves, rng: np.random.Generator) -> Iterator[Trial]:
    """Make a stamp, which covers a place: where the difference is strong, filled from around, or copied from the class."""
    pattern, _ = _patterns(photographs, of_class, halves, rng, fine=True)
    yield from _covering(photographs, of_class, halves, rng, _filtered(photographs, pattern), pattern)


def layouts(
    photographs: Photographs, of_class: int, halves: Halves, rng: np.random.Generator, cells: Floats
) -> Iterator[Trial]:
    """Make a layout of what is coarse, which is added: scored by a discriminant on the means of cells."""
    pattern, controls = _patterns(photographs, of_class, halves, rng, fine=False)
    is_class = photographs.predicted == of_class
    trial = _added(photographs, discriminant(cells, is_class, halves.fit, 1.0), pattern, controls)
    if photographs.objects_hidden:
        outside = cells.reshape(len(cells), -1, 3)[:, margin_of(_CELLS, _CELLS).ravel()]
        outside = (outside - outside.mean(1, keepdims=True)).reshape(len(cells), -1)
        trial = replace(trial, margin=discriminant(outside, is_class, halves.fit, 1.0))
    yield trial


def cell_means(photographs: Photographs) -> Floats:
    """Give the mean colours of 8 by 8 cells of every picture less that of all of it, which is its tone, (n, 192)."""
    height, width = photographs.shape
    rows, columns = (np.linspace(0, size, _CELLS + 1).round().astype(int)[:-1] for size in (height, width))
    sums = np.add.reduceat(np.add.reduceat(photographs.ground, rows, 1), columns, 2)
    areas = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    relative = sums / areas[..., None] - photographs.ground.mean((1, 2), keepdims=True)
    return relative.reshape(len(photographs), -1)


def _patterns(
    photographs: Photographs, of_class: int, halves: Halves, rng: np.random.Generator, *, fine: bool
) -> tuple[Floats, list[Floats]]:
    members = np.flatnonzero(halves.fit & (photographs.predicted == of_class))
    others = np.flatnonzero(halves.fit & (photographs.predicted != of_class))

    def difference(first: Rows, second: Rows) -> Floats:
        ground = photographs.ground
        return _band(ground[first].mean(0) - ground[second].mean(0), photographs.unit, fine=fine)

    pattern, controls = difference(members, others), []
    for _ in range(_CONTROLS):
        shuffled = rng.permutation(members)
        between = difference(shuffled[::2], shuffled[1::2])
        controls.append(between * float(np.linalg.norm(pattern) / max(np.linalg.norm(between), 1e-9)))
    return pattern, controls


def _band(pattern: Floats, unit: float, *, fine: bool) -> Floats:
    sigma = (_FINE if fine else _COARSE) * unit
    smooth = ndimage.gaussian_filter(pattern, (sigma, sigma, 0), mode="nearest")
    return pattern - smooth if fine else smooth


def _filtered(photographs: Photographs, pattern: Floats) -> Floats:
    """Score pictures by a matched filter, as fine noise is nearly white."""
    # The band is symmetric but at the border: a picture's fine part times the pattern is the picture times the pattern's.
    return photographs.ground.reshape(len(photographs), -1) @ _band(pattern, photographs.unit, fine=True).ravel()


def _added(photographs: Photographs, score: Floats, pattern: Floats, controls: list[Floats]) -> Trial:
    def shifted(rows: Rows, sign: int) -> Edited:
        pictures = photographs.pixels[rows]
        return Edited.of(photographs.bounded(pictures + sign * change, rows) for change in (pattern, *controls))

    return Trial(
        score,
        take=lambda rows: shifted(rows, -1),
        give=lambda rows: shifted(rows, 1),
        picture=on_grey(pattern),
        strength=np.abs(pattern).mean(-1),
    )


def _covering(
    photographs: Photographs, of_class: int, halves: Halves, rng: np.random.Generator, score: Floats, pattern: Floats
) -> Iterator[Trial]:
    factor = max(1, int(photographs.unit))
    # Blurred a little: single pixels that differ by chance are no stamp, and its edge belongs to it.
    small = ndimage.gaussian_filter(reduced(np.abs(pattern)[None], factor)[0].mean(-1), 0.8)
    small = (small - np.median(small)).clip(0)
    covered = small >= _STRONG * small.max()
    if covered.mean() > _LARGEST:
        return
    members = np.flatnonzero(halves.fit & (photographs.predicted == of_class))
    donors = members[np.argsort(-score[members], kind="stable")[: max(1, round(_DONORS * len(members)))]]
    cover = covered[None, ..., None].astype(np.float32)
    # The same shape elsewhere, round the edges of the picture.
    covers = [cover, *(np.roll(cover, shift_elsewhere(small.shape, rng), (1, 2)) for _ in range(_CONTROLS))]
    seed = int(rng.integers(2**31))

    def take(rows: Rows) -> Edited:
        pictures = photographs.pixels[rows]
        pixels = reduced(pictures, factor)
        filled = (filled_from_around(pictures, pixels, mask, factor, 2.5) for mask in covers)
        return Edited.of(photographs.bounded(version, rows) for version in filled)

    def give(rows: Rows) -> Edited:
        donated = photographs.pixels[np.random.default_rng(seed).choice(donors, len(rows))]
        pictures = photographs.pixels[rows]
        masks = (full_size(mask, factor, photographs.shape) for mask in covers)
        return Edited.of(photographs.bounded(pictures + mask * (donated - pictures), rows) for mask in masks)

    yield Trial(score, take, give, on_grey(pattern), small * covered)
