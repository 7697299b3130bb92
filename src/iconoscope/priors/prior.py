"""What pictures may be: a distribution learnt from images, as a normally distributed latent and a picture for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import PriorError
from iconoscope.priors.prior_file import write_file
from iconoscope.vocabulary.resolver import Names

if TYPE_CHECKING:
    from iconoscope.priors.plausibility import Standing

__all__ = ["Prior", "Reference"]


@dataclass(frozen=True, eq=False)
class Reference:
    """Real images that a prior was fitted to, or some of them.

    Attributes
    ----------
    pixels : ndarray of uint8, (images, height, width, channels)
        As the prior knows them.
    labels : ndarray of int, (images,)
        Places in the prior's classes, -1 where nothing was said.
    names : tuple of str
        Their ids.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]


class Prior(ABC):
    """A distribution of pictures.

    A picture is what `decode` makes of a latent, whose numbers are by themselves independent and normally distributed.

    Attributes
    ----------
    kind : str
        How it was made: gaussian, refined, decoder, diffusion.
    name : str
        Of what it was fitted to, or where it is from.
    shape : tuple of int
        Channels, height and width of a picture.
    size : int
        How many numbers a latent has.
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

        `labels` are the places of their classes, for those priors that make something else of each; -1, or none at all, is no
        class.
        """

    @abstractmethod
    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give the latents (n, size) whose pictures are most like these (n, channels, height, width) of 0..1."""

    @abstractmethod
    def digest(self) -> str:
        """Digest of all that decides what it makes of a latent."""

    @property
    def reference(self) -> Reference | None:
        """Real images to hold pictures against, if it has any."""
        return None

    @cached_property
    def standing(self) -> Standing | None:
        """What pictures are held against, if there are real images to do so."""
        from iconoscope.priors.plausibility import Standing

        reference = self.reference
        return None if reference is None or len(reference.pixels) < 2 else Standing(self, reference)

    @property
    def pace(self) -> torch.Tensor:
        """How far each number of a latent is to go in one step, (size,), in units of the others."""
        return torch.ones(self.size)

    def centre(self, labels: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Give mean and standard deviation (n, size) of the latents of classes; -1 is all pictures."""
        none = torch.zeros(len(labels), self.size)
        return none, torch.ones_like(none)

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
        noise = torch.stack([torch.randn(self.size, generator=each) for each in draws])
        return mean + spread * deviation * noise

    def begin(self, draws: Sequence[torch.Generator], labels: Sequence[int], *, spread: float = 1.0) -> torch.Tensor:
        """Draw latents (n, size) for pictures that are to be changed."""
        return self.draw(draws, labels, spread=spread)

    def sample(
        self, count: int = 1, *, label: str | None = None, seed: int = 0, spread: float = 1.0
    ) -> NDArray[np.uint8]:
        """Draw pictures (count, height, width, channels) of 0..255.

        Parameters
        ----------
        count
            How many.
        label
            Of which of the prior's classes; of all if not given.
        seed
            Of the random numbers.
        spread
            How far from the mean, in standard deviations.
        """
        draws = [torch.Generator().manual_seed(seed * 1_000_003 + place) for place in range(count)]
        with torch.inference_mode():
            labels = [self.class_index(label)] * count
            latents = self.draw(draws, labels, spread=spread)
            return as_pixels(torch.cat([self.decode(some, labels[: len(some)]) for some in latents.split(64)]))

    def class_index(self, label: str | None) -> int:
        """Give the place of a class, -1 for none.

        Raises
        ------
        UnitError
            If the prior has no such class.
        """
        return -1 if label is None else Names(self.classes, f"The prior {self.name}").index(label)

    def save(self, path: str | Path) -> Path:
        """Write it as a file, which is there whole or not at all; `load_prior` reads it.

        Parameters
        ----------
        path
            The file; .safetensors is put behind it if it has no ending.

        Raises
        ------
        PriorError
            If it cannot be written, or a prior of its kind has no file.
        """
        header, tensors = self.to_file()
        return write_file(path, {"kind": self.kind, "name": self.name, **header}, tensors)

    def to_file(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Give the header and the tensors of its file.

        Raises
        ------
        PriorError
            If a prior of its kind has none.
        """
        raise PriorError(f"A prior of the kind {self.kind} has no file of its own.")

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


def as_pictures(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Give pixels (n, height, width, channels) of 0..255 as pictures (n, channels, height, width) of 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255


def as_pixels(pictures: torch.Tensor) -> NDArray[np.uint8]:
    """Give pictures (n, channels, height, width) of 0..1 as (n, height, width, channels) of 0..255."""
    pixels = (pictures.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.movedim(1, -1).cpu().numpy())
