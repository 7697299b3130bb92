"""What a class has of light and colour wherever in the picture: a tint, colours that are faded or swapped, flat contrast.

The tone of a picture is the mean and the covariance of its colours. It is exchanged by the linear map that gives a picture the
mean and covariance of another and moves its colours least (Monge and Kantorovich's; Pitié and Kokaram 2007). As a control the
other picture is of the own class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.hypotheses.photographs import Halves, Photographs, margin_of
from iconoscope.auditing.hypotheses.trial import Edited, Trial, discriminant

__all__ = ["ColourMoments", "colour_moments", "give_tone", "tones"]

Floats = NDArray[np.floating]
Rows = NDArray[np.int64]

_CONTROLS = 2
_RIDGE = 0.1
_LEAST_VARIANCE = 1e-4  # of a colour, squares of 0..1: what is grey has no colour to be made stronger
_OPPONENT = np.array([[1, 1, 1], [1, -1, 0], [0.5, 0.5, -1]]) / np.sqrt([[3], [2], [1.5]])
"""Light, red against green, and yellow against blue, of red, green and blue."""
_PALETTE = 8  # colours, across and down
_BATCH = 128
_SEEN = 4000  # pixels that a palette is drawn of


@dataclass(frozen=True, eq=False)
class ColourMoments:
    """The mean (n, 3) and the covariance (n, 3, 3) of the colours of pictures; and of their margins, where that matters."""

    means: Floats
    covariances: Floats
    margin: ColourMoments | None = None


def colour_moments(photographs: Photographs) -> ColourMoments:
    """Give the moments of the colours of every picture, and of every margin where the objects are hidden."""
    margin = _moments(photographs, margin_of(*photographs.shape)) if photographs.objects_hidden else None
    return replace(_moments(photographs), margin=margin)


def _moments(photographs: Photographs, part: NDArray[np.bool_] | None = None) -> ColourMoments:
    """Give the moments of the colours of every picture, or of a part (height, width) of it, some pictures at a time."""
    means = np.empty((len(photographs), 3))
    covariances = np.empty((len(photographs), 3, 3))
    for first in range(0, len(photographs), _BATCH):
        batch = slice(first, first + _BATCH)
        pictures = photographs.ground[batch]
        colours = pictures.reshape(len(pictures), -1, 3) if part is None else pictures[:, part]
        means[batch] = colours.mean(1, dtype=np.float64)
        centred = colours - means[batch, None].astype(np.float32)
        covariances[batch] = centred.transpose(0, 2, 1) @ centred / centred.shape[1]
    return ColourMoments(means, covariances)


def tones(
    photographs: Photographs, of_class: int, halves: Halves, rng: np.random.Generator, moments: ColourMoments
) -> Iterator[Trial]:
    """Give pictures of the class the tone of others, and others that of the class's."""
    is_class = photographs.predicted == of_class
    members, others = (np.flatnonzero(halves.fit & side) for side in (is_class, ~is_class))
    seed = int(rng.integers(2**31))

    def toned(rows: Rows, pool: Rows) -> Edited:
        generator = np.random.default_rng(seed)
        donors = [generator.choice(pool, len(rows))]
        donors += [photographs.drawn_alike(rows, halves.fit, generator) for _ in range(_CONTROLS)]
        return Edited.of(photographs.bounded(give_tone(photographs, moments, rows, of), rows) for of in donors)

    def scored(of: ColourMoments) -> Floats:
        return discriminant(_tone_numbers(of), is_class, halves.fit, _RIDGE)

    yield Trial(
        scored(moments),
        take=lambda rows: toned(rows, others),
        give=lambda rows: toned(rows, members),
        picture=np.concatenate([_palette(photographs.ground, side, rng) for side in (members, others)]),
        strength=np.ones(photographs.shape, np.float32),
        margin=scored(moments.margin) if moments.margin else None,
    )


def give_tone(photographs: Photographs, moments: ColourMoments, rows: Rows, donors: Rows) -> Floats:
    """Give pictures (m, height, width, 3) the mean and the covariance of the colours of others."""
    pixels = photographs.pixels[rows]
    colours = pixels.reshape(len(rows), -1, 3) - moments.means[rows, None]
    moved = colours @ _least_moving(moments.covariances[rows], moments.covariances[donors])
    return (moved + moments.means[donors, None]).reshape(pixels.shape).clip(0, 1).astype(np.float32)


def _tone_numbers(moments: ColourMoments) -> Floats:
    """Give the tone of every picture, (n, 9): mean, log deviation and correlations of light and of two opponent colours."""
    turned = _OPPONENT @ moments.covariances @ _OPPONENT.T
    deviations = np.sqrt(np.diagonal(turned, axis1=1, axis2=2).clip(_LEAST_VARIANCE / 10))
    correlations = turned / (deviations[:, :, None] * deviations[:, None])
    pairs = correlations[:, (0, 0, 1), (1, 2, 2)]
    return np.concatenate((moments.means @ _OPPONENT.T, np.log(deviations), pairs), 1).astype(np.float32)


def _least_moving(start: Floats, goal: Floats) -> Floats:
    """Give the symmetric maps (n, 3, 3) of one covariance to another: C^-1/2 (C^1/2 D C^1/2)^1/2 C^-1/2."""
    floor = _LEAST_VARIANCE * np.eye(3)
    root, inverse = _root(start + floor, 0.5), _root(start + floor, -0.5)
    return inverse @ _root(root @ (goal + floor) @ root, 0.5) @ inverse


def _root(matrices: Floats, power: float) -> Floats:
    values, vectors = np.linalg.eigh(matrices)
    return (vectors * values.clip(1e-12)[:, None] ** power) @ vectors.transpose(0, 2, 1)


def _palette(pictures: Floats, rows: Rows, rng: np.random.Generator) -> Floats:
    """Give the colours of some pictures in squares (4, 8, 3), the dark ones left, in each column the warm ones above."""
    pixels = pictures.reshape(len(pictures), -1, 3)
    picture, pixel = np.divmod(rng.permutation(len(rows) * pixels.shape[1])[:_SEEN], pixels.shape[1])
    colours = pixels[rows[picture], pixel]
    columns = np.array_split(colours[np.argsort(colours.mean(1), kind="stable")], _PALETTE)
    squares = [
        [cell.mean(0) for cell in np.array_split(column[np.argsort(column[:, 2] - column[:, 0], kind="stable")], 4)]
        for column in columns
    ]
    return np.array(squares, np.float32).transpose(1, 0, 2)
