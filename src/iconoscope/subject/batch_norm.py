"""Batch norm in evaluation mode, which only scales channels and shifts them, so that it may be taken into what is before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["scale_and_shift"]


def scale_and_shift(
    mean: torch.Tensor, variance: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give what channels are multiplied by and what is added to them, (channels,), float64.

    In float64, since the variance may be tiny, and both are rounded once only, where they are used.
    """
    scale = (variance.double() + eps).rsqrt()
    scale = scale if weight is None else scale * weight.detach()
    shift = -mean.double() * scale
    return scale, shift if bias is None else shift + bias.detach()
