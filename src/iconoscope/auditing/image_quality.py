"""Traces of the camera and of the file: sharpness, noise, the blocks of JPEG, the size that an image once had."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from iconoscope.auditing.segmentation import Pictures, luminance
from iconoscope.results.rendering import as_bytes

__all__ = [
    "blocks",
    "noise",
    "noise_level",
    "original_size",
    "set_blocks",
    "set_noise",
    "set_original_size",
    "set_sharpness",
    "sharpness",
    "sharpness_of",
]  # fmt: skip

Floats = NDArray[np.floating]
_SMALL = 1e-5
_SIGMAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5)
_QUALITIES = (4, 7, 10, 14, 20, 30, 45, 65, 85)
_SHARES = (0.25, 0.5, 0.75, 1.0)  # of a step across the border of blocks, that are spread
_WIENER = 0.004  # what an inverse filter must not amplify: noise and rounding, as a share of the power


def sharpness(pictures: Pictures) -> Floats:
    """Logarithm of the power of the finest detail over that of coarser detail, (n, 1)."""
    return sharpness_of(luminance(pictures.pixels))


def sharpness_of(light: Floats) -> Floats:
    """Give the sharpness (n, 1) of brightnesses (n, height, width)."""
    fine = (
        4 * light[:, 1:-1, 1:-1] - light[:, :-2, 1:-1] - light[:, 2:, 1:-1] - light[:, 1:-1, :-2] - light[:, 1:-1, 2:]
    )
    rim = max(1, round(0.06 * min(light.shape[1:])))
    coarse = light[:, 4:, 2:-2] - light[:, :-4, 2:-2]
    power = (fine[:, rim:-rim, rim:-rim] ** 2).mean((1, 2)) + _SMALL
    return np.log(power / ((coarse[:, rim:-rim] ** 2).mean((1, 2)) + 20 * _SMALL))[:, None]


def set_sharpness(pictures: Pictures, values: Floats) -> Floats:
    """Blur, or undo a blur (Wiener's filter for a Gaussian), by whatever brings the picture nearest to a sharpness."""
    edited = pictures.pixels.copy()
    sharper = (values > pictures.of_each(sharpness))[:, 0]
    for inverse, levels_of in ((False, _sharpness_when_blurred), (True, _sharpness_when_unblurred)):
        rows = np.flatnonzero(sharper == inverse)
        versions = _nearest(pictures[rows], sharpness, levels_of, values[rows])
        for version in np.unique(versions[versions >= 0]).tolist():
            chosen = rows[versions == version]
            edited[chosen] = _Filtered(pictures.pixels[chosen]).passed(_SIGMAS[version], inverse)
    return edited


def _nearest(
    pictures: Pictures, current: Callable[[Pictures], Floats], levels_of: Callable[[Pictures], Floats], values: Floats
) -> NDArray[np.int64]:
    """Give of some versions of every picture, whose levels (n, versions) are measured, the nearest to a value; -1: as it is."""
    levels = np.concatenate((pictures.of_each(current), pictures.of_each(levels_of)), 1)
    return np.abs(levels - values).argmin(1) - 1


def _sharpness_when_blurred(pictures: Pictures) -> Floats:
    return _sharpness_when_filtered(pictures, inverse=False)


def _sharpness_when_unblurred(pictures: Pictures) -> Floats:
    return _sharpness_when_filtered(pictures, inverse=True)


def _sharpness_when_filtered(pictures: Pictures, *, inverse: bool) -> Floats:
    grey = _Filtered(luminance(pictures.pixels)[..., None])
    return np.concatenate([sharpness_of(grey.passed(sigma, inverse)[..., 0]) for sigma in _SIGMAS], 1)


class _Filtered:
    """Pictures (n, height, width, channels) blurred by a Gaussian, or freed from such a blur."""

    def __init__(self, pixels: Floats) -> None:
        self.height, self.width = pixels.shape[1:3]
        self.aside = min(12, self.height // 2, self.width // 2)
        padded = np.pad(pixels, ((0, 0), (self.aside, self.aside), (self.aside, self.aside), (0, 0)), mode="symmetric")
        self.size = padded.shape[1:3]
        self.spectrum = np.asarray(fft.rfft2(padded, axes=(1, 2)))
        down, across = fft.fftfreq(self.size[0])[:, None], fft.rfftfreq(self.size[1])[None]
        self.frequency = (down**2 + across**2).astype(np.float32)

    def passed(self, sigma: float, inverse: bool) -> Floats:
        """Give the pictures after the filter of a sigma in pixels."""
        blur = np.exp(-2 * (np.pi * sigma) ** 2 * self.frequency)
        transfer = (blur * (1 + _WIENER) / (blur**2 + _WIENER) if inverse else blur).astype(np.float32)
        passed = fft.irfft2(self.spectrum * transfer[None, :, :, None], s=self.size, axes=(1, 2))
        inner = np.s_[:, self.aside : self.aside + self.height, self.aside : self.aside + self.width]
        return np.asarray(passed)[inner].clip(0, 1).astype(np.float32)


def noise(pictures: Pictures) -> Floats:
    """Logarithm of the standard deviation of the noise, (n, 1): by the median of the diagonal detail (Donoho 1994)."""
    return np.log(noise_level(pictures.pixels) + 2e-3)[:, None]


def noise_level(pixels: Floats) -> Floats:
    """Give the standard deviation of the noise (n,) of pictures (n, height, width, 3)."""
    light = luminance(pixels)
    diagonal = (light[:, 1:, 1:] - light[:, :-1, 1:] - light[:, 1:, :-1] + light[:, :-1, :-1]) / 2
    return (np.median(np.abs(diagonal), (1, 2)) / 0.6745).astype(np.float32)


def set_noise(pictures: Pictures, values: Floats) -> Floats:
    """Add noise, or shrink what is as small as noise, to a level; edges stay."""
    level, goal = pictures.of_each(_noise_levels)[:, 0], (np.exp(values[:, 0]) - 2e-3).clip(0, 0.3)
    noisier = goal > level
    added = np.sqrt((goal**2 - level**2).clip(0))[noisier, None, None, None]
    drawn = np.random.default_rng(0).standard_normal((*pictures.pixels.shape[:3], 1), np.float32)
    edited = np.empty_like(pictures.pixels)
    edited[noisier] = pictures.pixels[noisier] + added * drawn[noisier]
    pixels, level, goal = pictures.pixels[~noisier], level[~noisier, None, None, None], goal[~noisier, None, None, None]
    calm = ndimage.gaussian_filter(pixels, (0, 1, 1, 0))
    detail = pixels - calm
    share = np.where(level > 0, (goal / np.maximum(level, 1e-6)).clip(0, 1), 1)
    small = np.exp(-((detail / (3 * level + 1e-6)) ** 2))
    edited[~noisier] = calm + detail * (1 - small * (1 - share))
    return edited.clip(0, 1).astype(np.float32)


def _noise_levels(pictures: Pictures) -> Floats:
    return noise_level(pictures.pixels)[:, None]


def blocks(pictures: Pictures) -> Floats:
    """Logarithm of the steps across the borders of JPEG's blocks of 8 x 8 over those within them, (n, 1)."""
    return _blocks(pictures.pixels)


def _blocks(pixels: Floats) -> Floats:
    light = luminance(pixels)
    at, within = [], []
    for axis in (1, 2):
        steps = np.abs(np.diff(light, axis=axis)).clip(0, 0.1).mean(3 - axis)
        border = np.arange(steps.shape[1]) % 8 == 7
        at.append(steps[:, border].mean(1))
        within.append(steps[:, ~border].mean(1))
    return np.log((np.mean(at, 0) + 1e-3) / (np.mean(within, 0) + 1e-3))[:, None].astype(np.float32)


def set_blocks(pictures: Pictures, values: Floats) -> Floats:
    """Store the picture as a JPEG of lower quality, or smooth the borders of its blocks, to a level of blocks."""
    edited = pictures.pixels.copy()
    more = (values > pictures.of_each(blocks))[:, 0]
    for blockier, levels_of in ((True, _blocks_when_stored), (False, _blocks_when_smoothed)):
        rows = np.flatnonzero(more == blockier)
        versions = _nearest(pictures[rows], blocks, levels_of, values[rows])
        for version in np.unique(versions[versions >= 0]).tolist():
            chosen, pixels = rows[versions == version], pictures.pixels[rows[versions == version]]
            edited[chosen] = _stored(pixels, _QUALITIES[version]) if blockier else _unblocked(pixels, _SHARES[version])
    return edited


def _blocks_when_stored(pictures: Pictures) -> Floats:
    return np.concatenate([_blocks(_stored(pictures.pixels, quality)) for quality in _QUALITIES], 1)


def _blocks_when_smoothed(pictures: Pictures) -> Floats:
    return np.concatenate([_blocks(_unblocked(pictures.pixels, share)) for share in _SHARES], 1)


def _stored(pixels: Floats, quality: int) -> Floats:
    """Give pictures (n, height, width, 3) as JPEG of a quality has them."""
    stored = np.empty_like(pixels)
    for picture, before in zip(stored, as_bytes(pixels), strict=True):
        with io.BytesIO() as file:
            Image.fromarray(before).save(file, "JPEG", quality=quality)
            picture[:] = np.asarray(Image.open(file))
    return stored / 255


def _unblocked(pixels: Floats, share: float) -> Floats:
    """Spread every step across a block's border over the four pixels on either side, as far as it is no edge."""
    smoothed = pixels.copy()
    ramp = np.array((0.06, 0.19, 0.31, 0.44), np.float32) * share
    for axis in (1, 2):
        length = smoothed.shape[axis]
        for border in range(8, length - 3, 8):
            moved = np.moveaxis(smoothed, axis, 0)
            step = moved[border] - moved[border - 1]
            step = step * (np.abs(step).max(-1, keepdims=True) < 0.25)
            for distance in range(4):
                moved[border - 1 - distance] += ramp[3 - distance] * step
                moved[border + distance] -= ramp[3 - distance] * step
    return smoothed.clip(0, 1)


def original_size(pictures: Pictures) -> Floats:
    """Logarithm of the shorter side that the image had before the network's preprocessing, (n, 1)."""
    return np.log(pictures.sizes.min(1))[:, None].astype(np.float32)


def set_original_size(pictures: Pictures, values: Floats) -> Floats:
    """Make the picture as coarse as an image of so many pixels would be; detail that is not there cannot be given."""
    edited = pictures.pixels.copy()
    height, width = pictures.shape
    for row, goal in enumerate(np.exp(values[:, 0])):
        share = goal / min(height, width)
        if share < 1 and goal < pictures.sizes[row].min():
            picture = Image.fromarray((edited[row] * 255).round().astype(np.uint8))
            small = picture.resize((max(2, round(width * share)), max(2, round(height * share))), Image.Resampling.BOX)
            edited[row] = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    return edited
