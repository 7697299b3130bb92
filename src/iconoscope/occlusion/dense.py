"""The plain engine: the whole network runs on the whole image for every position of the patch.

Nothing is shared between positions and nothing is approximated, so this is what every faster engine is held against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, first_line
from iconoscope.occlusion.geometry import Cover, Grid, pictures_at_once
from iconoscope.progress import track
from iconoscope.subject.ledger import Ledger
from iconoscope.subject.memory import written_memory
from iconoscope.subject.network import Network
from iconoscope.subject.response import respond
from iconoscope.vocabulary.unit import Unit

__all__ = ["Scan", "batch_size", "clean_response", "measured_memory", "scan_dense"]

MEMORY = 2 * 10**9
"""Bytes that a batch may take if nothing else is said."""

USED = 0.75
"""Share of the memory that is planned for. Kernels take scratch space, and allocators keep what is free: of 200MB the resident
set of four kinds of network took 51% to 78%, of 120MB 58% to 99%."""

MOST = 1024
"""Images of a batch, however much memory there is."""


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


def scan_dense(
    network: Network,
    image: torch.Tensor,
    cover: Cover,
    grid: Grid,
    unit: Unit,
    *,
    memory: int | None = None,
    answer: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Scan:
    """Put the patch at every position of the grid and ask.

    The first position is asked by itself, and what it holds in memory says how many more go through the network at once.

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
    memory
        Bytes that the inputs and the maps may take, the weights and the answers not counted.
    answer
        From covered pictures (positions, channels, height, width) to what is asked, (positions, outputs), if the network is run
        in another form than its own.

    Raises
    ------
    QuestionError
        If not even one position fits into the memory.
    """
    image = image.to(network.device)
    cover = cover.to(image)

    def ask(positions: range) -> torch.Tensor:
        covered = image.new_empty((len(positions), *image.shape))
        for index, position in enumerate(positions):
            covered[index] = cover.over(image, grid, position)
        return (respond(network, covered, unit).values if answer is None else answer(covered)).cpu()

    first, need, failure = measured_memory(lambda: ask(range(1)).numpy())
    batch = batch_size(network, grid.size, need, memory)
    occluded = np.empty((len(grid), first.shape[1]), np.float32)
    occluded[0] = first[0]
    for start in track(range(1, len(grid), batch), "positions"):
        positions = range(start, min(start + batch, len(grid)))
        occluded[start : positions.stop] = ask(positions).numpy()
    at_a_time = f"1 (since {network.singly})" if network.singly else min(batch, len(grid))
    plan = f"dense: {len(grid)} positions, the whole network on each, {at_a_time} at a time{failure}"
    return Scan(occluded.reshape(*grid.shape, -1), plan)


def measured_memory(ask: Callable[[], NDArray[np.float32]]) -> tuple[NDArray[np.float32], int, str]:
    """Ask and count the bytes that it takes; 0 if counting fails, and why, for the plan."""
    try:
        with Ledger() as ledger:
            return ask(), ledger.peak, ""
    except Exception as error:  # noqa: BLE001 -- of counting, or of the user's code, which raises it again below
        reason = f"; the memory could not be measured ({type(error).__name__}: {first_line(error, most=120)})"
    return ask(), 0, reason


def batch_size(network: Network, size: tuple[int, int], need: int, memory: int | None, *, work: float = 1.0) -> int:
    """Give how many positions go through the network at once.

    Parameters
    ----------
    size
        Height and width of a picture, pixels.
    need
        The bytes that one position takes; 0 if that is not known.
    memory
        Their bound, if one was given.
    work
        The share of a whole picture's work that one position is.
    """
    if memory is None:
        fastest = int(pictures_at_once(*size) / work)
        return max(1, min(fastest, int(MEMORY * USED / need), MOST)) if need else min(fastest, MOST)
    if not need:
        return 1
    batch = int(memory * USED / need)
    if batch < 1:
        raise QuestionError(
            f"memory={written_memory(memory)} is too little: one position of the patch before {network.name} takes "
            f"{written_memory(need)}.",
            hint=f"Give {written_memory(1.1 * need / USED)} or more.",
        )
    return min(batch, MOST)
