"""The loop: look at the pictures through the network, and change what they are made of so that it answers more."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.adam import adam as update

from iconoscope.errors import NonFiniteError
from iconoscope.optimization.blur import Blur
from iconoscope.optimization.canvas import Canvas
from iconoscope.optimization.frozen import adjacent_layers, frozen
from iconoscope.optimization.parameterization import Draws
from iconoscope.optimization.regularizers import Regularizer, charged
from iconoscope.optimization.scores import Scoring
from iconoscope.optimization.spectator import GrowingPictures, Spectator, current_spectator
from iconoscope.optimization.transforms import Transforms
from iconoscope.progress import track
from iconoscope.subject.allocator import keeping_memory
from iconoscope.subject.network.network import Network
from iconoscope.subject.probe import probe

__all__ = ["Ascent", "Loss", "Stepper", "adam", "ascend", "channels_last", "normalised", "score"]

PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}
"""In what numbers the network may be asked, where it has the choice. The pictures themselves are always float32."""

Stepper = Callable[[Sequence[torch.Tensor]], Callable[[], None]]
"""From the tensors that are optimised to a function that goes one step along their gradients."""


@dataclass(frozen=True)
class Ascent:
    """The pictures that the loop has come to, and its course.

    Attributes
    ----------
    pictures : torch.Tensor
        (pictures, channels, height, width), 0..1.
    scores : torch.Tensor
        (pictures, steps) the objective at every step that was done, before a ReLU if one follows.
    gradient : torch.Tensor
        Of the scores alone with respect to the pictures, at the last step, like them; zeros if that was not reached.
    loss_gradient : torch.Tensor or None
        Of the whole loss, charges, cap and diversity with it; None where the pictures cost nothing but their scores.
    frames : torch.Tensor
        (pictures, frames, channels, height, width) what the pictures were like on the way, the first and the last included.
    ended : bool
        Whether all steps were done; else somebody pressed Ctrl-C.
    """

    pictures: torch.Tensor
    scores: torch.Tensor
    gradient: torch.Tensor
    loss_gradient: torch.Tensor | None
    frames: torch.Tensor
    ended: bool


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Function of the pictures that is made as small as possible.

    Attributes
    ----------
    regularizers : sequence of Regularizer
        What pictures are charged for.
    diversity : float
        What it costs, in scores, that pictures of one objective are alike at its layer.
    cap : torch.Tensor or None
        (pictures,) the score beyond which nothing more is asked of each.
    price : torch.Tensor or float
        (pictures,) how many scores one unit of what the canvas costs by itself is worth.
    """

    regularizers: Sequence[Regularizer] = ()
    diversity: float = 0.0
    cap: torch.Tensor | None = None
    price: torch.Tensor | float = 1.0

    @property
    def charges_pictures(self) -> bool:
        """Whether its gradient to the pictures is another one than that of their scores. What a canvas costs is not to them."""
        return bool(self.regularizers) or bool(self.diversity) or self.cap is not None

    def __call__(
        self,
        values: torch.Tensor,
        pictures: torch.Tensor,
        canvas: Canvas,
        scores: Scoring,
        answers: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Give the charges of all pictures less their scores (pictures,), as one number."""
        capped = values if self.cap is None else values.minimum(self.cap.to(values))
        loss = charged(self.regularizers, pictures).sum() - capped.sum()
        if canvas.parameters.cost is not None:
            loss = loss + (self.price * canvas.parameters.cost()).sum().to(loss)
        if self.diversity:
            loss = loss + self.diversity * scores.likeness(answers).sum()
        return loss


def ascend(
    network: Network,
    scores: Scoring,
    canvas: Canvas,
    *,
    loss: Loss,
    transforms: Transforms | None,
    draws: Draws,
    stepper: Stepper,
    steps: int,
    frames: int,
    blur: Blur | None = None,
    size: tuple[int, int] | None = None,
    precision: str = "float32",
) -> Ascent:
    """Change the pictures on a canvas, step by step, so that their scores rise.

    Parameters
    ----------
    network
        In evaluation mode; no gradients are asked of its weights.
    scores
        What each picture is asked for.
    canvas
        The pictures, which are changed.
    loss
        What the pictures are charged.
    transforms, draws
        What happens to the pictures before the network sees them, and a source of random numbers for each.
    stepper
        How a step is made of a gradient.
    steps, frames
        How many steps, and how many pictures on the way are kept.
    blur
        How the pictures are blurred after a step, if they are.
    size
        Height and width of what the network is shown; that of its preprocessing if not given.
    precision
        A key of `PRECISIONS`.

    Raises
    ------
    NonFiniteError
        If the network answers NaN or infinity; it says at which step.
    """
    normalise, dtype = normalising(network), PRECISIONS[precision]
    step = stepper(canvas.parameters.tensors)
    frame_steps = set(torch.linspace(0, steps, max(2, frames), dtype=torch.float32).round().int().tolist())
    frames_kept: list[torch.Tensor] = []
    course: list[torch.Tensor] = []
    picture = canvas.picture()
    sides = size or network.preprocessing.size
    gradient = torch.zeros_like(picture)
    loss_gradient = torch.zeros_like(picture) if loss.charges_pictures else None
    numbers = None if transforms is None else transforms.draw(steps, draws)
    ended = False
    try:
        pairs = adjacent_layers(
            network, scores.layers, normalise(torch.full((1, picture.shape[1], *sides), 0.5, dtype=torch.float32))
        )
        with (
            frozen(network.module, pairs, dtype=dtype),
            probe(network, scores.layers, before_relu=scores.before_relu) as read,
            torch.enable_grad(),
            keeping_memory(),
        ):
            for number in track(range(steps), "optimizing", words=lambda: f"{float(course[-1].mean()):.3g}"):
                picture = canvas.picture()
                if number in frame_steps:
                    frames_kept.append(picture.detach().clamp(0, 1))
                picture = picture.to(network.device)
                moved = (
                    picture if transforms is None or numbers is None else transforms(picture, sides, numbers[number])
                )
                with torch.autocast(network.device.type, dtype, enabled=dtype is not None, cache_enabled=False):
                    answers = read(normalise(moved))
                values = scores(answers)
                course.append(values.detach())
                _check_finite(network, picture, answers, values, where=f"at step {number + 1} of {steps}")
                spectator = _spectator(picture, number, steps)
                if number == steps - 1:
                    if loss.charges_pictures and values.requires_grad:
                        (gradient,) = torch.autograd.grad(
                            values.sum(), picture, retain_graph=True, materialize_grads=True
                        )
                    picture.retain_grad()  # not before, or that gradient would be added to it
                loss(values, picture, canvas, scores, answers).backward()
                if spectator is not None and picture.grad is not None:
                    spectator.see(GrowingPictures(number, steps, picture.detach(), course[-1], -picture.grad))
                if number == steps - 1:
                    assert picture.grad is not None
                    if loss_gradient is None:
                        gradient = -picture.grad
                    else:
                        loss_gradient = picture.grad
                step()
                if blur is not None and (sigma := blur.sigma_after(number, steps)):
                    canvas.blur(sigma)
        ended = True
    except KeyboardInterrupt:
        if not course:
            raise
    last = canvas.picture().detach().clamp(0, 1)
    _check_finite(network, last, {}, course[-1], where="after the last step")
    frames_made = torch.stack([*frames_kept, last], 1)
    return Ascent(last, torch.stack(course, 1), gradient.detach(), loss_gradient, frames_made, ended)


def _check_finite(
    network: Network, pictures: torch.Tensor, answers: Mapping[str, torch.Tensor], values: torch.Tensor, *, where: str
) -> None:
    """Say what is NaN or infinite first: the pictures by a gradient, the answers of the network, or what is made of them."""
    # A sum of them is finite only if all are, and takes a twentieth of the time to see.
    wide = torch.float32 if "mps" in (values.device.type, pictures.device.type) else torch.float64  # which MPS has not
    if bool(values.sum(dtype=wide).isfinite()) and bool(pictures.sum(dtype=wide).isfinite()):
        return
    if bool(values.isfinite().all()) and bool(pictures.isfinite().all()):
        return
    if not bool(pictures.isfinite().all()):
        raise NonFiniteError(
            f"The gradient of what was asked for is NaN or infinity, seen {where}.",
            hint="A root or a logarithm has none at 0: add a little to what stands under it.",
        )
    if all(bool(answer.isfinite().all()) for answer in answers.values()):
        raise NonFiniteError(
            f"What was asked for is NaN or infinity {where}, and the answers of {network.name} are not.",
            hint="A logarithm of 0, a quotient by 0 or a sum that overflows?",
        )
    raise NonFiniteError(f"{network.name} answers NaN or infinity {where}.")


def _spectator(pictures: torch.Tensor, step: int, steps: int) -> Spectator | None:
    """Give who wants to see the pictures as they are before a step, and let them keep their gradient for that.

    The last step has gradients of its own; it is seen in the result.
    """
    spectator = current_spectator()
    if spectator is None or step == steps - 1 or not spectator.wants(step):
        return None
    pictures.retain_grad()
    return spectator


def adam(rate: float, *, steps: int = 1, fade: float = 1.0) -> Stepper:
    """Adam (Kingma and Ba 2015); over all steps the rate falls in a straight line to the share `fade` of it."""

    def begin(tensors: Sequence[torch.Tensor]) -> Callable[[], None]:
        # Torch's own function and not its optimiser, which imports the compiler: that takes a second.
        fused = all(tensor.is_floating_point() for tensor in tensors)
        states = [
            (
                tensor,
                torch.zeros_like(tensor),
                torch.zeros_like(tensor),
                torch.zeros((), device=tensor.device if fused else "cpu", dtype=torch.float32),
            )
            for tensor in tensors
        ]
        rates = _falling(rate, steps, fade)

        @torch.no_grad()
        def step() -> None:
            rate_now, moving = next(rates), [state for state in states if state[0].grad is not None]
            if not moving:
                return
            parameters, means, squares, counts = (list(column) for column in zip(*moving, strict=True))
            gradients = [parameter.grad for parameter in parameters]
            update(
                parameters, gradients, means, squares, [], counts,
                fused=fused or None, has_complex=any(parameter.is_complex() for parameter in parameters), amsgrad=False,
                beta1=0.9, beta2=0.999, lr=rate_now, weight_decay=0.0, eps=1e-8, maximize=False,
            )  # fmt: skip
            for parameter in parameters:
                parameter.grad = None

        return step

    return begin


def _falling(rate: float, steps: int, fade: float) -> Iterator[float]:
    """Give the rate at every step, step by step from the last, as torch's `LinearLR` does; after the last it stays."""
    last = max(1, steps - 1)
    for step in itertools.count(1):
        yield rate
        if step <= last:
            rate *= 1 + (fade - 1) / (last + (step - 1) * (fade - 1))


def normalised(size: float) -> Stepper:
    """Go steps whose mean size does not depend on the gradient's (DeepDream: Mordvintsev, Olah and Tyka 2015)."""

    def begin(tensors: Sequence[torch.Tensor]) -> Callable[[], None]:
        def step() -> None:
            for tensor in tensors:
                assert tensor.grad is not None
                scale = tensor.grad.flatten(1).abs().mean(1).clamp_min(1e-12)
                with torch.no_grad():
                    tensor.sub_(size * tensor.grad / scale.view(-1, *[1] * (tensor.ndim - 1)))
                tensor.grad = None

        return step

    return begin


@torch.inference_mode()
def score(network: Network, scores: Scoring, pictures: torch.Tensor) -> torch.Tensor:
    """Give the scores (n,) of pictures (n, channels, height, width) of 0..1 as they are, behind the ReLU if one follows."""
    with probe(network, scores.layers) as read:
        return scores(read(normalising(network)(pictures)))


def normalising(network: Network) -> Callable[[torch.Tensor], torch.Tensor]:
    """Give what brings pictures of 0..1 to the network's device, into its mean and deviation, and into channels last."""
    device = network.device
    mean, std = (
        torch.tensor(values, device=device, dtype=torch.float32)[:, None, None]
        for values in (network.preprocessing.mean, network.preprocessing.std)
    )
    scale, shift = 1 / std, -mean / std
    return lambda pictures: torch.addcmul(shift, pictures.to(device), scale).contiguous(
        memory_format=torch.channels_last
    )


def channels_last(pictures: torch.Tensor) -> NDArray[Any]:
    """Give pictures (..., channels, height, width) as an array (..., height, width, channels)."""
    return np.ascontiguousarray(pictures.movedim(-3, -1).cpu().numpy())
