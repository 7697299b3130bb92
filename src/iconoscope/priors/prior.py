"""A distribution of pictures, learnt from images: a normally distributed latent, and a picture for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import PriorError
from iconoscope.priors.plausibility import RealImageComparison
from iconoscope.priors.prior_images import PriorImages, as_pixels
from iconoscope.torch_modes import plain_torch
from iconoscope.vocabulary.resolver import Names

__all__ = ["Prior"]


class Prior(ABC):
    """A distribution of pictures.

    A picture is what `decode` makes of a latent, whose numbers are by themselves independent and normally distributed.

    Attributes
    ----------
    kind : str
        The way it was made: gaussian, refined, decoder, diffusion.
    name : str
        That of what it was fitted to, or of where it is from.
    shape : tuple of int
        Channels, height and width of a picture.
    size : int
        Numbers of a latent.
    classes : tuple of str
        Names of the classes that it tells apart; empty if it does not.
    """

    kind: str
    name: str
    shape: tuple[int, int, int]
    size: int
    classes: tuple[str, ...] = ()

    @abstractmethod
    def decode(self, latents: torch.Tensor, labels: Sequence[int] | None = None) -> torch.Tensor:
        """Give the pictures (n, channels, height, width) of latents (n, size); they may leave 0..1. Gradients pass.

        `labels` are the indices of their classes, for those priors that make something else of each; -1, or none at all, is no
        class.
        """

    @abstractmethod
    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give the latents (n, size) whose pictures are most like these (n, channels, height, width) of 0..1."""

    @abstractmethod
    def digest(self) -> str:
        """Digest of all that decides what it makes of a latent."""

    @cached_property
    def reference(self) -> PriorImages | None:
        """Real images to hold pictures against, if it has any."""
        return None

    @cached_property
    def comparison(self) -> RealImageComparison | None:
        """The real images, ready for pictures to be compared with, if there are two or more."""
        reference = self.reference
        if reference is None or len(reference.pixels) < 2:
            return None
        return RealImageComparison(reference, self.encode, lambda latents: self.cost(latents, [-1] * len(latents)))

    @property
    def pace(self) -> torch.Tensor:
        """The step of each number of a latent, (size,), in units of the others."""
        return torch.ones(self.size, dtype=torch.float32)

    def centre(self, labels: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Give mean and standard deviation (n, size) of the latents of classes; -1 is all pictures."""
        mean = torch.zeros(len(labels), self.size, dtype=torch.float32)
        return mean, torch.ones_like(mean)

    def cost(self, latents: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
        """Give how unlikely latents (n, size) are, (n,): the mean of their squares, in standard deviations; 1 as a rule."""
        return self._squares(latents, self.centre(labels)).mean(1)

    def score(self, latents: torch.Tensor, labels: Sequence[int] | None = None) -> torch.Tensor:
        """Give the logarithm of the density of latents (n, size), in nats, (n,)."""
        centre = self.centre([-1] * len(latents) if labels is None else labels)
        squares = self._squares(latents, centre).sum(1)
        return -0.5 * (squares + self.size * np.log(2 * np.pi)) - centre[1].log().sum(1)

    @staticmethod
    def _squares(latents: torch.Tensor, centre: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Give the squares of latents (n, size), in standard deviations from the mean."""
        mean, deviation = centre
        return ((latents - mean) / deviation).square()

    def draw(self, draws: Sequence[torch.Generator], labels: Sequence[int], *, spread: float = 1.0) -> torch.Tensor:
        """Draw latents (n, size), one from each source of random numbers, with so many times their standard deviation."""
        mean, deviation = self.centre(labels)
        noise = torch.stack([torch.randn(self.size, generator=draw, dtype=torch.float32) for draw in draws])
        return mean + spread * deviation * noise

    def begin(self, draws: Sequence[torch.Generator], labels: Sequence[int], *, spread: float = 1.0) -> torch.Tensor:
        """Draw latents (n, size) for pictures that are to be changed."""
        return self.draw(draws, labels, spread=spread)

    @plain_torch()
    def sample(
        self, count: int = 1, *, label: str | None = None, seed: int = 0, spread: float = 1.0
    ) -> NDArray[np.uint8]:
        """Draw pictures (count, height, width, channels) of 0..255.

        Parameters
        ----------
        count
            Number of pictures.
        label
            One of the prior's classes; all if not given.
        seed
            Seed of the random numbers.
        spread
            Distance from the mean, in standard deviations.
        """
        draws = [torch.Generator().manual_seed(seed * 1_000_003 + index) for index in range(count)]
        with torch.inference_mode():
            labels = [self.class_index(label)] * count
            latents = self.draw(draws, labels, spread=spread)
            return as_pixels(torch.cat([self.decode(batch, labels[: len(batch)]) for batch in latents.split(64)]))

    def save(self, path: str | Path) -> Path:
        """Write the prior as a file, which is there whole or not at all; `load_prior` reads it.

        Parameters
        ----------
        path
            Where; .safetensors is put behind it if it has no ending.

        Raises
        ------
        PriorError
            If it cannot be written, or the prior is of a kind that has no file.
        """
        raise PriorError(f"A prior of the kind {self.kind} has no file of its own.")

    def class_index(self, label: str | None) -> int:
        """Give the index of a class, -1 for none.

        Raises
        ------
        UnitError
            If the prior has no such class.
        """
        return -1 if label is None else Names(self.classes, f"The prior {self.name}").index(label)

    def to_json(self) -> dict[str, Any]:
        """Say which prior it is, as plain values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "shape": list(self.shape),
            "size": self.size,
            "digest": self.digest(),
        }

    def __repr__(self) -> str:
        channels, height, width = self.shape
        text = f"<{self.kind} prior {self.name}: {height}x{width}x{channels} from {self.size:,} numbers"
        return text + (f", {len(self.classes)} classes>" if self.classes else ">")
