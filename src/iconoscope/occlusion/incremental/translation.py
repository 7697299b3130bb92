"""Translators: a function for each known operation of PyTorch, which says how a change passes through it.

A translator is given a node and its arguments by name; it gives a step, or the node whose answer this node only repeats, or
None where it does not recognise the case: then the step is `whole`. Operators on windows get no padding of their own, since
windows bring it along: inside the map it is neighbouring pixels, at the border it is zeros, minus infinity or the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from iconoscope.occlusion.incremental import aten
from iconoscope.occlusion.incremental.graph import CHANNELS_FIRST, CHANNELS_LAST, EDGE, LOWEST, MapShape, Step
from iconoscope.occlusion.incremental.graph_builder import GraphBuilder
from iconoscope.occlusion.incremental.operators import CapturedCall, Convolution, InputSlot, WindowedCall
from iconoscope.occlusion.incremental.receptive_field import ReceptiveField, UpsampledField
from iconoscope.subject.batch_norm import scale_and_shift

__all__ = ["TRANSLATORS", "average_factor", "translate"]

Arguments = dict[str, Any]
Translation = Step | fx.Node | None

POINTWISE = ("hardswish",)
"""Operators that work number by number, though torch does not say so of them."""


def translate(builder: GraphBuilder, node: fx.Node) -> Translation:
    """Turn a node into a step, if what it does to a change is known."""
    schema = aten.schema_of(node)
    if schema is None or (len(schema.returns) != 1 and schema.name != "aten::_native_batch_norm_legit_no_training"):
        return None
    defaults = {argument.name: argument.default_value for argument in schema.arguments}
    positional = dict(zip(defaults, node.args, strict=False))
    arguments = defaults | positional | dict(node.kwargs)
    translator = TRANSLATORS.get(aten.name_of(node))
    if translator is not None:
        return translator(builder, node, arguments)
    tags = getattr(node.target, "tags", ())
    if torch.Tag.pointwise in tags and torch.Tag.nondeterministic_seeded not in tags:
        return _pointwise(builder, node, arguments)
    return None


def _pointwise(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    """Turn an operator that makes every number of the numbers in the same place into a step.

    Its tensors must be maps of one size, or constants that are the same for every pixel. If one is no map but a gate, one
    number for each channel of an image, then every pixel changes with it.
    """
    call, inputs = builder.call(node)
    maps = [builder.steps[name].map for name in inputs]
    like, answer = next((shape for shape in maps if shape is not None), None), node.meta["val"]
    if like is None or not isinstance(answer, torch.Tensor) or answer.ndim != 4:
        return None
    if any(shape is not None and (shape.size, shape.axes) != (like.size, like.axes) for shape in maps):
        # A map of one pixel, as the mean over a map keeps it, is a gate too, which torch broadcasts. It is left to
        # `GraphBuilder.whole`, which makes it a step that changes everywhere.
        return None
    answered = builder.answered_map(node, like)
    if None in maps:
        return builder.windowed(node, inputs, call, answered, kind="everywhere") if answered.size == like.size else None
    for source in node.all_input_nodes:
        constant = builder.constant(source)
        if isinstance(constant, torch.Tensor) and not _same_for_every_pixel(constant, answer.ndim, like.axes):
            return None
    fresh = call.target in (torch.ops.aten.add.Tensor, torch.ops.aten.sub.Tensor, torch.ops.aten.mul.Tensor)
    return builder.windowed(node, inputs, replace(call, fresh=fresh), answered)


def _same_for_every_pixel(constant: torch.Tensor, dimensions: int, axes: tuple[int, int]) -> bool:
    lengths = (1,) * (dimensions - constant.ndim) + tuple(constant.shape)
    return len(lengths) == dimensions and lengths[0] == 1 and all(lengths[axis] == 1 for axis in axes)


def _relu(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    """Fold a ReLU into the convolution or the sum before it, if nothing else reads what it was before."""
    source = arguments["self"]
    step = builder.step(source)
    if len(source.users) == 1 and step.map is not None:
        if isinstance(step.operator, Convolution) and not step.operator.relu:
            return replace(step, name=node.name, operator=step.operator.changed(relu=True))
        if isinstance(step.operator, CapturedCall) and step.operator.fresh and not step.operator.relu:
            return replace(step, name=node.name, operator=replace(step.operator, relu=True))
    return _pointwise(builder, node, arguments)


def _weighted(builder: GraphBuilder, arguments: Arguments) -> tuple[MapShape, torch.Tensor, torch.Tensor | None] | None:
    """Give the map that a convolution reads, its weight and its bias, if these are the same for every image."""
    like = builder.map_first(arguments["input"])
    weight, bias = builder.constant(arguments["weight"]), builder.constant(arguments["bias"])
    if like is None or weight is None or (arguments["bias"] is not None and bias is None):
        return None
    return like, weight, bias


def _convolution(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    weighted = _weighted(builder, arguments)
    if weighted is None:
        return None
    like, weight, bias = weighted
    stride, dilation = _pair(arguments["stride"]), _pair(arguments["dilation"])
    extents = _extents(weight.shape[2:], dilation)
    padding = arguments["padding"]
    if isinstance(padding, str):
        # `same` puts the odd row after the map.
        before = tuple((extent - 1) // 2 if padding == "same" else 0 for extent in extents)
    else:
        before = padding = _pair(padding)
    weight = weight.contiguous(memory_format=torch.channels_last)
    convolution = Convolution(weight, bias, stride, padding, dilation, int(arguments["groups"]))
    fields, cost = tuple(map(ReceptiveField, extents, stride, before)), weight.numel()
    shape = builder.answered_map(node, like)
    return builder.windowed(node, arguments["input"], convolution, shape, fields=fields, cost=cost)


def _transposed_convolution(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    """Turn a transposed convolution into a step; over a window nothing is cut off, the step's `crop` does it."""
    weighted = _weighted(builder, arguments)
    if weighted is None:
        return None
    like, weight, bias = weighted
    stride, padding, dilation = (_pair(arguments[name]) for name in ("stride", "padding", "dilation"))
    extents = _extents(weight.shape[2:], dilation)
    if any(extent < by for extent, by in zip(extents, stride, strict=True)):
        return None  # there are outputs that read no input

    def call(padding: tuple[int, int] | int, output_padding: tuple[int, int] | int) -> CapturedCall:
        groups = int(arguments["groups"])
        settings = (weight, bias, stride, padding, output_padding, groups, dilation)
        return CapturedCall(F.conv_transpose2d, (InputSlot(0), *settings))

    operator = WindowedCall(call(padding, _pair(arguments["output_padding"])), call(0, 0))
    fields = tuple(
        UpsampledField(by, ahead=before, behind=extent - before, lead=(before - extent + 1) // by, trail=before)
        for by, extent, before in zip(stride, extents, padding, strict=True)
    )
    crop = tuple(before - by * field.lead for by, before, field in zip(stride, padding, fields, strict=True))
    shape = builder.answered_map(node, like)
    cost = weight.numel() * like.area // shape.area
    return builder.windowed(node, arguments["input"], operator, shape, fields=fields, crop=crop, cost=cost)


def _upsample(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    """Turn an enlargement by whole numbers, nearest or bilinear, into a step."""
    source = _source(arguments)
    like = builder.map_first(source)
    if like is None or arguments.get("align_corners"):
        return None
    shape = builder.answered_map(node, like)
    if any(after % before for before, after in zip(like.size, shape.size, strict=True)):
        return None
    by = (shape.size[0] // like.size[0], shape.size[1] // like.size[1])
    bilinear = "bilinear" in aten.name_of(node)
    on_windows = CapturedCall(_enlarge, (InputSlot(0), by, "bilinear" if bilinear else "nearest"))
    operator = WindowedCall(builder.call(node)[0], on_windows)
    if bilinear:  # an output lies between two inputs, of which the second reaches as far again
        fields = tuple(UpsampledField(grain, ahead=grain, behind=2 * grain, lead=-1, trail=grain) for grain in by)
        return builder.windowed(node, source, operator, shape, fields=fields, crop=by, padding=EDGE)
    fields = tuple(UpsampledField(grain, ahead=0, behind=grain, lead=0, trail=0) for grain in by)
    return builder.windowed(node, source, operator, shape, fields=fields, crop=(0, 0))


def _enlarge(windows: torch.Tensor, by: tuple[int, int], mode: str) -> torch.Tensor:
    """Enlarge windows (members, channels, rows, columns) by whole numbers."""
    size = [length * factor for length, factor in zip(windows.shape[2:], by, strict=True)]
    return F.interpolate(windows, size, mode=mode)


def _batch_norm(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    """Fold a batch norm into the convolution before it; where another layer is before it, scale and shift every pixel."""
    source, like = arguments["input"], builder.map_first(arguments["input"])
    mean, variance = builder.constant(arguments["running_mean"]), builder.constant(arguments["running_var"])
    three_answers = arguments.get("training") is None  # of which the first is asked for
    others_read = three_answers and [user for user in node.users if user.args[1:] != (0,)]
    if like is None or mean is None or variance is None or others_read or arguments.get("training"):
        return None
    weight, bias = builder.constant(arguments["weight"]), builder.constant(arguments["bias"])
    scale, shift = scale_and_shift(mean, variance, weight, bias, arguments["eps"])
    scale, shift = scale.to(mean.dtype), shift.to(mean.dtype)
    step = builder.step(source)
    if isinstance(step.operator, Convolution) and len(source.users) == 1 and not step.operator.relu:
        folded = replace(step, name=node.name, operator=step.operator.scaled(scale, shift))
    else:
        affine = (shift[:, None, None], InputSlot(0), scale[:, None, None])
        call = CapturedCall(torch.addcmul, affine, fresh=True)
        folded = builder.windowed(node, source, call, like, bytes=step.bytes)
    if three_answers:
        builder.repeats.update(node.users)
    return folded


def _max_pool(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source, like = arguments["self"], builder.map_first(arguments["self"])
    if like is None:
        return None
    kernel, padding, dilation = (_pair(arguments[name]) for name in ("kernel_size", "padding", "dilation"))
    stride = _pair(arguments["stride"] or kernel)
    on_maps = (InputSlot(0), kernel, stride, padding, dilation, bool(arguments["ceil_mode"]))
    on_windows = (InputSlot(0), kernel, stride, 0, dilation)
    operator = WindowedCall(CapturedCall(F.max_pool2d, on_maps), CapturedCall(F.max_pool2d, on_windows))
    fields = tuple(map(ReceptiveField, _extents(kernel, dilation), stride, padding))
    return builder.windowed(node, source, operator, builder.answered_map(node, like), fields=fields, padding=LOWEST)


def _average_pool(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    like = builder.map_first(arguments["self"])
    if like is None:
        return None
    kernel, padding = _pair(arguments["kernel_size"]), _pair(arguments["padding"])
    stride = _pair(arguments["stride"] or kernel)
    divisor = arguments["divisor_override"]
    if kernel == like.size and padding == (0, 0) and divisor is None and builder.answered_map(node, like).area == 1:
        return _spatial_mean(builder, node, arguments["self"], like, keep=True)
    divided_by = (bool(arguments["ceil_mode"]), bool(arguments["count_include_pad"]), divisor)
    return _averaged(builder, node, like, kernel, stride, padding, divided_by)


def _adaptive_pool(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source, like = arguments["self"], builder.map_first(arguments["self"])
    if like is None:
        return None
    shape = builder.answered_map(node, like)
    if shape.size == like.size:
        return source
    if shape.area == 1:
        return _spatial_mean(builder, node, source, like, keep=True)
    if any(before % after for before, after in zip(like.size, shape.size, strict=True)):
        return None
    kernel = (like.size[0] // shape.size[0], like.size[1] // shape.size[1])
    return _averaged(builder, node, like, kernel, kernel, (0, 0), (False, True, None))


def _averaged(
    builder: GraphBuilder,
    node: fx.Node,
    like: MapShape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    divided_by: tuple[bool, bool, int | None],
) -> Step:
    """Make a step of an average pooling; `divided_by` are avg_pool2d's last arguments.

    Over a window the sum is always divided by the whole kernel. Where the network divides by less (at the border, without
    counting the padding), the step's `factor` makes it good.
    """
    on_maps = CapturedCall(F.avg_pool2d, (InputSlot(0), kernel, stride, padding, *divided_by))
    operator = WindowedCall(on_maps, CapturedCall(F.avg_pool2d, (InputSlot(0), kernel, stride)))
    factor = average_factor(operator, like.size, kernel, stride, padding)
    return builder.windowed(
        node,
        node.all_input_nodes[0],
        operator,
        builder.answered_map(node, like),
        fields=tuple(map(ReceptiveField, kernel, stride, padding)),
        factor=None if factor is None else factor.reshape(-1).to(node.meta["val"].device),
    )


def average_factor(
    operator: WindowedCall,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> torch.Tensor | None:
    """Give what an average over a window must be multiplied with, (rows, columns) of the answer to a map of this size.

    None where it is one everywhere.
    """
    ones = torch.ones(1, 1, *size)
    answer = operator.whole([ones])
    rows, columns = (
        (outputs - 1) * step + extent - length - before
        for outputs, step, extent, length, before in zip(answer.shape[2:], stride, kernel, size, padding, strict=True)
    )
    # A negative rest is cut off: rows that no output reads.
    padded = F.pad(ones, (padding[1], columns, padding[0], rows))
    factor = (answer / operator.window([padded]))[0, 0]
    return None if torch.allclose(factor, torch.ones(()), rtol=1e-7, atol=0) else factor


def _mean(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source, like = arguments["self"], builder.map(arguments["self"])
    if like is None or arguments["dim"] is None or arguments.get("dtype") is not None:
        return None
    if sorted(dim % 4 for dim in arguments["dim"]) == sorted(like.axes):
        return _spatial_mean(builder, node, source, like, keep=bool(arguments["keepdim"]))
    return _over_channels(builder, node, arguments)


def _spatial_mean(builder: GraphBuilder, node: fx.Node, source: fx.Node, like: MapShape, *, keep: bool) -> Step:
    """Make a step of the mean over all pixels. It is never run on windows: sums of windows change the clean mean."""
    return builder.mean(node, source, CapturedCall(torch.mean, (InputSlot(0), like.axes, keep)))


def _over_channels(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    """Turn an operator along one axis, or a few, into a step if the axis is that of the channels and stays."""
    source = _source(arguments)
    like, dim = builder.map(source), arguments.get("dim")
    answer = node.meta["val"]
    dims = list(dim) if isinstance(dim, list | tuple) else [dim]
    if like is None or dim is None or len(dims) != 1 or int(dims[0] or 0) % 4 != like.channel_axis:
        return None
    call, inputs = builder.call(node)
    if len(inputs) != 1:
        return None
    if isinstance(answer, tuple | list):  # a split: a step for each part that is read
        builder.splits[node] = builder.windowed(node, source, call, like)
        return None
    if answer.ndim != 4:
        return None
    return builder.windowed(node, source, call, builder.answered_map(node, like))


def _layer_norm(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source, like = arguments["input"], builder.map(arguments["input"])
    call, inputs = builder.call(node)
    if like is None or like.axes != CHANNELS_LAST or len(arguments["normalized_shape"]) != 1 or len(inputs) != 1:
        return None
    return builder.windowed(node, source, call, like)


def _linear(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source, like = arguments["input"], builder.map(arguments["input"])
    weight = builder.constant(arguments["weight"])
    call, inputs = builder.call(node)
    if like is None or like.axes != CHANNELS_LAST or len(inputs) != 1 or weight is None:
        return None
    return builder.windowed(node, source, call, builder.answered_map(node, like), cost=weight.numel())


def _permute(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source, like = arguments["self"], builder.map(arguments["self"])
    if like is None:
        return None
    if "dims" in arguments:
        order = [dim % 4 for dim in arguments["dims"]]
    else:
        order = list(range(4))
        first, second = arguments["dim0"] % 4, arguments["dim1"] % 4
        order[first], order[second] = second, first
    axes = (order.index(like.axes[0]), order.index(like.axes[1]))
    if order[0] != 0 or axes not in (CHANNELS_FIRST, CHANNELS_LAST):
        return None
    return builder.windowed(node, source, builder.call(node)[0], builder.answered_map(node, like, axes))


def _cat(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    maps = [builder.map(source) for source in arguments["tensors"]]
    like = maps[0]
    if like is None or any(shape is None or (shape.size, shape.axes) != (like.size, like.axes) for shape in maps):
        return None
    if arguments["dim"] % 4 != like.channel_axis:
        return None
    call, inputs = builder.call(node)
    return builder.windowed(node, inputs, call, builder.answered_map(node, like))


def _slice(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    """Turn a slice into a step; along rows or columns, which pixels are read is in the step's fields."""
    source, like = arguments["self"], builder.map(arguments["self"])
    if like is None:
        return None
    dim, before, after = arguments["dim"] % 4, source.meta["val"].shape, node.meta["val"].shape
    if dim == 0:
        return None
    if before[dim] == after[dim]:
        return source
    if dim == like.channel_axis:
        return _over_channels(builder, node, arguments)
    if like.axes != CHANNELS_FIRST:
        return None
    start, stride = int(arguments["start"] or 0), int(arguments["step"])
    start = max(0, start + like.size[dim - 2]) if start < 0 else start
    fields, strides = [ReceptiveField(), ReceptiveField()], [1, 1]
    fields[dim - 2], strides[dim - 2] = ReceptiveField(1, stride, -start), stride
    operator = WindowedCall(builder.call(node)[0], CapturedCall(_subsample, (InputSlot(0), *strides)))
    return builder.windowed(node, source, operator, builder.answered_map(node, like), fields=tuple(fields))


def _subsample(windows: torch.Tensor, down: int, across: int) -> torch.Tensor:
    """Take every `down`-th row and `across`-th column of windows (members, channels, rows, columns)."""
    return windows[:, :, ::down, ::across]


def _pad(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source, like, sides = arguments["self"], builder.map_first(arguments["self"]), list(arguments["pad"])
    zeros = arguments.get("mode", "constant") == "constant" and not arguments.get("value")
    if like is None or not zeros or len(sides) > 6:
        return None
    call, shape = builder.call(node)[0], builder.answered_map(node, like)
    if len(sides) == 6:
        # Channels of zeros; were rows or columns padded as well, a window could not do it as the map does.
        return None if any(sides[:4]) else builder.windowed(node, source, call, shape)
    across, down = sides[0], sides[2] if len(sides) == 4 else 0
    operator = WindowedCall(call, CapturedCall(_subsample, (InputSlot(0), 1, 1)))
    fields = (ReceptiveField(1, 1, down), ReceptiveField(1, 1, across))
    return builder.windowed(node, source, operator, shape, fields=fields)


def _shuffle(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source, like = arguments["self"], builder.map_first(arguments["self"])
    return None if like is None else _shuffled(builder, node, source, like, int(arguments["groups"]))


def _shuffled(builder: GraphBuilder, node: fx.Node, source: fx.Node, like: MapShape, groups: int) -> Step:
    return builder.windowed(node, source, CapturedCall(torch.channel_shuffle, (InputSlot(0), groups)), like)


def _view(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    """Recognise the shuffle of channels: (n, groups, channels / groups, rows, columns), transposed, and back."""
    source = arguments["self"]
    shape = tuple(node.meta["val"].shape[1:])
    if builder.map(source) is not None and tuple(source.meta["val"].shape[1:]) == shape:
        return source
    if aten.name_of(source) in ("clone", "contiguous"):
        source = source.args[0]
    swaps = (aten.name_of(source) == "transpose" and tuple(source.args[1:]) == (1, 2)) or (
        aten.name_of(source) == "permute" and tuple(source.args[1]) == (0, 2, 1, 3, 4)
    )
    grouped = source.args[0] if swaps else None
    if grouped is None or aten.name_of(grouped) not in ("view", "reshape", "_unsafe_view"):
        return None
    like, groups = builder.map_first(grouped.args[0]), tuple(grouped.meta["val"].shape[1:])
    if like is None or len(groups) != 4 or groups[2:] != like.size or shape != (like.channels, *like.size):
        return None
    return _shuffled(builder, node, grouped.args[0], like, int(groups[0]))


def _copy(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    source = next(argument for argument in arguments.values() if isinstance(argument, fx.Node))
    same_type = source.meta["val"].dtype == node.meta["val"].dtype
    return source if builder.map(source) is not None and same_type else None


def _dropout(builder: GraphBuilder, node: fx.Node, arguments: Arguments) -> Translation:
    return None if arguments["train"] else arguments["input"]


def _source(arguments: Arguments) -> fx.Node:
    """Give the node that an operator works on; torch calls this argument self in some schemas and input in others."""
    return arguments["self"] if "self" in arguments else arguments["input"]


def _extents(kernel: Any, dilation: tuple[int, int]) -> tuple[int, int]:
    """Give rows and columns from the first to the last that a kernel reads."""
    return dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1


def _pair(lengths: Any) -> tuple[int, int]:
    """Give one length as two, or two as they are."""
    pair = [int(length) for length in lengths] if isinstance(lengths, list | tuple) else [int(lengths)]
    return pair[0], pair[-1]


TRANSLATORS: dict[str, Callable[[GraphBuilder, fx.Node, Arguments], Translation]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _transposed_convolution,
    "channel_shuffle": _shuffle,
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "relu": _relu,
    "max_pool2d": _max_pool,
    "avg_pool2d": _average_pool,
    "adaptive_avg_pool2d": _adaptive_pool,
    "mean": _mean,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "cat": _cat,
    "slice": _slice,
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d"), _upsample),
    **dict.fromkeys(("permute", "transpose"), _permute),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("view", "reshape", "_unsafe_view"), _view),
    **dict.fromkeys(("clone", "alias", "contiguous", "detach", "_to_copy", "to"), _copy),
    **dict.fromkeys(("dropout", "feature_dropout"), _dropout),
    **dict.fromkeys(
        ("softmax", "log_softmax", "glu", "amax", "sum", "split", "split_with_sizes", "chunk"), _over_channels
    ),
}
