"""The approximate engine: long windows are cut, maps are in 16 bits where that is faster, and the error is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.occlusion.cover import Cover
from iconoscope.occlusion.dense import Scan
from iconoscope.occlusion.geometry import Grid
from iconoscope.occlusion.incremental.engine import CleanMaps, Runner, run_graph
from iconoscope.occlusion.incremental.exact import MEMORY, PlanCache, answers_everywhere, scan_exact
from iconoscope.occlusion.incremental.graph import Graph
from iconoscope.occlusion.incremental.half_precision import to_half
from iconoscope.occlusion.incremental.plan import changes, cut, make_plan
from iconoscope.subject.network import Network
from iconoscope.subject.processor import multiplies_bfloat16
from iconoscope.vocabulary.unit import Unit

__all__ = ["FastPlanCache", "scan_fast"]

SHARES = (0.7, 0.85, 1.0)
"""Of the side of a map, up to which windows are computed anew; the first that errs little enough is taken."""

TOLERABLE = 0.02
"""Of the range of the map that is asked for: the mean error up to which a share is taken."""

SAMPLE = 0.03
"""Share of the positions that are answered exactly, to measure the error."""


@dataclass
class FastPlanCache:
    """The exact engine's cache, and beside it cut plans and their measured errors, kept from one image to the next."""

    plans: PlanCache = field(default_factory=PlanCache)
    _plans: dict[tuple[object, ...], _FastPlan] = field(default_factory=dict)

    def fast_plans(self, graph: Graph, image: torch.Tensor, grid: Grid, unit: Unit, memory: int) -> Iterator[_FastPlan]:
        """Give plans for a grid with longer and longer windows, from the one that was taken last."""
        key = self.plans.key(grid, unit)
        first = SHARES.index(self._plans[key].share) if key in self._plans else 0
        for share in SHARES[first:]:
            if key not in self._plans or self._plans[key].share != share:
                self._plans[key] = _make_fast_plan(graph, image, grid, share, memory)
            yield self._plans[key]


@dataclass(frozen=True)
class _FastPlan:
    """The plan that answers a grid nearly, and some grid rows and columns of it exactly."""

    share: float
    runner: Runner
    sample: Runner
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    dtype: torch.dtype


def scan_fast(
    network: Network,
    image: torch.Tensor,
    cover: Cover,
    grid: Grid,
    unit: Unit,
    *,
    shortcuts: FastPlanCache | None = None,
    memory: int | None = None,
) -> Scan:
    """Put the patch at every position of the grid and ask, about right and several times faster.

    Windows longer than a share of their map are cut around the patch, and maps are in bfloat16 where the processor
    multiplies it faster. What 16 bits change of the clean answers is taken off all of them. A random 3% of the positions is
    answered exactly as well; the plan says how far the two differ. The share is raised, for further images too, when the mean
    error is not small against the range of the map. What `scan_exact` would answer plainly, this answers plainly too.

    The parameters are those of `scan_exact`.
    """
    shortcuts = FastPlanCache() if shortcuts is None else shortcuts
    memory = memory or MEMORY
    image = network.fitted(image)
    cover = cover.to(image)
    exact_runner = shortcuts.plans.runner(network, image, grid, unit, memory)
    if isinstance(exact_runner, str):
        return scan_exact(network, image, cover, grid, unit, plans=shortcuts.plans, memory=memory)
    graph = exact_runner.plan.graph
    clean = shortcuts.plans.clean(graph, image, unit)
    index = getattr(unit, "index", None)
    outputs = slice(None) if index is None else index
    for plan in shortcuts.fast_plans(graph, image, grid, unit, memory):
        occluded = _approximate(network, plan, clean, cover, unit)
        exact = answers_everywhere(network, plan.sample, clean, _sampled(cover, plan), unit)
        difference = np.abs(occluded[np.ix_(plan.rows, plan.columns)] - exact)[..., outputs]
        tolerable = TOLERABLE * max(float(np.ptp(exact[..., outputs])), 1e-3)
        if np.isfinite(occluded).all() and (plan.share == SHARES[-1] or difference.mean() <= tolerable):
            return Scan(occluded, _describe(plan, grid, difference))
    return scan_exact(network, image, cover, grid, unit, plans=shortcuts.plans, memory=memory)


def _make_fast_plan(graph: Graph, image: torch.Tensor, grid: Grid, share: float, memory: int) -> _FastPlan:
    """Plan a grid with windows up to a share of their map, and in 16 bits if the processor is faster with them."""
    dtype, fast_graph = image.dtype, graph
    if image.dtype == torch.float32 and multiplies_bfloat16(image.device):
        try:
            fast_graph = to_half(graph, torch.bfloat16)
            run_graph(fast_graph, image[None].to(torch.bfloat16))
            dtype = torch.bfloat16
        except RuntimeError:  # an operator that does not know the type
            fast_graph = graph
    changed = changes(fast_graph, grid)
    if share < 1:
        changed = cut(fast_graph, grid, changed, share)
    plan = make_plan(fast_graph, grid, memory=memory, changed=changed)
    draw = np.random.default_rng(0)
    rows, columns = (
        np.sort(draw.choice(count, max(1, min(count, round(count * SAMPLE**0.5))), replace=False))
        for count in grid.shape
    )
    sample = Grid(grid.top[rows], grid.left[columns], grid.patch, grid.size)
    return _FastPlan(share, Runner(plan), Runner(make_plan(graph, sample, memory=memory)), rows, columns, dtype)


def _approximate(network: Network, plan: _FastPlan, exact: CleanMaps, cover: Cover, unit: Unit) -> NDArray[np.float32]:
    """Give the answers at every position (grid rows, grid columns, outputs), without the error of the clean answer."""
    clean = CleanMaps(plan.runner.plan.graph, exact.image.to(plan.dtype))
    correction = exact.answer.float() - clean.answer.float()
    return answers_everywhere(network, plan.runner, clean, cover.to(clean.image), unit, correction=correction)


def _sampled(cover: Cover, plan: _FastPlan) -> Cover:
    """Give the cover for the positions that are answered exactly."""
    if cover.colours is None:
        return cover
    return Cover(colours=cover.colours[torch.from_numpy(plan.rows)][:, torch.from_numpy(plan.columns)])


def _describe(plan: _FastPlan, grid: Grid, difference: NDArray[np.float32]) -> str:
    gain = plan.runner.plan.gain
    cuts = f"windows up to {plan.share:.0%} of a map, " if plan.share < 1 else ""
    half = "bfloat16, " if plan.dtype == torch.bfloat16 else ""
    count = difference.shape[0] * difference.shape[1]
    return (
        f"fast: {len(grid)} positions, {gain:.1f}x fewer operations than dense, {cuts}{half}"
        f"off by {difference.mean():.2g} on average and {difference.max():.2g} at most on {count} positions that were answered "
        "exactly as well"
    )
