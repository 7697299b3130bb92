"""From a module to steps: torch.export traces it, and every operation is asked how a change passes through it.

What is not known here becomes a step that runs the captured operator on whole maps: unknown costs speed, never correctness.
"""

from __future__ import annotations

import operator
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram, export

from iconoscope.occlusion.incremental.graph import CHANNELS_FIRST, Graph, Map, Step
from iconoscope.occlusion.incremental.graph_builder import TRACED, Reading, bytes_of
from iconoscope.occlusion.incremental.operators import Call, Part
from iconoscope.occlusion.incremental.translation import translate

__all__ = ["CaptureError", "capture"]

LARGEST_BATCH = 4096


class CaptureError(Exception):
    """The module cannot be captured; the message says why, in a few words."""


def capture(module: nn.Module, image: torch.Tensor) -> Graph:
    """Trace a module in evaluation mode on an image (channels, height, width) and give its steps.

    Raises
    ------
    CaptureError
        If torch.export cannot trace the module with any number of images, or if it does not answer one tensor.
    """
    try:
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.export warns about torch's own code
            batch = torch.zeros(TRACED, *image.shape, dtype=image.dtype, device=image.device)
            open_batch = ({0: Dim("batch", min=1, max=LARGEST_BATCH)},)
            program = export(module, (batch,), dynamic_shapes=open_batch, strict=False)
            if not _can_be_followed(program):
                # Writes into views of other tensors: torch takes them apart itself, which takes several times as long.
                program = program.run_decompositions({})
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CaptureError(f"torch.export cannot trace the network ({lines[0][:120].strip()})") from error
    with torch.no_grad():
        return _graph(program)


def _can_be_followed(program: ExportedProgram) -> bool:
    """Whether all that is written in place is a tensor's own memory, and there is an operator that does it elsewhere."""
    seen: set[fx.Node] = set()
    for node in program.graph.nodes:
        seen.add(node)
        if node.op != "call_function" or not _writes(node):
            continue
        written = node.args[0]
        views = [user for user in written.users if user in seen and _may_be_view(user)]
        if _elsewhere(node) is None or written.op == "placeholder" or _may_be_view(written) or views:
            return False
    return True


def _writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _elsewhere(node: fx.Node) -> torch._ops.OpOverload | None:
    """Give the operator that does the same without writing into its input."""
    assert isinstance(node.target, torch._ops.OpOverload)
    name = node.target._schema.name.removeprefix("aten::")
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    return getattr(packet, node.target._overloadname, None)


def _may_be_view(node: fx.Node) -> bool:
    """Whether what a node answers may lie in the memory of what it reads."""
    if node.target is operator.getitem:
        source = node.args[0]
        return isinstance(source, fx.Node) and _may_be_view(source)
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    if node.target._opname in ("dropout", "feature_dropout", "contiguous", "to", "reshape"):
        return True
    return any(value.alias_info is not None and not value.alias_info.is_write for value in node.target._schema.returns)


def _graph(program: ExportedProgram) -> Graph:
    """Turn every node into a step and leave out what nobody reads."""
    reading = Reading()
    _read_inputs(reading, program)
    for node in program.graph.nodes:
        if node.op == "call_function":
            written = node.args[0] if _writes(node) else None
            if written is not None:
                node.target = _elsewhere(node)
            _read(reading, node)
            if isinstance(written, fx.Node):
                # Whoever reads the tensor from here on reads what was written.
                reading.names[written] = reading.names[node]
    (result,) = next(node for node in program.graph.nodes if node.op == "output").args
    if len(result) != 1 or result[0] not in reading.names:
        raise CaptureError("the network does not answer one tensor")
    output = reading.names[result[0]]
    needed = {output}
    for step in reversed(reading.steps.values()):
        if step.name in needed:
            needed.update(step.inputs)
    steps = tuple(step for step in reading.steps.values() if step.name in needed or step.kind == "input")
    return Graph(steps, output)


def _read_inputs(reading: Reading, program: ExportedProgram) -> None:
    signature = program.graph_signature
    held = {**program.constants, **program.state_dict}
    sources = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        if node.name in sources:
            value: Any = held[sources[node.name]]
            reading.constants[node] = value.detach() if isinstance(value, torch.Tensor) else value
        elif not reading.steps:
            shape = node.meta["val"].shape
            reading.batch = shape[0]
            picture = Map((int(shape[2]), int(shape[3])), CHANNELS_FIRST, int(shape[1]))
            reading.keep(node, Step(node.name, "input", (), None, picture, size=bytes_of(node)))
        else:
            raise CaptureError(f"the network has a further input, {node.name}")


def _read(reading: Reading, node: fx.Node) -> None:
    if "as_strided" in str(node.target):
        raise CaptureError("the network reads memory by strides")
    source = node.args[0] if node.args else None
    if all(each in reading.constants for each in node.all_input_nodes):
        call, _ = reading.call(node)
        reading.constants[node] = call.whole([])
    elif node.target is operator.getitem and source in reading.parts:
        split, index = reading.parts[source], node.args[1]
        assert isinstance(split.operator, Call) and isinstance(index, int)
        answer = reading.map_of(node, split.map)
        part = replace(split, name=node.name, operator=Part(split.operator, index), map=answer, size=bytes_of(node))
        reading.keep(node, part)
    elif node in reading.repeats and isinstance(source, fx.Node):
        reading.names[node] = reading.names[source]
    else:
        translated = translate(reading, node)
        if isinstance(translated, fx.Node):  # it changes nothing
            reading.names[node] = reading.names[translated]
        else:
            reading.keep(node, translated or reading.whole(node))
