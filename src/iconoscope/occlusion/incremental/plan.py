"""The plan for one geometry: which positions run together, how the windows of each step lie, what it costs.

It depends on the network and on where the patch is put, not on the image: it is made once and serves every image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from iconoscope.occlusion.geometry import Grid
from iconoscope.occlusion.incremental.graph import Graph, Step
from iconoscope.occlusion.incremental.operators import Convolution, Operator
from iconoscope.occlusion.incremental.receptive_field import Ends, Interval, Reach, Rise
from iconoscope.occlusion.incremental.windows import CALL, PIXEL, Layout, arrange, regions, whole

__all__ = ["Changes", "Chunk", "Plan", "changes", "cut", "make_plan"]

WORKING_SET = 3.5 * (1 << 20)
"""Bytes that a step of a chunk should read and write on average, for a network that does nothing but move numbers."""

INTENSITY = 20.0
"""Multiplications for a byte that take as long as moving it; a network that has more to do may have more in work at once."""

LARGEST_TENSOR = 30 << 20
"""Bytes of one tensor: beyond 32 MiB the C library gets memory from the system anew each time, page by page."""

PREPARED = 64 << 20
"""Bytes that oneDNN takes for the convolutions that it has prepared, and the C library for what it has given and got back."""

SHAPES_KEPT = 1000
"""So many convolutions oneDNN keeps ready; beyond that it prepares them again and again."""

PREPARING = 10_000_000
"""Multiplications that could be done while oneDNN prepares a convolution for a size that it has not seen."""

Changes = dict[str, tuple[Interval, Interval]]
Layouts = dict[str, Layout]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Positions that run together: every pair of some grid rows and some grid columns.

    Attributes
    ----------
    rows, columns : ndarray of int64
        The grid rows and the grid columns.
    layouts : dict
        Of every step with a map.
    cost : int
        Multiplications.
    calls : int
        Of operators.
    live : int
        Bytes held at the same time, at most.
    """

    rows: Ends
    columns: Ends
    layouts: Layouts
    cost: int
    calls: int
    live: int

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


@dataclass(frozen=True, eq=False)
class Plan:
    """All chunks of a grid on a network.

    Attributes
    ----------
    graph : Graph
        The network.
    grid : Grid
        The positions.
    changed : dict
        What changes in every step.
    chunks : tuple of Chunk
        In the order in which they run.
    clean_bytes : int
        Bytes of the clean maps of one image, and of what is prepared once.
    kept_bytes : int
        Bytes that indices may take from one image to the next.
    """

    graph: Graph
    grid: Grid
    changed: Changes
    chunks: tuple[Chunk, ...]
    clean_bytes: int
    kept_bytes: int

    @property
    def peak(self) -> int:
        """Bytes held at the same time, at most, beside the network itself."""
        return self.clean_bytes + self.kept_bytes + max(chunk.live for chunk in self.chunks)

    @property
    def cost(self) -> int:
        """Multiplications for all positions."""
        return sum(chunk.cost for chunk in self.chunks)

    @property
    def gain(self) -> float:
        """How many times fewer multiplications than the whole network on every position."""
        return self.graph.total * len(self.grid) / max(1, self.cost)

    @property
    def whole_from(self) -> str:
        """The layer from which on everything is computed whole for every position; empty if there is none."""
        layer = named = ""
        for step in reversed(self.graph.steps):
            if step.map is not None and not all(chunk.layouts[step.name].whole for chunk in self.chunks):
                break
            if step.map is not None or step.cost:
                named = step.layer or named
            # What follows a mean or a flattened whole map has no rows and columns to speak of.
            reads_map = any(self.graph.by_name[name].map is not None for name in step.inputs)
            if step.map is not None or (step.kind == "whole" and reads_map):
                layer = named
        return layer


def changes(graph: Graph, grid: Grid) -> Changes:
    """Give for every map the rows that change for each grid row, and the columns for each grid column."""
    found: Changes = {}
    ends = [(grid.top, grid.patch[0], grid.size[0]), (grid.left, grid.patch[1], grid.size[1])]
    for step in graph.steps:
        if step.map is None:
            continue
        if step.kind == "input":
            down, across = (Interval(first, np.minimum(first + side, size)) for first, side, size in ends)
        elif step.kind == "everywhere":
            down, across = (
                Interval(np.zeros_like(first), np.full_like(first, length))
                for first, length in zip((grid.top, grid.left), step.map.size, strict=True)
            )
        else:
            down, across = found[step.inputs[0]]
            for name in step.inputs[1:]:
                down, across = down.union(found[name][0]), across.union(found[name][1])
            down, across = (
                reach.changed(change, length)
                for reach, change, length in zip(step.reach, (down, across), step.map.size, strict=True)
            )
        found[step.name] = (down, across)
    return found


def cut(graph: Graph, grid: Grid, changed: Changes, share: float) -> Changes:
    """Cut windows that are longer than a share of their map, around the middle of the patch; shorter ones stay as they are.

    What lies beyond is taken to be as it was, which is nearly so: the effect of a pixel falls off from the middle of what it
    reaches (projective field thresholding: Nakandala, Kumar and Papakonstantinou 2019).
    """
    found: Changes = {}
    for step in graph.steps:
        if step.map is None:
            continue
        intervals = changed[step.name]
        if step.kind not in ("input", "everywhere"):
            ends = zip((grid.top, grid.left), grid.patch, grid.size, step.map.size, step.reach, intervals, strict=True)
            intervals = tuple(_drawn_in(*each, share=share) for each in ends)
        found[step.name] = (intervals[0], intervals[1])
    return found


def _drawn_in(
    first: Ends, patch: int, image: int, length: int, reach: Reach | Rise, interval: Interval, *, share: float
) -> Interval:
    most = max(1, round(share * length))
    middle = (first + np.minimum(first + patch, image)) / 2 * (length / image)
    start = np.clip(
        np.round(middle - most / 2).astype(np.int64), interval.start, np.maximum(interval.start, interval.stop - most)
    )
    start = start // reach.grain * reach.grain
    return Interval(start, np.minimum(interval.stop, start + most))


def make_plan(graph: Graph, grid: Grid, *, memory: int, changed: Changes | None = None) -> Plan:
    """Put the positions into chunks and lay their windows out.

    Parameters
    ----------
    graph
        The network.
    grid
        The positions.
    memory
        Bytes that clean maps, indices and one chunk may take together.
    changed
        What is to be computed anew; all that changes if not given.
    """
    changed = changes(graph, grid) if changed is None else changed
    # Tables of sums are in double precision, and have their map beside them.
    clean = sum(step.size for step in graph.steps) + max(
        (3 * graph.by_name[step.inputs[0]].size for step in graph.steps if step.kind == "mean"), default=0
    )
    clean += PREPARED + sum(_weights(step.operator) for step in graph.steps)
    kept = max(0, memory - clean) // 8
    room = max(0, memory - clean - kept)
    rows, columns = _neighbours(graph, changed, 0), _neighbours(graph, changed, 1)
    best: tuple[float, tuple[Chunk, ...]] | None = None
    for shape in _shapes(_most(graph, changed, grid, room), grid.shape):
        chunks = tuple(
            _chunk(graph, changed, some, others)
            for some in _split(rows, shape[0])
            for others in _split(columns, shape[1])
        )
        cost = _seconds(graph, chunks)
        if best is None or cost < best[0]:
            best = cost, chunks
    assert best is not None
    return Plan(graph, grid, changed, best[1], clean, kept)


def _weights(operator: Operator | None) -> int:
    """Give the bytes of weights that are kept again in other orders; between three and four were counted."""
    return 7 * operator.weight.numel() * operator.weight.element_size() // 2 if isinstance(operator, Convolution) else 0


def _most(graph: Graph, changed: Changes, grid: Grid, room: int) -> int:
    """Give how many positions should run together at most, by the bytes that one of them takes on average."""
    alone = _chunk(graph, changed, np.arange(grid.shape[0]), np.arange(grid.shape[1]))
    traffic, largest = _traffic(graph, alone.layouts, len(grid))
    suits = WORKING_SET * (1 + alone.cost / max(1, sum(traffic)) / INTENSITY) / max(1.0, float(np.mean(traffic)))
    return max(1, int(len(grid) * min(suits, LARGEST_TENSOR / max(1, largest), room / max(1, alone.live))))


def _shapes(most: int, grid: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Give ways to share out so many positions among grid rows and grid columns."""
    seen = set()
    for parts in (1, 2, 3, 4, 6, 8):
        across = ceil(grid[1] / parts)
        across = min(across, most)
        shape = max(1, min(grid[0], most // across)), across
        if shape not in seen:
            seen.add(shape)
            yield shape


def _split(some: Ends, most: int) -> list[Ends]:
    """Split into parts of the same length, the last may be shorter."""
    length = ceil(len(some) / ceil(len(some) / most))
    return [some[first : first + length] for first in range(0, len(some), length)]


def _neighbours(graph: Graph, changed: Changes, axis: int) -> Ends:
    """Put grid rows (or columns) in an order in which those whose windows are of the same sizes are neighbours."""
    steps = [step for step in graph.steps if step.map is not None and step.cost and not step.in_place]
    if not steps:
        return np.arange(len(next(iter(changed.values()))[axis].start))
    lengths = np.stack([changed[step.name][axis].length for step in steps], 1)
    order, left = [0], list(range(1, len(lengths)))
    while left:
        # Of those that are as near, the first: chunks then read as narrow a band of the clean maps as they can.
        differences = (lengths[left] != lengths[order[-1]]).sum(1)
        order.append(left.pop(int(differences.argmin())))
    return np.array(order)


def _chunk(graph: Graph, changed: Changes, rows: Ends, columns: Ends) -> Chunk:
    layouts: Layouts = {}
    cost, calls, live = 0, 0, 0
    count = len(rows) * len(columns)
    held: dict[str, int] = {}
    for step in graph.steps:
        if step.map is not None:
            layouts[step.name] = _layout(graph, changed, layouts, step, rows, columns)
        pixels = layouts[step.name].total if step.map is not None else count
        cost += step.cost * pixels
        calls += len(layouts[step.name].sizes) if step.map is not None and not step.in_place else 1
        moved = _moved(graph, layouts, step)
        held[step.name] = _bytes(step, pixels)
        live = max(live, sum(held.values()) + moved)
        for name in graph.last_reads.get(step.name, ()):
            held.pop(name, None)
    return Chunk(rows, columns, layouts, cost, calls, live)


def _layout(graph: Graph, changed: Changes, layouts: Layouts, step: Step, rows: Ends, columns: Ends) -> Layout:
    assert step.map is not None
    down, across = changed[step.name][0][rows], changed[step.name][1][columns]
    if step.kind == "everywhere":
        return whole(step.map, len(rows) * len(columns))
    inputs = [graph.by_name[name] for name in step.inputs]
    if inputs and all(layouts[before.name].whole for before in inputs):
        return whole(step.map, len(rows) * len(columns))
    if step.in_place and all(before.map is not None and before.map.size == step.map.size for before in inputs):
        # The windows of an input serve, if they hold all that changes.
        if any(layouts[before.name].whole for before in inputs):
            return whole(step.map, len(rows) * len(columns))
        for before in inputs:
            theirs = changed[before.name]
            if theirs[0][rows].covers(down) and theirs[1][columns].covers(across):
                return layouts[before.name]
    return arrange(step.map, down, across, step.cost, (step.reach[0].grain, step.reach[1].grain))


def _moved(graph: Graph, layouts: Layouts, step: Step) -> int:
    """Give the bytes of what is gathered for a step: the regions, and the windows once more beside the clean pixels."""
    moved = 0
    for name in step.inputs:
        before = graph.by_name[name]
        if before.map is None or layouts[name].whole:
            continue
        if step.map is None or step.kind == "everywhere":
            moved += before.size * len(layouts[name].top)
        elif layouts[step.name] is not layouts[name]:
            moved += _bytes(before, regions(layouts[step.name], step.reach).total) + _bytes(before, layouts[name].total)
    return moved


def _traffic(graph: Graph, layouts: Layouts, count: int) -> tuple[list[int], int]:
    """Give the bytes that every step reads and writes, and those of the largest tensor."""
    traffic, largest = [], 0
    for step in graph.steps:
        own = _bytes(step, layouts[step.name].total if step.map is not None else count)
        read = [_bytes(graph.by_name[name], layouts[name].total if name in layouts else count) for name in step.inputs]
        moved = _moved(graph, layouts, step)
        traffic.append(own + sum(read) + moved)
        largest = max(largest, own, moved)
    return traffic, largest


def _bytes(step: Step, pixels: int) -> int:
    return step.size * pixels // (step.map.area if step.map is not None else 1)


def _seconds(graph: Graph, chunks: tuple[Chunk, ...]) -> float:
    """Give what a plan costs, all told, in multiplications."""
    shapes: set[tuple[str, int, tuple[int, int]]] = set()
    calls = work = 0
    for chunk in chunks:
        work += chunk.cost
        calls += chunk.calls
        for step in graph.steps:
            if step.map is None or not step.cost:
                continue
            layout = chunk.layouts[step.name]
            work += PIXEL * step.map.channels * layout.total
            sizes = (
                [(1, (layout.total, 1))] if step.in_place else zip(map(len, layout.members), layout.sizes, strict=True)
            )
            shapes.update((step.name, many, size) for many, size in sizes)
    preparations = len(shapes) if len(shapes) <= SHAPES_KEPT else calls
    return work + calls * CALL + preparations * PREPARING / (1 if len(shapes) > SHAPES_KEPT else 4)
