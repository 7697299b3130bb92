"""``model.pt2``: what torch.export wrote, unflattened, so that layers have their names and take hooks."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import CheckpointError, first_line
from iconoscope.subject.network.checkpoint import untrusted
from iconoscope.subject.network.loaders.batches import answers_alike, few_at_once, noise, wants_images, wants_its_number
from iconoscope.subject.network.loaders.loaded import Loaded, NetworkRequest, archived
from iconoscope.warning_filters import ignoring

if TYPE_CHECKING:
    import torch
    from torch import fx
    from torch.export import ExportedProgram

__all__ = ["load_exported"]

_OPEN = 224
"""Pixels of a side that the program leaves open, where it is tried out."""


def load_exported(request: NetworkRequest) -> Loaded:
    """Read a program of torch.export.

    One that was exported for a fixed number of images is opened to any number, if it then gives the same answers; its height
    and width stay as they are.

    Raises
    ------
    CheckpointError
        If the file is not trusted: torch unpickles what is in it, and evaluates its expressions as Python. Or if it is broken.
    NetworkError
        If it takes something else than one tensor of images, or no other number of images than it was exported for.
    """
    with ignoring():  # torch warns of its own code here
        return _read(Path(request.name).expanduser(), trust_code=request.trust_code)


def _read(path: Path, *, trust_code: bool) -> Loaded:
    import torch

    archived(path, "program of torch.export")
    if not trust_code:
        raise untrusted(
            f"{path} is a program of torch.export, and torch unpickles it",
            "run any program with your rights",
            instead="load the network from Python with its weights as safetensors, or export it as ONNX",
        )
    try:
        program = torch.export.load(path)
    # torch lets its zip reader's and its own deserializer's errors through.
    except Exception as error:
        raise CheckpointError(f"{path} is no whole program of torch.export: {first_line(error, most=240)}.") from error
    shape = _input(program, path)
    height, width = shape[2:]
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return Loaded(_opened(program, shape, path), size=size, origin=path.name, trained=True)


def _input(program: ExportedProgram, path: Path) -> list[Any]:
    """Give the shape of the images that a program takes; what is open is no int."""
    names = program.graph_signature.user_inputs
    values = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(values) != 1 or getattr(values[0], "ndim", 0) != 4:
        raise wants_images(path.name, len(values))
    return [int(side) if isinstance(side, int) or str(side).isdecimal() else side for side in values[0].shape]


def _opened(program: ExportedProgram, shape: list[Any], path: Path) -> torch.nn.Module:
    import torch

    if not isinstance(shape[0], int):
        return torch.export.unflatten(program)
    images = noise([side if isinstance(side, int) else _OPEN for side in shape])
    separate = few_at_once(torch.export.unflatten(program), images, shape[0])
    for rewritten in (False, True):
        if rewritten and not _open_batch(program, images, shape[0]):
            break
        module = torch.export.unflatten(program)
        module.check_input_constraints = False
        if answers_alike(module, images, separate):
            return module
    how = "torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim('n')},))"
    raise wants_its_number(path.name, shape[0], how)


def _open_batch(program: ExportedProgram, images: torch.Tensor, count: int) -> bool:
    """Rewrite the shapes that hold the number of images, `count`, so that any number of `images` goes through.

    What was expanded to it follows the input now; and where a view says all sides of its answer, the one that grows with the
    images is left open. Which that is, is seen by running the program on more of them; whether that went well is given.
    """
    import torch

    graph = program.graph
    signature = program.graph_signature
    source = next(node for node in graph.nodes if node.op == "placeholder" and node.name in signature.user_inputs)
    _follow_input(graph, source, count)
    program.graph_module.recompile()
    tensors = {**program.state_dict, **program.constants}
    sources = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    inputs = [
        images if node is source else tensors[sources[node.name]] for node in graph.nodes if node.op == "placeholder"
    ]

    aten = torch.ops.aten
    told_all_sides = {aten.view.default, aten.reshape.default, aten._unsafe_view.default}

    class Opening(torch.fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if n.op == "call_function" and n.target in told_all_sides:
                _open_side(n, self.env[n.args[0]].shape, count)  # pyright: ignore[reportArgumentType]
            return super().run_node(n)

    try:
        with torch.no_grad():
            Opening(program.graph_module).run(*inputs)
    except RuntimeError:  # some other shape holds the number of images: it is refused
        return False
    program.graph_module.recompile()
    return True


def _open_side(node: fx.Node, shape: torch.Size, count: int) -> None:
    """Leave open the side of a view that grows with the images, now that a tensor of this shape goes into it."""
    source = node.args[0]
    traced = [int(side) for side in source.meta["val"].shape]  # pyright: ignore[reportAttributeAccessIssue,reportOptionalMemberAccess]
    grown = [axis for axis, (now, then) in enumerate(zip(shape, traced, strict=True)) if now != then]
    if len(grown) == 1:
        sides = [int(side) for side in node.meta["val"].shape]
        open_axis = _axis_of_images(traced, grown[0], sides, count)
        node.args = (source, [-1 if axis == open_axis else side for axis, side in enumerate(sides)])


def _axis_of_images(traced: list[int], grown: int, sides: list[int], count: int) -> int:
    """Give the axis of a view with these sides that grows, where the axis `grown` of the tensor that is viewed does.

    A side of just so many images is theirs. Else they come before whatever they share a side with, as in images times heads;
    but not before the last side, which the weights of the next layer want as it is.

    >>> _axis_of_images([1, 32, 4, 4], 0, [1, 32, 16], 1), _axis_of_images([17, 1, 32], 1, [17, 2, 16], 1)
    (0, 1)
    >>> _axis_of_images([17, 1, 2, 16], 1, [17, 32], 1), _axis_of_images([17, 32], 0, [17, 1, 32], 1)
    (0, 1)
    """
    # How many numbers lie before an axis is the same in both: the images begin between these two.
    least, most = prod(traced[:grown]), prod(traced[: grown + 1])
    before = [prod(sides[:axis]) for axis in range(len(sides) + 1)]
    unshared = [axis for axis, side in enumerate(sides) if side == count and least <= before[axis] <= most]
    shared = [axis for axis in range(len(sides) - 1) if before[axis] == least]
    behind = [axis for axis in range(len(sides)) if before[axis + 1] == most]
    return next(iter([*unshared, *shared, *behind]), 0)


def _follow_input(graph: fx.Graph, source: fx.Node, images: int) -> None:
    """Expand what does not come from the images to as many as there are."""
    import torch

    aten = torch.ops.aten
    follows = {source}
    count: fx.Node | None = None
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if any(source in follows for source in node.all_input_nodes):
            follows.add(node)
        elif node.target is aten.expand.default and node.args[1] and node.args[1][0] == images:
            if count is None:
                with graph.inserting_after(source):
                    count = graph.call_function(aten.sym_size.int, (source, 0))
                    root = next(iter(node.meta["nn_module_stack"].items()))
                    count.meta |= {"val": images, "nn_module_stack": dict([root])}
            node.args = (node.args[0], [count, *node.args[1][1:]])
            follows.add(node)
    graph.lint()
