"""A network that is only looked through: nothing of it learns, and what never changes is brought into its fastest form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

__all__ = ["frozen"]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Freeze a module in evaluation mode for the time of a block; it comes back as it was.

    No gradients are asked of its parameters; the weights of convolutions lie in the memory order of channels last, in which
    they would be brought anew in every pass; and batch norms, which only scale and shift by now, do just that, in half of
    the time that the norm takes.
    """
    with ExitStack() as stack:
        for parameter in module.parameters():
            stack.callback(parameter.requires_grad_, parameter.requires_grad)
            parameter.requires_grad_(False)
        for each in module.modules():
            if type(each) is nn.Conv2d and each.weight.device.type == "cpu":
                stack.enter_context(_channels_last(each.weight))
            elif type(each) is nn.BatchNorm2d and not each.training and "forward" not in vars(each):
                stack.enter_context(_scaling(each))
        yield


@contextmanager
def _channels_last(weight: torch.Tensor) -> Iterator[None]:
    held = weight.data
    weight.data = held.contiguous(memory_format=torch.channels_last)
    try:
        yield
    finally:
        weight.data = held


@contextmanager
def _scaling(norm: nn.BatchNorm2d) -> Iterator[None]:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:  # it takes those of the batch
        yield
        return
    scale = (variance.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    norm.forward = _affine(scale.to(mean.dtype), shift.to(mean.dtype))
    try:
        yield
    finally:
        del norm.forward


def _affine(scale: torch.Tensor, shift: torch.Tensor) -> Callable[..., torch.Tensor]:
    scale, shift = (
        each.detach().view(1, -1, 1, 1).contiguous(memory_format=torch.channels_last) for each in (scale, shift)
    )
    return lambda input: torch.addcmul(shift, input, scale)
