"""Every channel of SqueezeNet's Fire modules: does each get a picture that it answers more than any photograph?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

import iconoscope as ico
from benchmarks.lucent_peer import Lucent
from iconoscope.optimization.loop import score
from iconoscope.optimization.objective import objectives
from iconoscope.optimization.reference_activations import read_reference
from iconoscope.optimization.scores import Scores
from iconoscope.subject.network import Network

__all__ = ["FIRES", "Channels", "channels_table", "every_channel"]

FIRES = tuple(f"features.{place}" for place in (3, 4, 6, 7, 9, 10, 11, 12))
STEPS = 64
LUCENTS = 16
"""How many channels of each module lucent is asked for: it takes several times as long."""


@dataclass(frozen=True, kw_only=True)
class Channels:
    """What the pictures of one module's channels are answered, over the strongest answer to a photograph.

    Attributes
    ----------
    layer : str
        The module.
    dead : list of str
        Channels that answer nothing to their picture.
    ratios : list of float
        Of every channel: the answer to its picture over the strongest to a photograph; infinite where that is nothing.
    lucent_grey : list of int
        Of the first channels: those that lucent's picture turns on nowhere.
    lucent_ratios : list of float
        Of the first channels, with lucent's pictures.
    """

    layer: str
    dead: list[str]
    ratios: list[float]
    lucent_grey: list[int]
    lucent_ratios: list[float]


def every_channel(network: Network, peer: nn.Module, lucent: Lucent, photographs: Path) -> Iterator[Channels]:
    """Make a picture of every channel, module by module, and lucent's of the first ones, in as many steps."""
    natural = read_reference(network, str(photographs))
    size = network.preprocessing.size[0]
    for layer in FIRES:
        found = ico.optimize(network, f"{layer}:*", steps=STEPS, compare=natural, precision="bfloat16")
        answers = [
            _answer(network, f"{layer}:{channel}", lucent.run(
                peer, layer.replace(".", "_"), channel, size=size, batch=1, steps=STEPS
            ))
            for channel in range(LUCENTS)
        ]  # fmt: skip
        yield Channels(
            layer=layer,
            dead=[unit for unit, dead in zip(found.units, found.dead, strict=True) if dead],
            ratios=_over(found.activation, found.natural_activation),
            lucent_grey=[channel for channel, answer in enumerate(answers) if answer <= 0],
            lucent_ratios=_over(np.array(answers), found.natural_activation[:LUCENTS]),
        )


def _answer(network: Network, unit: str, pictures: np.ndarray) -> float:
    shown = torch.from_numpy(pictures.astype(np.float32)).movedim(-1, 1).contiguous()
    with network.questioned():
        return float(score(network, Scores(objectives(network, unit), network), shown)[0])


def _over(answers: np.ndarray, natural: np.ndarray) -> list[float]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return [float(each) for each in np.nan_to_num(answers / natural, posinf=np.inf)]


def channels_table(found: Sequence[Channels]) -> list[str]:
    """Give the figures in Markdown."""
    head = (
        "module", "channels", "dead", "answers more than to any photograph", "times as much (median)", "least",
        f"lucent: off, of {LUCENTS}", "lucent: times as much (median)",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for one in found:
        above = sum(ratio > 1 for ratio in one.ratios)
        cells = (
            one.layer, str(len(one.ratios)), str(len(one.dead)), str(above), f"{median(one.ratios):.1f}",
            f"{min(one.ratios):.1f}", str(len(one.lucent_grey)), f"{median(one.lucent_ratios):.1f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines
