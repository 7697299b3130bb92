"""ONNX, turned into a torch module by onnx2torch: layers keep the names of the file's nodes, and take hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iconoscope.errors import CheckpointError, NetworkError, first_line
from iconoscope.extras import import_extra
from iconoscope.subject.network.loaders.batches import answers_alike, few_at_once, noise, wants_images, wants_its_number
from iconoscope.subject.network.loaders.loaded import Loaded, NetworkRequest
from iconoscope.warning_filters import ignoring

__all__ = ["load_onnx"]

NEWEST = 17
"""The version of ONNX's operators that onnx2torch knows all common layers of."""


def load_onnx(request: NetworkRequest) -> Loaded:
    """Read an ONNX file and build the module that does the same.

    Raises
    ------
    NetworkError
        If an operator is not known to onnx2torch.
    CheckpointError
        If it is no ONNX file.
    """
    onnx = import_extra("onnx", "onnx", request.name)
    import_extra("onnx2torch", "onnx", request.name)
    path = Path(request.name).expanduser()
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    # What protobuf and onnx raise of a broken file has no common root.
    except Exception as error:
        raise CheckpointError(f"{path} is no whole ONNX file: {first_line(error, most=240)}.") from error
    _with_own_weights(model.graph)
    # torch.fx writes the names of layers between quotes into the source that it compiles: none may end the quotes.
    for node in model.graph.node:
        node.name = "".join("_" if sign in "\"'\\" or not sign.isprintable() else sign for sign in node.name)
    try:
        with ignoring():
            module = _converted(model)
    except (NotImplementedError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise NetworkError(
            f"{path} cannot be turned into a torch module by onnx2torch: {type(error).__name__}: {first_line(error, most=240)}",
            hint="Export it with torch.onnx.export(..., dynamo=False, opset_version=13), or with torch.export as .pt2, or "
            "load it from Python where it was made.",
        ) from error
    module.eval()
    shape = _input(model.graph, path)
    if shape[0] and all(shape):
        images = noise(shape)
        if not answers_alike(module, images, few_at_once(module, images, shape[0])):
            raise wants_its_number(path.name, shape[0], "torch.onnx.export(..., dynamic_axes={'images': {0: 'n'}})")
    size = (shape[2], shape[3]) if shape[2] and shape[3] else None
    return Loaded(module, size=size, origin=path.name, trained=True)


def _converted(model: Any) -> Any:
    """Convert a model; one of later operators, if they say nothing that those of `NEWEST` could not, as one of these."""
    import onnx
    import onnx2torch

    try:
        return onnx2torch.convert(model)
    except NotImplementedError as error:
        refusal = error
    _in_older_words(model.graph)
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = min(opset.version, NEWEST)
    try:
        onnx.checker.check_model(model)  # it refuses what was not there then: attributes, inputs, operators
    except onnx.checker.ValidationError:
        raise refusal from None
    return onnx2torch.convert(model)


def _in_older_words(graph: Any) -> None:
    """Say what newer exporters say in ways that onnx2torch does not know, where constants make it the same as in older ones.

    Reductions (means, maxima, norms) had their axes as attributes until version 17; a shape without a 0 needs no rule for it.
    """
    from onnx import helper, numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    tensors |= {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for node in graph.node:
        if len(node.input) != 2 or node.input[1] not in tensors:
            continue
        numbers = numpy_helper.to_array(tensors[node.input[1]]).tolist()
        # A sum has its axes as an input since version 13.
        if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum" and numbers:
            keepdims = [attribute for attribute in node.attribute if attribute.name == "keepdims"]
            del node.input[1], node.attribute[:]
            node.attribute.extend([*keepdims, helper.make_attribute("axes", numbers)])
        elif node.op_type == "Reshape" and 0 not in numbers:
            del node.attribute[:]


def _input(graph: Any, path: Path) -> list[int]:
    """Give the shape of the images that a graph takes, 0 for what is open."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [tensor for tensor in graph.input if tensor.name not in weights]
    shape = [int(side.dim_value) for side in inputs[0].type.tensor_type.shape.dim] if inputs else []
    if len(inputs) != 1 or len(shape) != 4:
        raise wants_images(path.name, len(inputs))
    return shape


def _with_own_weights(graph: Any) -> None:
    """Give every name its weights: exporters write equal ones once and hand them on, which onnx2torch does not follow."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.input[0] in weights]:
        copied = type(weights[node.input[0]])()
        copied.CopyFrom(weights[node.input[0]])
        copied.name = node.output[0]
        graph.initializer.append(copied)
        weights[copied.name] = copied
        graph.node.remove(node)
