"""The same question put to others: Captum's Occlusion, and a dense loop that leaves out nothing that makes it fast."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from iconoscope.occlusion.geometry import Grid
from iconoscope.subject.captured.capture import capture
from iconoscope.subject.captured.graph import Graph, run_graph

__all__ = ["FORWARDS", "DenseLoop", "Forward", "Function", "attribute", "captum_ms"]

HEADS = 256
"""Positions whose last layers are computed together."""

Function = Callable[[torch.Tensor], torch.Tensor]


class _EnoughError(Exception):
    """Captum has run as many batches as were to be timed."""


def attribute(forward: Function, image: torch.Tensor, target: int, grid: Grid, *, batch: int) -> NDArray[np.float32]:
    """Give Captum's attributions, (channels, height, width): zeros as the baseline, all channels covered at once.

    Parameters
    ----------
    forward
        Answers (n, outputs) for (n, 3, height, width).
    image
        (3, height, width).
    target
        Which output.
    grid
        The positions; Captum lays out the same by itself.
    batch
        Its `perturbations_per_eval`.
    """
    occlusion = importlib.import_module("captum.attr").Occlusion
    steps = tuple(int(starts[1] - starts[0]) if len(starts) > 1 else 1 for starts in (grid.top, grid.left))
    found = occlusion(forward).attribute(
        image[None],
        sliding_window_shapes=(len(image), *grid.patch),
        strides=(len(image), *steps),
        baselines=0,
        target=target,
        perturbations_per_eval=batch,
    )
    return found[0].numpy()


def captum_ms(
    module: nn.Module, image: torch.Tensor, target: int, grid: Grid, *, batch: int, batches: int = 1
) -> float:
    """Give Captum's milliseconds for a position, asked for the probability of a class, in its own loop.

    Parameters
    ----------
    module
        In evaluation mode; it answers logits.
    image, target, grid
        As for `attribute`.
    batch
        Its `perturbations_per_eval`.
    batches
        How many are timed: those after the first, which warms up. The scan is broken off behind them.
    """
    last = -(-len(grid) // batch)
    batches = min(batches, last - 2)
    if batches < 1:
        raise ValueError(f"{len(grid)} positions are not three batches of {batch}.")
    starts: list[float] = []

    def forward(covered: torch.Tensor) -> torch.Tensor:
        starts.append(perf_counter())
        if len(starts) == batches + 3:  # the untouched image, the batch that warms up, and the one that is not timed
            raise _EnoughError
        return module(covered).softmax(1)

    with suppress(_EnoughError):
        attribute(forward, image, target, grid, batch=batch)
    return 1e3 * (starts[-1] - starts[2]) / (batches * batch)


@dataclass(frozen=True)
class Forward:
    """A network in two parts, so that large linear layers need not read their weights anew for every small batch.

    Attributes
    ----------
    body : callable
        From a batch (n, 3, height, width) to what the head reads, (n, ...).
    head : callable
        From that, of several batches one behind another, to logits.
    """

    body: Function
    head: Function


def _packed(module: nn.Module, image: torch.Tensor) -> Forward:
    """Run the captured graph whole: batch norm folded, ReLU fused, weights in the order that oneDNN wants."""
    graph = capture(module, image)
    # The head: the last steps, as long as each reads nothing but the one before.
    first = len(graph.steps)
    while graph.steps[first - 1].inputs == (graph.steps[first - 2].name,) and graph.steps[first - 2].map is None:
        first -= 1
    body, head = Graph(graph.steps[:first], graph.steps[first - 1].name), graph.steps[first:]

    def finish(value: torch.Tensor) -> torch.Tensor:
        for step in head:
            assert step.operator is not None
            value = step.operator.whole([value])
        return value

    return Forward(lambda batch: run_graph(body, batch)[body.output], finish)


def _compiled(module: nn.Module, image: torch.Tensor) -> Forward:
    """Let PyTorch's own compiler do it, with the weights frozen in; it needs a compiler of C++."""
    held = copy.deepcopy(module).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    # The number of threads goes into the code; said here, code for another is not taken from PyTorch's cache.
    options: dict[str, Any] = {"freezing": True, "cpp.threads": torch.get_num_threads()}
    return Forward(torch.compile(held, dynamic=False, options=options), lambda logits: logits)


FORWARDS: dict[str, Callable[[nn.Module, torch.Tensor], Forward]] = {"packed": _packed, "compiled": _compiled}
"""Ways to run a whole network: from the module and an image."""


class DenseLoop:
    """The whole network at every position: one buffer in channels last, painted and mended in place.

    Attributes
    ----------
    forward : Forward
        Made by one of `FORWARDS`.
    image : torch.Tensor
        (3, height, width); covered by zeros.
    grid : Grid
        The positions.
    batch : int
        How many at once.
    """

    def __init__(self, forward: Forward, image: torch.Tensor, grid: Grid, *, batch: int) -> None:
        self.forward, self.image, self.grid, self.batch = forward, image, grid, batch
        self._buffer = image.repeat(batch, 1, 1, 1).contiguous(memory_format=torch.channels_last)

    def probabilities(self, positions: Sequence[int]) -> torch.Tensor:
        """Give the probabilities at some positions, (positions, classes)."""
        parts = (positions[first : first + HEADS] for first in range(0, len(positions), HEADS))
        return torch.cat([self.forward.head(self._features(part)).softmax(1) for part in parts])

    def ms(self, positions: Sequence[int]) -> float:
        """Give the milliseconds for a position of a whole scan, timed at some; a batch before warms up.

        The head is timed for as many positions as a whole scan gives it at a time.
        """
        self._features(positions[: self.batch])
        start = perf_counter()
        features = self._features(positions)
        body = perf_counter() - start
        many = min(HEADS, len(self.grid))
        features = features.repeat(-(-many // len(features)), *[1] * (features.ndim - 1))[:many]
        self.forward.head(features)
        start = perf_counter()
        self.forward.head(features).softmax(1)
        return 1e3 * (body / len(positions) + (perf_counter() - start) / many)

    def _features(self, positions: Sequence[int]) -> torch.Tensor:
        """Give what the head reads, (positions, ...)."""
        found = []
        for first in range(0, len(positions), self.batch):
            windows = [self.grid.window(position) for position in positions[first : first + self.batch]]
            for place, (rows, columns) in enumerate(windows):
                self._buffer[place, :, rows, columns] = 0
            found.append(self.forward.body(self._buffer)[: len(windows)])
            for place, (rows, columns) in enumerate(windows):
                self._buffer[place, :, rows, columns] = self.image[:, rows, columns]
        return torch.cat(found)
