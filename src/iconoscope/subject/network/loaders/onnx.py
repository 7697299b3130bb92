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
    onnx2torch = import_extra("onnx2torch", "onnx", request.name)
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
            module = onnx2torch.convert(model)
    except (NotImplementedError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise NetworkError(
            f"{path} cannot be turned into a torch module by onnx2torch: {type(error).__name__}: {first_line(error, most=240)}",
            hint="Load the network from Python where it was made, or export it there with torch.export as .pt2.",
        ) from error
    module.eval()
    shape = _input(model.graph, path)
    if shape[0] and all(shape):
        images = noise(shape)
        if not answers_alike(module, images, few_at_once(module, images, shape[0])):
            raise wants_its_number(path.name, shape[0], "torch.onnx.export(..., dynamic_axes={'images': {0: 'n'}})")
    size = (shape[2], shape[3]) if shape[2] and shape[3] else None
    return Loaded(module, size=size, origin=path.name, trained=True)


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
