"""The engine: the clean maps of one image, and from them the answers with the patch at every position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from iconoscope.occlusion.cover import Cover
from iconoscope.occlusion.incremental.graph import Graph, Map, Step
from iconoscope.occlusion.incremental.instructions import Action, make_actions
from iconoscope.occlusion.incremental.operators import Operator
from iconoscope.occlusion.incremental.plan import Chunk, Plan
from iconoscope.occlusion.incremental.windows import PADS, Layout
from iconoscope.progress import track

__all__ = ["Clean", "Runner", "run_graph"]

TAIL = 256
"""Positions that are waited for before the steps after the last map run for all of them: their weights are read once."""


def run_graph(graph: Graph, batch: torch.Tensor, keep: set[str] | None = None) -> dict[str, Any]:
    """Run all steps on whole images (n, channels, height, width); give the answers of those to keep (the last alone)."""
    keep = {graph.output} if keep is None else keep
    first = graph.steps[0]
    values: dict[str, Any] = {first.name: batch.contiguous(memory_format=torch.channels_last)}
    kept = {first.name: values[first.name]} if first.name in keep else {}
    for step in _follow(graph, graph.steps[1:], values, len(batch)):
        if step.name in keep:
            kept[step.name] = values[step.name]
    return kept


def _follow(graph: Graph, steps: Iterable[Step], values: dict[str, Any], count: int) -> Iterator[Step]:
    """Do steps on whole answers, and say when each is done; answers that nobody reads any more are dropped after that."""
    for step in steps:
        if step.operator is None:
            assert step.kind == "batch"
            values[step.name] = count
        else:
            values[step.name] = step.operator.whole([values[name] for name in step.inputs])
        yield step
        for name in graph.last_reads.get(step.name, ()):
            del values[name]


class Clean:
    """What every step answers to the image with nothing covered."""

    def __init__(self, graph: Graph, image: torch.Tensor) -> None:
        self.image = image
        needed = {step.name for step in graph.steps if step.map is not None or step.kind == "mean"} | {graph.output}
        self._graph = graph
        self._values = run_graph(graph, image[None], needed)
        self._sums: dict[str, torch.Tensor] = {}
        self._pads: dict[tuple[int, torch.dtype], torch.Tensor] = {}

    @property
    def answer(self) -> torch.Tensor:
        """The network's own answer, (1, outputs)."""
        return self._values[self._graph.output]

    def rows(self, name: str) -> torch.Tensor:
        """Give a map as (pixels, channels)."""
        value = self._values[name]
        if value.ndim != 2:
            map = self._graph.by_name[name].map
            assert map is not None
            value = self._values[name] = map.as_rows(value)
        return value

    def mean(self, name: str) -> torch.Tensor:
        """Give the answer of a step that takes the mean."""
        return self._values[name]

    def pads(self, name: str) -> torch.Tensor:
        """Give the rows of padding for a map, (`PADS`, channels)."""
        rows = self.rows(name)
        key = (rows.shape[1], rows.dtype)
        if key not in self._pads:
            lowest = float("-inf") if rows.is_floating_point() else 0
            self._pads[key] = torch.cat([rows.new_zeros(1, key[0]), rows.new_full((1, key[0]), lowest)])
            assert len(self._pads[key]) == PADS
        return self._pads[key]

    def sum(self, name: str, layout: Layout) -> torch.Tensor:
        """Give the sums over the windows of a map, (positions, channels), from a table of sums (Crow 1984)."""
        map = self._graph.by_name[name].map
        assert map is not None
        if name not in self._sums:
            rows = self.rows(name).view(*map.size, map.channels)
            exact = rows if rows.device.type == "mps" else rows.double()  # there is no double precision on mps
            self._sums[name] = torch.nn.functional.pad(exact.cumsum(0).cumsum(1), (0, 0, 1, 0, 1, 0))
        table = self._sums[name]
        top, left = (torch.from_numpy(each).to(table.device) for each in (layout.top, layout.left))
        bottom, right = top + torch.from_numpy(layout.height).to(top), left + torch.from_numpy(layout.width).to(left)
        return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]


class Runner:
    """Runs the chunks of a plan on one image after another.

    Indices are kept from one image to the next as long as there is room for them.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._kept: dict[tuple[int, bool], tuple[Action, ...]] = {}
        self._held = 0
        self._tail, self._crossing = _tail(plan.graph)

    def run(self, clean: Clean, cover: Cover) -> Iterator[tuple[list[Chunk], torch.Tensor]]:
        """Give some chunks and the network's answers at their positions (positions, outputs), until all are done."""
        picture = torch.cat([clean.rows(self.plan.graph.steps[0].name), _paint(cover)])
        waiting: list[dict[str, Any]] = []
        chunks: list[Chunk] = []
        for number, chunk in enumerate(track(self.plan.chunks, "positions")):
            actions = self._actions(number, chunk, colours=cover.picture is None, device=picture.device)
            values = _run(self.plan.graph, actions[: self._tail], clean, picture, len(chunk))
            waiting.append({step.name: values[step.name] for step in self._crossing})
            chunks.append(chunk)
            if sum(map(len, chunks)) >= TAIL or number == len(self.plan.chunks) - 1:
                yield chunks, self._finish(waiting, sum(map(len, chunks)))
                waiting, chunks = [], []

    def _finish(self, waiting: list[dict[str, Any]], count: int) -> torch.Tensor:
        """Run the steps after the last map for all positions that wait."""
        graph = self.plan.graph
        values: dict[str, Any] = {
            step.name: torch.cat([each[step.name] for each in waiting]) if step.kind != "batch" else count
            for step in self._crossing
        }
        for _ in _follow(graph, graph.steps[self._tail :], values, count):
            pass
        return values[graph.output]

    def _actions(self, number: int, chunk: Chunk, *, colours: bool, device: torch.device) -> tuple[Action, ...]:
        key = (number, colours)
        if key in self._kept:
            return self._kept[key]
        actions = make_actions(self.plan, chunk, colours=colours, device=device)
        size = sum(action.bytes for action in actions)
        if self._held + size <= self.plan.kept_bytes:
            self._kept[key] = actions
            self._held += size
        return actions


def _tail(graph: Graph) -> tuple[int, list[Step]]:
    """Give the number of the first step after which nothing is a map or reads one, and the steps before it that are read.

    Their answers for several chunks must be one behind another along the first axis.
    """
    found = len(graph.steps)
    for number in range(len(graph.steps) - 1, -1, -1):
        step = graph.steps[number]
        if step.map is not None or any(graph.by_name[name].map is not None for name in step.inputs):
            break
        found = number
    read = {name for step in graph.steps[found:] for name in step.inputs} | {graph.output}
    crossing = [step for step in graph.steps[:found] if step.name in read]
    if all(step.by_image and step.kind != "number" for step in crossing):
        return found, crossing
    return len(graph.steps), [graph.by_name[graph.output]]


def _paint(cover: Cover) -> torch.Tensor:
    """Give the pixels of the cover one below another, (pixels, channels)."""
    if cover.picture is not None:
        return cover.picture.flatten(1).T
    assert cover.colours is not None
    return cover.colours.flatten(0, 1)


def _run(graph: Graph, actions: Sequence[Action], clean: Clean, picture: torch.Tensor, count: int) -> dict[str, Any]:
    """Run steps for one chunk; maps are (pixels of all windows, channels)."""
    values: dict[str, Any] = {}
    joined: dict[str, torch.Tensor] = {}  # clean pixels, padding and windows of a step, one after another
    for action in actions:
        step = action.step
        if action.mode == "batch":
            values[step.name] = count
        elif action.mode == "mean":
            values[step.name] = _mean(graph.by_name[step.inputs[0]], action, clean, values)
        else:
            parts = _answer(graph, action, picture, values, joined)
            if action.layout is None:
                values[step.name] = parts[0]
            else:
                if action.band is not None:
                    assert step.map is not None
                    first, last = (row * step.map.size[1] for row in action.band)
                    joined[step.name] = torch.cat([clean.rows(step.name)[first:last], clean.pads(step.name), *parts])
                    parts = [joined[step.name][last - first + PADS :]]
                values[step.name] = parts[0] if len(parts) == 1 else torch.cat(parts)
        for name in graph.last_reads.get(step.name, ()):
            values.pop(name, None)
            joined.pop(name, None)
    return values


def _answer(
    graph: Graph, action: Action, picture: torch.Tensor, values: dict[str, Any], joined: dict[str, torch.Tensor]
) -> list[Any]:
    """Give what a step answers: the pixels of its windows, class by class or all in one; or one value that is no map."""
    step, layout = action.step, action.layout
    if action.mode == "paint":
        assert action.own is not None
        return [picture.index_select(0, action.own)]
    assert step.operator is not None
    inputs = []
    for name, take in zip(step.inputs, action.takes, strict=True):
        inputs.append(values[name] if take is None else joined[name].index_select(0, take.index))
    maps = [graph.by_name[name].map for name in step.inputs]
    if action.mode == "whole":
        answer = step.operator.whole(
            [x if map is None else map.from_rows(x, map.size) for map, x in zip(maps, inputs, strict=True)]
        )
        return [answer if step.map is None else step.map.as_rows(answer)]
    assert step.map is not None and layout is not None
    if action.mode == "pixels":
        answer = step.operator.window([map.in_one(x) for map, x in zip(maps, inputs, strict=True) if map is not None])
        parts = [step.map.as_rows(answer)]
    else:
        parts = _by_class(action, step.operator, step.map, maps, inputs)
    if step.factor is not None and action.own is not None:
        parts = [torch.cat(parts) * step.factor[action.own][:, None]]
    return parts


def _by_class(
    action: Action, operator: Operator, map: Map, maps: list[Map | None], inputs: list[torch.Tensor]
) -> list[torch.Tensor]:
    step, layout = action.step, action.layout
    assert layout is not None
    take = next(take for take in action.takes if take is not None)
    parts, first = [], 0
    for own_size, size, members in zip(layout.sizes, take.region.sizes, take.region.members, strict=True):
        last = first + len(members) * size[0] * size[1]
        windows = [own.from_rows(x[first:last], size) for own, x in zip(maps, inputs, strict=True) if own is not None]
        answer = operator.window(windows)
        if step.crop is not None:
            row, column = step.crop
            answer = answer[:, :, row : row + own_size[0], column : column + own_size[1]]
        parts.append(map.as_rows(answer))
        first = last
    return parts


def _mean(before: Step, action: Action, clean: Clean, values: dict[str, Any]) -> torch.Tensor:
    """Give the clean mean and what the windows add to it."""
    assert before.map is not None
    layout, rows = action.read, values[before.name]
    assert layout is not None
    sums, first = [], 0
    for (tall, wide), members in zip(layout.sizes, layout.members, strict=True):
        last = first + len(members) * tall * wide
        sums.append(
            rows[first:last].view(len(members), tall * wide, -1).sum(1, dtype=clean.mean(action.step.name).dtype)
        )
        first = last
    now = sums[0] if len(sums) == 1 else torch.cat(sums)
    if layout.order is not None:
        order = torch.from_numpy(layout.order).to(now.device)
        now = torch.empty_like(now).index_copy_(0, order, now)
    then = clean.sum(before.name, layout)
    mean = clean.mean(action.step.name)
    return mean + ((now - then) / before.map.area).to(now.dtype).view(-1, *mean.shape[1:])
