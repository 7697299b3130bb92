"""Regularizers: small terms that a picture is charged for, which are added to the loss. Each is off until it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from iconoscope.errors import QuestionError

if TYPE_CHECKING:
    import torch

__all__ = ["L1", "L2", "Alignment", "Frequency", "OutOfRange", "Regularizer", "TotalVariation"]


class Regularizer(Protocol):
    """A charge for each picture."""

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give the charges (n,) for pictures (n, channels, height, width) of 0..1."""
        ...


@dataclass(frozen=True)
class _Weighted:
    """A charge with a weight."""

    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise QuestionError(f"weight={self.weight} must be at least 0.")

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give the charges (n,) for pictures (n, channels, height, width)."""
        return self.weight * self._charges(pictures)

    def _charges(self, pictures: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class TotalVariation(_Weighted):
    """The mean difference between neighbouring pixels (Rudin, Osher and Fatemi 1992)."""

    def _charges(self, pictures: torch.Tensor) -> torch.Tensor:
        down = (pictures[:, :, 1:] - pictures[:, :, :-1]).abs().mean((1, 2, 3))
        across = (pictures[:, :, :, 1:] - pictures[:, :, :, :-1]).abs().mean((1, 2, 3))
        return down + across


@dataclass(frozen=True)
class L1(_Weighted):
    """The mean distance from grey."""

    def _charges(self, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures - 0.5).abs().mean((1, 2, 3))


@dataclass(frozen=True)
class L2(_Weighted):
    """The mean squared distance from grey."""

    def _charges(self, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures - 0.5).square().mean((1, 2, 3))


@dataclass(frozen=True)
class Frequency(_Weighted):
    """The mean squared difference from the picture out of focus: high frequencies cost, low ones do not.

    A charge, so that it works with every parameterization; `Blur` is the picture itself out of focus after every step.
    """

    weight: float = 10.0
    sigma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma <= 0:
            raise QuestionError(f"sigma={self.sigma} must be over 0.")

    def _charges(self, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures - blurred(pictures, self.sigma)).square().mean((1, 2, 3))


@dataclass(frozen=True)
class OutOfRange(_Weighted):
    """The mean distance of pixels from 0..1, where they lie outside of it."""

    weight: float = 10.0

    def _charges(self, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures - pictures.clamp(0, 1)).abs().mean((1, 2, 3))


@dataclass(frozen=True)
class Alignment(_Weighted):
    """The mean squared difference from the pictures before and after: for the frames of an interpolation."""

    weight: float = 10.0
    joint: ClassVar[bool] = True

    def _charges(self, pictures: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional as F

        apart = (pictures[1:] - pictures[:-1]).square().mean((1, 2, 3))
        return F.pad(apart, (1, 0)) + F.pad(apart, (0, 1))


def blurred(pictures: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur with a Gaussian (standard deviation in pixels); beyond the border pixels are as at the border."""
    import torch
    from torch.nn import functional as F

    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = pictures.shape[1]
    padded = F.pad(pictures, (reach, reach, reach, reach), mode="replicate")
    down = F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(down, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


def charged(regularizers: Sequence[Regularizer], pictures: torch.Tensor) -> torch.Tensor:
    """Give the sum of all charges (n,)."""
    return sum((charge(pictures) for charge in regularizers), pictures.new_zeros(len(pictures)))
