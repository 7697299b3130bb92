"""The approximate engine: long windows are cut, maps are in 16 bits where that is faster, and the error is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.occlusion.dense import Scan
from iconoscope.occlusion.geometry import Cover, Grid
from iconoscope.occlusion.incremental.engine import CleanMaps, Runner
from iconoscope.occlusion.incremental.exact import MEMORY, PlanCache, answers_everywhere, or_plainly, untrusted
from iconoscope.occlusion.incremental.plan import changes, cut, make_plan
from iconoscope.subject.captured.graph import Graph, run_graph
from iconoscope.subject.captured.operators import Convolution, Linear, Operator
from iconoscope.subject.network import Network
from iconoscope.subject.processor import multiplies_bfloat16
from iconoscope.subject.response import Response
from iconoscope.vocabulary.unit import ClassUnit, Unit

__all__ = ["scan_fast"]

SHARES = (0.7, 0.85, 1.0)
"""Of the side of a map, up to which windows are computed anew; the first that errs little enough is taken."""

TOLERABLE = 0.02
"""Of the range of the map that is asked for: the mean error up to which a share is taken."""

SAMPLE = 0.03
"""Share of the positions that are answered exactly, to measure the error."""

FEWEST = 5
"""Grid rows, and grid columns, of that sample at least: the largest error of a handful of positions says little."""

ALLOWANCE = 2.0
"""How many times the largest error of the sample any position is taken to err by. How often it does: `make bench-fast`."""

CERTAIN = 1e-6
"""From 0 and from 1: beyond, float32 has no digits left for the log-odds of a probability."""


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
    plans: PlanCache | None = None,
    memory: int | None = None,
    clean: Response | None = None,
) -> Scan:
    """Put the patch at every position of the grid and ask, about right and several times faster.

    Windows longer than a share of their map are cut around the patch, and maps are in bfloat16 where the processor
    multiplies it faster. What 16 bits change of the clean answers is taken off all of them. A random 3% of the positions, of
    at least five grid rows and columns, is answered exactly as well; the plan says how far the two differ, and by that
    estimates how far any position is off at most. The share is raised, for further images too, when the mean error is not
    small against the range of the map. What `scan_exact` would answer plainly, this answers plainly too.

    The parameters are those of `scan_exact`.
    """
    plans = PlanCache() if plans is None else plans
    key = plans.key(grid, unit)

    def nearly(image: torch.Tensor, cover: Cover) -> Scan | str:
        runner = plans.runner(network, image, grid, unit, memory or MEMORY)
        if isinstance(runner, str):
            return runner
        graph = runner.plan.graph
        exact_clean = plans.clean(graph, image, unit)
        if reason := untrusted(network, exact_clean, unit, clean):
            plans.runners[key] = reason
            return reason
        index = getattr(unit, "index", None)
        outputs = slice(None) if index is None else index
        first = SHARES.index(plans.fast_plans[key].share) if key in plans.fast_plans else 0
        for share in SHARES[first:]:
            if key not in plans.fast_plans or plans.fast_plans[key].share != share:
                plans.fast_plans[key] = _make_fast_plan(graph, image, grid, share, memory or MEMORY)
            plan = plans.fast_plans[key]
            maps = CleanMaps(plan.runner.plan.graph, image.to(plan.dtype))
            correction = exact_clean.answer.float() - maps.answer.float()
            fast_cover = cover.to(maps.image)
            occluded = answers_everywhere(network, plan.runner, maps, fast_cover, unit, correction=correction)
            exact = answers_everywhere(network, plan.sample, exact_clean, _sampled(cover, plan), unit)
            sampled = occluded[np.ix_(plan.rows, plan.columns)]
            difference = np.abs(sampled - exact)[..., outputs]
            tolerable = TOLERABLE * max(float(np.ptp(exact[..., outputs])), 1e-3)
            if np.isfinite(occluded).all() and (share == SHARES[-1] or difference.mean() <= tolerable):
                largest = _largest_error(occluded[..., outputs], sampled[..., outputs], exact[..., outputs], unit)
                return Scan(occluded, _describe(plan, grid, difference, largest))
        return "the incremental engine answered NaN or infinity"

    return or_plainly(nearly, network, image, cover, grid, unit, plans=plans, memory=memory, clean=clean)


def _make_fast_plan(graph: Graph, image: torch.Tensor, grid: Grid, share: float, memory: int) -> _FastPlan:
    """Plan a grid with windows up to a share of their map, and in 16 bits if the processor is faster with them."""
    dtype, fast_graph = image.dtype, graph
    if image.dtype == torch.float32 and multiplies_bfloat16(image.device):
        try:
            fast_graph = _to_half(graph, torch.bfloat16)
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
        np.sort(draw.choice(count, min(count, max(FEWEST, round(count * SAMPLE**0.5))), replace=False))
        for count in grid.shape
    )
    sample = Grid(grid.top[rows], grid.left[columns], grid.patch, grid.size)
    return _FastPlan(share, Runner(plan), Runner(make_plan(graph, sample, memory=memory)), rows, columns, dtype)


def _sampled(cover: Cover, plan: _FastPlan) -> Cover:
    """Give the cover for the positions that are answered exactly."""
    if cover.colours is None:
        return cover
    return Cover(colours=cover.colours[torch.from_numpy(plan.rows)][:, torch.from_numpy(plan.columns)])


def _largest_error(
    everywhere: NDArray[np.float32], sampled: NDArray[np.float32], exact: NDArray[np.float32], unit: Unit
) -> float:
    """Estimate the largest error anywhere by that of a sample, which misses the few positions that err most.

    Of probabilities it is carried over in log-odds: there positions err about alike, where a probability near 0 or 1 hardly
    errs at all, and one between them many times as much.
    """
    if not (isinstance(unit, ClassUnit) and unit.kind == "prob"):
        return ALLOWANCE * float(np.abs(sampled - exact).max())
    odds, of_sampled, of_exact = (
        torch.from_numpy(np.ascontiguousarray(values)).double().logit(CERTAIN)
        for values in (everywhere, sampled, exact)
    )
    off = ALLOWANCE * (of_sampled - of_exact).abs().max()
    probabilities = odds.sigmoid()
    return max(float((moved.sigmoid() - probabilities).abs().max()) for moved in (odds - off, odds + off))


def _describe(plan: _FastPlan, grid: Grid, difference: NDArray[np.float32], largest: float) -> str:
    gain = plan.runner.plan.gain
    cuts = f"windows up to {plan.share:.0%} of a map, " if plan.share < 1 else ""
    half = "bfloat16, " if plan.dtype == torch.bfloat16 else ""
    count = difference.shape[0] * difference.shape[1]
    return (
        f"fast: {len(grid)} positions, {gain:.1f}x fewer operations than dense, {cuts}{half}"
        f"off by {difference.mean():.2g} on average and {difference.max():.2g} at most on {count} positions that were answered "
        f"exactly as well (a sampled maximum), estimated {max(largest, difference.max()):.2g} at most on all"
    )


def _to_half(graph: Graph, dtype: torch.dtype) -> Graph:
    """Give the graph with maps and weights in a type of 16 bits; what follows the last map stays in float32."""
    after = _after_the_maps(graph)
    steps = []
    for step in graph.steps:
        if step.operator is None:
            steps.append(replace(step, bytes=step.bytes // 2))
        elif step.name in after:
            reads_map = any(name not in after for name in step.inputs)
            steps.append(replace(step, operator=_Widened(step.operator)) if reads_map else step)
        else:
            factor = None if step.factor is None else step.factor.to(dtype)
            operator = _converted(step.operator, dtype)
            steps.append(replace(step, operator=operator, factor=factor, bytes=step.bytes // 2))
    return Graph(tuple(steps), graph.output)


def _after_the_maps(graph: Graph) -> set[str]:
    """Name the steps that are no maps, and of which none is made."""
    into_maps: set[str] = set()
    for step in reversed(graph.steps):
        if step.map is not None or step.name in into_maps:
            into_maps.update(step.inputs)
    return {step.name for step in graph.steps if step.map is None and step.name not in into_maps}


@dataclass(frozen=True)
class _Widened:
    """An operator whose inputs are made float32 first."""

    operator: Operator

    def whole(self, inputs: Sequence[Any]) -> Any:
        """Compute on whole inputs."""
        return self.operator.whole([x.float() if isinstance(x, torch.Tensor) else x for x in inputs])

    window = whole


def _converted(value: Any, dtype: torch.dtype) -> Any:
    """Convert all tensors of floating point in an operator, its arguments, or a list or a dict of them."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, tuple | list):
        return type(value)(_converted(element, dtype) for element in value)
    if isinstance(value, dict):
        return {name: _converted(element, dtype) for name, element in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        value = value.changed() if isinstance(value, Convolution | Linear) else value
        return replace(value, **{part.name: _converted(getattr(value, part.name), dtype) for part in fields(value)})
    return value
