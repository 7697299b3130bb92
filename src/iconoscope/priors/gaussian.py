"""A Gaussian of pictures: principal components of small pictures, and of what each finer level adds patch by patch.

Small pictures (CIFAR-10: Krizhevsky 2009) are components alone. Larger ones are a pyramid (Burt and Adelson 1983): the
coarsest level is whole, and what every finer one adds is made of the principal components of overlapping patches, the same at
every place. The patches lie half over each other under the root of a Hann window, whose squares add up to one, so that taking
apart and putting together are one convolution and its transpose (a lapped transform: Malvar and Staelin 1989).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from iconoscope.priors.principal_components import PrincipalComponents
from iconoscope.priors.prior import Prior
from iconoscope.priors.prior_file import write_prior_file
from iconoscope.priors.prior_images import PriorImages, as_pixels

__all__ = ["CODE", "GaussianPrior", "PyramidLevel", "shrunk", "windowed"]

PACE, QUICKER = 0.1, 3.0
"""Of a pyramid the coarsest level is to go a tenth of a step, and each finer one three times as far, up to a whole one: the
coarse ones are few and strong, and would be at the end of their range before anything fine has begun."""

CODE = 1 / 16
"""Latents of real images are kept in steps of so many standard deviations."""


@dataclass(frozen=True, eq=False)
class PyramidLevel:
    """The detail that one finer level of a pyramid adds.

    Attributes
    ----------
    size : tuple of int
        Height and width of the picture at this level.
    kernel : torch.Tensor
        (components, channels, side, side) what a latent of one standard deviation adds, under the window.
    back : torch.Tensor
        Of the same shape: what gives the latents of a picture again.
    """

    size: tuple[int, int]
    kernel: torch.Tensor
    back: torch.Tensor

    @property
    def grid(self) -> tuple[int, int]:
        """Patches down and across."""
        step = self.kernel.shape[-1] // 2
        return -(-self.size[0] // step) + 1, -(-self.size[1] // step) + 1

    @property
    def count(self) -> int:
        """Numbers that decide what is added."""
        return len(self.kernel) * self.grid[0] * self.grid[1]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Give the detail that latents (n, count) add, (n, channels, height, width)."""
        step = self.kernel.shape[-1] // 2
        padded_detail = F.conv_transpose2d(latents.view(-1, len(self.kernel), *self.grid), self.kernel, stride=step)
        return padded_detail[:, :, step : step + self.size[0], step : step + self.size[1]]

    def encode(self, detail: torch.Tensor) -> torch.Tensor:
        """Give the latents (n, count) of detail (n, channels, height, width)."""
        return F.conv2d(padded(detail, self.kernel.shape[-1]), self.back, stride=self.kernel.shape[-1] // 2).flatten(1)


class GaussianPrior(Prior):
    """A normal distribution of pictures, in closed form.

    Parameters
    ----------
    name
        Of what it was fitted to.
    base
        Components of the coarsest level.
    levels
        The finer ones, from coarse to fine.
    classes
        Names of its classes.
    centres
        Mean and standard deviation (2, classes, latent) of the latents of each class, or None.
    codes
        (images, latent) int8 latents of real images, in steps of `CODE`, or None.
    labels
        (images,) their classes, -1 for none.
    names
        Their ids.
    """

    kind: str = "gaussian"

    def __init__(
        self,
        name: str,
        base: PrincipalComponents,
        levels: Sequence[PyramidLevel] = (),
        *,
        classes: Sequence[str] = (),
        centres: torch.Tensor | None = None,
        codes: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.name, self.base, self.levels = name, base, tuple(levels)
        self.classes = tuple(classes)
        self.centres, self.codes, self.labels, self.names = centres, codes, labels, tuple(names)
        height, width = levels[-1].size if levels else base.mean.shape[1:]
        self.shape = (base.mean.shape[0], height, width)
        self._counts = (len(base.deviations), *(level.count for level in levels))
        self.size = sum(self._counts)
        self._kernel = (base.vectors * base.deviations.view(-1, 1, 1, 1)).flatten(1)

    def decode(self, latents: torch.Tensor, labels: Sequence[int] | None = None) -> torch.Tensor:
        """Give the pictures (n, channels, height, width) of latents (n, size); they may leave 0..1."""
        first, *finer = latents.split(self._counts, 1)
        pictures = self.base.mean + (first @ self._kernel).view(-1, *self.base.mean.shape)
        for level, details in zip(self.levels, finer, strict=True):
            pictures = enlarged(pictures, level.size) + level.decode(details)
        return pictures

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give the latents (n, size) whose pictures are most like these (n, channels, height, width) of 0..1."""
        small = shrunk(pictures, self.base.mean.shape[1:])
        first = (small - self.base.mean).flatten(1) @ self.base.vectors.flatten(1).T / self.base.deviations
        latents = [first]
        decoded = self.base.mean + (first @ self._kernel).view_as(small)
        for level in self.levels:
            coarse = enlarged(decoded, level.size)
            latents.append(level.encode(shrunk(pictures, level.size) - coarse))
            decoded = coarse + level.decode(latents[-1])
        return torch.cat(latents, 1)

    @property
    def pace(self) -> torch.Tensor:
        """The step of each number of a latent, (size,): of a pyramid, the coarser the smaller."""
        if not self.levels:
            return super().pace
        paces = [min(1.0, PACE * QUICKER**level) for level in range(len(self._counts))]
        return torch.tensor(paces, dtype=torch.float32).repeat_interleave(torch.tensor(self._counts))

    def begin(self, draws: Sequence[torch.Generator], labels: Sequence[int], *, spread: float = 1.0) -> torch.Tensor:
        """Draw latents (n, size) to begin at; of a pyramid nothing fine is there yet."""
        latents = super().begin(draws, labels, spread=spread)
        if self.levels:
            latents[:, self._counts[0] :] = self.centre(labels)[0][:, self._counts[0] :]
        return latents

    def centre(self, labels: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Give mean and standard deviation (n, size) of the latents of classes; -1 is all pictures."""
        mean, deviation = super().centre(labels)
        if self.centres is not None:
            classes = torch.tensor(labels)
            labelled = classes >= 0
            mean[labelled], deviation[labelled] = self.centres[:, classes[labelled]]
        return mean, deviation

    def cost(self, latents: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
        """Give how unlikely latents are, (n,): the mean of their squares, in standard deviations, and over the levels."""
        squares = self._squares(latents, self.centre(labels))
        return torch.stack([level.mean(1) for level in squares.split(self._counts, 1)]).mean(0)

    @cached_property
    def reference(self) -> PriorImages | None:
        """The real images that are kept, as the components know them."""
        if self.codes is None or self.labels is None:
            return None
        with torch.inference_mode():
            pixels = [as_pixels(GaussianPrior.decode(self, codes.float() * CODE)) for codes in self.codes.split(64)]
        return PriorImages(np.concatenate(pixels), self.labels.numpy().astype(np.int64), self.names)

    def digest(self) -> str:
        """Digest of all that decides what it makes of a latent, and of the real images beside it."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for tensor in self.tensors().values():
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Give all tensors by name, as they are saved."""
        tensors = {
            "mean": self.base.mean,
            "vectors": self.base.vectors.half(),
            "deviations": self.base.deviations,
            "centres": None if self.centres is None else self.centres.half(),
            "codes": self.codes,
            "labels": self.labels,
        }
        for number, level in enumerate(self.levels):
            tensors |= {f"kernel.{number}": level.kernel.half(), f"back.{number}": level.back.half()}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def save(self, path: str | Path) -> Path:
        """Write the prior as a file, as `Prior.save` says."""
        return write_prior_file(path, *self._saved())

    def _saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Give what is saved: what stands beside the tensors, and these."""
        header = {
            "kind": self.kind,
            "name": self.name,
            "classes": list(self.classes),
            "names": list(self.names),
            "sizes": [list(level.size) for level in self.levels],
            "explained": self.base.explained,
        }
        return header, self.tensors()

    @classmethod
    def from_tensors(cls, name: str, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> GaussianPrior:
        """Make a prior of what was saved."""
        sizes = [(int(height), int(width)) for height, width in header["sizes"]]
        levels = [
            PyramidLevel(size, tensors[f"kernel.{number}"].float(), tensors[f"back.{number}"].float())
            for number, size in enumerate(sizes)
        ]
        base = PrincipalComponents(
            tensors["mean"], tensors["vectors"].float(), tensors["deviations"], float(header["explained"])
        )
        centres = tensors.get("centres")
        return cls(
            name,
            base,
            levels,
            classes=header["classes"],
            centres=None if centres is None else centres.float(),
            codes=tensors.get("codes"),
            labels=tensors.get("labels"),
            names=header["names"],
        )


def shrunk(pictures: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Give pictures at a smaller size, without aliasing."""
    if tuple(pictures.shape[2:]) == tuple(size):
        return pictures
    return F.interpolate(pictures, tuple(size), mode="bilinear", antialias=True)


def enlarged(pictures: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Give pictures at a larger size."""
    return F.interpolate(pictures, size, mode="bilinear")


def padded(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """Repeat the border of pictures outwards, so that patches of a side lie half over each other and cover everything twice."""
    step = side // 2
    down, across = (-length % step for length in pictures.shape[2:])
    return F.pad(pictures, (step, step + across, step, step + down), mode="replicate")


def windowed(side: int) -> torch.Tensor:
    """Give the root of a Hann window (side, side)."""
    root = torch.sin(torch.pi * (torch.arange(side, dtype=torch.float32) + 0.5) / side)
    return torch.outer(root, root)
