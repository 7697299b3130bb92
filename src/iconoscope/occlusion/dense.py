"""The plain engine: the whole network runs on the whole image for every position of the patch.

Nothing is shared between positions and nothing is approximated, so this is what every faster engine is held against.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.occlusion.cover import Cover
from iconoscope.occlusion.geometry import Grid
from iconoscope.progress import track
from iconoscope.subject.network import Network
from iconoscope.subject.response import respond
from iconoscope.subject.unit import Unit

__all__ = ["Scan", "best_batch", "clean_response", "scan_dense"]


@dataclass(frozen=True)
class Scan:
    """The answers of an engine.

    Attributes
    ----------
    occluded : ndarray of float32, (grid rows, grid columns, outputs)
        The answers with the patch at each position.
    plan : str
        What ran how, in one line.
    """

    occluded: NDArray[np.float32]
    plan: str


def clean_response(
    network: Network, image: torch.Tensor, unit: Unit
) -> tuple[NDArray[np.float32], tuple[str, ...], int, str]:
    """Ask about the image (3, height, width) with nothing covered: answers, names of the outputs, target, measure."""
    response = respond(network, image[None].to(network.device), unit)
    target = 0 if response.target is None else response.target
    return response.values[0].cpu().numpy(), response.names, target, response.measure


def best_batch(size: tuple[int, int]) -> int:
    """Give how many images of a size (pixels) go through a network at once without outgrowing a laptop's memory."""
    return max(8, min(256, 1_500_000 // (size[0] * size[1])))


def scan_dense(
    network: Network, image: torch.Tensor, cover: Cover, grid: Grid, unit: Unit, *, batch: int | None = None
) -> Scan:
    """Put the patch at every position of the grid and ask.

    Parameters
    ----------
    network
        In evaluation mode.
    image
        (channels, height, width), in the network's input space.
    cover
        What covers it.
    grid
        The positions.
    unit
        Resolved.
    batch
        How many positions go through the network at once.
    """
    batch = batch or best_batch(grid.size)
    image = image.to(network.device)
    cover = cover.to(image)
    starts = range(0, len(grid), batch)
    answers: list[NDArray[np.float32]] = []
    for first in track(starts, "positions"):
        positions = range(first, min(first + batch, len(grid)))
        covered = torch.stack([cover.over(image, grid, position) for position in positions])
        answers.append(respond(network, covered, unit).values.cpu().numpy())
    occluded = np.concatenate(answers).reshape(*grid.shape, -1)
    return Scan(occluded, f"dense: {len(grid)} positions, the whole network on each, {batch} at a time")
