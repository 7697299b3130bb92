"""A check whether a network that was written down for some number of images answers any other number alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from iconoscope.errors import NetworkError
from iconoscope.subject.network.failures import printing_no_code

if TYPE_CHECKING:
    import torch

__all__ = ["answers_alike", "few_at_once", "noise", "wants_images", "wants_its_number"]

_TOLERANCE = 1e-3
"""Of the largest answer: how far answers to several images at once may lie from those to each."""


def noise(shape: Sequence[int]) -> torch.Tensor:
    """Give three times as many pictures of noise as a network was written down for, (3 * images, channels, height, width)."""
    import torch

    return torch.randn(3 * shape[0], *shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.float32)


def answers_alike(module: Callable[[torch.Tensor], Any], images: torch.Tensor, separate: torch.Tensor) -> bool:
    """Whether a module answers to all the images together what was answered to few of them at a time, `separate`."""
    import torch

    with torch.no_grad(), printing_no_code(module):
        try:
            together = _first(module(images))
        except (RuntimeError, ValueError, TypeError, IndexError):  # shapes that do not fit: that is what is asked
            return False
    largest = separate.abs().max()
    return together.shape == separate.shape and bool((together - separate).abs().max() <= _TOLERANCE * largest)


def few_at_once(module: Callable[[torch.Tensor], Any], images: torch.Tensor, count: int) -> torch.Tensor:
    """Give what a module answers to images in portions of `count`."""
    import torch

    with torch.no_grad(), printing_no_code(module):
        return torch.cat([_first(module(images[at : at + count])) for at in range(0, len(images), count)])


def wants_images(name: str, inputs: int) -> NetworkError:
    """Say that a file is no network of images."""
    return NetworkError(
        f"{name} takes {inputs} inputs; a network of images takes one tensor (images, channels, height, width)."
    )


def wants_its_number(name: str, images: int, how: str) -> NetworkError:
    """Say that a file answers so many images at a time and no other number, and how it is written down for any."""
    return NetworkError(
        f"{name} was exported for {images} images at a time, and answers no other number as well.",
        hint=f"Export it for any number: {how}.",
    )


def _first(answer: Any) -> torch.Tensor:
    """Give the first tensor of an answer."""
    import torch

    if isinstance(answer, torch.Tensor):
        return answer
    return _first(next(iter(answer.values() if isinstance(answer, dict) else answer)))
