"""Instructions of a chunk: which pixels each step reads, and where these are found. Made once, used for every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from iconoscope.occlusion.incremental.plan import Chunk, ScanPlan, WindowsByStep
from iconoscope.occlusion.incremental.windows import Rectangles, Windows, fields_of, whole_maps
from iconoscope.subject.captured.graph import Graph, MapShape, Step

__all__ = ["Gather", "Instruction", "make_instructions"]

Mode = Literal["paint", "pixels", "windows", "whole", "mean", "batch"]


@dataclass(frozen=True, eq=False)
class Gather:
    """Indices of the pixels that are read of an input whose windows lie otherwise than those of the step.

    Attributes
    ----------
    index : torch.Tensor
        (pixels,) int32, as `Rectangles.sources` gives it.
    rectangles : Rectangles
        What is read for each position.
    """

    index: torch.Tensor
    rectangles: Rectangles


@dataclass(frozen=True, eq=False)
class Instruction:
    """Work of one step for a chunk.

    Attributes
    ----------
    step : Step
        The step.
    mode : str
        paint: put the cover on the image; pixels: on all windows at once; windows: class by class; whole: on whole maps or
        what is no map; mean: from the clean mean and the windows; batch: the number of positions.
    windows : Windows or None
        Of its answer, if that is a map.
    gathers : tuple of Gather or None
        For every input: None if it is read as it lies.
    band : tuple of int or None
        The rows of the clean map that are put before its windows, if anybody gathers from them.
    index : torch.Tensor or None
        (pixels,) paint: where the pixels are found, of the image and then of the cover; windows with a factor: which pixel of
        the map each of them is.
    input_maps : tuple of MapShape or None
        The shapes of its inputs, where they are maps.
    input_windows : Windows or None
        Those of its first input, if that is a map.
    """

    step: Step
    mode: Mode
    windows: Windows | None
    gathers: tuple[Gather | None, ...] = ()
    band: tuple[int, int] | None = None
    index: torch.Tensor | None = None
    input_maps: tuple[MapShape | None, ...] = ()
    input_windows: Windows | None = None

    @property
    def bytes(self) -> int:
        """Size of its indices."""
        indices = [gather.index for gather in self.gathers if gather] + ([] if self.index is None else [self.index])
        return sum(index.numel() * index.element_size() for index in indices)


def make_instructions(plan: ScanPlan, chunk: Chunk, *, colours: bool, device: torch.device) -> tuple[Instruction, ...]:
    """Give what every step does for a chunk.

    Parameters
    ----------
    plan, chunk
        The plan, and one of its chunks.
    colours
        Whether the cover is a colour for every position, not a picture.
    device
        Where the indices are put.
    """
    graph, windows = plan.graph, chunk.windows
    read = {
        (step.name, name): _read(graph, windows, step, name, len(chunk)) for step in graph.steps for name in step.inputs
    }
    bands: dict[str, tuple[int, int]] = {}
    for (_, name), rectangles in read.items():
        shape = graph.by_name[name].map
        if rectangles is not None and shape is not None:
            first, last = rectangles.band(shape)
            others = bands.get(name, (first, last))
            bands[name] = (min(first, others[0]), max(last, others[1]))

    def gather(step: Step, name: str) -> Gather | None:
        rectangles, shape = read[step.name, name], graph.by_name[name].map
        if rectangles is None or shape is None:
            return None
        sources = rectangles.sources(windows[name], shape, bands[name], step.padding)
        return Gather(torch.from_numpy(sources).to(device), rectangles)

    def index(step: Step) -> torch.Tensor | None:
        if step.kind == "input":
            return torch.from_numpy(_painted(plan, chunk, colours=colours)).to(device)
        if step.factor is None or step.map is None or windows[step.name].whole:
            return None
        return torch.from_numpy(windows[step.name].pixels(step.map)).to(device)

    return tuple(
        Instruction(
            step,
            _mode(windows, step),
            windows.get(step.name),
            tuple(gather(step, name) for name in step.inputs),
            bands.get(step.name),
            index(step),
            tuple(graph.by_name[name].map for name in step.inputs),
            windows.get(step.inputs[0]) if step.inputs else None,
        )
        for step in graph.steps
    )


def _read(graph: Graph, windows: WindowsByStep, step: Step, name: str, count: int) -> Rectangles | None:
    """Give what a step gathers of one of its inputs, for `count` positions; None where it reads it as it lies."""
    shape = graph.by_name[name].map
    if shape is None or step.kind in ("mean", "batch") or windows[name].whole:
        return None
    if step.map is None or step.kind == "everywhere":
        return whole_maps(shape, count)
    if step.pixelwise and windows[step.name] is windows[name]:
        return None
    return fields_of(windows[step.name], step.fields)


def _mode(windows: WindowsByStep, step: Step) -> Mode:
    inputs_whole = all(name not in windows or windows[name].whole for name in step.inputs)
    if step.kind == "input":
        return "paint"
    if step.kind == "batch":
        return "batch"
    if step.kind == "mean" and not inputs_whole:
        return "mean"
    if step.kind != "window" or inputs_whole:
        return "whole"
    return "pixels" if step.pixelwise else "windows"


def _painted(plan: ScanPlan, chunk: Chunk, *, colours: bool) -> np.ndarray:
    """Say where the pixels of the windows of the input come from: indices into those of the image, then the cover's.

    A window may be larger than its patch, where the patch is cut at the border: what the patch leaves free is the image's.
    """
    step = plan.graph.steps[0]
    assert step.map is not None
    windows, (down, across) = chunk.windows[step.name], plan.changed[step.name]
    grid_rows, grid_columns = chunk.rows.repeat(len(chunk.columns)), np.tile(chunk.columns, len(chunk.rows))
    pixels = []
    for height, width, members in windows.classes():
        row, column = windows.top[members, None] + np.arange(height), windows.left[members, None] + np.arange(width)
        patch_rows, patch_columns = down[grid_rows[members]], across[grid_columns[members]]
        covered_rows = (row >= patch_rows.start[:, None]) & (row < patch_rows.stop[:, None])
        covered_columns = (column >= patch_columns.start[:, None]) & (column < patch_columns.stop[:, None])
        covered = covered_rows[:, :, None] & covered_columns[:, None, :]  # (members, height, width)
        in_image = (row * step.map.size[1])[:, :, None] + column[:, None, :]
        position = (grid_rows[members] * plan.grid.shape[1] + grid_columns[members])[:, None, None]
        in_cover = step.map.area + (position if colours else in_image)
        pixels.append(np.where(covered, in_cover, in_image).reshape(-1))
    return np.concatenate(pixels).astype(np.int32)
