"""Translators: a function for each known operation of PyTorch, which says how a change passes through it.

A translator is given a node, its arguments by name, and the map that it reads first; it gives a step, or the node whose answer
this node only repeats, or None where it does not recognise the case: then the step is `whole`. Operators on windows get no
padding of their own, since windows bring it along: inside the map it is neighbouring pixels, at the border it is zeros, minus
infinity or the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from iconoscope.subject.batch_norm import scale_and_shift
from iconoscope.subject.captured import aten
from iconoscope.subject.captured.graph import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    EDGE,
    LOWEST,
    GraphBuilder,
    MapShape,
    Step,
)
from iconoscope.subject.captured.onednn import AFTER
from iconoscope.subject.captured.operators import CapturedCall, Convolution, InputSlot, Linear, WindowedCall
from iconoscope.subject.captured.receptive_field import AxisField, UpsampledField

__all__ = ["TRANSLATORS", "translate"]

Arguments = dict[str, Any]
Translation = Step | fx.Node | None


def translate(builder: GraphBuilder, node: fx.Node) -> Translation:
    """Turn a node into a step, if what it does to a change is known."""
    schema = aten.schema_of(node)
    if schema is None or (len(schema.returns) != 1 and schema.name != "aten::_native_batch_norm_legit_no_training"):
        return None
    defaults = {argument.name: argument.default_value for argument in schema.arguments}
    positional = dict(zip(defaults, node.args, strict=False))
    arguments = defaults | positional | dict(node.kwargs)
    like = builder.map(node.args[0]) if node.args else None
    if aten.name_of(node) in TRANSLATORS:
        translator, layouts = TRANSLATORS[aten.name_of(node)]
        return translator(builder, node, arguments, like) if (like and like.axes) in layouts else None
    tags = getattr(node.target, "tags", ())
    if torch.Tag.pointwise in tags and torch.Tag.nondeterministic_seeded not in tags:
        return _pointwise(builder, node, arguments, like)
    return None


def _pointwise(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape | None) -> Translation:
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
    answered = builder.answered_map(node, like.axes)
    if None in maps:
        return builder.make_step(node, call, kind="everywhere", map=answered) if answered.size == like.size else None
    for source in node.all_input_nodes:
        constant = builder.constant(source)
        if isinstance(constant, torch.Tensor) and not _same_for_every_pixel(constant, answer.ndim, like.axes):
            return None
    fresh = call.target in (torch.ops.aten.add.Tensor, torch.ops.aten.sub.Tensor, torch.ops.aten.mul.Tensor)
    return builder.make_step(node, replace(call, fresh=fresh), map=answered)


def _same_for_every_pixel(constant: torch.Tensor, dimensions: int, axes: tuple[int, int]) -> bool:
    lengths = (1,) * (dimensions - constant.ndim) + tuple(constant.shape)
    return len(lengths) == dimensions and lengths[0] == 1 and all(lengths[axis] == 1 for axis in axes)


def _relu(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape | None) -> Translation:
    """Fold a ReLU into the convolution, linear layer or sum before it, if nothing else reads what it was before."""
    source = arguments["self"]
    step = builder.step(source)
    if builder.read_once(source):
        if isinstance(step.operator, Linear) and not step.operator.after:
            return replace(step, name=node.name, operator=step.operator.changed(after="relu"))
        if isinstance(step.operator, Convolution) and not step.operator.relu:
            return replace(step, name=node.name, operator=step.operator.changed(relu=True))
        if isinstance(step.operator, CapturedCall) and step.operator.fresh and not step.operator.relu:
            return replace(step, name=node.name, operator=replace(step.operator, relu=True))
    return _pointwise(builder, node, arguments, like)


def _gelu(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape | None) -> Translation:
    """Fold a GELU into the linear layer before it, if nothing else reads what it was before."""
    source, after = arguments["self"], f"gelu {arguments['approximate']}"
    step = builder.step(source)
    if builder.read_once(source) and isinstance(step.operator, Linear) and not step.operator.after and after in AFTER:
        return replace(step, name=node.name, operator=step.operator.changed(after=after))
    return _pointwise(builder, node, arguments, like)


def _convolution(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    weight, bias = builder.constant(arguments["weight"]), builder.constant(arguments["bias"])
    if weight is None or (arguments["bias"] is not None and bias is None):
        return None
    if "output_padding" in arguments:
        return _transposed_convolution(builder, node, arguments, like, weight, bias)
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
    fields = tuple(map(AxisField, extents, stride, before))
    return builder.make_step(node, convolution, fields=fields, cost=weight.numel())


def _transposed_convolution(
    builder: GraphBuilder,
    node: fx.Node,
    arguments: Arguments,
    like: MapShape,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> Translation:
    """Turn a transposed convolution into a step; over a window nothing is cut off, the step's `crop` does it."""
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
    cost = weight.numel() * like.area // builder.answered_map(node, like.axes).area
    return builder.make_step(node, operator, fields=fields, crop=crop, cost=cost)


def _upsample(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    """Turn an enlargement by whole numbers, nearest or bilinear, into a step."""
    size = builder.answered_map(node, like.axes).size
    if arguments.get("align_corners") or any(after % before for before, after in zip(like.size, size, strict=True)):
        return None
    by = (size[0] // like.size[0], size[1] // like.size[1])
    bilinear = "bilinear" in aten.name_of(node)
    on_windows = CapturedCall(_enlarge, (InputSlot(0), by, "bilinear" if bilinear else "nearest"))
    operator = WindowedCall(builder.call(node)[0], on_windows)
    if bilinear:  # an output lies between two inputs, of which the second reaches as far again
        fields = tuple(UpsampledField(grain, ahead=grain, behind=2 * grain, lead=-1, trail=grain) for grain in by)
        return builder.make_step(node, operator, fields=fields, crop=by, padding=EDGE)
    fields = tuple(UpsampledField(grain, ahead=0, behind=grain, lead=0, trail=0) for grain in by)
    return builder.make_step(node, operator, fields=fields, crop=(0, 0))


def _enlarge(windows: torch.Tensor, by: tuple[int, int], mode: str) -> torch.Tensor:
    """Enlarge windows (members, channels, rows, columns) by whole numbers."""
    size = [length * factor for length, factor in zip(windows.shape[2:], by, strict=True)]
    return F.interpolate(windows, size, mode=mode)


def _batch_norm(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    """Fold a batch norm into the convolution before it; where another layer is before it, scale and shift every pixel."""
    source = arguments["input"]
    mean, variance = builder.constant(arguments["running_mean"]), builder.constant(arguments["running_var"])
    three_answers = arguments.get("training") is None  # of which the first is asked for
    others_read = three_answers and [user for user in node.users if user.args[1:] != (0,)]
    if mean is None or variance is None or others_read or arguments.get("training"):
        return None
    weight, bias = builder.constant(arguments["weight"]), builder.constant(arguments["bias"])
    scale, shift = scale_and_shift(mean, variance, weight, bias, arguments["eps"])
    scale, shift = scale.to(mean.dtype), shift.to(mean.dtype)
    step = builder.step(source)
    if isinstance(step.operator, Convolution) and builder.read_once(source) and not step.operator.relu:
        folded = replace(step, name=node.name, operator=step.operator.scaled(scale, shift))
    else:
        affine = (shift[:, None, None], InputSlot(0), scale[:, None, None])
        folded = builder.make_step(node, CapturedCall(torch.addcmul, affine, fresh=True), map=like, bytes=step.bytes)
    if three_answers:
        builder.repeats.update(node.users)
    return folded


def _max_pool(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    kernel, padding, dilation = (_pair(arguments[name]) for name in ("kernel_size", "padding", "dilation"))
    stride = _pair(arguments["stride"] or kernel)
    on_maps = (InputSlot(0), kernel, stride, padding, dilation, bool(arguments["ceil_mode"]))
    on_windows = (InputSlot(0), kernel, stride, 0, dilation)
    operator = WindowedCall(CapturedCall(F.max_pool2d, on_maps), CapturedCall(F.max_pool2d, on_windows))
    fields = tuple(map(AxisField, _extents(kernel, dilation), stride, padding))
    return builder.make_step(node, operator, fields=fields, padding=LOWEST)


def _average_pool(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    kernel, padding = _pair(arguments["kernel_size"]), _pair(arguments["padding"])
    stride = _pair(arguments["stride"] or kernel)
    divided_by = (bool(arguments["ceil_mode"]), bool(arguments["count_include_pad"]), arguments["divisor_override"])
    return _averaged(builder, node, like, kernel, stride, padding, divided_by)


def _adaptive_pool(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    size = builder.answered_map(node, like.axes).size
    if size == like.size:
        return arguments["self"]
    if any(before % after for before, after in zip(like.size, size, strict=True)):
        return None
    kernel = (like.size[0] // size[0], like.size[1] // size[1])
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
    answered = builder.answered_map(node, like.axes)
    if kernel == like.size and padding == (0, 0) and divided_by[2] is None and answered.area == 1:
        return _spatial_mean(builder, node, like, keep=True)
    on_maps = CapturedCall(F.avg_pool2d, (InputSlot(0), kernel, stride, padding, *divided_by))
    operator = WindowedCall(on_maps, CapturedCall(F.avg_pool2d, (InputSlot(0), kernel, stride)))
    ones = torch.ones(1, 1, *like.size, dtype=torch.float32)
    rows, columns = (
        (outputs - 1) * step + extent - length - before
        for outputs, step, extent, length, before in zip(answered.size, stride, kernel, like.size, padding, strict=True)
    )
    # A negative rest is cut off: rows that no output reads.
    padded = F.pad(ones, (padding[1], columns, padding[0], rows))
    factor = (operator.whole([ones]) / operator.window([padded])).reshape(-1)
    differs = not torch.allclose(factor, torch.ones((), dtype=torch.float32), rtol=1e-7, atol=0)
    return builder.make_step(
        node,
        operator,
        fields=tuple(map(AxisField, kernel, stride, padding)),
        factor=factor.to(node.meta["val"].device) if differs else None,
    )


def _mean(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    if arguments["dim"] is None or arguments.get("dtype") is not None:
        return None
    if sorted(dim % 4 for dim in arguments["dim"]) == sorted(like.axes):
        return _spatial_mean(builder, node, like, keep=bool(arguments["keepdim"]))
    return _over_channels(builder, node, arguments, like)


def _spatial_mean(builder: GraphBuilder, node: fx.Node, like: MapShape, *, keep: bool) -> Step:
    """Make a step of the mean over all pixels. It is never run on windows: sums of windows change the clean mean."""
    return builder.make_step(node, CapturedCall(torch.mean, (InputSlot(0), like.axes, keep)), kind="mean", map=None)


def _over_channels(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    """Turn an operator along one axis, or a few, into a step if the axis is that of the channels and stays."""
    dim, answer = arguments.get("dim"), node.meta["val"]
    dims = list(dim) if isinstance(dim, list | tuple) else [dim]
    if dim is None or len(dims) != 1 or int(dims[0] or 0) % 4 != like.channel_axis:
        return None
    call, inputs = builder.call(node)
    if len(inputs) != 1:
        return None
    if isinstance(answer, tuple | list):  # a split: a step for each part that is read
        builder.splits[node] = builder.make_step(node, call, map=like)
        return None
    return builder.make_step(node, call) if answer.ndim == 4 else None


def _layer_norm(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    call, inputs = builder.call(node)
    return builder.make_step(node, call) if len(arguments["normalized_shape"]) == len(inputs) == 1 else None


def _linear(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape | None) -> Translation:
    """Turn a linear layer into a step: over the channels of a map, or of tokens and vectors, which are whole."""
    weight, bias = builder.constant(arguments["weight"]), builder.constant(arguments["bias"])
    if weight is None or (arguments["bias"] is not None and bias is None) or weight.ndim != 2:
        return None
    operator = Linear(weight, bias, packed=not builder.repeatable)
    if like is None:
        return replace(builder.whole(node), operator=operator)
    return builder.make_step(node, operator, cost=weight.numel()) if like.axes == CHANNELS_LAST else None


def _permute(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    if "dims" in arguments:
        order = [dim % 4 for dim in arguments["dims"]]
    else:
        order = list(range(4))
        first, second = arguments["dim0"] % 4, arguments["dim1"] % 4
        order[first], order[second] = second, first
    axes = (order.index(like.axes[0]), order.index(like.axes[1]))
    if order[0] != 0 or axes not in (CHANNELS_FIRST, CHANNELS_LAST):
        return None
    return builder.make_step(node, builder.call(node)[0], map=builder.answered_map(node, axes))


def _cat(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: None) -> Translation:
    maps = [builder.map(source) for source in arguments["tensors"]]
    layouts = {shape and (shape.size, shape.axes) for shape in maps}
    if maps[0] is None or len(layouts) != 1 or arguments["dim"] % 4 != maps[0].channel_axis:
        return None
    return builder.make_step(node, builder.call(node)[0])


def _slice(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    """Turn a slice into a step; along rows or columns, which pixels are read is in the step's fields."""
    source = arguments["self"]
    dim, before, after = arguments["dim"] % 4, source.meta["val"].shape, node.meta["val"].shape
    if dim == 0:
        return None
    if before[dim] == after[dim]:
        return source
    if dim == like.channel_axis:
        return _over_channels(builder, node, arguments, like)
    if like.axes != CHANNELS_FIRST:
        return None
    start, stride = int(arguments["start"] or 0), int(arguments["step"])
    start = max(0, start + like.size[dim - 2]) if start < 0 else start
    fields, strides = [AxisField(), AxisField()], [1, 1]
    fields[dim - 2], strides[dim - 2] = AxisField(1, stride, -start), stride
    operator = WindowedCall(builder.call(node)[0], CapturedCall(_subsample, (InputSlot(0), *strides)))
    return builder.make_step(node, operator, fields=tuple(fields))


def _subsample(windows: torch.Tensor, down: int, across: int) -> torch.Tensor:
    """Take every `down`-th row and `across`-th column of windows (members, channels, rows, columns)."""
    return windows[:, :, ::down, ::across]


def _pad(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    sides, call = list(arguments["pad"]), builder.call(node)[0]
    if arguments.get("mode", "constant") != "constant" or arguments.get("value") or len(sides) > 6:
        return None
    if len(sides) == 6:
        # Channels of zeros; were rows or columns padded as well, a window could not do it as the map does.
        return None if any(sides[:4]) else builder.make_step(node, call)
    across, down = sides[0], sides[2] if len(sides) == 4 else 0
    operator = WindowedCall(call, CapturedCall(_subsample, (InputSlot(0), 1, 1)))
    return builder.make_step(node, operator, fields=(AxisField(1, 1, down), AxisField(1, 1, across)))


def _shuffle(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    return builder.make_step(node, CapturedCall(torch.channel_shuffle, (InputSlot(0), int(arguments["groups"]))))


def _view(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape | None) -> Translation:
    """Recognise the shuffle of channels: (n, groups, channels / groups, rows, columns), transposed, and back."""
    source = arguments["self"]
    shape = tuple(node.meta["val"].shape[1:])
    if like is not None and tuple(source.meta["val"].shape[1:]) == shape:
        return source
    if aten.name_of(source) in ("clone", "contiguous"):
        source = source.args[0]
    swaps = (aten.name_of(source) == "transpose" and tuple(source.args[1:]) == (1, 2)) or (
        aten.name_of(source) == "permute" and tuple(source.args[1]) == (0, 2, 1, 3, 4)
    )
    grouped = source.args[0] if swaps else None
    if grouped is None or aten.name_of(grouped) not in ("view", "reshape", "_unsafe_view"):
        return None
    like, groups = builder.map(grouped.args[0]), tuple(grouped.meta["val"].shape[1:])
    if like is None or like.axes != CHANNELS_FIRST or len(groups) != 4:
        return None
    if groups[2:] != like.size or shape != (like.channels, *like.size):
        return None
    call = CapturedCall(torch.channel_shuffle, (InputSlot(0), int(groups[0])))
    return builder.make_step(node, call, inputs=(builder.names[grouped.args[0]],), map=like)


def _copy(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape) -> Translation:
    source = node.all_input_nodes[0]
    return source if source.meta["val"].dtype == node.meta["val"].dtype else None


def _dropout(builder: GraphBuilder, node: fx.Node, arguments: Arguments, like: MapShape | None) -> Translation:
    return None if arguments["train"] else arguments["input"]


def _extents(kernel: Any, dilation: tuple[int, int]) -> tuple[int, int]:
    """Give rows and columns from the first to the last that a kernel reads."""
    return dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1


def _pair(lengths: Any) -> tuple[int, int]:
    """Give one length as two, or two as they are."""
    pair = [int(length) for length in lengths] if isinstance(lengths, list | tuple) else [int(lengths)]
    return pair[0], pair[-1]


FIRST = (CHANNELS_FIRST,)
LAST = (CHANNELS_LAST,)
EITHER = (CHANNELS_FIRST, CHANNELS_LAST)
ANYTHING = (*EITHER, None)

TRANSLATORS: dict[str, tuple[Callable[..., Translation], tuple[tuple[int, int] | None, ...]]] = {
    "conv2d": (_convolution, FIRST),
    "conv_transpose2d": (_convolution, FIRST),
    "channel_shuffle": (_shuffle, FIRST),
    "batch_norm": (_batch_norm, FIRST),
    "_native_batch_norm_legit_no_training": (_batch_norm, FIRST),
    "relu": (_relu, ANYTHING),
    "gelu": (_gelu, ANYTHING),
    "hardswish": (_pointwise, EITHER),  # torch does not say of it that it works number by number
    "max_pool2d": (_max_pool, FIRST),
    "avg_pool2d": (_average_pool, FIRST),
    "adaptive_avg_pool2d": (_adaptive_pool, FIRST),
    "mean": (_mean, EITHER),
    "layer_norm": (_layer_norm, LAST),
    "linear": (_linear, ANYTHING),
    "cat": (_cat, ANYTHING),
    "slice": (_slice, EITHER),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d"), (_upsample, FIRST)),
    **dict.fromkeys(("permute", "transpose"), (_permute, EITHER)),
    **dict.fromkeys(("pad", "constant_pad_nd"), (_pad, FIRST)),
    **dict.fromkeys(("view", "reshape", "_unsafe_view"), (_view, ANYTHING)),
    **dict.fromkeys(("clone", "alias", "contiguous", "detach", "_to_copy", "to"), (_copy, EITHER)),
    **dict.fromkeys(("dropout", "feature_dropout"), (_dropout, ANYTHING)),
    **dict.fromkeys(
        ("softmax", "log_softmax", "glu", "amax", "sum", "split", "split_with_sizes", "chunk"),
        (_over_channels, EITHER),
    ),
}
"""For every operator its translator, and the axes that the map which it reads first may have; None is no map."""
