"""The same network in another type of number: maps in bfloat16 take half the time where the processor has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch

from iconoscope.occlusion.incremental.graph import Graph
from iconoscope.occlusion.incremental.operators import Convolution, Operator

__all__ = ["to_half"]


def to_half(graph: Graph, dtype: torch.dtype) -> Graph:
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
        value = value.changed() if isinstance(value, Convolution) else value
        return replace(value, **{part.name: _converted(getattr(value, part.name), dtype) for part in fields(value)})
    return value
