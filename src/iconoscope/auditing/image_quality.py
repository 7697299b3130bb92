"""Traces of the camera and of the file: sharpness, noise, the blocks of JPEG, the size that an image once had."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from iconoscope.auditing.segmentation import Pictures, luminance

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
    light = luminance(pictures.pixels)
    away = np.abs(sharpness_of(light) - values)[:, 0]
    sharper = (values > sharpness_of(light))[:, 0]
    grey, coloured = _Filtered(light[..., None]), _Filtered(pictures.pixels)
    filters = [(sigma, inverse) for sigma in _SIGMAS for inverse in (False, True)]
    chosen = np.full(len(pictures), -1)  # the number of the filter; -1: as it is
    for number, (sigma, inverse) in enumerate(filters):
        rows = np.flatnonzero(sharper == inverse)
        if len(rows):
            distance = np.abs(sharpness_of(grey.passed(rows, sigma, inverse)[..., 0]) - values[rows])[:, 0]
            chosen[rows[distance < away[rows]]] = number
            away[rows] = np.minimum(away[rows], distance)
    edited = pictures.pixels.copy()
    for number in np.unique(chosen[chosen >= 0]).tolist():
        rows = np.flatnonzero(chosen == number)
        edited[rows] = coloured.passed(rows, *filters[number])
    return edited


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

    def passed(self, rows: NDArray[np.intp], sigma: float, inverse: bool) -> Floats:
        """Give some of the pictures after the filter of a sigma in pixels."""
        blur = np.exp(-2 * (np.pi * sigma) ** 2 * self.frequency)
        transfer = (blur * (1 + _WIENER) / (blur**2 + _WIENER) if inverse else blur).astype(np.float32)
        passed = fft.irfft2(self.spectrum[rows] * transfer[None, :, :, None], s=self.size, axes=(1, 2))
        inner = np.s_[:, self.aside : self.aside + self.height, self.aside : self.aside + self.width]
        return np.asarray(passed)[inner].clip(0, 1).astype(np.float32)


def _keep_nearer(best: Floats, away: Floats, rows: NDArray[np.intp], pixels: Floats, distance: Floats) -> None:
    """Take over, in place, the pictures that came nearer to the goal."""
    nearer = distance < away[rows]
    best[rows[nearer]] = pixels[nearer]
    away[rows[nearer]] = distance[nearer]


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
    level, goal = noise_level(pictures.pixels), (np.exp(values[:, 0]) - 2e-3).clip(0, 0.3)
    added = np.sqrt((goal**2 - level**2).clip(0))
    generator = np.random.default_rng(0)
    noisy = pictures.pixels + added[:, None, None, None] * generator.standard_normal(
        (*pictures.pixels.shape[:3], 1), np.float32
    )
    calm = ndimage.gaussian_filter(pictures.pixels, (0, 1, 1, 0))
    detail = pictures.pixels - calm
    share = np.where(level > 0, (goal / np.maximum(level, 1e-6)).clip(0, 1), 1)[:, None, None, None]
    small = np.exp(-((detail / (3 * level[:, None, None, None] + 1e-6)) ** 2))
    shrunk = calm + detail * (1 - small * (1 - share))
    return np.where((goal > level)[:, None, None, None], noisy, shrunk).clip(0, 1).astype(np.float32)


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
    before = blocks(pictures)
    best, away = pictures.pixels.copy(), np.abs(before - values)[:, 0]
    worse = np.flatnonzero(values[:, 0] > before[:, 0])
    better = np.flatnonzero(values[:, 0] <= before[:, 0])
    for quality in _QUALITIES if len(worse) else ():
        stored = np.stack([_stored(pictures.pixels[row], quality) for row in worse])
        _keep_nearer(best, away, worse, stored, np.abs(_blocks(stored) - values[worse])[:, 0])
    for share in (0.25, 0.5, 0.75, 1.0) if len(better) else ():
        smoothed = _unblocked(pictures.pixels[better], share)
        _keep_nearer(best, away, better, smoothed, np.abs(_blocks(smoothed) - values[better])[:, 0])
    return best


def _stored(picture: Floats, quality: int) -> Floats:
    file = io.BytesIO()
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32) / 255


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
