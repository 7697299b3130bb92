"""How plausible a picture is among real images: how likely its latent is, and how near the nearest of them.

A prior that copies what it was fitted to is caught by the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.priors.prior_images import PriorImages, as_pictures

__all__ = ["Plausibility", "RealImageComparison"]

NEIGHBOURS = 3
"""Number of the nearest real images that are shown."""

SIDE = 32
"""Side at which pictures are compared, pixels: fine texture decides nothing there."""

SPREAD_SAMPLE = 300
"""Images, about, between which distances are averaged."""


@dataclass(frozen=True, eq=False)
class Plausibility:
    """Pictures against real images.

    Attributes
    ----------
    likelier_than : ndarray of float32, (n,)
        The share of real images whose latents are less likely.
    neighbours : ndarray of int, (n, `NEIGHBOURS`)
        The indices of the nearest real images.
    distance : ndarray of float32, (n,)
        To the nearest (root mean square over pixels, it or its mirror image), over that of a typical real image to the
        nearest other one.
    spread : ndarray of float32, (n,)
        Mean distance between two real images of the picture's class, or of any two.
    """

    likelier_than: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    distance: NDArray[np.float32]
    spread: NDArray[np.float32]


class RealImageComparison:
    """Real images, ready for pictures to be compared with.

    Parameters
    ----------
    reference
        The real images.
    encode
        From pictures (n, channels, height, width) to latents (n, size).
    cost
        From latents to how unlikely they are, (n,).
    """

    def __init__(
        self,
        reference: PriorImages,
        encode: Callable[[torch.Tensor], torch.Tensor],
        cost: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self._cost, self._labels = cost, reference.labels
        pictures = as_pictures(reference.pixels)
        self._flat = _flat(pictures)
        self._mirrored = _flat(pictures.flip(3))
        with torch.inference_mode():
            self._costs = torch.cat([cost(encode(batch)) for batch in pictures.split(64)])
        distances = self._distances(self._flat)
        distances.fill_diagonal_(float("inf"))
        nearest = self._exact_distances(self._flat, distances.argmin(1))
        # Copies of an image say nothing of how far images are from each other.
        apart = nearest[nearest > 0]
        self.typical = float(apart.median()) if len(apart) else 1.0

    def _distances(self, flat: torch.Tensor) -> torch.Tensor:
        """Give the distances (n, images) to real images or their mirror images, whichever is nearer."""
        return torch.minimum(torch.cdist(flat, self._flat), torch.cdist(flat, self._mirrored)) / flat.shape[1] ** 0.5

    def _exact_distances(self, flat: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Give the distances (n,) to one image each; those to all at once are a matrix product, which rounds what is small."""
        distances = [(flat - real[images]).square().mean(1).sqrt() for real in (self._flat, self._mirrored)]
        return torch.stack(distances).amin(0)

    def compare(self, pictures: torch.Tensor, latents: torch.Tensor, labels: Sequence[int]) -> Plausibility:
        """Compare pictures (n, channels, height, width) of 0..1 and their latents with real images."""
        flat = _flat(pictures)
        distances = self._distances(flat)
        nearest = distances.topk(min(NEIGHBOURS, distances.shape[1]), largest=False)
        exact = self._exact_distances(flat, nearest.indices[:, 0])
        with torch.inference_mode():
            cost = self._cost(latents)
        spreads = {label: self._spread(label) for label in set(labels)}
        return Plausibility(
            likelier_than=(self._costs[None] > cost[:, None]).float().mean(1).numpy(),
            neighbours=nearest.indices.numpy(),
            distance=(exact / self.typical).numpy(),
            spread=np.array([spreads[label] for label in labels], np.float32),
        )

    def _spread(self, label: int) -> float:
        of_class = self._labels == label
        chosen = self._flat[torch.from_numpy(of_class)] if label >= 0 and of_class.sum() > 1 else self._flat
        chosen = chosen[:: max(1, len(chosen) // SPREAD_SAMPLE)]
        return float(torch.pdist(chosen).mean()) / chosen.shape[1] ** 0.5


def _flat(pictures: torch.Tensor) -> torch.Tensor:
    """Give pictures at most `SIDE` pixels large, (n, numbers)."""
    scale = min(1.0, SIDE / max(pictures.shape[2:]))
    size = [max(1, round(scale * length)) for length in pictures.shape[2:]]
    return torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True).flatten(1)
