"""Things over or behind the object that can be copied: the background's texture, what is in the corners, a border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from iconoscope.auditing.segmentation import Pictures, luminance

__all__ = [
    "border",
    "corners",
    "give_background",
    "give_border",
    "give_corners",
    "give_object",
    "give_texture",
    "texture",
]

Floats = NDArray[np.floating]
_SMALL = 1e-5
_STRONG = 0.15  # of 0..1: what is farther from a smooth background is something that lies over it
_CORNER = 0.25  # of the shorter side: the squares in the corners that are exchanged


def texture(pictures: Pictures) -> Floats:
    """Strength and direction of the background's texture: up against across, and along the diagonals, (n, 4)."""
    rough = luminance(pictures.ground - pictures.smooth)
    aside = max(3, round(min(pictures.shape) / 16))
    inner = rough[:, aside:-aside, aside:-aside]
    down, across = np.diff(inner, axis=1)[:, :, 1:], np.diff(inner, axis=2)[:, 1:]
    energy = [(step**2).mean((1, 2)) + _SMALL for step in (across, down, across + down, across - down)]
    ways = [np.log(energy[0] / energy[1]), np.log(energy[2] / energy[3])]
    fine = np.log((energy[0] + energy[1]) / (inner.var((1, 2)) + _SMALL))
    return np.stack([np.log(inner.std((1, 2)) + 1e-3), *ways, fine], 1).astype(np.float32)


def give_texture(pictures: Pictures, donors: Pictures) -> Floats:
    """Give the background the donor's texture, on its own light and colour."""
    textured = pictures.smooth + donors.ground - donors.smooth
    # What lies in the corners or along the border may be a tag or a frame, which are nuisances of their own.
    untouched = pictures.frame.copy()
    for rows, columns in _squares(pictures.shape):
        untouched[rows, columns] = True
    textured = np.where(untouched[None, ..., None], pictures.pixels, textured)
    return (textured * (1 - pictures.soft_foreign) + pictures.pixels * pictures.soft_foreign).clip(0, 1)


def corners(pictures: Pictures) -> Floats:
    """Amount of what is no background in each corner, (n, 4): upper left, upper right, lower left, lower right."""
    away = _over(pictures)
    return np.stack([np.abs(away[:, rows, columns]).mean((1, 2, 3)) for rows, columns in _squares(pictures.shape)], 1)


def give_corners(pictures: Pictures, donors: Pictures) -> Floats:
    """Take what lies in the corners away, and put the donor's there; objects stay."""
    edited = pictures.pixels.copy()
    removed, added = _over(pictures), _over(donors)
    for rows, columns in _squares(pictures.shape):
        corner = edited[:, rows, columns]
        edited[:, rows, columns] = corner - removed[:, rows, columns] + added[:, rows, columns]
    return np.where(_whole_objects(pictures)[..., None], pictures.pixels, edited).clip(0, 1)


def _over(pictures: Pictures) -> Floats:
    """Give what lies over the smooth background and is not the object, (n, height, width, 3); zero elsewhere."""
    away = pictures.pixels - pictures.smooth
    strong = np.abs(away).max(-1) > _STRONG
    near = np.asarray(ndimage.maximum_filter(strong, (1, 3, 3)), np.bool_) & ~_whole_objects(pictures)
    return np.where(near[..., None], away, 0)


def _whole_objects(pictures: Pictures) -> NDArray[np.bool_]:
    """Give the objects (n, height, width), without what was found in a corner alone: that is no object but lies over one."""
    inside = np.ones(pictures.shape, np.bool_)
    for rows, columns in _squares(pictures.shape):
        inside[rows, columns] = False
    share = (pictures.object & inside).sum((1, 2)) / np.maximum(1, pictures.object.sum((1, 2)))
    return pictures.object & (share > 0.25)[:, None, None]


def _squares(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    side = max(3, round(_CORNER * min(shape)))
    first, last = slice(0, side), slice(-side, None)
    return [(rows, columns) for rows in (first, last) for columns in (first, last)]


def border(pictures: Pictures) -> Floats:
    """Difference of the outermost pixels from those inside them, and whether brighter or darker, (n, 2)."""
    away = (pictures.pixels - _inside(pictures))[:, pictures.frame]
    return np.stack([np.abs(away).mean((1, 2)), luminance(away).mean(1)], 1)


def give_border(pictures: Pictures, donors: Pictures) -> Floats:
    """Put what the donor has along its border in place of the own."""
    framed = _inside(pictures) + donors.pixels - _inside(donors)
    return np.where(pictures.frame[None, ..., None], framed, pictures.pixels).clip(0, 1)


def _inside(pictures: Pictures) -> Floats:
    """Give the pictures with their outermost pixels replaced by the next ones inside."""
    wide = int(pictures.frame[:, pictures.shape[1] // 2].argmin())
    inner = pictures.pixels[:, wide:-wide, wide:-wide]
    return np.pad(inner, ((0, 0), (wide, wide), (wide, wide), (0, 0)), mode="edge")


def give_background(pictures: Pictures, donors: Pictures) -> Floats:
    """Put the object, where it is, before the donor's whole background."""
    return pictures.pixels * pictures.soft + donors.ground * (1 - pictures.soft)


def give_object(pictures: Pictures, donors: Pictures) -> Floats:
    """Put the donor's object where the own one was, standing on the same spot before the own background."""
    edited = np.empty_like(pictures.pixels)
    for row, (box, donor_box) in enumerate(zip(pictures.boxes, donors.boxes, strict=True)):
        down, across = round(float(box[1] - donor_box[1])), round(float(box[0] - donor_box[0]))
        donated = shifted(donors.pixels[row], down, across)
        cover = shifted(donors.soft[row], down, across)
        edited[row] = donated * cover + pictures.ground[row] * (1 - cover)
    return edited


def shifted(picture: Floats, down: int, across: int) -> Floats:
    """Move a picture by whole pixels; what comes in is zero.

    >>> shifted(np.arange(6.0).reshape(2, 3, 1), 0, 1)[..., 0]
    array([[0., 0., 1.], [0., 3., 4.]])
    """
    height, width = picture.shape[:2]
    moved = np.zeros_like(picture)
    target = slice(max(0, down), min(height, height + down)), slice(max(0, across), min(width, width + across))
    source = slice(max(0, -down), min(height, height - down)), slice(max(0, -across), min(width, width - across))
    if target[0].start < target[0].stop and target[1].start < target[1].stop:
        moved[target] = picture[source]
    return moved
