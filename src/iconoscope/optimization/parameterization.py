"""Parameterizations: a picture is changed by its pixels, its spectrum, the phase of it, a pyramid, or a small network.

A parameterization begins `Parameters`: tensors to be optimised, and the raw picture that they stand for. Raw pictures
have no limits and, where colours are decorrelated, no colours yet: `canvas.py` gives them both. A learned prior is one more
parameterization, whose tensors are a latent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, check_counts

if TYPE_CHECKING:
    import torch

__all__ = [
    "Fourier",
    "Network2D",
    "Parameterization",
    "Parameters",
    "Phase",
    "Pixels",
    "Pyramid",
    "natural_magnitude",
]

Shape = tuple[int, int, int, int]
"""Pictures, channels, height, width."""

Draws = Sequence["torch.Generator"]
"""A source of random numbers for each picture, so that it is the same picture in whatever batch."""


@dataclass(frozen=True)
class Parameters:
    """The tensors that are optimised, and the pictures that they stand for.

    Attributes
    ----------
    tensors : tuple of torch.Tensor
        Leaves that want gradients; the first axis of each is that of the pictures.
    raw : callable
        Gives the raw pictures (pictures, channels, height, width).
    cost : callable or None
        Gives what the tensors cost by themselves (pictures,), if they do, in standard deviations of the unit's answers; asked
        for after `raw`.
    """

    tensors: tuple[torch.Tensor, ...]
    raw: Callable[[], torch.Tensor]
    cost: Callable[[], torch.Tensor] | None = None


class Parameterization(Protocol):
    """A way to write a picture down.

    One that is at its best by a rate that falls, or in another number of steps than others, has ``FADE`` and ``STEPS`` beside
    its rate: the share of the rate that is left at the last step, and the steps of small pictures and of large ones.
    """

    @property
    def rate(self) -> float:
        """Step size of Adam that suits it."""
        ...

    def begin(self, shape: Shape, draws: Draws, start: torch.Tensor | None) -> Parameters:
        """Begin at raw pictures (pictures, channels, height, width), or at noise."""
        ...


def _noise(shape: tuple[int, ...], draws: Draws, size: float) -> torch.Tensor:
    import torch

    return torch.stack([torch.randn(shape, generator=draw, dtype=torch.float32) for draw in draws]) * size


def _leaf(value: torch.Tensor) -> torch.Tensor:
    return value.detach().clone().contiguous().requires_grad_()


@dataclass(frozen=True)
class Pixels:
    """Every pixel on its own: what comes out of it without further care is noise that only the network sees.

    Attributes
    ----------
    noise : float
        Standard deviation of the noise at the start.
    """

    noise: float = 0.01
    rate: float = 0.05

    def begin(self, shape: Shape, draws: Draws, start: torch.Tensor | None) -> Parameters:
        """Begin at raw pictures, or at noise."""
        pixels = _leaf(_noise(shape[1:], draws, self.noise) if start is None else start)
        return Parameters((pixels,), lambda: pixels)


def _frequencies(height: int, width: int) -> torch.Tensor:
    import torch

    return torch.hypot(
        torch.fft.fftfreq(height, dtype=torch.float32)[:, None], torch.fft.rfftfreq(width, dtype=torch.float32)[None]
    )


@dataclass(frozen=True)
class Fourier:
    """The spectrum, each frequency scaled as it is strong in natural images (Olah, Mordvintsev and Schubert 2017).

    A step along the gradient is then one of a natural look: large in what is coarse, small in what is fine.

    Attributes
    ----------
    decay : float
        The scale is ``1 / max(f, 1 / max(height, width)) ** decay``; 0 leaves all frequencies alike.
    noise : float
        Standard deviation of the spectrum at the start.
    """

    decay: float = 1.0
    noise: float = 0.01
    rate: float = 0.1
    FADE: ClassVar[float] = 0.5
    STEPS: ClassVar[tuple[int, int]] = 64, 128

    def begin(self, shape: Shape, draws: Draws, start: torch.Tensor | None) -> Parameters:
        """Begin at raw pictures, or at noise."""
        import torch

        height, width = shape[2:]
        scale = 0.25 / _frequencies(height, width).clamp_min(1 / max(height, width)) ** self.decay
        if start is None:
            spectrum = _leaf(_noise((shape[1], *scale.shape, 2), draws, self.noise))
        else:
            spectrum = _leaf(torch.view_as_real(torch.fft.rfft2(start, norm="ortho") / scale))

        def raw() -> torch.Tensor:
            return torch.fft.irfft2(torch.view_as_complex(spectrum) * scale, s=(height, width), norm="ortho")

        return Parameters((spectrum,), raw)


@dataclass(frozen=True, eq=False)
class Phase:
    """The phases alone, with the magnitudes of natural images (MaCo: Fel et al. 2023, "Unlocking Feature Visualization").

    Attributes
    ----------
    magnitude : ndarray or None
        (channels or 1, rows, columns // 2 + 1), as `natural_magnitude` gives it for the size of the picture. Without it,
        magnitudes fall off as 1/f, as they do in photographs on the whole.
    contrast : float
        Standard deviation of the raw picture.
    """

    magnitude: NDArray[Any] | None = None
    contrast: float = 1.0
    rate: float = 0.1

    def begin(self, shape: Shape, draws: Draws, start: torch.Tensor | None) -> Parameters:
        """Begin at the phases of raw pictures, or at random ones."""
        import torch

        height, width = shape[2:]
        if self.magnitude is None:
            size = 1 / _frequencies(height, width).clamp_min(1 / max(height, width))[None]
            size[:, 0, 0] = 0
        else:
            size = torch.from_numpy(np.asarray(self.magnitude, np.float32))
            if size.shape[1:] != (height, width // 2 + 1) or size.shape[0] not in (1, shape[1]):
                raise QuestionError(
                    f"magnitude is {tuple(size.shape)}, and pictures of {height}x{width} want "
                    f"({shape[1]}, {height}, {width // 2 + 1}).",
                    hint=f"Make it with natural_magnitude(images, size=({height}, {width})).",
                )
        if start is None:
            shares = [torch.rand((shape[1], *size.shape[1:]), generator=draw, dtype=torch.float32) for draw in draws]
            angles = torch.stack(shares) * 2 * np.pi
        else:
            angles = torch.fft.rfft2(start).angle()
        phase = _leaf(angles)

        def raw() -> torch.Tensor:
            picture = torch.fft.irfft2(torch.polar(size.expand_as(phase), phase), s=(height, width))
            centred = picture - picture.mean((2, 3), keepdim=True)
            return centred * (self.contrast / centred.std((1, 2, 3), keepdim=True).clamp_min(1e-8))

        return Parameters((phase,), raw)


def natural_magnitude(pictures: Iterable[NDArray[np.uint8]], *, size: tuple[int, int]) -> NDArray[np.float32]:
    """Give the mean magnitude of the spectra of pictures, for `Phase`.

    Parameters
    ----------
    pictures
        (height, width, channels) of 0..255, of any size.
    size
        Height and width of the pictures to be made.

    Returns
    -------
    ndarray of float32
        (1, height, width // 2 + 1): the mean over the pictures and over the decorrelated channels.
    """
    import torch
    from torch.nn import functional as F

    total: torch.Tensor | float = 0.0
    count = 0
    for picture in pictures:
        pixels = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
        fitted = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        grey = fitted.mean(1)
        total = total + torch.fft.rfft2(grey - grey.mean()).abs()
        count += 1
    if not isinstance(total, torch.Tensor):
        raise QuestionError("There are no pictures to take a spectrum of.")
    return (total / count).numpy()


@dataclass(frozen=True)
class Pyramid:
    """A sum of pictures from coarse to fine (a Laplacian pyramid: Burt and Adelson 1983).

    Attributes
    ----------
    levels : int
        How many; each is half as large as the one before it.
    noise : float
        Standard deviation of the noise at the start.
    """

    levels: int = 5
    noise: float = 0.01
    rate: float = 0.05

    def begin(self, shape: Shape, draws: Draws, start: torch.Tensor | None) -> Parameters:
        """Begin at raw pictures, or at noise."""
        import torch
        from torch.nn import functional as F

        check_counts(levels=self.levels)
        height, width = shape[2:]
        sizes = [(max(1, height >> level), max(1, width >> level)) for level in range(self.levels)]
        if start is None:
            levels = [_noise((shape[1], *size), draws, self.noise) for size in sizes]
        else:  # what a level cannot hold is left to the next finer one
            levels, residual = [torch.zeros((), dtype=torch.float32)] * len(sizes), start
            for level in range(len(sizes) - 1, -1, -1):
                levels[level] = F.interpolate(residual, sizes[level], mode="bilinear", antialias=True)
                residual = residual - _enlarged(levels[level], (height, width))
        leaves = tuple(_leaf(level) for level in levels)
        return Parameters(
            leaves,
            lambda: sum((_enlarged(leaf, (height, width)) for leaf in leaves), torch.zeros((), dtype=torch.float32)),
        )


def _enlarged(level: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    from torch.nn import functional as F

    return level if level.shape[2:] == size else F.interpolate(level, size, mode="bilinear")


@dataclass(frozen=True)
class Network2D:
    """A small network from a position to its colour (a compositional pattern producing network: Stanley 2007).

    Smooth at every size. It cannot begin at a picture.

    Attributes
    ----------
    width, depth : int
        Numbers in a layer, and layers.
    """

    width: int = 24
    depth: int = 6
    rate: float = 0.005
    REACH: ClassVar[float] = 3**0.5  # coordinates have the standard deviation 1

    def begin(self, shape: Shape, draws: Draws, start: torch.Tensor | None) -> Parameters:
        """Begin at random weights."""
        import torch

        if start is not None:
            raise QuestionError(
                "A network from positions to colours cannot begin at a picture.",
                hint="Pixels, Fourier and Pyramid can.",
            )
        count, channels, height, width = shape
        rows, columns = (
            torch.linspace(-self.REACH, self.REACH, length, dtype=torch.float32) for length in (height, width)
        )
        points = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).reshape(1, -1, 2).expand(count, -1, -1)
        sizes = [2, *[self.width] * self.depth]
        weights = [
            _leaf(_noise((2 * inputs if layer else inputs, outputs), draws, (1 / inputs) ** 0.5))
            for layer, (inputs, outputs) in enumerate(pairwise(sizes))
        ]
        last = _leaf(torch.zeros(count, 2 * self.width, channels, dtype=torch.float32))

        def raw() -> torch.Tensor:
            x = points
            for weight in weights:
                x = torch.atan(torch.bmm(x, weight))
                x = torch.cat([x / 0.67, x.square() / 0.6], 2)
            return torch.bmm(x, last).view(count, height, width, channels).permute(0, 3, 1, 2)

        return Parameters((*weights, last), raw)
