"""Whether a network has one answer to an image: found by asking for two images together, for each alone, and once more.

Where an image is answered otherwise together with another (norms by the statistics of the batch, dynamic quantisation, branches
on what the whole batch is like), it can be asked alone; where it is answered otherwise the second time, no result would be one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from iconoscope.errors import NetworkError, shortened
from iconoscope.subject.network.reservation import parts_of
from iconoscope.subject.random_state import drawn_in_vain

__all__ = ["Steadiness", "measure_steadiness", "rounding_share", "unchanged"]

ROUNDING = 5e-3
"""Of the largest logit: how far two answers may lie apart that differ by the order of sums alone. Kernels for batches of other
sizes add up in other orders: six networks of torchvision came to 4e-7 in float32, and to 3e-3 in bfloat16; one whose random
layers blow up every difference came to 1e-3."""

FEW_ROUNDINGS = 10
"""Units in the last place of coarser types (16 bits, TF32) that add up on the way through a network."""

TF32 = 2.0**-10
"""The last place of what graphics processors may multiply float32 with."""


DRAWS = 16
"""How often a network that draws random numbers is asked whether they change its answer: dropout of a few maps seldom does."""


@dataclass(frozen=True)
class Steadiness:
    """The steadiness of a network's answers.

    Attributes
    ----------
    singly : str
        Why images are asked one at a time, in words; empty if they may be asked together.
    refusal : str
        Why the network cannot be asked at all; empty if it can.
    changed : bool
        Whether a pass changes tensors of the network, which are put back after every question.
    """

    singly: str = ""
    refusal: str = ""
    changed: bool = False


def measure_steadiness(
    module: nn.Module, answer: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor
) -> Steadiness:
    """Ask about two images, which differ in brightness, contrast and grain: whatever looks at a batch sees a difference.

    Parameters
    ----------
    module
        In evaluation mode.
    answer
        From a batch (images, channels, height, width) to logits; its `NetworkError` says that the network fails.
    image
        (1, channels, height, width), of the type and on the device of the network; its values do not matter.

    Returns
    -------
    Steadiness
        That of a network that fails on every image says nothing: it fails again when it is asked.
    """
    pictures = _pictures(image)

    def ask(*chosen: torch.Tensor) -> torch.Tensor | None:
        try:
            return answer(torch.cat(chosen)).detach()
        except NetworkError:
            return None

    def apart(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
        return one is None or other is None or one.shape != other.shape or _differ(one, other, image.dtype)

    def differ(answers: list[torch.Tensor | None]) -> bool:
        return any(map(apart, answers, alone))

    with drawn_in_vain() as drawn, unchanged(module) as changed, torch.no_grad():
        together = ask(*pictures)
        alone = first, second = [ask(picture) for picture in pictures]
        rows = [None, None] if together is None or len(together) != 2 else [*together.split(1)]
        again = [[ask(picture) for picture in reversed(pictures)][::-1]] if differ(rows) else []
        while drawn() and len(again) < DRAWS and not any(map(differ, again)):
            again.append([ask(picture) for picture in pictures])
    singly, refusal = "", ""
    if first is None or second is None:
        refusal = f"It answers no image alone, but several: {_why(module)}" if together is not None else ""
    elif any(map(differ, again)):
        refusal = f"It answers the same image otherwise the second time: {_why(module)}"
    elif differ(rows) and torch.equal(first, second) and not (apart(rows[0], first) and apart(together, first)):
        refusal = "It answers to an image what it answered to the one before: it keeps something between passes"
    elif differ(rows):
        singly = "it fails on several at once" if together is None else _why(module)
    return Steadiness(singly, refusal, bool(changed))


def _pictures(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give two images like one, normalised: bright with patches of colour, and dark with grain on them."""
    _, channels, height, width = image.shape
    draw = torch.Generator().manual_seed(0)
    grain = torch.randn(2, channels, height, width, generator=draw, dtype=torch.float32)
    patches = F.interpolate(torch.randn(2, channels, 7, 7, generator=draw, dtype=torch.float32), (height, width))
    bright, dark = 0.7 + patches[:1], -0.9 + 0.4 * patches[1:] + 0.3 * grain[1:]
    return bright.to(image), dark.to(image)


def _differ(one: torch.Tensor, other: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether two answers of a network of some type differ by more than rounding; what is NaN or infinite says nothing."""
    share = rounding_share(one.dtype, dtype, device=one.device)
    finite = one.isfinite() & other.isfinite()
    one, other = one[finite].double(), other[finite].double()
    if not one.numel():
        return False
    allowed = share * float(torch.maximum(one.abs(), other.abs()).max())
    return bool(((one - other).abs() > allowed).any())


def rounding_share(*dtypes: torch.dtype, device: torch.device) -> float:
    """Give how far two answers may lie apart by rounding alone, of the largest logit, where some types are computed with."""
    steps = [torch.finfo(kind).eps for kind in dtypes if kind.is_floating_point]
    if device.type == "cuda" and (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32):
        steps.append(TF32)
    return max([ROUNDING, *(FEW_ROUNDINGS * step for step in steps)])


def _why(module: nn.Module) -> str:
    """Say what in a module may be the reason, as far as modules say so; else that it is in the forward pass."""
    inner = {id(part): part for part in parts_of(module).values() if isinstance(part, nn.Module)}
    names = {id(part): name for name, part in module.named_modules()}

    def listed(parts: Sequence[nn.Module]) -> str:
        return shortened([names.get(id(part)) or f"a {type(part).__name__}" for part in parts], most=3)

    training = [part for part in inner.values() if part.training and not any(True for _ in part.children())]
    norms = [
        part for part in inner.values() if isinstance(part, nn.modules.batchnorm._NormBase) and part.running_mean is None
        and "BatchNorm" in type(part).__name__
    ]  # fmt: skip
    dynamic = [part for part in inner.values() if ".quantized.dynamic" in type(part).__module__]
    if training:
        return f"{listed(training)} of it stays in training mode after eval()"
    if norms:
        return f"{listed(norms)} of it takes its statistics from the batch"
    if dynamic:
        return f"{listed(dynamic)} of it is quantised by the range of the batch"
    return "its forward pass looks at the batch, keeps something, or draws random numbers"


@contextmanager
def unchanged(module: nn.Module) -> Iterator[list[Any]]:
    """Put tensors of a module that a block changes back as they were: all in it but its parameters.

    Yields
    ------
    list
        Empty; after the block it holds what was changed.
    """
    parts = parts_of(module).values()
    tensors = [
        part
        for part in parts
        if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter) and not nn.parameter.is_lazy(part)
    ]
    copies = [tensor.detach().clone() for tensor in tensors]
    buffers = [part._buffers for part in parts if isinstance(part, nn.Module) and isinstance(part._buffers, dict)]
    before = [dict(registered) for registered in buffers]
    changed: list[Any] = []
    try:
        yield changed
    finally:
        for registered, names in zip(buffers, before, strict=True):
            if any(registered.get(name) is not tensor for name, tensor in names.items()):
                changed.append(names)
                registered.update(names)
        for tensor, copy in zip(tensors, copies, strict=True):
            if not torch.equal(tensor, copy):
                changed.append(tensor)
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.copy_(copy)
