"""The engine: the clean maps of one image, and from them the answers with the patch at every position.

One image goes through it so. The network runs once on the untouched image and its maps are stored (`CleanMaps`). For each
chunk of positions the patch is painted into the windows of the input; then every step gathers what the pixels in its windows
are made of, from the clean map, from rows of padding and from the windows of the step before, and computes the windows anew
(`_run`). What follows the last map, mostly a linear layer, runs for many chunks together (`Runner`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from iconoscope.occlusion.geometry import Cover
from iconoscope.occlusion.incremental.instructions import Instruction, make_instructions
from iconoscope.occlusion.incremental.plan import Chunk, ScanPlan
from iconoscope.occlusion.incremental.windows import PADS, Windows
from iconoscope.progress import track
from iconoscope.subject.captured.graph import Graph, Step, StepOutputs, follow, run_graph

__all__ = ["CleanMaps", "Runner"]

TAIL = 256
"""Positions that are collected before the steps after the last map run for all of them. The weights of a linear layer are
larger than what a few positions give it to do: run for each chunk, they would be read from memory again and again."""


class CleanMaps:
    """The answers of all steps to the image with nothing covered."""

    def __init__(self, graph: Graph, image: torch.Tensor) -> None:
        self.image = image
        needed = {step.name for step in graph.steps if step.map is not None or step.kind == "mean"} | {graph.output}
        self._graph = graph
        self.answers = run_graph(graph, image[None], needed)
        self._sums: dict[str, torch.Tensor] = {}
        self._pads: dict[tuple[int, torch.dtype], torch.Tensor] = {}

    @property
    def answer(self) -> torch.Tensor:
        """The network's own answer, (1, outputs)."""
        return self.answers[self._graph.output]

    def rows(self, name: str) -> torch.Tensor:
        """Give a map as (pixels, channels)."""
        rows = self.answers[name]
        if rows.ndim != 2:
            shape = self._graph.by_name[name].map
            assert shape is not None
            rows = self.answers[name] = shape.as_rows(rows)
        return rows

    def pads(self, name: str) -> torch.Tensor:
        """Give the rows of padding for a map, (`PADS`, channels)."""
        rows = self.rows(name)
        key = (rows.shape[1], rows.dtype)
        if key not in self._pads:
            lowest = float("-inf") if rows.is_floating_point() else 0
            self._pads[key] = torch.cat([rows.new_zeros(1, key[0]), rows.new_full((1, key[0]), lowest)])
            assert len(self._pads[key]) == PADS
        return self._pads[key]

    def sum(self, name: str, windows: Windows) -> torch.Tensor:
        """Give the sums over the windows of a map, (positions, channels), from a table of sums (Crow 1984)."""
        shape = self._graph.by_name[name].map
        assert shape is not None
        if name not in self._sums:
            rows = self.rows(name).view(*shape.size, shape.channels)
            # Differences of large sums would lose digits in single precision; there is no double precision on mps.
            precise = rows if rows.device.type == "mps" else rows.double()
            self._sums[name] = torch.nn.functional.pad(precise.cumsum(0).cumsum(1), (0, 0, 1, 0, 1, 0))
        table = self._sums[name]
        top, left, height, width = (
            torch.from_numpy(lengths).to(table.device)
            for lengths in (windows.top, windows.left, windows.height, windows.width)
        )
        bottom, right = top + height, left + width
        return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]


class Runner:
    """Runs the chunks of a plan on one image after another.

    Indices are kept from one image to the next as long as there is room for them.
    """

    def __init__(self, plan: ScanPlan) -> None:
        self.plan = plan
        self._instructions: dict[tuple[int, bool], tuple[Instruction, ...]] = {}
        self._index_bytes = 0
        self._tail, self._crossing = _tail(plan.graph)

    def run(self, clean: CleanMaps, cover: Cover) -> Iterator[tuple[list[Chunk], torch.Tensor]]:
        """Give some chunks and the network's answers at their positions (positions, outputs), until all are done."""
        # Painting is one gather from this list: the image's pixels, then the cover's, (pixels, channels).
        pixels = torch.cat([clean.rows(self.plan.graph.steps[0].name), _pixels_of(cover)])
        waiting: list[StepOutputs] = []
        chunks: list[Chunk] = []
        for number, chunk in enumerate(track(self.plan.chunks, "positions")):
            instructions = self._make_instructions(number, chunk, colours=cover.picture is None, device=pixels.device)
            answers = _run(self.plan.graph, instructions[: self._tail], clean, pixels, len(chunk))
            waiting.append({step.name: answers[step.name] for step in self._crossing})
            chunks.append(chunk)
            if sum(map(len, chunks)) >= TAIL or number == len(self.plan.chunks) - 1:
                yield chunks, self._finish(waiting, sum(map(len, chunks)))
                waiting, chunks = [], []

    def _finish(self, waiting: list[StepOutputs], count: int) -> torch.Tensor:
        """Run the steps after the last map for all positions that wait."""
        graph = self.plan.graph
        answers: StepOutputs = {
            step.name: torch.cat([chunk[step.name] for chunk in waiting]) if step.kind != "batch" else count
            for step in self._crossing
        }
        for _ in follow(graph, graph.steps[self._tail :], answers, count):
            pass
        return answers[graph.output]

    def _make_instructions(
        self, number: int, chunk: Chunk, *, colours: bool, device: torch.device
    ) -> tuple[Instruction, ...]:
        key = (number, colours)
        if key in self._instructions:
            return self._instructions[key]
        instructions = make_instructions(self.plan, chunk, colours=colours, device=device)
        size = sum(instruction.bytes for instruction in instructions)
        if self._index_bytes + size <= self.plan.index_bytes:
            self._instructions[key] = instructions
            self._index_bytes += size
        return instructions


def _tail(graph: Graph) -> tuple[int, list[Step]]:
    """Give the number of the first step after which nothing is a map or reads one, and the steps before it that are read.

    Their answers for several chunks must be one behind another along the first axis.
    """
    tail = len(graph.steps)
    for number in range(len(graph.steps) - 1, -1, -1):
        step = graph.steps[number]
        if step.map is not None or any(graph.by_name[name].map is not None for name in step.inputs):
            break
        tail = number
    read = {name for step in graph.steps[tail:] for name in step.inputs} | {graph.output}
    crossing = [step for step in graph.steps[:tail] if step.name in read]
    if all(step.by_image and step.kind != "number" for step in crossing):
        return tail, crossing
    return len(graph.steps), [graph.by_name[graph.output]]


def _pixels_of(cover: Cover) -> torch.Tensor:
    """Give the pixels of the cover one below another, (pixels, channels)."""
    if cover.picture is not None:
        return cover.picture.flatten(1).T
    assert cover.colours is not None
    return cover.colours.flatten(0, 1)


def _run(
    graph: Graph, instructions: Sequence[Instruction], clean: CleanMaps, pixels: torch.Tensor, count: int
) -> StepOutputs:
    """Run steps for one chunk of `count` positions; maps are (pixels of all windows, channels)."""
    answers: StepOutputs = {}
    # What a later step gathers from lies in one tensor: a band of clean pixels, a row of zeros, a row of minus infinity, the
    # windows. So one index_select cuts what is read, pads it (with zeros for convolutions, with minus infinity for maximum
    # pooling) and pastes the windows into the clean map, all at once.
    joined: dict[str, torch.Tensor] = {}
    for instruction in instructions:
        step = instruction.step
        if instruction.mode == "batch":
            answers[step.name] = count
        elif instruction.mode == "mean":
            answers[step.name] = _mean(instruction, clean, answers)
        else:
            by_class = _answer(instruction, pixels, answers, joined)
            if instruction.band is not None:
                assert step.map is not None
                first, last = (row * step.map.size[1] for row in instruction.band)
                joined[step.name] = torch.cat([clean.rows(step.name)[first:last], clean.pads(step.name), *by_class])
                by_class = [joined[step.name][last - first + PADS :]]
            answers[step.name] = by_class[0] if len(by_class) == 1 else torch.cat(by_class)
        for name in graph.last_reads.get(step.name, ()):
            answers.pop(name, None)
            joined.pop(name, None)
    return answers


def _answer(
    instruction: Instruction, pixels: torch.Tensor, answers: StepOutputs, joined: dict[str, torch.Tensor]
) -> list[Any]:
    """Give what a step answers: the pixels of its windows, class by class or all in one; or one value that is no map."""
    step, shapes = instruction.step, instruction.input_maps
    if instruction.mode == "paint":
        assert instruction.index is not None
        return [pixels.index_select(0, instruction.index)]
    assert step.operator is not None
    inputs = [
        answers[name] if gather is None else joined[name].index_select(0, gather.index)
        for name, gather in zip(step.inputs, instruction.gathers, strict=True)
    ]
    if instruction.mode == "whole":
        maps = [
            rows if shape is None else shape.from_rows(rows, shape.size)
            for shape, rows in zip(shapes, inputs, strict=True)
        ]
        answer = step.operator.whole(maps)
        return [answer if step.map is None else step.map.as_rows(answer)]
    assert step.map is not None
    if instruction.mode == "pixels":  # all windows as one map with its pixels in one column
        columns = [
            shape.from_rows(rows, (len(rows), 1))
            for shape, rows in zip(shapes, inputs, strict=True)
            if shape is not None
        ]
        by_class = [step.map.as_rows(step.operator.window(columns))]
    else:
        by_class = _by_class(instruction, inputs)
    if step.factor is not None and instruction.index is not None:
        by_class = [torch.cat(by_class) * step.factor[instruction.index][:, None]]
    return by_class


def _by_class(instruction: Instruction, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Run an operator on the windows of each class, (members, channels, rows, columns); inputs are (pixels, channels)."""
    step, windows = instruction.step, instruction.windows
    assert step.map is not None and step.operator is not None and windows is not None
    gather = next(gather for gather in instruction.gathers if gather is not None)
    by_class, first = [], 0
    for size, (rows, columns, members) in zip(windows.sizes, gather.rectangles.classes(), strict=True):
        last = first + len(members) * rows * columns
        batches = [
            shape.from_rows(pixels[first:last], (rows, columns))
            for shape, pixels in zip(instruction.input_maps, inputs, strict=True)
            if shape is not None
        ]
        answer = step.operator.window(batches)
        if step.crop is not None:
            row, column = step.crop
            answer = answer[:, :, row : row + size[0], column : column + size[1]]
        by_class.append(step.map.as_rows(answer))
        first = last
    return by_class


def _mean(instruction: Instruction, clean: CleanMaps, answers: StepOutputs) -> torch.Tensor:
    """Give the clean mean and what the windows add to it."""
    (source,), (shape,), windows = instruction.step.inputs, instruction.input_maps, instruction.input_windows
    assert shape is not None and windows is not None
    rows, mean = answers[source], clean.answers[instruction.step.name]
    sums, first = [], 0
    for height, width, members in windows.classes():
        last = first + len(members) * height * width
        sums.append(rows[first:last].view(len(members), height * width, -1).sum(1, dtype=mean.dtype))
        first = last
    now = sums[0] if len(sums) == 1 else torch.cat(sums)
    if windows.order is not None:
        order = torch.from_numpy(windows.order).to(now.device)
        now = torch.empty_like(now).index_copy_(0, order, now)
    before = clean.sum(source, windows)
    return mean + ((now - before) / shape.area).to(now.dtype).view(-1, *mean.shape[1:])
