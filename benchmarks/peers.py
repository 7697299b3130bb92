"""The same question put to others: Captum's Occlusion, and a dense loop that leaves out nothing that makes it fast."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from iconoscope.occlusion.geometry import Grid
from iconoscope.occlusion.incremental.capture import capture
from iconoscope.occlusion.incremental.engine import run_graph

__all__ = ["FORWARDS", "DenseLoop", "Forward", "attribute", "captum_ms"]

Forward = Callable[[torch.Tensor], torch.Tensor]


class _EnoughError(Exception):
    """Captum has run as many batches as were to be timed."""


def attribute(forward: Forward, image: torch.Tensor, target: int, grid: Grid, *, batch: int) -> NDArray[np.float32]:
    """Give Captum's attributions, (3, height, width): zeros as the baseline, all channels covered at once.

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
        sliding_window_shapes=(3, *grid.patch),
        strides=(3, *steps),
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


def _packed(module: nn.Module, image: torch.Tensor) -> Forward:
    """Run the captured graph whole: batch norm folded, ReLU fused, weights in the order that oneDNN wants."""
    graph = capture(module, image)
    return lambda batch: run_graph(graph, batch)[graph.output]


def _compiled(module: nn.Module, image: torch.Tensor) -> Forward:
    """Let PyTorch's own compiler do it, with the weights frozen in; it needs a compiler of C++."""
    # Code for another number of threads, or for another size of batch, must not be taken for this one.
    torch.compiler.reset()
    held = copy.deepcopy(module).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return torch.compile(held, dynamic=False, options={"freezing": True})


FORWARDS: dict[str, Callable[[nn.Module, torch.Tensor], Forward]] = {"packed": _packed, "compiled": _compiled}
"""Ways to run a whole network on a batch: from the module and an image to what is called."""


class DenseLoop:
    """The whole network at every position: one buffer in channels last, painted and mended in place.

    Attributes
    ----------
    forward : callable
        One of `FORWARDS`.
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
        answers = []
        for first in range(0, len(positions), self.batch):
            windows = [self.grid.window(position) for position in positions[first : first + self.batch]]
            for place, (rows, columns) in enumerate(windows):
                self._buffer[place, :, rows, columns] = 0
            answers.append(self.forward(self._buffer).softmax(1)[: len(windows)])
            for place, (rows, columns) in enumerate(windows):
                self._buffer[place, :, rows, columns] = self.image[:, rows, columns]
        return torch.cat(answers)

    def ms(self, positions: Sequence[int]) -> float:
        """Give the milliseconds for a position; a batch before warms up."""
        self.probabilities(positions[: self.batch])
        start = perf_counter()
        self.probabilities(positions)
        return 1e3 * (perf_counter() - start) / len(positions)
