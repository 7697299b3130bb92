"""Pictures to begin at where noise leaves a unit off: behind a ReLU there is no gradient then that would say where up is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

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
    network: Network, objectives: Sequence[Objective], answers: Sequence[float], size: tuple[int, int]
) -> list[torch.Tensor | None]:
    """Give for every objective, of coloured patterns of full contrast, one that the network answers more strongly than noise.

    Parameters
    ----------
    network
        In evaluation mode.
    objectives
        Resolved; one that stands there several times is given its strongest pattern first, then the next.
    answers
        What the network answered to each already.
    size
        Height and width of the patterns.

    Returns
    -------
    list of torch.Tensor or None
        (channels, height, width) of 0..1 each; None where no pattern is answered more strongly than that.
    """
    count: Counter[Objective] = Counter()
    pictures: list[torch.Tensor | None] = [None] * len(objectives)
    for contrast in CONTRASTS:
        asleep = [row for row, picture in enumerate(pictures) if picture is None]
        if not asleep:
            break
        patterns = 0.5 + contrast * _patterns(network.channels, size)
        strengths = _strengths(network, list(dict.fromkeys(objectives[row] for row in asleep)), patterns)
        for row in asleep:
            strength, answer = strengths[objectives[row]], answers[row]
            order = strength.argsort(descending=True, stable=True)
            waking = order[strength[order] > answer + ROUNDING * abs(answer)]
            if len(waking):
                pictures[row] = patterns[waking[count[objectives[row]] % len(waking)]]
                count[objectives[row]] += 1
    return pictures


def _strengths(
    network: Network, objectives: Sequence[Objective], patterns: torch.Tensor
) -> dict[Objective, torch.Tensor]:
    """Give the scores (patterns,) of all patterns by every objective."""
    scores = {objective: Scores([objective] * TOGETHER, network) for objective in objectives}
    layers = dict.fromkeys(layer for reading in scores.values() for layer in reading.layers)
    strengths: dict[Objective, list[torch.Tensor]] = {objective: [] for objective in objectives}
    with torch.no_grad(), probe(network, layers) as read:
        for shown in patterns.split(TOGETHER):
            fitted = interpolate(shown, network.preprocessing.size, mode="bilinear", antialias=True)
            answers = read(normalising(network)(fitted))
            for objective, reading in scores.items():
                strengths[objective].append(reading(answers).cpu())
    return {objective: torch.cat(parts) for objective, parts in strengths.items()}


@cache
def _patterns(channels: int, size: tuple[int, int]) -> torch.Tensor:
    """Draw the patterns, (candidates, channels, height, width) of -0.5..0.5; always the same ones."""
    generator = torch.Generator().manual_seed(0)
    patterns = []
    for number in range(CANDIDATES):
        side = SIDES[number % len(SIDES)]
        cells = torch.randint(0, 2, (1, channels, side, side), generator=generator) - 0.5
        patterns.append(interpolate(cells, size, mode="bicubic", align_corners=False).clamp(-0.5, 0.5))
    return torch.cat(patterns)
