"""Properties of images, measured as the audit measures its nuisances and written on scales that a person reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from iconoscope.auditing import illumination, image_quality, object_properties
from iconoscope.auditing.segmentation import Pictures, luminance
from iconoscope.errors import ImageFileError
from iconoscope.occlusion.query import fitted_object
from iconoscope.progress import track
from iconoscope.subject.images import Image, Images
from iconoscope.subject.network import Preprocessing

__all__ = ["MEASURES", "measured"]

Floats = NDArray[np.floating]
Measure = Callable[[Pictures], Floats]

_AT_ONCE = 4_000_000  # pixels of the pictures that are measured together
_LEAST = 12  # pixels of the shorter side of an object's box whose sharpness is measured


def _object_distance(pictures: Pictures) -> Floats:
    """How far the middle of the object's box is from the picture's, (n,): 1 at the border, along the farther axis."""
    height, width = pictures.shape
    middle, foot, _, tall = pictures.boxes.T
    return np.maximum(np.abs(2 * middle / width - 1), np.abs(2 * (foot - tall / 2) / height - 1))


def _object_brightness(pictures: Pictures) -> Floats:
    return luminance(pictures.object_colour)


def _object_contrast(pictures: Pictures) -> Floats:
    """How far the object's mean brightness is from that of a ring around it, a tenth of the picture wide, (n,)."""
    light, width = luminance(pictures.pixels), max(2, round(0.1 * min(pictures.shape)))
    values = np.full(len(pictures), np.nan, np.float32)
    for row, mask in enumerate(pictures.object):
        ring = ndimage.binary_dilation(mask, iterations=width) & ~mask
        if ring.any() and mask.any():
            values[row] = abs(float(light[row][mask].mean()) - float(light[row][ring].mean()))
    return values


def _object_sharpness(pictures: Pictures) -> Floats:
    """Sharpness within the object's box, (n,); NaN where that is too small to tell."""
    values = np.full(len(pictures), np.nan, np.float32)
    for row, mask in enumerate(pictures.object):
        down, across = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if mask.any() and min(np.ptp(down), np.ptp(across)) + 1 >= _LEAST:
            box = np.s_[row : row + 1, down[0] : down[-1] + 1, across[0] : across[-1] + 1]
            values[row] = image_quality.sharpness_of(luminance(pictures.pixels[box]))[0, 0]
    return values


MEASURES: dict[str, Measure] = {
    "brightness": lambda pictures: illumination.brightness(pictures)[:, 0],
    "contrast": lambda pictures: luminance(pictures.pixels).std((1, 2)),
    "saturation": lambda pictures: illumination.saturation(pictures)[:, 0],
    "sharpness": lambda pictures: image_quality.sharpness(pictures)[:, 0],
    "noise": lambda pictures: image_quality.noise_level(pictures.pixels),
    "original size": lambda pictures: np.exp(image_quality.original_size(pictures)[:, 0]),
    "aspect": lambda pictures: np.exp(object_properties.aspect(pictures)[:, 0]),
    "object size": lambda pictures: np.exp(object_properties.size(pictures)[:, 0]),
    "object distance": _object_distance,
    "object brightness": _object_brightness,
    "object contrast": _object_contrast,
    "object sharpness": _object_sharpness,
}
"""Each from pictures to one number a picture, (n,)."""


def measured(
    preprocessing: Preprocessing, images: Images, rows: NDArray[np.int64], names: Iterable[str]
) -> dict[str, NDArray[np.float64]]:
    """Measure some images as the network is shown them.

    Parameters
    ----------
    preprocessing
        The network's.
    images, rows
        A set, and which of it.
    names
        Keys of `MEASURES`.

    Returns
    -------
    dict of str to ndarray of float64, (rows,)
        NaN where an image cannot be read any more, or where its object is not known.
    """
    values = {name: np.full(len(rows), np.nan) for name in names}
    height, width = preprocessing.size
    together = max(1, _AT_ONCE // (height * width))
    for first in track(range(0, len(rows), together), "measuring images"):
        places: list[int] = []
        batch: list[tuple[NDArray[np.uint8], NDArray[np.bool_] | None, tuple[int, int]]] = []
        for number in range(first, min(first + together, len(rows))):
            image: Image = images[int(rows[number])]
            try:
                batch.append(
                    (preprocessing.fit(image.pixels), fitted_object(preprocessing, image)[0], image.pixels.shape[:2])
                )
            except ImageFileError:
                continue  # it could be read when it was recorded; the result says how many were looked at
            places.append(number)
        if places:
            pictures = _pictures(*zip(*batch, strict=True))
            known = pictures.object_known
            for name, column in values.items():
                numbers = np.asarray(MEASURES[name](pictures), np.float64)
                column[places] = np.where(known, numbers, np.nan) if name.startswith("object ") else numbers
    return values


def _pictures(
    pixels: tuple[NDArray[np.uint8], ...],
    masks: tuple[NDArray[np.bool_] | None, ...],
    sizes: tuple[tuple[int, int], ...],
) -> Pictures:
    """Put pictures together without looking for objects and backgrounds: nothing that is measured here reads these."""
    floats = np.stack(pixels).astype(np.float32) / 255
    nowhere = np.zeros(floats.shape[1:3], np.bool_)
    objects = np.stack([nowhere if mask is None else mask for mask in masks])
    known = np.array([mask is not None for mask in masks])
    return Pictures(floats, objects, objects, floats, floats, known, np.array(sizes, np.int64))
