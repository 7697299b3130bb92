"""Operators of a traced program: the one place that reads how torch describes them, which is private to torch.

An operator's schema says its name, its arguments, and which of them it writes into. A torch that keeps it elsewhere cannot be
read here: `described` is then false, and the plain engine answers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

__all__ = [
    "SHAPES", "PerImage", "described", "hangs_on_images", "is_mutable", "may_be_view", "name_of", "operator_name",
    "out_of_place",    "same_length", "schema_of", "shapes_of", "traced_length", "writes",
]  # fmt: skip

SCHEMA = "_schema"

SHAPES = "shapes"
"""Where a node that was not traced by torch.export has the shapes of all tensors that it answers."""


class PerImage(int):
    """A length that is so many times the number of images, as it was when it was traced."""


def described() -> bool:
    """Whether this torch says of its operators what has to be known of them."""
    schema = getattr(torch.ops.aten.relu_.default, SCHEMA, None)
    return all(hasattr(schema, name) for name in ("name", "overload_name", "arguments", "returns", "is_mutable"))


def schema_of(node: Any) -> Any:
    """Give the schema of the operator that a node calls; None if it calls anything else."""
    return getattr(node.target, SCHEMA, None) if isinstance(node, fx.Node) else None


def name_of(node: Any) -> str:
    """Give the operator's name, as conv2d; empty if a node calls none."""
    schema = schema_of(node)
    return schema.name.removeprefix("aten::") if schema else ""


def operator_name(target: Any) -> str:
    """Give the name of an operator, or that of any other function, as conv2d."""
    schema = getattr(target, SCHEMA, None)
    return schema.name.removeprefix("aten::") if schema else getattr(target, "__name__", "").removeprefix("_")


def writes(node: fx.Node) -> bool:
    """Whether the operator writes into one of its arguments."""
    return is_mutable(node.target)


def is_mutable(operation: Any) -> bool:
    """Whether an operator writes into one of its arguments."""
    schema = getattr(operation, SCHEMA, None)
    return schema is not None and schema.is_mutable


def out_of_place(node: fx.Node) -> Callable[..., Any] | None:
    """Give the operator that does the same without writing into its input, if there is one."""
    name = name_of(node)
    overloads = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    return getattr(overloads, schema_of(node).overload_name or "default", None)


def may_be_view(node: fx.Node) -> bool:
    """Whether a node's answer may lie in the memory of what it reads."""
    if node.target is operator.getitem:
        source = node.args[0]
        return isinstance(source, fx.Node) and may_be_view(source)
    schema = schema_of(node)
    if schema is None:
        return False
    if name_of(node) in ("dropout", "feature_dropout", "contiguous", "to", "reshape"):
        return True
    return any(answer.alias_info is not None and not answer.alias_info.is_write for answer in schema.returns)


def shapes_of(node: fx.Node) -> list[tuple[Any, ...]]:
    """Give the shapes of all tensors that a node answers; lengths that hang on the number of images are no plain `int`."""
    if SHAPES in node.meta:
        return node.meta[SHAPES]
    value = node.meta.get("val")
    values = value if isinstance(value, tuple | list) else [value]
    return [tuple(tensor.shape) for tensor in values if isinstance(tensor, torch.Tensor)]


def hangs_on_images(length: Any) -> bool:
    """Whether a length depends on the number of images."""
    return isinstance(length, torch.SymInt | PerImage)


def same_length(length: Any, other: Any) -> bool:
    """Whether two lengths that depend on the number of images are the same for any number."""
    return hangs_on_images(length) and hangs_on_images(other) and str(length) == str(other)


def traced_length(length: Any, traced: int) -> int:
    """Give what a length that depends on the number of images was with as many as were `traced`; 1 for any other length."""
    if isinstance(length, PerImage):
        return int(length)
    if isinstance(length, int):
        return 1
    hint = getattr(length.node, "hint", None)  # private to torch; as a rule a length is the number of images itself
    return traced if hint is None else int(hint)
