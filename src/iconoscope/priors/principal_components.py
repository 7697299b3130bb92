"""Principal components of pictures and of their mirror images, in one pass over however many there are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Moments", "PrincipalComponents"]

FLOOR = 1e-3
"""The least standard deviation of a component, in units of 0..1: rounding to 8 bits makes as much."""

TOGETHER = 4096
"""So many pictures are summed up in float32, and these sums in float64, which takes its time."""


@dataclass(frozen=True)
class PrincipalComponents:
    """The directions in which pictures vary most.

    Attributes
    ----------
    mean : torch.Tensor
        (channels, height, width), of pictures of 0..1.
    vectors : torch.Tensor
        (components, channels, height, width), orthonormal, the strongest first.
    deviations : torch.Tensor
        (components,) the standard deviation along each.
    explained : float
        The share of the variance that they explain, 0..1.
    """

    mean: torch.Tensor
    vectors: torch.Tensor
    deviations: torch.Tensor
    explained: float


class Moments:
    """Mean and covariance of pictures, summed up batch by batch: memory does not grow with their number.

    Parameters
    ----------
    shape
        Channels, height and width.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        size = shape[0] * shape[1] * shape[2]
        self._count = 0
        self._origin: torch.Tensor | None = None
        self._sum = torch.zeros(size, dtype=torch.float64)
        self._products = torch.zeros(size, size, dtype=torch.float64)
        self._recent, self._since = torch.zeros(size, size, dtype=torch.float32), 0

    def add(self, pictures: torch.Tensor) -> None:
        """Add pictures (n, channels, height, width)."""
        if self._origin is None:
            self._origin = pictures.flatten(1).mean(0)
        flat = pictures.flatten(1) - self._origin  # nearly centred: float32 is enough for the products of some thousand
        self._count += len(flat)
        self._sum += flat.sum(0, dtype=torch.float64)
        self._recent.addmm_(flat.T, flat)
        self._since += len(flat)
        if self._since >= TOGETHER:
            self._add_recent()

    def _add_recent(self) -> None:
        self._products += self._recent
        self._recent.zero_()
        self._since = 0

    def components(self, most: int) -> PrincipalComponents:
        """Give at most so many components of the pictures and of their mirror images.

        The covariance of both together is the mean of the covariance and of what it is in mirrored places, so mirror images
        need not be looked at. It falls into two parts that know nothing of each other, of patterns that are their own mirror
        image and of those that are its negative; so two decompositions of half the size are enough, and every component is of
        one of the two kinds.
        """
        assert self._origin is not None
        self._add_recent()
        origin = self._origin.view(self.shape)
        mean = (self._sum / self._count).view(self.shape)
        covariance = self._products / self._count - torch.outer(mean.flatten(), mean.flatten())
        values, vectors = [], []
        for sign in (1, -1) if self.shape[2] > 1 else (1,):
            across = _folded(covariance.view(-1, self.shape[2]), sign).view(len(covariance), -1)
            block = _folded(across.T.reshape(-1, self.shape[2]), sign).view(across.shape[1], -1)
            if sign < 0:
                # Mirroring negates the mean of such a pattern, so together with its mirror image it varies by that too.
                shift = _folded((mean + origin).view(-1, self.shape[2]), sign).flatten()
                block = block + torch.outer(shift, shift)
            decomposition = torch.linalg.eigh(block.float())
            values.append(decomposition.eigenvalues)
            vectors.append(
                _unfolded(decomposition.eigenvectors.T.view(len(block), *self.shape[:2], -1), self.shape[2], sign)
            )
        variances, bases = torch.cat(values), torch.cat(vectors)
        # With few pictures there are no more directions than those between them and their mirror images.
        strongest = variances.argsort(descending=True)[: min(most, 2 * self._count - 1)]
        strongest = strongest[variances[strongest] > FLOOR**2]
        return PrincipalComponents(
            mean=((mean + origin + (mean + origin).flip(2)) / 2).float(),
            vectors=bases[strongest],
            deviations=variances[strongest].sqrt(),
            explained=float(variances[strongest].sum() / variances.clamp_min(0).sum().clamp_min(1e-12)),
        )


def _folded(rows: torch.Tensor, sign: int) -> torch.Tensor:
    """Fold the last axis upon its mirror image: coordinates of the part that mirroring leaves (1) or negates (-1)."""
    width = rows.shape[-1]
    half = width // 2
    folded = (rows[..., :half] + sign * rows[..., width - half :].flip(-1)) / 2**0.5
    return torch.cat([folded, rows[..., half : half + width % 2]], -1) if sign > 0 else folded


def _unfolded(rows: torch.Tensor, width: int, sign: int) -> torch.Tensor:
    """Give what was folded its whole width again."""
    left = rows[..., : width // 2] / 2**0.5
    middle = rows[..., width // 2 :] if sign > 0 else rows.new_zeros(*rows.shape[:-1], width % 2)
    return torch.cat([left, middle, sign * left.flip(-1)], -1)
