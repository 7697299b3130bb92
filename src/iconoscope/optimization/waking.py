"""Pictures to begin at where noise leaves a unit off: behind a ReLU there is no gradient then that would say where up is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.nn.functional import interpolate

from iconoscope.optimization.loop import normalising
from iconoscope.optimization.objective import Objective
from iconoscope.optimization.scores import Scores
from iconoscope.subject.network import Network
from iconoscope.subject.probe import probe

__all__ = ["waking_pictures"]

CANDIDATES, TOGETHER = 64, 4
"""Patterns that are tried, and how many of them go through the network at once."""

SIDES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
"""Of patterns, in cells: plain colours, large fields, and fine ones."""

CONTRASTS = (0.2, 0.4, 0.8)
"""Of a pattern's darkest and lightest pixels: the faintest that turns a unit on is what its picture begins at, since at the
ends of the scale of colours there is nowhere to go."""

ROUNDING = 1e-5
"""An answer is no stronger than another if it differs by less than this share of it."""


def waking_pictures(
    network: Network,
    objectives: Sequence[Objective],
    ranks: Sequence[int],
    answers: Sequence[float],
    size: tuple[int, int],
) -> list[torch.Tensor | None]:
    """Give for every objective, of coloured patterns of rising contrast, one that the network answers more strongly than noise.

    Parameters
    ----------
    network
        In evaluation mode.
    objectives
        Resolved; one may stand there several times.
    ranks
        Which pattern each is given, from 0, the strongest; after the weakest comes the strongest again.
    answers
        What the network answered to each already.
    size
        Height and width of the patterns.

    Returns
    -------
    list of torch.Tensor or None
        (channels, height, width) of 0..1 each; None where no pattern is answered more strongly than that.
    """
    pictures: list[torch.Tensor | None] = [None] * len(objectives)
    for contrast in CONTRASTS:
        asleep = [row for row, picture in enumerate(pictures) if picture is None]
        if not asleep:
            break
        strengths = _strengths(network, list(dict.fromkeys(objectives[row] for row in asleep)), contrast, size)
        for row in asleep:
            strength, answer = strengths[objectives[row]], answers[row]
            stronger = (strength > answer + ROUNDING * abs(answer)) & strength.isfinite()
            order = strength.argsort(descending=True, stable=True)
            if len(waking := order[stronger[order]]):
                chosen = int(waking[ranks[row] % len(waking)])
                pictures[row] = _drawn(_cells(network.channels)[chosen], contrast, size)[0]
    return pictures


def _strengths(
    network: Network, objectives: Sequence[Objective], contrast: float, size: tuple[int, int]
) -> dict[Objective, torch.Tensor]:
    """Give the scores (patterns,) of all patterns of a contrast by every objective."""
    scores = {objective: Scores([objective] * TOGETHER, network) for objective in objectives}
    layers = dict.fromkeys(layer for reading in scores.values() for layer in reading.layers)
    strengths: dict[Objective, list[torch.Tensor]] = {objective: [] for objective in objectives}
    with torch.no_grad(), probe(network, layers) as read:
        for shown in _shown_together(network.channels, contrast, size):
            fitted = interpolate(shown, network.preprocessing.size, mode="bilinear", antialias=True)
            answers = read(normalising(network)(fitted))
            for objective, reading in scores.items():
                strengths[objective].append(reading(answers).cpu())
    return {objective: torch.cat(parts) for objective, parts in strengths.items()}


def _shown_together(channels: int, contrast: float, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    """Draw the patterns that go through the network together, and no others: of large pictures all would be a gigabyte."""
    cells = _cells(channels)
    for first in range(0, CANDIDATES, TOGETHER):
        yield torch.cat([_drawn(cell, contrast, size) for cell in cells[first : first + TOGETHER]])


def _cells(channels: int) -> list[torch.Tensor]:
    """Give the cells of all patterns, (1, channels, side, side) of -0.5 and 0.5 each; always the same ones."""
    generator = torch.Generator().manual_seed(0)
    sides = [SIDES[number % len(SIDES)] for number in range(CANDIDATES)]
    return [torch.randint(0, 2, (1, channels, side, side), generator=generator).float() - 0.5 for side in sides]


def _drawn(cells: torch.Tensor, contrast: float, size: tuple[int, int]) -> torch.Tensor:
    """Draw a pattern (1, channels, height, width) of 0..1 from its cells."""
    return 0.5 + contrast * interpolate(cells, size, mode="bicubic", align_corners=False).clamp(-0.5, 0.5)
