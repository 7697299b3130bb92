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
from iconoscope.occlusion.incremental.engine import Clean, Runner, run_graph
from iconoscope.occlusion.incremental.exact import MEMORY, Plans, run, scan_exact
from iconoscope.occlusion.incremental.graph import Graph
from iconoscope.occlusion.incremental.half_precision import half_of, lowered
from iconoscope.occlusion.incremental.plan import changes, cut, make_plan
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import Unit

__all__ = ["Shortcuts", "scan_fast"]

SHARES = (0.7, 0.85, 1.0)
"""Of the side of a map, up to which windows are computed anew; the first that errs little enough is taken."""

TOLERABLE = 0.02
"""Of the range of the map that is asked for: the mean error up to which a share is taken."""

SAMPLE = 0.03
"""Share of the positions that are answered exactly, to measure the error."""


@dataclass
class Shortcuts:
    """What was found out about a network, kept from one image to the next."""

    plans: Plans = field(default_factory=Plans)
    _ways: dict[tuple[object, ...], _Way] = field(default_factory=dict)

    def ways(self, graph: Graph, image: torch.Tensor, grid: Grid, unit: Unit, memory: int) -> Iterator[_Way]:
        """Give ways to go about a grid, with longer and longer windows, from the one that was taken last."""
        key = self.plans.key(grid, unit)
        first = SHARES.index(self._ways[key].share) if key in self._ways else 0
        for share in SHARES[first:]:
            if key not in self._ways or self._ways[key].share != share:
                self._ways[key] = _way(graph, image, grid, share, memory)
            yield self._ways[key]


@dataclass(frozen=True)
class _Way:
    share: float
    runner: Runner
    sample: Runner  # exact, for some grid rows and columns
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
    shortcuts: Shortcuts | None = None,
    memory: int | None = None,
) -> Scan:
    """Put the patch at every position of the grid and ask, about right and several times faster.

    Windows longer than a share of their map are cut around the patch, and maps are in bfloat16 where the processor
    multiplies it faster. What 16 bits change of the clean answers is taken off all of them. A random 3% of the positions is
    answered exactly as well; the plan says how far the two differ. The share is raised, for further images too, when the mean
    error is not small against the range of the map. What `scan_exact` would answer plainly, this answers plainly too.

    The parameters are those of `scan_exact`.
    """
    shortcuts = Shortcuts() if shortcuts is None else shortcuts
    memory = memory or MEMORY
    image = network.fitted(image)
    cover = cover.to(image)
    exactly = shortcuts.plans.runner(network, image, grid, unit, memory)
    if isinstance(exactly, str):
        return scan_exact(network, image, cover, grid, unit, plans=shortcuts.plans, memory=memory)
    graph = exactly.plan.graph
    clean = shortcuts.plans.clean(graph, image, unit)
    for way in shortcuts.ways(graph, image, grid, unit, memory):
        occluded = _approximate(network, way, clean, cover, unit)
        exact = run(network, way.sample, clean, _for(cover, way), unit)
        difference = np.abs(occluded[np.ix_(way.rows, way.columns)] - exact)[..., _asked(unit)]
        tolerable = TOLERABLE * max(float(np.ptp(exact[..., _asked(unit)])), 1e-3)
        if np.isfinite(occluded).all() and (way.share == SHARES[-1] or difference.mean() <= tolerable):
            return Scan(occluded, _describe(way, grid, difference))
    return scan_exact(network, image, cover, grid, unit, plans=shortcuts.plans, memory=memory)


def _asked(unit: Unit) -> int | slice:
    index = getattr(unit, "index", None)
    return slice(None) if index is None else index


def _way(graph: Graph, image: torch.Tensor, grid: Grid, share: float, memory: int) -> _Way:
    dtype, used = image.dtype, graph
    half = half_of(image.device)
    if half is not None and image.dtype == torch.float32:
        try:
            used = lowered(graph, half)
            run_graph(used, image[None].to(half))
            dtype = half
        except RuntimeError:  # an operator that does not know the type
            used = graph
    changed = changes(used, grid)
    plan = make_plan(used, grid, memory=memory, changed=changed if share == 1 else cut(used, grid, changed, share))
    draw = np.random.default_rng(0)
    rows, columns = (
        np.sort(draw.choice(count, max(1, min(count, round(count * SAMPLE**0.5))), replace=False))
        for count in grid.shape
    )
    some = Grid(grid.top[rows], grid.left[columns], grid.patch, grid.size)
    return _Way(share, Runner(plan), Runner(make_plan(graph, some, memory=memory)), rows, columns, dtype)


def _approximate(network: Network, way: _Way, exact: Clean, cover: Cover, unit: Unit) -> NDArray[np.float32]:
    lowly = Clean(way.runner.plan.graph, exact.image.to(way.dtype))
    correction = exact.answer.float() - lowly.answer.float()
    return run(network, way.runner, lowly, cover.to(lowly.image), unit, correction=correction)


def _for(cover: Cover, way: _Way) -> Cover:
    """Give the cover for the positions that are answered exactly."""
    if cover.colours is None:
        return cover
    return Cover(colours=cover.colours[torch.from_numpy(way.rows)][:, torch.from_numpy(way.columns)])


def _describe(way: _Way, grid: Grid, difference: NDArray[np.float32]) -> str:
    plan = way.runner.plan
    cuts = f"windows up to {way.share:.0%} of a map, " if way.share < 1 else ""
    lowly = "bfloat16, " if way.dtype == torch.bfloat16 else ""
    many = difference.shape[0] * difference.shape[1]
    return (
        f"fast: {len(grid)} positions, {plan.gain:.1f}x fewer operations than dense, {cuts}{lowly}"
        f"off by {difference.mean():.2g} on average and {difference.max():.2g} at most on {many} positions that were answered "
        "exactly as well"
    )
