"""What each step does for a chunk: which pixels it reads, and where these are found. Made once, used for every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from iconoscope.occlusion.geometry import Grid
from iconoscope.occlusion.incremental.graph import Graph, Map, Step
from iconoscope.occlusion.incremental.plan import Chunk, Plan
from iconoscope.occlusion.incremental.windows import Layout, Region, regions, whole

__all__ = ["Action", "Take", "make_actions"]

Mode = Literal["paint", "pixels", "windows", "whole", "mean", "batch"]


@dataclass(frozen=True, eq=False)
class Take:
    """What is read of an input whose windows lie otherwise.

    Attributes
    ----------
    index : torch.Tensor
        (pixels,) int32, as `Region.index` gives it.
    region : Region
        The regions.
    """

    index: torch.Tensor
    region: Region


@dataclass(frozen=True, eq=False)
class Action:
    """What one step does for a chunk.

    Attributes
    ----------
    step : Step
        The step.
    mode : str
        paint: put the cover on the image; pixels: on all windows at once; windows: class by class; whole: on whole maps or
        what is no map; mean: from the clean mean and the windows; batch: how many positions there are.
    layout : Layout or None
        Of its answer, if that is a map.
    takes : tuple of Take or None
        For every input: None if it is read as it lies.
    band : tuple of int or None
        The rows of the clean map that are put before its windows, if anybody gathers from them.
    own : torch.Tensor or None
        paint: where the pixels are found, of the image and then of the cover; windows with a factor: their places in the
        map.
    """

    step: Step
    mode: Mode
    layout: Layout | None
    takes: tuple[Take | None, ...] = ()
    band: tuple[int, int] | None = None
    own: torch.Tensor | None = None
    read: Layout | None = None  # of its first input, if that is a map

    @property
    def bytes(self) -> int:
        """Bytes of its indices."""
        indices = [take.index for take in self.takes if take is not None] + ([] if self.own is None else [self.own])
        return sum(index.numel() * index.element_size() for index in indices)


def make_actions(plan: Plan, chunk: Chunk, *, colours: bool, device: torch.device) -> tuple[Action, ...]:
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
    graph, layouts = plan.graph, chunk.layouts
    wanted = {step.name: _wanted(graph, layouts, step, len(chunk)) for step in graph.steps}
    bands: dict[str, tuple[int, int]] = {}
    for step in graph.steps:
        for name, region in zip(step.inputs, wanted[step.name], strict=True):
            map = graph.by_name[name].map
            if region is not None and map is not None:
                first, last = region.band(map)
                known = bands.get(name, (first, last))
                bands[name] = (min(first, known[0]), max(last, known[1]))
    actions = []
    for step in graph.steps:
        takes = []
        for name, region in zip(step.inputs, wanted[step.name], strict=True):
            map = graph.by_name[name].map
            if region is None or map is None:
                takes.append(None)
            else:
                index = region.index(layouts[name], map, bands[name], step.padding)
                takes.append(Take(torch.from_numpy(index).to(device), region))
        layout = layouts.get(step.name)
        own = None
        if step.kind == "input" and layout is not None and step.map is not None:
            own = _painted(layout, step.map, plan, chunk, colours=colours)
        elif step.factor is not None and layout is not None and step.map is not None and not layout.whole:
            own = torch.from_numpy(layout.pixels(step.map))
        own = None if own is None else own.to(device)
        actions.append(
            Action(
                step,
                _mode(graph, layouts, step),
                layout,
                tuple(takes),
                bands.get(step.name),
                own,
                layouts.get(next(iter(step.inputs), "")),
            )
        )
    return tuple(actions)


def _wanted(graph: Graph, layouts: dict[str, Layout], step: Step, count: int) -> list[Region | None]:
    """Give what a step gathers of each of its inputs; None where it reads it as it lies."""
    found: list[Region | None] = []
    for name in step.inputs:
        map = graph.by_name[name].map
        if map is None or step.kind in ("mean", "batch") or layouts[name].whole:
            found.append(None)
        elif step.map is None or step.kind == "everywhere":
            everything = whole(map, count)
            found.append(Region(everything.sizes, everything.members, everything.top, everything.left))
        elif step.in_place and layouts[step.name] is layouts[name]:
            found.append(None)
        else:
            found.append(regions(layouts[step.name], step.reach))
    return found


def _mode(graph: Graph, layouts: dict[str, Layout], step: Step) -> Mode:
    if step.kind == "input":
        return "paint"
    if step.kind == "batch":
        return "batch"
    inputs_whole = all(name not in layouts or layouts[name].whole for name in step.inputs)
    if step.kind == "mean":
        return "whole" if inputs_whole else "mean"
    if step.kind in ("whole", "number", "everywhere") or inputs_whole:
        return "whole"
    return "pixels" if step.in_place else "windows"


def _painted(layout: Layout, map: Map, plan: Plan, chunk: Chunk, *, colours: bool) -> torch.Tensor:
    """Say where the pixels of the windows of the input come from: indices into those of the image, then the cover's.

    A window may be larger than its patch, where the patch is cut at the border: what the patch leaves free is the image's.
    """
    grid: Grid = plan.grid
    down, across = plan.changed[plan.graph.steps[0].name]
    rows, columns = chunk.rows.repeat(len(chunk.columns)), np.tile(chunk.columns, len(chunk.rows))
    parts = []
    for (tall, wide), members in zip(layout.sizes, layout.members, strict=True):
        row, column = layout.top[members, None] + np.arange(tall), layout.left[members, None] + np.arange(wide)
        own_down, own_across = down[rows[members]], across[columns[members]]
        covered_rows = (row >= own_down.start[:, None]) & (row < own_down.stop[:, None])
        covered_columns = (column >= own_across.start[:, None]) & (column < own_across.stop[:, None])
        covered = covered_rows[:, :, None] & covered_columns[:, None, :]
        plain = (row * map.size[1])[:, :, None] + column[:, None, :]
        position = (rows[members] * grid.shape[1] + columns[members])[:, None, None]
        painted = map.area + (position if colours else plain)
        parts.append(np.where(covered, painted, plain).reshape(-1))
    return torch.from_numpy(np.concatenate(parts).astype(np.int32))
