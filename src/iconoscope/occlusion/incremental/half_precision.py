"""The same network in another type of number: maps in bfloat16 take half the time where the processor has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch

from iconoscope.occlusion.incremental.graph import Graph
from iconoscope.occlusion.incremental.operators import Convolution, Operator

__all__ = ["half_of", "lowered"]


def half_of(device: torch.device) -> torch.dtype | None:
    """Give the type of 16 bits that a device multiplies faster than float32, if there is one."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    if device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return None


def lowered(graph: Graph, dtype: torch.dtype) -> Graph:
    """Give the graph with maps and weights in a type of 16 bits; what follows the last map stays in float32."""
    after = _after_the_maps(graph)
    steps = []
    for step in graph.steps:
        if step.operator is None:
            steps.append(replace(step, size=step.size // 2))
        elif step.name in after:
            reads_map = any(name not in after for name in step.inputs)
            steps.append(replace(step, operator=_Widened(step.operator)) if reads_map else step)
        else:
            factor = None if step.factor is None else step.factor.to(dtype)
            steps.append(replace(step, operator=_converted(step.operator, dtype), factor=factor, size=step.size // 2))
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

    def whole(self, values: Sequence[Any]) -> Any:
        """Compute on whole inputs."""
        return self.operator.whole([x.float() if isinstance(x, torch.Tensor) else x for x in values])

    window = whole


def _converted(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, Convolution):
        value = replace(value, _packed={})
    if isinstance(value, tuple | list):
        return type(value)(_converted(each, dtype) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _converted(getattr(value, each.name), dtype) for each in fields(value)})
    return {name: _converted(each, dtype) for name, each in value.items()} if isinstance(value, dict) else value
