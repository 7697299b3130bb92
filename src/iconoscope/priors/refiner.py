"""A small network that makes of what a Gaussian draws what could be a photograph, and the critic that it learns from."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["Critic", "Refiner"]

WIDTHS = (24, 48, 80)
"""Channels at whole, half and quarter size: 400,000 weights, which two cores can train in an hour."""

CRITIC_WIDTHS = (48, 96, 160)
SLOPE = 0.2


class Refiner(nn.Module):
    """Adds to a picture what it lacks, seeing it at three sizes, and knowing of what class it is to be.

    It takes pictures (n, 3, height, width) of 0..1, sides divisible by 4, and classes (n,), -1 for none; it gives pictures of
    the same shape, which may leave 0..1. An untrained one changes nothing.

    Parameters
    ----------
    classes
        How many there are.
    channels
        Of the pictures.

    Examples
    --------
    >>> refiner, pictures = Refiner(10), torch.rand(2, 3, 32, 32)
    >>> bool(torch.allclose(refiner(pictures, torch.tensor([3, -1])), pictures, atol=1e-6))
    True
    """

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        full, half, quarter = WIDTHS
        self.classes_whole = nn.Embedding(max(1, classes), full)
        self.classes_quarter = nn.Embedding(max(1, classes), quarter)
        self.first = nn.Conv2d(channels, full, 3, padding=1)
        self.to_half = nn.Conv2d(full, half, 4, 2, 1)
        self.at_half = nn.Conv2d(half, half, 3, padding=1)
        self.to_quarter = nn.Conv2d(half, quarter, 4, 2, 1)
        self.blocks = nn.ModuleList([nn.Conv2d(quarter, quarter, 3, padding=1) for _ in range(4)])
        self.from_quarter = nn.Conv2d(quarter, 4 * half, 1)
        self.join_half = nn.Conv2d(2 * half, half, 3, padding=1)
        self.from_half = nn.Conv2d(half, 4 * full, 1)
        self.join_whole = nn.Conv2d(2 * full, full, 3, padding=1)
        self.last = nn.Conv2d(full, channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, pictures: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Give the refined pictures."""
        full = _leaky(self.first(2 * pictures - 1) + _of_class(self.classes_whole, labels))
        half = _leaky(self.at_half(_leaky(self.to_half(full))))
        quarter = _leaky(self.to_quarter(half) + _of_class(self.classes_quarter, labels))
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            quarter = quarter + second(_leaky(first(_leaky(quarter))))
        half = _leaky(self.join_half(torch.cat([F.pixel_shuffle(self.from_quarter(_leaky(quarter)), 2), half], 1)))
        full = _leaky(self.join_whole(torch.cat([F.pixel_shuffle(self.from_half(half), 2), full], 1)))
        return pictures + self.last(full) / 2


class Critic(nn.Module):
    """Tells refined pictures from real ones: as wholes of their class (Miyato and Koyama 2018), and place by place."""

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        first, second, last = CRITIC_WIDTHS
        self.near = nn.ModuleList(
            [spectral_norm(nn.Conv2d(channels, first, 3, padding=1)), spectral_norm(nn.Conv2d(first, second, 4, 2, 1))]
        )
        self.far = nn.ModuleList(
            [spectral_norm(nn.Conv2d(second, last, 4, 2, 1)), spectral_norm(nn.Conv2d(last, last, 4, 2, 1))]
        )
        self.place = spectral_norm(nn.Conv2d(second, 1, 1))
        self.whole = spectral_norm(nn.Linear(last, 1))
        self.classes = spectral_norm(nn.Embedding(max(1, classes), last))

    def forward(self, pictures: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give how real pictures (n, channels, height, width) of -1..1 are, (n,), and their places, (n, places)."""
        maps = pictures
        for layer in self.near:
            maps = _leaky(layer(maps))
        places = self.place(maps).flatten(1)
        for layer in self.far:
            maps = _leaky(layer(maps))
        mean = maps.mean((2, 3))
        return self.whole(mean)[:, 0] + (self.classes(labels.clamp_min(0)) * mean).sum(1), places


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, SLOPE)


def _of_class(embedding: nn.Embedding, labels: torch.Tensor) -> torch.Tensor:
    """Give what a class adds to every place; no class is the mean of all."""
    added = embedding(labels.clamp_min(0))
    return torch.where(labels[:, None] < 0, embedding.weight.mean(0), added)[:, :, None, None]
