"""The canvas: from the parameters that are optimised to a picture of 0..1, with its colours and their limits.

Channels that vary together in natural images are optimised apart: a picture has its colours by a root of their covariance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.optimization.parameterization import Draws, Parameterization, Parameters, Shape
from iconoscope.optimization.regularizers import blurred

if TYPE_CHECKING:
    import torch

__all__ = ["IMAGENET", "LIMITS", "Canvas", "begin_canvas", "square_root"]

NEAREST = 1e-3
"""A picture to begin at is kept so far from 0 and 1, where the sigmoid ends; a quarter of a grey level of 8 bits."""


LIMITS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]] = {
    "sigmoid": (lambda raw: raw.sigmoid(), lambda picture: picture.clamp(NEAREST, 1 - NEAREST).logit()),
    "penalty": (lambda raw: raw + 0.5, lambda picture: picture - 0.5),
}
"""Ways to keep colours in 0..1, with the way back: by a sigmoid; or not at all, and what lies outside costs something."""


IMAGENET: NDArray[np.float64] = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
"""A root of the covariance of the colours of ImageNet's pixels, as published (Olah, Mordvintsev and Schubert 2017)."""


@dataclass(frozen=True)
class Canvas:
    """Pictures while they are being made."""

    parameters: Parameters
    root: torch.Tensor
    limits: str

    def picture(self) -> torch.Tensor:
        """Give the pictures (n, channels, height, width); with the limits `penalty` they may leave 0..1."""
        import torch

        raw = self.parameters.raw()
        return LIMITS[self.limits][0](torch.matmul(self.root, raw.flatten(2)).view(raw.shape))

    def blur(self, sigma: float) -> None:
        """Put pictures whose pixels are what is optimised (`Pixels`) out of focus; the standard deviation in pixels."""
        import torch

        (pixels,) = self.parameters.tensors
        with torch.no_grad():
            pixels.copy_(_raw_of(blurred(self.picture(), sigma), self.root, self.limits))


def _raw_of(pictures: torch.Tensor, root: torch.Tensor, limits: str) -> torch.Tensor:
    """Give the raw pictures of pictures (n, channels, height, width) of 0..1."""
    import torch

    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root.double()).float(), LIMITS[limits][1](pictures))


def begin_canvas(
    parameterization: Parameterization,
    shape: Shape,
    draws: Draws,
    start: torch.Tensor | None,
    *,
    root: NDArray[np.float64],
    limits: str,
) -> Canvas:
    """Begin pictures at noise, or at pictures of 0..1.

    Parameters
    ----------
    parameterization
        How they are written down.
    shape
        Pictures, channels, height, width.
    draws
        A source of random numbers for each.
    start
        (pictures, channels, height, width), 0..1, or None.
    root
        (channels, channels) root of the colours' covariance. It is scaled so that its longest column is one.
    limits
        A key of `LIMITS`.
    """
    import torch

    if root.shape != (shape[1], shape[1]):
        raise QuestionError(f"The root of the colours' covariance is {root.shape}, and there are {shape[1]} channels.")
    scaled = torch.from_numpy(root / np.linalg.norm(root, axis=0).max()).float()
    raw = None if start is None else _raw_of(start, scaled, limits)
    return Canvas(parameterization.begin(shape, draws, raw), scaled, limits)


def square_root(pictures: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Give a root (channels, channels) of the covariance of the colours of pictures (height, width, channels; 0..255).

    It is the lower triangle of Cholesky's decomposition.

    Examples
    --------
    >>> grey = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, 2)
    >>> square_root([grey]).round(2)
    array([[0.29, 0.  , 0.  ],
           [0.29, 0.01, 0.  ],
           [0.29, 0.01, 0.01]])
    """
    count, total, products = 0, 0.0, 0.0
    for picture in pictures:
        pixels = picture.reshape(-1, picture.shape[-1]).astype(np.float64) / 255
        count += len(pixels)
        total = total + pixels.sum(0)
        products = products + pixels.T @ pixels
    if not count:
        raise QuestionError("There are no pictures to take the colours of.")
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    return np.linalg.cholesky(covariance + 1e-4 * np.eye(len(covariance))).astype(np.float64)
