"""The plan for one geometry: which positions run together, how the windows of each step lie, what it costs.

It depends on the network and on where the patch is put, not on the image: it is made once and serves every image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from iconoscope.occlusion.geometry import Grid
from iconoscope.occlusion.incremental.windows import CALL, PIXEL, Windows, arrange_windows, fields_of, whole_maps
from iconoscope.subject.captured.graph import Graph, Step
from iconoscope.subject.captured.onednn import packed_bytes
from iconoscope.subject.captured.operators import Convolution, Linear, Operator
from iconoscope.subject.captured.receptive_field import AxisField, Ends, Interval, UpsampledField

__all__ = ["Changes", "Chunk", "ScanPlan", "changes", "cut", "make_plan"]

WORKING_SET = 3.5 * (1 << 20)
"""Bytes that a step of a chunk should read and write on average, for a network that does nothing but move numbers."""

INTENSITY = 20.0
"""Multiplications for a byte that take as long as moving it; a network that has more to do may have more in work at once."""

LARGEST_TENSOR = 30 << 20
"""Bytes of one tensor: beyond 32 MiB the C library gets memory from the system anew each time, page by page."""

PREPARED = 64 << 20
"""Bytes that oneDNN takes for the convolutions that it has prepared, and the C library for what it was given back."""

SHAPES_CACHED = 1000
"""So many convolutions oneDNN has ready; beyond that it prepares them again and again."""

PREPARING = 10_000_000
"""Multiplications that could be done while oneDNN prepares a convolution for a size that it has not seen."""

Changes = dict[str, tuple[Interval, Interval]]
"""For every step with a map: the rows that change for each grid row, and the columns for each grid column."""

WindowsByStep = dict[str, Windows]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Positions that run together: every pair of some grid rows and some grid columns.

    Attributes
    ----------
    rows, columns : ndarray of int64
        The grid rows and the grid columns.
    windows : dict
        Of every step with a map.
    cost : int
        Multiplications.
    calls : int
        Of operators.
    live : int
        Bytes in use at the same time, at most.
    """

    rows: Ends
    columns: Ends
    windows: WindowsByStep
    cost: int
    calls: int
    live: int

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


@dataclass(frozen=True, eq=False)
class ScanPlan:
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
    index_bytes : int
        Bytes that indices may take from one image to the next.
    """

    graph: Graph
    grid: Grid
    changed: Changes
    chunks: tuple[Chunk, ...]
    clean_bytes: int
    index_bytes: int

    @property
    def peak(self) -> int:
        """Bytes in use at the same time, at most, beside the network itself."""
        return self.clean_bytes + self.index_bytes + max(chunk.live for chunk in self.chunks)

    @property
    def cost(self) -> int:
        """Multiplications for all positions."""
        return sum(chunk.cost for chunk in self.chunks)

    @property
    def gain(self) -> float:
        """Factor by which there are fewer multiplications than with the whole network on every position."""
        return self.graph.multiplications * len(self.grid) / max(1, self.cost)

    @property
    def whole_from(self) -> str:
        """The layer from which on everything is computed whole for every position; empty if there is none."""
        layer = named = ""
        for step in reversed(self.graph.steps):
            if step.map is not None and not all(chunk.windows[step.name].whole for chunk in self.chunks):
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
    changed: Changes = {}
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
            down, across = changed[step.inputs[0]]
            for name in step.inputs[1:]:
                down, across = down.union(changed[name][0]), across.union(changed[name][1])
            down, across = (
                field.changed(interval, length)
                for field, interval, length in zip(step.fields, (down, across), step.map.size, strict=True)
            )
        changed[step.name] = (down, across)
    return changed


def cut(graph: Graph, grid: Grid, changed: Changes, share: float) -> Changes:
    """Cut windows that are longer than a share of their map, around the middle of the patch; shorter ones stay as they are.

    What lies beyond is taken to be as it was, which is nearly so: the effect of a pixel falls off from the middle of its
    projective field (projective field thresholding: Nakandala, Kumar and Papakonstantinou 2019).
    """
    shortened: Changes = {}
    for step in graph.steps:
        if step.map is None:
            continue
        down, across = changed[step.name]
        if step.kind not in ("input", "everywhere"):
            ends = zip(
                (grid.top, grid.left), grid.patch, grid.size, step.map.size, step.fields, (down, across), strict=True
            )
            down, across = (_shortened(*end, share=share) for end in ends)
        shortened[step.name] = (down, across)
    return shortened


def _shortened(
    first: Ends,
    patch: int,
    image: int,
    length: int,
    field: AxisField | UpsampledField,
    interval: Interval,
    *,
    share: float,
) -> Interval:
    """Shorten intervals to a share of a map's length, around the middle of patches that begin at `first` in the image."""
    most = max(1, round(share * length))
    middle = (first + np.minimum(first + patch, image)) / 2 * (length / image)
    start = np.clip(
        np.round(middle - most / 2).astype(np.int64), interval.start, np.maximum(interval.start, interval.stop - most)
    )
    start = start // field.grain * field.grain
    return Interval(start, np.minimum(interval.stop, start + most))


def make_plan(graph: Graph, grid: Grid, *, memory: int, changed: Changes | None = None) -> ScanPlan:
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
    sums = max((3 * graph.by_name[step.inputs[0]].bytes for step in graph.steps if step.kind == "mean"), default=0)
    clean = sum(step.bytes for step in graph.steps) + sums
    clean += PREPARED + sum(_packed_bytes(step.operator) for step in graph.steps)
    indices = max(0, memory - clean) // 8
    room = max(0, memory - clean - indices)
    rows, columns = _similar_together(graph, changed, 0), _similar_together(graph, changed, 1)
    best: tuple[float, tuple[Chunk, ...]] | None = None
    for height, width in _chunk_shapes(_largest_chunk(graph, changed, grid, room), grid.shape):
        chunks = tuple(
            _chunk(graph, changed, chunk_rows, chunk_columns)
            for chunk_rows in _split(rows, height)
            for chunk_columns in _split(columns, width)
        )
        cost = _total_cost(graph, chunks)
        if best is None or cost < best[0]:
            best = cost, chunks
    assert best is not None
    return ScanPlan(graph, grid, changed, best[1], clean, indices)


def _packed_bytes(operator: Operator | None) -> int:
    """Give the bytes of weights that are stored again in other orders: of a convolution between four and five are there."""
    if isinstance(operator, Convolution):
        return 9 * operator.weight.numel() * operator.weight.element_size() // 2
    if isinstance(operator, Linear):
        return packed_bytes(operator.weight)
    return 0


def _largest_chunk(graph: Graph, changed: Changes, grid: Grid, room: int) -> int:
    """Give the number of positions that should run together at most, by the bytes that one of them takes on average."""
    single = _chunk(graph, changed, np.arange(grid.shape[0]), np.arange(grid.shape[1]))
    traffic, largest = _traffic(graph, single.windows, len(grid))
    fitting = WORKING_SET * (1 + single.cost / max(1, sum(traffic)) / INTENSITY) / max(1.0, float(np.mean(traffic)))
    return max(1, int(len(grid) * min(fitting, LARGEST_TENSOR / max(1, largest), room / max(1, single.live))))


def _chunk_shapes(most: int, grid: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Give ways to share out so many positions among grid rows and grid columns."""
    shapes = set()
    for parts in (1, 2, 3, 4, 6, 8):
        across = min(ceil(grid[1] / parts), most)
        shape = max(1, min(grid[0], most // across)), across
        if shape not in shapes:
            shapes.add(shape)
            yield shape


def _split(lines: Ends, most: int) -> list[Ends]:
    """Split grid rows (or columns) into parts of the same length, the last may be shorter."""
    length = ceil(len(lines) / ceil(len(lines) / most))
    return [lines[first : first + length] for first in range(0, len(lines), length)]


def _similar_together(graph: Graph, changed: Changes, axis: int) -> Ends:
    """Put grid rows (or columns) in an order in which those whose windows are of the same sizes are neighbours.

    A chunk then has few classes of windows: fewer calls, and fewer sizes for which oneDNN prepares a convolution.
    """
    steps = [step for step in graph.steps if step.map is not None and step.cost and not step.pixelwise]
    if not steps:
        return np.arange(len(next(iter(changed.values()))[axis].start))
    lengths = np.stack([changed[step.name][axis].length for step in steps], 1)  # (grid rows or columns, steps)
    order, remaining = [0], list(range(1, len(lengths)))
    while remaining:
        # Of those that are as near, the first: chunks then read as narrow a band of the clean maps as they can.
        differences = (lengths[remaining] != lengths[order[-1]]).sum(1)
        order.append(remaining.pop(int(differences.argmin())))
    return np.array(order)


def _chunk(graph: Graph, changed: Changes, rows: Ends, columns: Ends) -> Chunk:
    """Lay out the windows of all steps for every pair of these grid rows and columns, and count what they cost."""
    windows: WindowsByStep = {}
    cost, calls, live = 0, 0, 0
    count = len(rows) * len(columns)
    bytes_in_use: dict[str, int] = {}
    for step in graph.steps:
        if step.map is not None:
            windows[step.name] = _windows(graph, changed, windows, step, rows, columns)
        pixels = windows[step.name].total if step.map is not None else count
        cost += step.cost * pixels
        calls += len(windows[step.name].sizes) if step.map is not None and not step.pixelwise else 1
        bytes_in_use[step.name] = step.bytes_of(pixels)
        live = max(live, sum(bytes_in_use.values()) + _gathered_bytes(graph, windows, step))
        for name in graph.last_reads.get(step.name, ()):
            bytes_in_use.pop(name, None)
    return Chunk(rows, columns, windows, cost, calls, live)


def _windows(graph: Graph, changed: Changes, windows: WindowsByStep, step: Step, rows: Ends, columns: Ends) -> Windows:
    """Lay out the windows of a step, those of its inputs being laid out; `rows` and `columns` are the chunk's grid lines."""
    assert step.map is not None
    down, across = changed[step.name][0][rows], changed[step.name][1][columns]
    inputs = [graph.by_name[name] for name in step.inputs]
    inputs_whole = [windows[source.name].whole for source in inputs if source.name in windows]
    if step.kind == "everywhere" or (inputs and all(inputs_whole)):
        return whole_maps(step.map, len(rows) * len(columns))
    if step.pixelwise and all(source.map is not None and source.map.size == step.map.size for source in inputs):
        if any(inputs_whole):
            return whole_maps(step.map, len(rows) * len(columns))
        for source in inputs:  # its windows serve, if they hold all that changes: then nothing is gathered
            source_down, source_across = changed[source.name]
            if source_down[rows].covers(down) and source_across[columns].covers(across):
                return windows[source.name]
    return arrange_windows(step.map, down, across, step.cost, (step.fields[0].grain, step.fields[1].grain))


def _gathered_bytes(graph: Graph, windows: WindowsByStep, step: Step) -> int:
    """Give the bytes of what is gathered for a step: what it reads, and the windows once more beside the clean pixels."""
    gathered = 0
    for name in step.inputs:
        source = graph.by_name[name]
        if source.map is None or windows[name].whole:
            continue
        if step.map is None or step.kind == "everywhere":
            gathered += source.bytes * len(windows[name].top)
        elif windows[step.name] is not windows[name]:
            pixels = fields_of(windows[step.name], step.fields).total
            gathered += source.bytes_of(pixels) + source.bytes_of(windows[name].total)
    return gathered


def _traffic(graph: Graph, windows: WindowsByStep, count: int) -> tuple[list[int], int]:
    """Give the bytes that every step reads and writes for so many positions, and those of the largest tensor."""
    traffic, largest = [], 0
    for step in graph.steps:
        read = [graph.by_name[name].bytes_of(windows[name].total if name in windows else count) for name in step.inputs]
        written = step.bytes_of(windows[step.name].total if step.map is not None else count)
        gathered = _gathered_bytes(graph, windows, step)
        traffic.append(written + sum(read) + gathered)
        largest = max(largest, written, gathered)
    return traffic, largest


def _total_cost(graph: Graph, chunks: tuple[Chunk, ...]) -> float:
    """Give the cost of all chunks, in multiplications: the work, the calls, and what oneDNN has to prepare."""
    shapes: set[tuple[str, int, tuple[int, int]]] = set()
    calls = work = 0
    for chunk in chunks:
        work += chunk.cost
        calls += chunk.calls
        for step in graph.steps:
            if step.map is None or not step.cost:
                continue
            windows = chunk.windows[step.name]
            work += PIXEL * step.map.channels * windows.total
            if step.pixelwise:
                shapes.add((step.name, 1, (windows.total, 1)))
            else:
                shapes.update(
                    (step.name, len(members), (rows, columns)) for rows, columns, members in windows.classes()
                )
    cached = len(shapes) <= SHAPES_CACHED
    # What is prepared once serves the images that follow too: it counts a quarter.
    return work + calls * CALL + (len(shapes) * PREPARING / 4 if cached else calls * PREPARING)
