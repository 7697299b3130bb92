"""Pictures taken apart: the object, the background behind it, and the light on that background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from iconoscope.progress import track

__all__ = ["LUMINANCE", "Pictures", "luminance", "take_apart"]

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32)

# Shares of the shorter side. The ring tells what the background is like; the frame outside it may be a border that was added.
_FRAME, _RING = 0.05, 0.16
_SAMPLE = 1500  # pixels of the ring that the light is fitted to
# When it is sure what the object is: most of the ring is near a smooth light, and little else stands out. Of the suite's drawn
# cars 88% and more are such, of CIFAR-10's photographs 31%, of ImageNet's 13%.
_PLAIN, _PLAIN_MOST, _ELSE = 0.05, 0.125, 0.13  # of 0..1, in the median and of four fifths; share of the picture
_TRIM = 0.35  # of how far the object stands out: what stands out less is not of it
_SHARE = (0.015, 0.75)  # of the picture: an object that was found is one if it takes so much of it
_BATCH = 64  # pictures that something is worked out of at once


@dataclass(frozen=True, eq=False)
class Pictures:
    """Some pictures at the network's size, and where their objects and backgrounds are; every array has one row a picture.

    Attributes
    ----------
    pixels
        (n, height, width, 3) float32, 0..1.
    object
        (n, height, width) bool: where the object is, as given or as found.
    foreign
        (n, height, width) bool: the object, and all else that stands out from a smooth background (a tag, a second thing).
    smooth
        (n, height, width, 3) float32: the background's light and colour as a polynomial of second degree.
    ground
        (n, height, width, 3) float32: the picture with the object taken out, the hole filled with background.
    object_known
        (n,) bool: whether where the object is was given, or found before a background plain enough to be sure.
    sizes
        (n, 2) int: height and width of the image before the network's preprocessing.
    """

    pixels: Floats
    object: Bools
    foreign: Bools
    smooth: Floats
    ground: Floats
    object_known: Bools
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> Pictures:
        chosen = Pictures(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})
        origin, own_rows = self._origin
        vars(chosen)["_chosen_from"] = origin, own_rows[rows]
        return chosen

    @property
    def _origin(self) -> tuple[Pictures, NDArray[np.int64]]:
        """The pictures that these were chosen from, and which of them they are."""
        return vars(self).get("_chosen_from") or (self, np.arange(len(self)))

    @cached_property
    def _measured(self) -> dict[Callable[[Pictures], Floats], tuple[Floats, Bools]]:
        """What was worked out, in rows for all pictures, and for which it was."""
        return {}

    def of_each(self, measure: Callable[[Pictures], Floats]) -> Floats:
        """Give what a function gives of pictures, a row for each, worked out once for a picture however often it is chosen.

        Parameters
        ----------
        measure
            What it gives of a picture, (n, ...), does not depend on the others. It is known by itself: a function that is
            made anew for every call is worked out anew.

        Examples
        --------
        >>> pictures = take_apart(np.full((3, 32, 32, 3), 255, np.uint8), [None] * 3, np.full((3, 2), 32))
        >>> pictures[np.array([2, 0, 2])].of_each(lambda chosen: chosen.pixels[:, 0, 0, :1]).tolist()
        [[1.0], [1.0], [1.0]]
        """
        origin, rows = self._origin
        if measure not in origin._measured and len(origin):
            like = measure(origin[rows[:1] if len(rows) else slice(0, 1)])
            origin._measured[measure] = (
                np.empty((len(origin), *like.shape[1:]), like.dtype),
                np.zeros(len(origin), np.bool_),
            )
        values, known = origin._measured[measure]
        unknown = np.unique(rows[~known[rows]])
        for first in range(0, len(unknown), _BATCH):
            batch = unknown[first : first + _BATCH]
            values[batch], known[batch] = measure(origin[batch]), True
        return values[rows]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @cached_property
    def frame(self) -> Bools:
        """(height, width): the outermost pixels, where a border would be."""
        return _rim(self.shape, _FRAME)

    @cached_property
    def soft(self) -> Floats:
        """(n, height, width, 1), 0..1: the object with a soft edge."""
        return self.of_each(_soft_objects)

    @cached_property
    def soft_foreign(self) -> Floats:
        """(n, height, width, 1), 0..1: all that stands out, with a soft edge."""
        return self.of_each(_soft_foreign)

    @cached_property
    def object_colour(self) -> Floats:
        """(n, 3): the mean over the object; over the picture where there is none."""
        return self.of_each(_object_colours)

    @cached_property
    def background_colour(self) -> Floats:
        """(n, 3): the mean over what is neither object nor otherwise foreign, without the frame."""
        return self.of_each(_background_colours)

    @cached_property
    def colour(self) -> Floats:
        """(n, 3): the mean over all."""
        return self.of_each(_colours)

    @cached_property
    def boxes(self) -> Floats:
        """(n, 4): the column of the object's middle, the row it stands on, its width and its height, pixels.

        The middle of the box and not of the object: the latter depends on the shape, by which classes may rightly differ.
        """
        return self.of_each(_boxes)


def _soft_objects(pictures: Pictures) -> Floats:
    return _softened(pictures.object)


def _soft_foreign(pictures: Pictures) -> Floats:
    return _softened(pictures.foreign)


def _object_colours(pictures: Pictures) -> Floats:
    return _mean(pictures.pixels, pictures.object)


def _background_colours(pictures: Pictures) -> Floats:
    return _mean(pictures.pixels, ~pictures.foreign & ~pictures.frame)


def _colours(pictures: Pictures) -> Floats:
    return pictures.pixels.mean((1, 2))


def _boxes(pictures: Pictures) -> Floats:
    height, width = pictures.shape
    boxes = np.empty((len(pictures), 4), np.float32)
    for row, mask in enumerate(pictures.object):
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if len(columns):
            left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
            boxes[row] = (left + right) / 2, bottom, right - left, bottom - top
        else:
            boxes[row] = width / 2, 0.8 * height, width / 2, height / 2
    return boxes


def luminance(pixels: Floats) -> Floats:
    """Give the brightness of colours (..., 3), 0..1 (ITU-R BT.601).

    >>> luminance(np.ones((2, 3), np.float32)).round(3)
    array([1., 1.], dtype=float32)
    """
    return pixels @ LUMINANCE


def take_apart(pixels: NDArray[np.uint8], masks: list[Bools | None], sizes: NDArray[np.int64]) -> Pictures:
    """Find the object, where it is not given, and the background of every picture.

    Before a background that is nearly smooth, the object is what stands out most near the middle: from a polynomial that is
    fitted to a ring near the border, three times over without the farthest fifth. Elsewhere nothing is sure, and
    ``object_known`` says so.

    Parameters
    ----------
    pixels
        (n, height, width, 3).
    masks
        Where the object is, (height, width) each, or None.
    sizes
        (n, 2), as in `Pictures`.
    """
    shape = pixels.shape[1:3]
    light = _Light(shape)
    floats = pixels.astype(np.float32) / 255
    segmented = [
        _segment(picture, mask, light)
        for picture, mask in track(list(zip(floats, masks, strict=True)), "taking pictures apart")
    ]
    smooth, objects, foreign = (np.stack([picture[part] for picture in segmented]) for part in range(3))
    return Pictures(
        floats,
        objects,
        foreign,
        smooth,
        ground=_filled(floats, objects, foreign, smooth),
        object_known=np.array([sure for _, _, _, sure in segmented], np.bool_),
        sizes=np.asarray(sizes, np.int64),
    )


class _Light:
    """A polynomial of second degree over a picture, fitted to the ring near its border."""

    def __init__(self, shape: tuple[int, int]) -> None:
        height, width = shape
        down, across = np.mgrid[0:height, 0:width].astype(np.float32)
        v, u = (2 * down + 1) / height - 1, (2 * across + 1) / width - 1
        self.basis = np.stack([np.ones_like(u), u, v, u * v, u * u, v * v], -1).reshape(-1, 6)
        self.shape = shape
        self.frame = _rim(shape, _FRAME)
        ring = np.flatnonzero((_rim(shape, _RING) & ~self.frame).ravel())
        self.ring = ring[:: max(1, len(ring) // _SAMPLE)]
        self.all = np.flatnonzero(~self.frame.ravel())[:: max(1, self.frame.size // _SAMPLE)]
        self.centre = np.hypot(u, v)
        aside, wide = max(2, round(_FRAME * min(shape))), max(3, round(_RING * min(shape)))
        self.beside = np.r_[aside:wide, width - wide : width - aside]  # columns near the sides

    def fit(self, picture: Floats, mask: Bools | None) -> tuple[Floats, bool]:
        """Give the light (height, width, 3), and whether most of the ring is near it."""
        fitted = self.ring if mask is None else self.all[~mask.ravel()[self.all]]
        if len(fitted) < 30:
            fitted = self.ring
        values = picture.reshape(-1, 3)[fitted]
        near = np.ones(len(fitted), np.bool_)
        coefficients = np.zeros((6, 3), np.float32)
        for _ in range(3):
            coefficients = np.linalg.lstsq(self.basis[fitted[near]], values[near], rcond=None)[0]
            away = np.abs(values - self.basis[fitted] @ coefficients).mean(1)
            near = away <= np.quantile(away, 0.8)
        # Far from the ring a polynomial may go anywhere.
        light = (self.basis @ coefficients).reshape(*self.shape, 3).clip(0, 1).astype(np.float32)
        away = np.abs(picture - light).mean(-1).ravel()[fitted]
        return light, bool(np.median(away) < _PLAIN and np.quantile(away, 0.8) < _PLAIN_MOST)


def _segment(picture: Floats, mask: Bools | None, light: _Light) -> tuple[Floats, Bools, Bools, bool]:
    """Give light (height, width, 3), object and all that stands out (height, width), and whether the object is sure."""
    smooth, plain = light.fit(picture, mask)
    scale = min(light.shape) / 64
    # What a whole row differs from the light by is a horizon or a stripe, not an object.
    away = picture - smooth
    away = away - np.median(away[:, light.beside], 1, keepdims=True)
    away = np.linalg.norm(ndimage.gaussian_filter(away, (1.2 * scale, 1.2 * scale, 0)), axis=-1)
    bound = np.clip(1.6 * np.quantile(away.ravel()[light.ring], 0.8), 0.06, 0.25)
    parts, sizes = _parts(np.asarray(ndimage.binary_opening((away > bound) & ~light.frame), np.bool_))
    grown = max(1, round(2 * scale))
    foreign = _grown(np.isin(parts, np.flatnonzero(sizes >= 12 * scale**2)), grown)
    if mask is not None:
        return smooth, mask, foreign | _grown(mask, grown), True
    mask, sure = np.zeros(light.shape, np.bool_), False
    if len(sizes) > 1:
        distance = np.asarray(ndimage.mean(light.centre, parts, np.arange(len(sizes))))
        best = int((sizes * np.exp(-2 * np.nan_to_num(distance) ** 2)).argmax())
        mask = _grown(_trimmed(parts == best, away, grown), grown)
        sure = plain and float((foreign & ~mask).mean()) < _ELSE and _SHARE[0] <= float(mask.mean()) <= _SHARE[1]
    return smooth, mask, foreign | mask, sure


def _trimmed(part: Bools, away: Floats, grown: int) -> Bools:
    """Leave only the object: what stands out a third as far is its shadow, or the unevenness of the ground."""
    strong = part & (away > _TRIM * np.quantile(away[part], 0.9))
    pieces, sizes = _parts(np.asarray(ndimage.binary_closing(strong, iterations=grown), np.bool_) & part)
    largest = pieces == int(sizes.argmax()) if len(sizes) > 1 else part
    return np.asarray(ndimage.binary_fill_holes(largest), np.bool_)


def _parts(mask: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the connected parts of a mask, numbered from 1, and their sizes by number; that of 0, the rest, is nothing."""
    numbered = np.zeros(mask.shape, np.int64)
    ndimage.label(mask, output=numbered)
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    return numbered, sizes


def _grown(mask: Bools, pixels: int) -> Bools:
    return np.asarray(ndimage.binary_dilation(mask, iterations=pixels), np.bool_)


def _filled(pixels: Floats, objects: Bools, foreign: Bools, smooth: Floats) -> Floats:
    """Inpaint objects (n, height, width) with background from elsewhere in the picture: what differs from its light, moved."""
    filled, empty = pixels.copy(), objects.copy()
    unusable = foreign | _rim(pixels.shape[1:3], _FRAME)
    height, width = pixels.shape[1:3]
    moves = (
        lambda a: a[:, :, ::-1],
        lambda a: np.roll(a, width * 3 // 8, 2),
        lambda a: np.roll(a, -(width * 3 // 8), 2),
        lambda a: a[:, ::-1],
        lambda a: a[:, ::-1, ::-1],
        lambda a: np.roll(a, height * 3 // 8, 1),
    )
    for move in moves:
        usable = empty & ~move(unusable)
        filled[usable] = (smooth + move(pixels) - move(smooth))[usable]
        empty &= ~usable
    filled[empty] = smooth[empty]
    return filled.clip(0, 1)


def _rim(shape: tuple[int, int], share: float) -> Bools:
    """Give the pixels within so much of the shorter side from the border, two pixels at the least."""
    wide = max(2, round(share * min(shape)))
    rim = np.ones(shape, np.bool_)
    rim[wide:-wide, wide:-wide] = False
    return rim


def _softened(masks: Bools) -> Floats:
    sigma = max(0.7, min(masks.shape[1:]) / 64)
    return ndimage.gaussian_filter(masks.astype(np.float32), (0, sigma, sigma))[..., None]


def _mean(pixels: Floats, masks: Bools) -> Floats:
    weight = masks.sum((1, 2))[:, None]
    total = np.einsum("nhwc,nhw->nc", pixels, masks.astype(np.float32))
    return np.where(weight > 0, total / np.maximum(weight, 1), pixels.mean((1, 2))).astype(np.float32)
