"""From a module to steps: it is traced, and every operation is asked how a change passes through it.

What is not known here becomes a step that runs the captured operator on whole maps: unknown costs speed, never correctness.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram

from iconoscope.extras import imported
from iconoscope.subject.captured import aten
from iconoscope.subject.captured.graph import TRACED, Graph, GraphBuilder
from iconoscope.subject.captured.operators import CapturedCall
from iconoscope.subject.captured.tracing import Trace, trace
from iconoscope.subject.captured.translation import translate
from iconoscope.warning_filters import ignoring

__all__ = ["CaptureError", "capture"]

LARGEST_BATCH = 4096

_TRACING = threading.Lock()


class CaptureError(Exception):
    """The module cannot be captured; the message says why, in a few words."""


def capture(
    module: nn.Module,
    image: torch.Tensor,
    *,
    export: bool = True,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    repeatable: bool = False,
) -> Graph:
    """Trace a module in evaluation mode on an image (channels, height, width) and give its steps.

    Parameters
    ----------
    module, image
        What is traced, and on what.
    export
        Whether torch.export is asked where two passes cannot trace it.
    inputs, outputs
        Layers of which the first argument or the answer (of a tuple the first) will be read, at their first call: the graph
        says which steps answer them.
    repeatable
        Whether every process must compute the same to the last bit.

    Raises
    ------
    CaptureError
        If torch.export cannot trace the module with any number of images, or if it does not answer one tensor; if a layer is
        asked for that is not reached, or of which no step is the answer.
    """
    if not aten.described():
        raise CaptureError("this torch says nothing of its operators that can be read")
    traced = _traced(module, image)
    if traced is None and not export:
        raise CaptureError("two passes cannot trace the network")
    traced = traced or _exported(module, image)
    with torch.no_grad():
        return _graph(traced, inputs, outputs, repeatable=repeatable)


def _traced(module: nn.Module, image: torch.Tensor) -> Trace | None:
    """Give what a module computes as two passes without numbers show it; None if they cannot."""
    try:
        with ignoring():
            traced = trace(module, image)
    except Exception:  # noqa: BLE001 -- torch.export is asked then, and says what is the matter if it cannot either
        return None
    return traced if _can_be_followed(traced.graph) else None


def _exported(module: nn.Module, image: torch.Tensor) -> Trace:
    """Give what a module computes as torch.export sees it."""
    imported("torch._dynamo")  # as torch.export does, but whole, also where Ctrl-C comes meanwhile
    try:
        # torch.export warns about torch's own code, and keeps what it traces where all threads see it.
        with _TRACING, torch.inference_mode(False), torch.no_grad(), ignoring():
            batch = torch.zeros(TRACED, *image.shape, dtype=image.dtype, device=image.device)
            # One program serves batches of any size: positions run together in chunks whose sizes the plan chooses later, and
            # a fixed batch would be written into every reshape. Traced with two, since export takes one for a constant.
            open_batch = ({0: Dim("batch", min=1, max=LARGEST_BATCH)},)
            program = torch.export.export(module, (batch,), dynamic_shapes=open_batch, strict=False)
            if not _can_be_followed(program.graph):
                # Writes into views of other tensors: torch takes them apart itself, which takes several times as long.
                program = program.run_decompositions({})
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CaptureError(f"torch.export cannot trace the network ({lines[0][:120].strip()})") from error
    return Trace(program.graph, _constants(program))


def _can_be_followed(graph: fx.Graph) -> bool:
    """Whether all that is written in place is a tensor's own memory, and there is an operator that does it elsewhere."""
    before: set[fx.Node] = set()
    for node in graph.nodes:
        before.add(node)
        if node.op != "call_function" or not aten.writes(node) or _drops_nothing(node):
            continue
        written = node.args[0]
        views = [user for user in written.users if user in before and aten.may_be_view(user)]
        if aten.out_of_place(node) is None or written.op == "placeholder" or aten.may_be_view(written) or views:
            return False
    return True


def _drops_nothing(node: fx.Node) -> bool:
    """Whether a node is dropout in place, in evaluation: it writes nothing."""
    return aten.name_of(node).endswith("_") and _is_dropout_off(node)


def _is_dropout_off(node: fx.Node) -> bool:
    """Whether a node is dropout in evaluation, in place or not."""
    return aten.name_of(node).removesuffix("_") in ("dropout", "feature_dropout") and node.args[2:] == (False,)


def _graph(
    traced: Trace, inputs: Sequence[str] = (), outputs: Sequence[str] = (), *, repeatable: bool = False
) -> Graph:
    """Turn every node into a step and leave out what nobody reads."""
    asked = {name: traced.inputs.get(name) for name in inputs}, {name: traced.outputs.get(name) for name in outputs}
    if missing := [name for nodes in asked for name, node in nodes.items() if node is None]:
        raise CaptureError(f"the pass does not show what {missing[0]} is given or answers")
    read: dict[fx.Node, str] = {node: "" for nodes in asked for node in nodes.values() if node is not None}
    builder = GraphBuilder(read, repeatable=repeatable)
    for node in traced.graph.nodes:
        if node.op == "placeholder" and node in traced.constants:
            builder.constants[node] = traced.constants[node]
        elif node.op == "placeholder" and not builder.steps:
            builder.add_image(node)
            read |= {node: builder.names[node]} if node in read else {}
        elif node.op == "placeholder":
            raise CaptureError(f"the network has a further input, {node.name}")
    for node in traced.graph.nodes:
        if node.op == "call_function":
            written = node.args[0] if aten.writes(node) else None
            if written is not None:
                node.target = aten.out_of_place(node)
            _add(builder, node)
            if node in read:  # now, since what is written into it later is something else
                read[node] = builder.names.get(node, "")
            if isinstance(written, fx.Node):
                # Whoever reads the tensor from here on reads what was written.
                builder.names[written] = builder.names[node]
    (answers,) = next(node for node in traced.graph.nodes if node.op == "output").args
    if len(answers) != 1 or answers[0] not in builder.names:
        raise CaptureError("the network does not answer one tensor")
    output = builder.names[answers[0]]
    if "" in read.values():
        raise CaptureError("no step answers what a layer does")
    needed = {output, *read.values()}
    for step in reversed(builder.steps.values()):
        if step.name in needed:
            needed.update(step.inputs)
    steps = tuple(step for step in builder.steps.values() if step.name in needed or step.kind == "input")
    layers = [{name: read[node] for name, node in nodes.items() if node is not None} for nodes in asked]
    return Graph(steps, output, *layers)


def _constants(program: ExportedProgram) -> dict[fx.Node, Any]:
    """Give the values of the placeholders that are weights and other constants."""
    signature = program.graph_signature
    values = {**program.constants, **program.state_dict}
    sources = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    constants = {node: values[sources[node.name]] for node in program.graph.nodes if node.name in sources}
    return {node: value.detach() if isinstance(value, torch.Tensor) else value for node, value in constants.items()}


def _add(builder: GraphBuilder, node: fx.Node) -> None:
    """Add what a node answers: a constant, a step, or the step of another node that it repeats."""
    if "as_strided" in str(node.target):
        raise CaptureError("the network reads memory by strides")
    source = node.args[0] if node.args else None
    if all(read in builder.constants for read in node.all_input_nodes):
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) and not _is_dropout_off(node):
            raise CaptureError("the network draws random numbers")  # which would be the same ones for all images
        call, _ = builder.call(node)
        builder.constants[node] = call.whole([])
    elif node.target is operator.getitem and source in builder.splits:
        split, index = builder.splits[source], node.args[1]
        assert isinstance(split.operator, CapturedCall) and isinstance(index, int)
        part = replace(split.operator, output=index)
        builder.add(node, builder.make_step(node, part, inputs=split.inputs))
    elif node in builder.repeats and isinstance(source, fx.Node):
        builder.names[node] = builder.names[source]
    else:
        translation = translate(builder, node)
        if isinstance(translation, fx.Node):  # it changes nothing
            builder.names[node] = builder.names[translation]
        else:
            builder.add(node, translation or builder.whole(node))
