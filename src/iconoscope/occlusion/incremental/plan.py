"""The plan for one geometry: which positions run together, what each step does for them, what it costs.

It depends on the network and on where the patch is put, not on the image: it is made once and serves every image.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.occlusion.geometry import Grid
from iconoscope.occlusion.incremental.graph import Graph, Step
from iconoscope.occlusion.incremental.reach import Ends
from iconoscope.occlusion.incremental.windows import (
    Changes,
    Sizes,
    Window,
    changes,
    covered_pixels,
    is_whole,
    pixels,
    sizes,
    sources,
    windows,
)

__all__ = ["Action", "Chunk", "Group", "Plan", "make_plan"]

WORKING_SET = 16 << 20
"""Bytes that the largest step of a chunk may read and write, so that it stays in the cache of a processor."""

STEP_OVERHEAD = 1_000_000
"""Multiplications that could be done in the time that it takes to start a step."""

SHAPE_OVERHEAD = 20_000_000
"""Multiplications that could be done while oneDNN prepares a convolution for a new size of window or of chunk."""

SHAPES_KEPT = 1000
"""So many convolutions oneDNN keeps ready; beyond that it prepares them again and again."""

GROUPS = (1, 2, 3, 4, 6)
"""Into how many groups rows and columns of the grid may be put."""


@dataclass(frozen=True)
class Group:
    """Positions whose changes are of about the same size, so that they share windows of one size.

    Attributes
    ----------
    rows, columns : ndarray of int64
        The grid rows and the grid columns: every pair is a position.
    sizes : dict
        Of the windows of every step.
    cost : int
        Multiplications for one position.
    live, busiest : int
        Bytes for one position: all that is held at the same time, and what the largest step reads and writes.
    """

    rows: Ends
    columns: Ends
    sizes: Sizes
    cost: int
    live: int
    busiest: int

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


@dataclass(frozen=True)
class Chunk:
    """Positions that run together.

    Attributes
    ----------
    group : Group
        Whose they are.
    rows, columns : ndarray of int64
        The grid row and grid column of each. The last may be repeated, so that all chunks of a group are of one size.
    count : int
        How many they are without the repetitions.
    """

    group: Group
    rows: Ends
    columns: Ends
    count: int


@dataclass(frozen=True)
class Action:
    """What one step does for a chunk.

    Attributes
    ----------
    step : Step
        The step.
    whole : bool
        Whether it computes whole maps, from whole inputs.
    takes : tuple of Take
        For every input: None if it is read as it is, or where its pixels are found and the size of a region.
    own : torch.Tensor or None
        Where the windows lie in the map that they belong to, if that is asked for; for the input, where their pixels are
        found.
    size : tuple of int
        Of its windows.
    """

    step: Step
    whole: bool
    takes: tuple[tuple[torch.Tensor, tuple[int, int]] | None, ...]
    own: torch.Tensor | None = None
    size: tuple[int, int] = (1, 1)


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
    """

    graph: Graph
    grid: Grid
    changed: Changes
    chunks: tuple[Chunk, ...]
    kept_bytes: int  # for indices, from one image to the next
    _actions: dict[int, tuple[Action, ...]]

    @property
    def cost(self) -> int:
        """Multiplications for all positions."""
        return sum(chunk.group.cost * len(chunk.rows) for chunk in self.chunks)

    @property
    def gain(self) -> float:
        """How many times fewer multiplications than the whole network on every position."""
        return self.graph.total * len(self.grid) / max(1, self.cost)

    @property
    def whole_from(self) -> str:
        """The layer from which on everything is computed whole for every position; empty if there is none."""
        groups = {id(chunk.group): chunk.group for chunk in self.chunks}.values()
        layer = named = ""
        for step in reversed(self.graph.steps):
            if step.map is not None and not all(is_whole(step, group.sizes) for group in groups):
                break
            if step.map is not None or step.cost:
                named = step.layer or named
            # What follows a mean or a flattened whole map has no rows and columns to speak of.
            reads_map = any(self.graph.by_name[name].map is not None for name in step.inputs)
            if step.map is not None or (step.kind == "whole" and reads_map):
                layer = named
        return layer

    def actions(self, number: int, device: torch.device) -> tuple[Action, ...]:
        """Give what every step does for a chunk; kept for the next image as long as the room for it lasts."""
        if number in self._actions:
            return self._actions[number]
        actions = tuple(_actions(self, self.chunks[number], device))
        held = sum(_index_bytes(action) for kept in self._actions.values() for action in kept)
        if held + sum(map(_index_bytes, actions)) <= self.kept_bytes:
            self._actions[number] = actions
        return actions


def make_plan(graph: Graph, grid: Grid, *, batch: int | None, memory: int) -> Plan:
    """Put the positions into groups and chunks.

    Parameters
    ----------
    graph
        The network.
    grid
        The positions.
    batch
        The most positions in a chunk; as many as suit the processor if not given.
    memory
        Bytes that clean maps, indices and one chunk may take together.
    """
    changed = changes(graph, grid)
    clean = 2 * sum(step.size for step in graph.steps)
    kept = max(0, memory - clean) // 8
    room = max(0, memory - clean - kept)
    best: tuple[float, tuple[Chunk, ...]] | None = None
    for groups in GROUPS:
        if groups > 1 and groups > min(grid.shape):
            break
        chunks = tuple(
            chunk
            for group in _groups(graph, changed, grid, groups)
            for chunk in _split(group, _chunk_length(group, batch, room))
        )
        cost = sum(chunk.group.cost * len(chunk.rows) for chunk in chunks) + _overhead(graph, chunks)
        if best is None or cost < best[0]:
            best = cost, chunks
    assert best is not None
    return Plan(graph, grid, changed, best[1], kept, {})


def _overhead(graph: Graph, chunks: tuple[Chunk, ...]) -> int:
    """Give what it costs, in multiplications, to start every step for every chunk."""
    convolutions = [step.name for step in graph.steps if step.cost]
    kinds = {(id(chunk.group), len(chunk.rows)): chunk for chunk in chunks}.values()
    shapes = {(name, chunk.group.sizes.get(name), len(chunk.rows)) for chunk in kinds for name in convolutions}
    prepared = len(shapes) if len(shapes) <= SHAPES_KEPT else len(chunks) * len(convolutions)
    return len(chunks) * len(graph.steps) * STEP_OVERHEAD + prepared * SHAPE_OVERHEAD


def _chunk_length(group: Group, batch: int | None, room: int) -> int:
    affordable = max(1, room // max(1, group.live))
    return min(affordable, batch or max(4, min(256, WORKING_SET // max(1, group.busiest))))


def _split(group: Group, most: int) -> list[Chunk]:
    rows, columns = (each.reshape(-1) for each in np.meshgrid(group.rows, group.columns, indexing="ij"))
    length = ceil(len(rows) / ceil(len(rows) / most))
    chunks = []
    for first in range(0, len(rows), length):
        # oneDNN prepares itself for every size of batch: a smaller one at the end would cost more than repetitions.
        take = np.minimum(np.arange(first, first + length), len(rows) - 1)
        chunks.append(Chunk(group, rows[take], columns[take], min(length, len(rows) - first)))
    return chunks


def _groups(graph: Graph, changed: Changes, grid: Grid, count: int) -> list[Group]:
    """Cluster grid rows and grid columns by the sizes of their changes, each apart."""
    maps = [step for step in graph.steps if step.map is not None]
    down = np.stack([changed[step.name][0].length for step in maps], 1)
    across = np.stack([changed[step.name][1].length for step in maps], 1)
    # Every pixel is also moved about, which is worth some multiplications.
    weight = np.array([step.cost + 8 * step.map.channels for step in maps if step.map], float)
    row_groups = _cluster(down, weight * across.mean(0), count)
    column_groups = _cluster(across, weight * down.mean(0), count)
    return [_group(graph, changed, rows, columns) for rows in row_groups for columns in column_groups]


def _cluster(lengths: NDArray[np.int64], weight: NDArray[np.float64], count: int) -> list[Ends]:
    """Merge rows of a table of lengths, always the two groups that cost least together, until there are `count`."""
    profiles, which = np.unique(lengths, axis=0, return_inverse=True)
    members = [np.flatnonzero(which.reshape(-1) == number) for number in range(len(profiles))]
    largest = profiles.astype(float)
    while len(members) > count:
        many = np.array([len(group) for group in members], float)
        alone = largest @ weight * many
        together = np.maximum(largest[:, None], largest[None]) @ weight * (many[:, None] + many[None])
        added = together - alone[:, None] - alone[None]
        np.fill_diagonal(added, np.inf)
        one, other = sorted(divmod(int(added.argmin()), len(members)))
        members[one] = np.sort(np.concatenate([members[one], members.pop(other)]))
        largest[one] = np.maximum(largest[one], largest[other])
        largest = np.delete(largest, other, 0)
    return members


def _group(graph: Graph, changed: Changes, rows: Ends, columns: Ends) -> Group:
    found = sizes(graph, changed, rows, columns)
    cost, live, busiest, held = 0, 0, 0, {}
    for step in graph.steps:
        height, width = found.get(step.name, (1, 1))
        cost += step.cost * height * width
        held[step.name] = _bytes(step, height * width)
        moved = 0
        if step.kind in ("window", "whole"):
            for name in step.inputs:
                before = graph.by_name[name]
                if before.map is not None and not is_whole(before, found):
                    read = before.map.area if step.map is None else _read(step, (height, width))
                    # The regions, and the windows once more beside the clean pixels.
                    moved += _bytes(before, read) + held.get(name, 0)
        busiest = max(busiest, held[step.name] + sum(held.get(name, 0) for name in step.inputs) + moved)
        live = max(live, sum(held.values()) + moved)
        for name in graph.last_reads.get(step.name, ()):
            held.pop(name)
    return Group(rows, columns, found, cost, live, busiest)


def _read(step: Step, size: tuple[int, int]) -> int:
    return step.reach[0].inputs(size[0]) * step.reach[1].inputs(size[1])


def _bytes(step: Step, area: int) -> int:
    return step.size if step.map is None else step.size * area // step.map.area


def _index_bytes(action: Action) -> int:
    indices = [take[0] for take in action.takes if take is not None] + ([] if action.own is None else [action.own])
    return sum(index.numel() * index.element_size() for index in indices)


def _actions(plan: Plan, chunk: Chunk, device: torch.device) -> list[Action]:
    graph, found = plan.graph, chunk.group.sizes
    placed = windows(graph, plan.changed, found, chunk.rows, chunk.columns)
    actions = []
    for step in graph.steps:
        whole = all(is_whole(graph.by_name[name], found) for name in step.inputs)
        own = None
        takes: list[tuple[torch.Tensor, tuple[int, int]] | None] = [None] * len(step.inputs)
        if step.kind == "input" and step.map is not None:
            down, across = plan.changed[step.name]
            own = covered_pixels(placed[step.name], step.map, down[chunk.rows], across[chunk.columns])
            whole = False
        elif step.kind in ("window", "whole") and not whole:
            takes = [_take(graph.by_name[name], step, placed, device) for name in step.inputs]
            if step.factor is not None and step.map is not None:
                own = pixels(placed[step.name], step.map)
        elif step.kind == "mean" and not whole:
            before = graph.by_name[step.inputs[0]]
            assert before.map is not None
            own = pixels(placed[before.name], before.map)
        own = None if own is None else own.to(device)
        actions.append(Action(step, whole, tuple(takes), own, found.get(step.name, (1, 1))))
    return actions


def _take(
    before: Step, step: Step, placed: dict[str, Window], device: torch.device
) -> tuple[torch.Tensor, tuple[int, int]] | None:
    if before.map is None:
        return None
    have = placed[before.name]
    if step.map is None:  # it reads the whole map
        size, nowhere = before.map.size, np.zeros(len(have.top), np.int64)
        index = sources(have, before.map, nowhere, nowhere, size, step.padding)
    else:
        want = placed[step.name]
        size = (step.reach[0].inputs(want.size[0]), step.reach[1].inputs(want.size[1]))
        top, left = step.reach[0].first_input(want.top), step.reach[1].first_input(want.left)
        index = sources(have, before.map, top, left, size, step.padding)
    return None if index is None else (index.to(device), size)
