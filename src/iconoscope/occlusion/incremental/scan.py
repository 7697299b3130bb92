"""The question put to the incremental engine, answered by the plain one wherever that is the sound or the faster way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from iconoscope.occlusion.cover import Cover
from iconoscope.occlusion.dense import Scan, scan_dense
from iconoscope.occlusion.geometry import Grid
from iconoscope.occlusion.incremental.capture import CaptureError, capture
from iconoscope.occlusion.incremental.engine import run_plan
from iconoscope.occlusion.incremental.plan import Plan, make_plan
from iconoscope.subject.network import Network
from iconoscope.subject.response import respond
from iconoscope.subject.unit import ClassUnit, Unit

__all__ = ["Plans", "scan_exact"]

MEMORY = 1 << 30
"""Bytes that the engine may take if nothing else is said."""

LEAST_GAIN = 1.15
"""How many times fewer multiplications it must be, to be worth the moving of pixels."""

LEAST_WORK = 2e10
"""Multiplications of a plain scan of all images, well under a second; below, it is over before a plan is made."""

TOLERANCE = 1e-4
"""Of a probability, or of the largest logit: what the answers may differ by from naive ones."""


@dataclass
class Plans:
    """What was found out about a network and a geometry, kept from one image to the next.

    It holds for one network with one set of weights, one grid and one bound of memory.
    """

    images: int = 1  # how many will be asked about
    plan: Plan | None = None
    refusal: str = ""  # why there is none
    checked: bool = False


def scan_exact(
    network: Network,
    image: torch.Tensor,
    cover: Cover,
    grid: Grid,
    unit: Unit,
    *,
    plans: Plans | None = None,
    memory: int | None = None,
) -> Scan:
    """Put the patch at every position of the grid and ask, computing anew only what the patch changes.

    The answers are those of `scan_dense` up to the rounding of float32 (Krypton: Nakandala, Kumar and Papakonstantinou,
    SIGMOD 2019). With the first image some positions are asked naively too; if they differ, the plain engine answers.

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
    plans
        Where the plan is kept for the next image.
    memory
        Bytes that maps, indices and one chunk of positions may take together, the weights not counted.
    """
    plans = Plans() if plans is None else plans
    image = image.to(network.device)
    cover = cover.to(image)
    if not isinstance(unit, ClassUnit):
        return _dense(
            network, image, cover, grid, unit, memory, "units inside the network are asked one position at a time"
        )
    if plans.plan is None and not plans.refusal:
        _plan(plans, network, image, grid, memory)
    if plans.plan is None:
        return _dense(network, image, cover, grid, unit, memory, plans.refusal)
    logits = run_plan(plans.plan, image, cover)
    answers = torch.from_numpy(logits)
    occluded = (answers if unit.kind == "logit" else answers.softmax(2)).numpy()
    if not np.isfinite(occluded).all():
        return _dense(network, image, cover, grid, unit, memory, "the incremental engine answered NaN or infinity")
    if not plans.checked:
        error = _error(network, image, cover, grid, unit, occluded)
        if error > TOLERANCE:
            plans.plan, plans.refusal = None, f"the incremental engine differed by {error:.1g} and was not trusted"
            return _dense(network, image, cover, grid, unit, memory, plans.refusal)
        plans.checked = True
    return Scan(occluded, describe(plans.plan))


def describe(plan: Plan) -> str:
    """Say in one line what ran how."""
    text = f"exact: {len(plan.grid)} positions, {plan.gain:.1f}x fewer operations than dense"
    return f"{text}; whole from {plan.whole_from} on" if plan.whole_from else text


def _plan(plans: Plans, network: Network, image: torch.Tensor, grid: Grid, memory: int | None) -> None:
    if _work(network, image) * len(grid) * plans.images < LEAST_WORK:
        plans.refusal = "too little work for a plan to pay"
        return
    try:
        graph = capture(network.module, image)
    except CaptureError as error:
        plans.refusal = str(error)
        return
    plan = make_plan(graph, grid, batch=None, memory=memory or MEMORY)
    if plan.gain < LEAST_GAIN:
        where = f"from {plan.whole_from} on " if plan.whole_from else ""
        plans.refusal = f"{where}every position changes nearly everything, so there is nothing to gain"
        return
    plans.plan = plan


def _work(network: Network, image: torch.Tensor) -> float:
    """Give the multiplications of one pass of the network, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        network.run(image[None])
    return counter.get_total_flops() / 2


def _dense(
    network: Network, image: torch.Tensor, cover: Cover, grid: Grid, unit: Unit, memory: int | None, why: str
) -> Scan:
    scan = scan_dense(network, image, cover, grid, unit, memory=memory)
    return Scan(scan.occluded, f"{scan.plan}; {why}")


def _error(
    network: Network, image: torch.Tensor, cover: Cover, grid: Grid, unit: Unit, occluded: NDArray[np.float32]
) -> float:
    """Give the largest difference from naive answers: at the corners, in the centre and at two places drawn at random."""
    rows, columns = grid.shape
    corners = [0, columns - 1, (rows - 1) * columns, rows * columns - 1]
    drawn = np.random.default_rng(0).integers(len(grid), size=2).tolist()
    error = 0.0
    for position in dict.fromkeys([*corners, (rows // 2) * columns + columns // 2, *drawn]):
        naive = respond(network, cover.over(image, grid, position)[None], unit).values[0].cpu().numpy()
        difference = float(np.abs(naive - occluded[divmod(position, columns)]).max())
        error = max(error, difference / max(1.0, float(np.abs(naive).max())))
    return error
