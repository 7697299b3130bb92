"""How a picture stands among real images: how likely it is, and how near to the nearest of them.

A prior that copies what it was fitted to is caught by the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.priors.prior import Prior, Reference, as_pictures

__all__ = ["Found", "Standing"]

NEIGHBOURS = 3
"""How many of the nearest real images are shown."""

SIDE = 32
"""Side at which pictures are compared, pixels: fine texture decides nothing there."""


@dataclass(frozen=True, eq=False)
class Found:
    """What was found of pictures.

    Attributes
    ----------
    likelier_than : ndarray of float32, (n,)
        The share of real images whose latents are less likely.
    places : ndarray of int, (n, `NEIGHBOURS`)
        The nearest real images, in the reference.
    distance : ndarray of float32, (n,)
        To the nearest (root mean square over pixels, it or its mirror image), over that of a typical real image to the
        nearest other one.
    spread : ndarray of float32, (n,)
        Mean distance between two real images of the picture's class, or of any two.
    """

    likelier_than: NDArray[np.float32]
    places: NDArray[np.int64]
    distance: NDArray[np.float32]
    spread: NDArray[np.float32]


class Standing:
    """Real images, ready to hold pictures against."""

    def __init__(self, prior: Prior, reference: Reference) -> None:
        self._prior, self._labels = prior, reference.labels
        pictures = as_pictures(reference.pixels)
        self._flat = small(pictures)
        self._mirrored = small(pictures.flip(3))
        with torch.inference_mode():
            self._costs = torch.cat([prior.cost(prior.encode(some), [-1] * len(some)) for some in pictures.split(64)])
        apart = self._apart(self._flat)
        apart.fill_diagonal_(float("inf"))
        self.typical = float(apart.amin(1).median())

    def _apart(self, flat: torch.Tensor) -> torch.Tensor:
        """Give the distances (n, images) to real images or their mirror images, whichever is nearer."""
        return torch.minimum(torch.cdist(flat, self._flat), torch.cdist(flat, self._mirrored)) / flat.shape[1] ** 0.5

    def _exactly(self, flat: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Give the distances (n,) to one image each; those to all at once are a matrix product, which rounds what is small."""
        both = torch.stack([(flat - real[places]).square().mean(1).sqrt() for real in (self._flat, self._mirrored)])
        return both.amin(0)

    def find(self, pictures: torch.Tensor, latents: torch.Tensor, labels: Sequence[int]) -> Found:
        """Hold pictures (n, channels, height, width) of 0..1 and their latents against real images."""
        flat = small(pictures)
        apart = self._apart(flat)
        nearest = apart.topk(min(NEIGHBOURS, apart.shape[1]), largest=False)
        exact = self._exactly(flat, nearest.indices[:, 0])
        with torch.inference_mode():
            cost = self._prior.cost(latents, [-1] * len(latents))
        spreads = {label: self._spread(label) for label in set(labels)}
        return Found(
            likelier_than=(self._costs[None] > cost[:, None]).float().mean(1).numpy(),
            places=nearest.indices.numpy(),
            distance=(exact / self.typical).numpy(),
            spread=np.array([spreads[label] for label in labels], np.float32),
        )

    def _spread(self, label: int) -> float:
        own = self._labels == label
        chosen = self._flat[torch.from_numpy(own)] if label >= 0 and own.sum() > 1 else self._flat
        chosen = chosen[:: max(1, len(chosen) // 300)]
        return float(torch.pdist(chosen).mean()) / chosen.shape[1] ** 0.5


def small(pictures: torch.Tensor) -> torch.Tensor:
    """Give pictures at most `SIDE` pixels large, flat."""
    scale = min(1.0, SIDE / max(pictures.shape[2:]))
    size = [max(1, round(scale * length)) for length in pictures.shape[2:]]
    return torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True).flatten(1)
