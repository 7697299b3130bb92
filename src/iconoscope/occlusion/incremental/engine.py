"""The engine: the clean maps of one image, and from them the answers with the patch at every position."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.occlusion.cover import Cover
from iconoscope.occlusion.incremental.graph import Graph, Map, Step
from iconoscope.occlusion.incremental.plan import Action, Plan
from iconoscope.progress import track

__all__ = ["Clean", "run_plan"]


class Clean:
    """What every step answers to the image with nothing covered."""

    def __init__(self, graph: Graph, image: torch.Tensor) -> None:
        self.means: dict[str, torch.Tensor] = {}
        self._maps: dict[str, tuple[Map, torch.Tensor]] = {}
        self._rows: dict[str, torch.Tensor] = {}
        values: dict[str, Any] = {}
        for step in graph.steps:
            if step.operator is None:
                value = image[None].contiguous(memory_format=torch.channels_last)
            else:
                value = step.operator.whole([values[name] for name in step.inputs])
            values[step.name] = value
            if step.map is not None:
                self._maps[step.name] = (step.map, value)
            elif step.kind == "mean":
                self.means[step.name] = value
            for name in graph.last_reads.get(step.name, ()):
                del values[name]

    def rows(self, name: str) -> torch.Tensor:
        """Give a map as (pixels, channels), with the two rows of padding after it."""
        if name not in self._rows:
            map, value = self._maps.pop(name)
            rows = map.as_rows(value)
            lowest = float("-inf") if rows.is_floating_point() else 0
            pads = [rows.new_zeros(1, map.channels), rows.new_full((1, map.channels), lowest)]
            self._rows[name] = torch.cat([rows, *pads])
        return self._rows[name]


def run_plan(plan: Plan, image: torch.Tensor, cover: Cover) -> NDArray[np.float32]:
    """Give the network's answers with the patch at every position, (grid rows, grid columns, outputs).

    Parameters
    ----------
    plan
        For this network and these positions.
    image
        (channels, height, width).
    cover
        What covers it.
    """
    clean = Clean(plan.graph, image)
    paint = _paint(cover)
    answers: NDArray[np.float32] | None = None
    for number in track(range(len(plan.chunks)), "positions"):
        chunk = plan.chunks[number]
        found = _run(plan.graph, plan.actions(number, image.device), clean, paint).float().cpu().numpy()
        if answers is None:
            answers = np.empty((*plan.grid.shape, found.shape[1]), np.float32)
        answers[chunk.rows[: chunk.count], chunk.columns[: chunk.count]] = found[: chunk.count]
    assert answers is not None
    return answers


def _run(graph: Graph, actions: tuple[Action, ...], clean: Clean, paint: torch.Tensor) -> torch.Tensor:
    """Give the answers for one chunk, (positions, outputs)."""
    values: dict[str, Any] = {}
    joined: dict[str, torch.Tensor] = {}  # clean pixels, padding and windows of a step, one after another
    for action in actions:
        step = action.step
        if step.operator is None:
            values[step.name] = _covered(step, action, clean, paint)
        elif step.kind == "mean" and not action.whole:
            values[step.name] = _mean(graph.by_name[step.inputs[0]], action, clean, values)
        else:
            inputs = []
            for name, take in zip(step.inputs, action.takes, strict=True):
                value = values[name]
                if take is not None:
                    index, size = take
                    map = graph.by_name[name].map
                    assert map is not None
                    if name not in joined:
                        joined[name] = torch.cat([clean.rows(name), map.as_rows(value)])
                    value = map.from_rows(joined[name].index_select(0, index), size)
                inputs.append(value)
            value = step.operator.whole(inputs) if action.whole else step.operator.window(inputs)
            if action.own is not None and step.factor is not None:
                value = value * step.factor[action.own].view(-1, 1, *value.shape[2:])
            values[step.name] = value
        for name in graph.last_reads.get(step.name, ()):
            del values[name]
            joined.pop(name, None)
    return values[graph.output]


def _paint(cover: Cover) -> torch.Tensor:
    """Give the pixels of the cover one below another, (pixels, channels)."""
    if cover.picture is not None:
        return cover.picture.flatten(1).T
    assert cover.colours is not None
    return cover.colours.flatten(0, 1)


def _covered(step: Step, action: Action, clean: Clean, paint: torch.Tensor) -> torch.Tensor:
    assert step.map is not None and action.own is not None
    both = torch.cat([clean.rows(step.name)[: step.map.area], paint])
    return step.map.from_rows(both.index_select(0, action.own), action.size)


def _mean(before: Step, action: Action, clean: Clean, values: dict[str, Any]) -> torch.Tensor:
    """Give the clean mean and what the windows add to it."""
    assert before.map is not None and action.own is not None and action.step.operator is not None
    windows = values[before.name]
    then = clean.rows(before.name).index_select(0, action.own).view(len(windows), -1, before.map.channels).sum(1)
    now = action.step.operator.window([windows])
    return clean.means[action.step.name] + (now - then.view(now.shape)) / before.map.area
