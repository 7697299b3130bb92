"""The smallest change of a picture after which a class is answered: steps within a bound, and a search for the bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from iconoscope.optimization.frozen import frozen
from iconoscope.optimization.loop import normalising
from iconoscope.progress import track
from iconoscope.subject.network import Network

__all__ = ["NORMS", "Attempt", "Norm", "smallest_change"]

TRIED = 6
"""Bounds that are tried at once."""

ROUNDS = 3
"""Rounds of trials: the first from a 256th of the largest bound on, the others around the smallest that was enough."""

SCALED = 64
"""Shares of a change that are tried at the end: less of it may be enough."""


@dataclass(frozen=True)
class Norm:
    """A measure of changes: the size of one, the step of unit size along a gradient, and the way back into a ball.

    Attributes
    ----------
    size : callable
        From changes (n, channels, height, width) to their sizes (n,).
    step : callable
        From gradients to the changes of size one that follow them best.
    within : callable
        From changes and bounds (n, 1, 1, 1) to changes of at most these sizes.
    most : callable
        From a picture to the largest bound that is tried.
    """

    size: Callable[[torch.Tensor], torch.Tensor]
    step: Callable[[torch.Tensor], torch.Tensor]
    within: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    most: Callable[[torch.Tensor], float]


def _length(changes: torch.Tensor) -> torch.Tensor:
    return changes.flatten(1).norm(dim=1)


def _column(values: torch.Tensor) -> torch.Tensor:
    return values.view(-1, 1, 1, 1)


NORMS: dict[str, Norm] = {
    "linf": Norm(
        size=lambda changes: changes.flatten(1).abs().amax(1),
        step=torch.sign,
        within=lambda changes, bounds: torch.minimum(torch.maximum(changes, -bounds), bounds),
        most=lambda picture: 0.5,
    ),
    "l2": Norm(
        size=_length,
        step=lambda gradients: gradients / _column(_length(gradients)).clamp_min(1e-12),
        within=lambda changes, bounds: changes * (bounds / _column(_length(changes)).clamp_min(1e-12)).clamp(max=1),
        most=lambda picture: 0.5 * picture.numel() ** 0.5,
    ),
}
"""Measures by name: the largest change of any value, and the root of the sum of all squares."""


@dataclass(frozen=True)
class Attempt:
    """A changed picture, and whether it is answered as was wanted.

    Attributes
    ----------
    picture : torch.Tensor
        (1, channels, height, width), 0..1.
    reached : bool
        Whether it is answered with the class; else it is the one that came nearest to that within the largest bound.
    """

    picture: torch.Tensor
    reached: bool


def smallest_change(
    network: Network, picture: torch.Tensor, target: int, *, norm: Norm, probability: float, steps: int
) -> Attempt:
    """Look for the smallest change after which a picture is answered with a class.

    For a bound, steps along the gradient of the class's logit less the largest other one, each followed by the way back into
    the ball and into 0..1 (projected gradient ascent: Madry et al. 2018). Several bounds are tried at once, and the search goes
    on between the largest that was too little and the smallest that was enough. Nothing is random. What is found is enough;
    that nothing smaller would be is sure of a linear network alone.

    Parameters
    ----------
    network
        In evaluation mode.
    picture
        (1, channels, height, width), 0..1.
    target
        Index of the class.
    norm
        The measure of changes.
    probability
        How probable the class must be at least, besides being the most probable one.
    steps
        How many steps for each bound.
    """
    most = norm.most(picture)
    bounds = torch.logspace(-8, 0, TRIED, base=2.0) * most
    best = Attempt(picture, reached=False)
    for _ in track(range(ROUNDS), "looking for the smallest change"):
        changed, reached = _within_bounds(network, picture, target, norm, bounds, probability, steps)
        enough = reached.nonzero().flatten().tolist()
        if not enough:
            if best.reached:  # the search is about luck by now
                break
            return Attempt(changed[-1:], reached=False)
        best = Attempt(changed[enough[0]][None], reached=True)
        low = 0.0 if enough[0] == 0 else float(bounds[enough[0] - 1])
        bounds = torch.linspace(low, float(bounds[enough[0]]), TRIED + 2)[1:-1]
    return Attempt(_less_of_it(network, picture, best.picture, target, probability), reached=True)


def _within_bounds(
    network: Network,
    picture: torch.Tensor,
    target: int,
    norm: Norm,
    bounds: torch.Tensor,
    probability: float,
    steps: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Change a picture within each of the bounds; give the pictures, and which are answered as is wanted.

    Of every bound the picture of the step is kept at which the class was furthest ahead.
    """
    normalise = normalising(network)
    limits = _column(bounds)
    changes = torch.zeros(len(bounds), *picture.shape[1:])
    best, ahead = picture.repeat(len(bounds), 1, 1, 1), torch.full((len(bounds),), -torch.inf)
    with frozen(network.module), torch.enable_grad():
        for _ in range(steps):
            changed = (picture + changes).detach().requires_grad_()
            margins = _margins(network.answer(normalise(changed)).float().cpu(), target)
            (gradients,) = torch.autograd.grad(margins.sum(), changed)
            best, ahead = _better(best, ahead, changed.detach(), margins.detach())
            # What is black already cannot become darker: the length of a step is not to be spent on it.
            blocked = ((changed <= 0) & (gradients < 0)) | ((changed >= 1) & (gradients > 0))
            gradients = gradients.masked_fill(blocked, 0)
            moved = norm.within(changes + limits * (2.5 / steps) * norm.step(gradients), limits)
            changes = (picture + moved).clamp(0, 1) - picture
        with torch.no_grad():
            last = picture + changes
            best, _ = _better(best, ahead, last, _margins(network.answer(normalise(last)).float().cpu(), target))
    return best, _reached(network, best, target, probability)


def _better(
    best: torch.Tensor, ahead: torch.Tensor, pictures: torch.Tensor, margins: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.where(_column(margins > ahead), pictures, best), torch.maximum(margins, ahead)


def _margins(logits: torch.Tensor, target: int) -> torch.Tensor:
    """Give by how much the class's logit is over the largest other one (n,)."""
    others = logits.clone()
    others[:, target] = -torch.inf
    return logits[:, target] - others.amax(1)


@torch.no_grad()
def _reached(network: Network, pictures: torch.Tensor, target: int, probability: float) -> torch.Tensor:
    logits = network.logits(normalising(network)(pictures)).float()
    return ((_margins(logits, target) > 0) & (network.probabilities(logits)[:, target] >= probability)).cpu()


def _less_of_it(
    network: Network, picture: torch.Tensor, changed: torch.Tensor, target: int, probability: float
) -> torch.Tensor:
    """Give the picture with the smallest share of the change that is enough, too."""
    shares = torch.linspace(1 / SCALED, 1, SCALED)
    for part in shares.split(8):
        pictures = picture + _column(part) * (changed - picture)
        enough = _reached(network, pictures, target, probability).nonzero().flatten().tolist()
        if enough:
            return pictures[enough[0]][None]
    return changed
