"""Real images that a prior keeps, and pictures as tensors and as pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["PriorImages", "as_pictures", "as_pixels"]


@dataclass(frozen=True, eq=False)
class PriorImages:
    """Real images that a prior was fitted to, or some of them.

    Attributes
    ----------
    pixels : ndarray of uint8, (images, height, width, channels)
        As the prior knows them.
    labels : ndarray of int, (images,)
        Indices into the prior's classes, -1 where nothing was said.
    names : tuple of str
        Their ids.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]


def as_pictures(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Give pixels (n, height, width, channels) of 0..255 as pictures (n, channels, height, width) of 0..1."""
    # A copy: pictures may be read-only, of which torch warns.
    return torch.from_numpy(np.array(pixels.transpose(0, 3, 1, 2), order="C")).float() / 255


def as_pixels(pictures: torch.Tensor) -> NDArray[np.uint8]:
    """Give pictures (n, channels, height, width) of 0..1 as (n, height, width, channels) of 0..255."""
    pixels = (pictures.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.movedim(1, -1).cpu().numpy())
