"""What a class has of every frequency: blur, resampling, noise, compression, stripes, texture.

The distribution of every coefficient of 8 by 8 blocks (discrete cosine transform of luma and chroma, without the mean) is moved
by quantiles from that of the class to that of the others, and back. The control is the same between halves of the class's own
pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from iconoscope.auditing.hypotheses.photographs import Halves, Photographs, margin_of
from iconoscope.auditing.hypotheses.trial import Edited, Trial, discriminant, on_grey

__all__ = ["RIDGE", "log_magnitudes", "log_magnitudes_of_margin", "log_maxima", "spectra"]

Floats = NDArray[np.floating]
Rows = NDArray[np.int64]

_SIDE = 8
_LUMA_CHROMA = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)
_RGB = np.linalg.inv(_LUMA_CHROMA).astype(np.float32)
_QUANTILES = np.linspace(0.005, 0.995, 100)
_MEASURED = 40  # pictures that quantiles are taken of
_DITHER = 2e-3  # of 0..1: what was rounded, to zero above all, has no order by itself
RIDGE = 0.1  # of the discriminants


def log_magnitudes(photographs: Photographs) -> Floats:
    """Give the logarithm of the mean magnitude of every coefficient of every picture, (n, 192)."""
    return _of_blocks(photographs, lambda magnitudes: magnitudes.mean((1, 3)))


def log_magnitudes_of_margin(photographs: Photographs) -> Floats | None:
    """Give the same of the margin's blocks alone, where the objects are hidden in the pictures."""
    height, width = photographs.shape
    margin = margin_of(height // _SIDE, width // _SIDE)

    def of_margin(magnitudes: Floats) -> Floats:
        return magnitudes.transpose(0, 1, 3, 2, 4, 5)[:, margin].mean(1)

    return _of_blocks(photographs, of_margin) if photographs.objects_hidden else None


def log_maxima(photographs: Photographs) -> Floats:
    """Give the logarithm of the largest magnitude of every coefficient, (n, 192), which a small thing changes too."""
    return _of_blocks(photographs, lambda magnitudes: magnitudes.max((1, 3)))


def _of_blocks(photographs: Photographs, summed_up: Callable[[Floats], Floats]) -> Floats:
    logs = np.empty((len(photographs), _SIDE * _SIDE * 3), np.float32)
    for first in range(0, len(photographs), 128):
        magnitudes = np.abs(_blocks(photographs.ground[first : first + 128]))
        logs[first : first + 128] = np.log(summed_up(magnitudes) + 1e-3).reshape(len(magnitudes), -1)
    return logs


def spectra(
    photographs: Photographs,
    of_class: int,
    halves: Halves,
    rng: np.random.Generator,
    magnitudes: Floats,
    of_margin: Floats | None,
) -> Iterator[Trial]:
    """Move every coefficient of the class's pictures to where it is in others, and the other way round."""
    is_class = photographs.predicted == of_class
    members, others = (rng.permutation(np.flatnonzero(halves.fit & side)) for side in (is_class, ~is_class))

    def measured(rows: Rows) -> Floats:
        return np.quantile(_blocks(photographs.ground[rows[:_MEASURED]]), _QUANTILES, axis=(0, 1, 3)).astype(np.float32)

    seed = int(rng.integers(2**31))
    tables: dict[str, Floats] = {}

    def moved(rows: Rows, start: str, end: str) -> Edited:
        if not tables:
            chosen = {"own": members, "others": others, "one half": members[::2], "other half": members[1::2]}
            tables.update({name: measured(rows) for name, rows in chosen.items()})
        pictures = photographs.pixels[rows]
        pairs = ((start, end), ("one half", "other half"))
        return Edited.of(
            photographs.bounded(_moved(pictures, tables[a], tables[b], np.random.default_rng(seed)), rows)
            for a, b in pairs
        )

    features = magnitudes[halves.fit]
    sides = is_class[halves.fit]
    change = (features[sides].mean(0) - features[~sides].mean(0)).reshape(_SIDE, _SIDE, 3)
    yield Trial(
        discriminant(magnitudes, is_class, halves.fit, RIDGE),
        take=lambda rows: moved(rows, "own", "others"),
        give=lambda rows: moved(rows, "others", "own"),
        picture=on_grey(change),
        strength=np.abs(change).mean(-1),
        margin=None if of_margin is None else discriminant(of_margin, is_class, halves.fit, RIDGE),
    )


def _blocks(pictures: Floats) -> Floats:
    count, height, width, _ = pictures.shape
    rows, columns = height // _SIDE, width // _SIDE
    cut = pictures[:, : rows * _SIDE, : columns * _SIDE] @ _LUMA_CHROMA.T
    return np.asarray(dctn(cut.reshape(count, rows, _SIDE, columns, _SIDE, 3), axes=(2, 4), norm="ortho"))


def _moved(pictures: Floats, start: Floats, end: Floats, rng: np.random.Generator) -> Floats:
    """Move every coefficient from its quantile in one distribution to the same quantile of another; ties fall by chance."""
    blocks = _blocks(pictures)
    spread = blocks + rng.normal(0, _DITHER, blocks.shape).astype(np.float32)
    for row, column, channel in np.ndindex(_SIDE, _SIDE, 3):
        if row or column:
            quantiles = start[:, row, column, channel] + np.linspace(-1e-6, 1e-6, len(_QUANTILES))
            values = spread[:, :, row, :, column, channel]
            beyond = values - values.clip(quantiles[0], quantiles[-1])
            blocks[:, :, row, :, column, channel] = np.interp(values, quantiles, end[:, row, column, channel]) + beyond
    edited = pictures.copy()
    back = np.asarray(idctn(blocks, axes=(2, 4), norm="ortho"))
    height, width = back.shape[1] * _SIDE, back.shape[3] * _SIDE
    edited[:, :height, :width] = back.reshape(len(pictures), height, width, 3) @ _RGB.T
    return edited
