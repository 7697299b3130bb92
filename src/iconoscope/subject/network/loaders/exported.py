"""``model.pt2``: what torch.export wrote, unflattened, so that layers have their names and take hooks."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import CheckpointError, NetworkError
from iconoscope.subject.network.loaders.batches import answers_alike, few_at_once, noise
from iconoscope.subject.network.loaders.loaded import Asked, Loaded, first_line

if TYPE_CHECKING:
    import torch
    from torch import fx
    from torch.export import ExportedProgram

__all__ = ["load_exported"]

_OPEN = 224
"""Pixels of a side that the program leaves open, where it is tried out."""


def load_exported(asked: Asked) -> Loaded:
    """Read a program of torch.export.

    One that was exported for a fixed number of images is opened to any number, if it then gives the same answers; its height
    and width stay as they are.

    Raises
    ------
    CheckpointError
        If the file is broken.
    NetworkError
        If it takes something else than one tensor of images, or no other number of images than it was exported for.
    """
    with warnings.catch_warnings():  # torch warns of its own code here
        warnings.simplefilter("ignore")
        return _read(Path(asked.name).expanduser())


def _read(path: Path) -> Loaded:
    import torch

    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is no whole program of torch.export.", hint="Export or download it again.")
    try:
        program = torch.export.load(path)
    # torch lets its zip reader's and its own deserializer's errors through.
    except Exception as error:
        raise CheckpointError(f"{path} is no whole program of torch.export: {first_line(error)}.") from error
    shape = _input(program, path)
    height, width = shape[2:]
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return Loaded(_opened(program, shape, path), size=size, origin=path.name, trained=True)


def _input(program: ExportedProgram, path: Path) -> list[Any]:
    """Give the shape of the images that a program takes; what is open is no int."""
    names = program.graph_signature.user_inputs
    values = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(values) != 1 or getattr(values[0], "ndim", 0) != 4:
        raise NetworkError(
            f"{path.name} takes {len(values)} inputs; a network of images takes one tensor (images, channels, height, width)."
        )
    return [int(side) if isinstance(side, int) or str(side).isdecimal() else side for side in values[0].shape]


def _opened(program: ExportedProgram, shape: list[Any], path: Path) -> torch.nn.Module:
    import torch

    if not isinstance(shape[0], int):
        return torch.export.unflatten(program)
    images = noise([side if isinstance(side, int) else _OPEN for side in shape])
    each = few_at_once(torch.export.unflatten(program), images, shape[0])
    for rewritten in (False, True):
        if rewritten:
            _open_batch(program, shape[0])
        module = torch.export.unflatten(program)
        module.check_input_constraints = False
        if answers_alike(module, images, each):
            return module
    raise NetworkError(
        f"{path.name} was exported for {shape[0]} images at a time, and answers no other number as well.",
        hint="Export it for any number: torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim('n')},)).",
    )


def _open_batch(program: ExportedProgram, images: int) -> None:
    """Rewrite the shapes that hold the number of images: views keep what they are given, expansions follow the input."""
    import torch

    aten = torch.ops.aten
    views = {aten.view.default, aten.reshape.default, aten._unsafe_view.default}
    graph = program.graph
    names = program.graph_signature.user_inputs
    source = next(node for node in graph.nodes if node.op == "placeholder" and node.name in names)
    follows: set[fx.Node] = {source}
    count: fx.Node | None = None
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if any(each in follows for each in node.all_input_nodes):
            follows.add(node)
            if node.target in views:
                rest = [int(side) for side in node.meta["val"].shape[1:]]
                node.args = (node.args[0], [-1, *rest])
        elif node.target is aten.expand.default and node.args[1] and node.args[1][0] == images:
            if count is None:
                with graph.inserting_after(source):
                    count = graph.call_function(aten.sym_size.int, (source, 0))
                    root = next(iter(node.meta["nn_module_stack"].items()))
                    count.meta |= {"val": images, "nn_module_stack": dict([root])}
            node.args = (node.args[0], [count, *node.args[1][1:]])
            follows.add(node)
    graph.eliminate_dead_code()
    graph.lint()
    program.graph_module.recompile()
