"""A few pixels that give the answer alone, whatever they look like: a ring of any size, writing, a hair on the lens.

Of every picture the few pixels that add most to its answer are copied onto pictures of other classes. To an honest network a
small part of the object says little there; a shortcut gives its answer whatever it is laid over. As a control a picture gets
such pixels of its own class, and what is covered in the class's pictures is covered elsewhere in them. As objects may be small
too, the fine detail of whole pictures has to tell the class, as it does where something foreign is in them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from iconoscope.auditing.hypotheses.photographs import (
    Halves,
    Photographs,
    filled_from_around,
    full_size,
    shift_elsewhere,
)
from iconoscope.auditing.hypotheses.recurring_thing import Level
from iconoscope.auditing.hypotheses.spectrum import RIDGE
from iconoscope.auditing.hypotheses.trial import Edited, Trial, discriminant

__all__ = ["telling_pixels"]

Floats = NDArray[np.floating]
Rows = NDArray[np.int64]

_SHARE = 0.06  # of the picture
_SMOOTHED = 0.7  # standard deviation, pixels of the level: single pixels that matter by chance are no detail
_FILLED = 2.5  # standard deviation of what they are filled with, pixels of the level


def telling_pixels(
    photographs: Photographs,
    of_class: int,
    halves: Halves,
    rng: np.random.Generator,
    pyramid: list[Level],
    magnitudes: Floats,
    maxima: Floats,
) -> Iterator[Trial]:
    """Fill the pixels that the class's answers hang on, and copy them onto others."""
    level = pyramid[0]
    is_class = photographs.predicted == of_class
    members = np.flatnonzero(halves.fit & is_class)
    score = discriminant(np.concatenate((magnitudes, maxima), 1), is_class, halves.fit, RIDGE)
    seed = int(rng.integers(2**31))

    def take(rows: Rows) -> Edited:
        generator = np.random.default_rng(seed)
        covers = _covers(level, rows)
        elsewhere = np.stack([np.roll(cover, shift_elsewhere(cover.shape[:2], generator), (0, 1)) for cover in covers])
        pixels, small = photographs.pixels[rows], level.pictures[rows]
        filled = (filled_from_around(pixels, small, cover, level.factor, _FILLED) for cover in (covers, elsewhere))
        return Edited.of(photographs.bounded(version, rows) for version in filled)

    def give(rows: Rows) -> Edited:
        generator = np.random.default_rng(seed + 1)
        donors = generator.choice(members, len(rows)), photographs.drawn_alike(rows, halves.fit, generator)
        return Edited.of(photographs.bounded(_copied(photographs, level, rows, of), rows) for of in donors)

    clearest = members[np.argsort(-score[members], kind="stable")]
    yield Trial(score, take, give, _alone(photographs, level, clearest[0]), _covers(level, clearest).mean(0)[..., 0])


def _covers(level: Level, rows: Rows) -> Floats:
    """Mark the pixels of a level that add most to each answer, (m, rows, columns, 1) of 0 and 1."""
    adding = np.stack([ndimage.gaussian_filter(values.clip(0), _SMOOTHED) for values in level.contributions[rows]])
    least = np.quantile(adding.reshape(len(rows), -1), 1 - _SHARE, axis=1)[:, None, None]
    return ((adding >= least) & (adding > 0))[..., None].astype(np.float32)


def _copied(photographs: Photographs, level: Level, rows: Rows, donors: Rows) -> Floats:
    """Copy the telling pixels of donors onto pictures, to where they were."""
    pictures = photographs.pixels[rows]
    covers = full_size(_covers(level, donors), level.factor, photographs.shape)
    return pictures + covers * (photographs.pixels[donors] - pictures)


def _alone(photographs: Photographs, level: Level, row: int) -> Floats:
    """Give the telling pixels of one picture on grey."""
    cover = full_size(_covers(level, np.array([row])), level.factor, photographs.shape)[0]
    return 0.5 + cover * (photographs.pixels[row] - 0.5)
