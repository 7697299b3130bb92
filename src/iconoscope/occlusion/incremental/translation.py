"""How a change passes through each operation of PyTorch that is known here.

A translator is given a node and its arguments by name; it gives a step, or the node whose answer this node only repeats, or
None where it does not recognise the case: then the step is `whole`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from iconoscope.occlusion.incremental.graph import CHANNELS_FIRST, CHANNELS_LAST, EDGE, LOWEST, Map, Step
from iconoscope.occlusion.incremental.graph_builder import Reading, bytes_of, layer_of
from iconoscope.occlusion.incremental.operators import (
    AveragePool,
    Call,
    Convolution,
    Cut,
    Enlarged,
    MaxPool,
    Mean,
    Slot,
    Transposed,
)
from iconoscope.occlusion.incremental.receptive_field import Reach, Rise

__all__ = ["TRANSLATORS", "translate"]

Named = dict[str, Any]
POINTWISE = ("hardswish",)
"""Operators that work number by number, though torch does not say so of them."""

Translated = Step | fx.Node | None


def translate(reading: Reading, node: fx.Node) -> Translated:
    """Turn a node into a step, if what it does to a change is known."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return None
    schema = node.target._schema
    if len(schema.returns) != 1 and schema.name != "aten::_native_batch_norm_legit_no_training":
        return None
    given = dict(zip((argument.name for argument in schema.arguments), node.args, strict=False))
    named = {argument.name: argument.default_value for argument in schema.arguments} | given | dict(node.kwargs)
    translator = TRANSLATORS.get(schema.name.removeprefix("aten::"))
    if translator is not None:
        return translator(reading, node, named)
    tags = node.target.tags
    if torch.Tag.pointwise in tags and torch.Tag.nondeterministic_seeded not in tags:
        return _pointwise(reading, node, named)
    return None


def _pointwise(reading: Reading, node: fx.Node, named: Named) -> Translated:
    """Turn an operator that makes every number of the numbers in the same place into a step.

    Its tensors must be maps of one size, or constants that are the same for every pixel. If one is no map but a gate, one
    number for each channel of an image, then every pixel changes with it.
    """
    call, inputs = reading.call(node)
    maps = [reading.steps[name].map for name in inputs]
    like, value = next((map for map in maps if map is not None), None), node.meta["val"]
    if like is None or not isinstance(value, torch.Tensor) or value.ndim != 4:
        return None
    if any(map is not None and (map.size, map.axes) != (like.size, like.axes) for map in maps):
        # A map of one pixel, as the mean over a map keeps it, is a gate too; torch broadcasts it.
        return None
    if any(map is None for map in maps):
        answer = reading.map_of(node, like)
        if answer is None or answer.size != like.size:
            return None
        return Step(node.name, "everywhere", inputs, call, answer, size=bytes_of(node), layer=layer_of(node))
    for source in node.all_input_nodes:
        constant = reading.constant(source)
        if isinstance(constant, torch.Tensor) and not _same_everywhere(constant, value.ndim, like.axes):
            return None
    fresh = call.target in (torch.ops.aten.add.Tensor, torch.ops.aten.sub.Tensor, torch.ops.aten.mul.Tensor)
    call = replace(call, fresh=fresh)
    return Step(
        node.name, "window", inputs, call, reading.map_of(node, like), size=bytes_of(node), layer=layer_of(node)
    )


def _same_everywhere(constant: torch.Tensor, dimensions: int, axes: tuple[int, int]) -> bool:
    lengths = (1,) * (dimensions - constant.ndim) + tuple(constant.shape)
    return len(lengths) == dimensions and lengths[0] == 1 and all(lengths[axis] == 1 for axis in axes)


def _relu(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source = named["self"]
    step = reading.step(source)
    if len(source.users) == 1 and step.map is not None:
        if isinstance(step.operator, Convolution) and not step.operator.relu:
            return replace(step, name=node.name, operator=step.operator.rectified())
        if isinstance(step.operator, Call) and step.operator.fresh and not step.operator.relu:
            return replace(step, name=node.name, operator=replace(step.operator, relu=True))
    return _pointwise(reading, node, named)


def _convolution(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["input"], reading.map(named["input"])
    weight, bias = reading.constant(named["weight"]), reading.constant(named["bias"])
    if like is None or like.axes != CHANNELS_FIRST or weight is None or (named["bias"] is not None and bias is None):
        return None
    stride, dilation = _pair(named["stride"]), _pair(named["dilation"])
    extents = tuple(by * (side - 1) + 1 for by, side in zip(dilation, weight.shape[2:], strict=True))
    padding = named["padding"]
    if isinstance(padding, str):
        # `same` puts the odd row after the map.
        before = tuple((extent - 1) // 2 if padding == "same" else 0 for extent in extents)
    else:
        before = padding = _pair(padding)
    weight = weight.contiguous(memory_format=torch.channels_last)
    made = Convolution(weight, bias, stride, padding, dilation, int(named["groups"]))
    reach = tuple(map(Reach, extents, stride, before))
    return reading.local(node, source, made, reading.map_of(node, like), reach=reach, cost=weight.numel())


def _transposed(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["input"], reading.map(named["input"])
    weight, bias = reading.constant(named["weight"]), reading.constant(named["bias"])
    if like is None or like.axes != CHANNELS_FIRST or weight is None or (named["bias"] is not None and bias is None):
        return None
    stride, padding, more = _pair(named["stride"]), _pair(named["padding"]), _pair(named["output_padding"])
    dilation = _pair(named["dilation"])
    extents = tuple(by * (side - 1) + 1 for by, side in zip(dilation, weight.shape[2:], strict=True))
    if any(extent < by for extent, by in zip(extents, stride, strict=True)):
        return None  # there are outputs that read no input
    made = Transposed(weight, bias, stride, padding, more, dilation, int(named["groups"]))
    reach = tuple(
        Rise(by, ahead=before, behind=extent - before, lead=(before - extent + 1) // by, trail=before)
        for by, extent, before in zip(stride, extents, padding, strict=True)
    )
    crop = tuple(before - by * each.lead for by, before, each in zip(stride, padding, reach, strict=True))
    answer = reading.map_of(node, like)
    assert answer is not None
    cost = weight.numel() * like.area // answer.area
    return reading.local(node, source, made, answer, reach=reach, crop=crop, cost=cost)


def _upsample(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source = named["input"] if "input" in named else named["self"]
    like = reading.map(source)
    if like is None or like.axes != CHANNELS_FIRST or named.get("align_corners"):
        return None
    answer = reading.map_of(node, like)
    assert answer is not None
    if any(after % before for before, after in zip(like.size, answer.size, strict=True)):
        return None
    by = (answer.size[0] // like.size[0], answer.size[1] // like.size[1])
    call, _ = reading.call(node)
    if "bilinear" in str(node.target):
        reach = tuple(Rise(each, ahead=each, behind=2 * each, lead=-1, trail=each) for each in by)
        made = Enlarged(call, by, "bilinear")
        return reading.local(node, source, made, answer, reach=reach, crop=by, padding=EDGE)
    reach = tuple(Rise(each, ahead=0, behind=each, lead=0, trail=0) for each in by)
    return reading.local(node, source, Enlarged(call, by, "nearest"), answer, reach=reach, crop=(0, 0))


def _batch_norm(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["input"], reading.map(named["input"])
    mean, variance = reading.constant(named["running_mean"]), reading.constant(named["running_var"])
    parts = named.get("training") is None  # it answers three values, of which the first is asked for
    others = parts and [user for user in node.users if user.args[1:] != (0,)]
    if like is None or like.axes != CHANNELS_FIRST or mean is None or variance is None or others:
        return None
    if named.get("training"):
        return None
    scale = (variance.double() + named["eps"]).rsqrt()
    weight, bias = reading.constant(named["weight"]), reading.constant(named["bias"])
    scale = scale if weight is None else scale * weight
    shift = -mean.double() * scale + (0 if bias is None else bias)
    scale, shift = scale.to(mean.dtype), shift.to(mean.dtype)
    step = reading.step(source)
    if isinstance(step.operator, Convolution) and len(source.users) == 1 and not step.operator.relu:
        folded = replace(step, name=node.name, operator=step.operator.scaled(scale, shift))
    else:
        made = Call(torch.addcmul, (shift[:, None, None], Slot(0), scale[:, None, None]), fresh=True)
        folded = reading.local(node, source, made, like)
        folded = replace(folded, size=step.size)
    if parts:
        reading.repeats.update(node.users)
    return folded


def _max_pool(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["self"], reading.map(named["self"])
    if like is None or like.axes != CHANNELS_FIRST:
        return None
    kernel, padding, dilation = (_pair(named[name]) for name in ("kernel_size", "padding", "dilation"))
    stride = _pair(named["stride"] or kernel)
    made = MaxPool(kernel, stride, padding, dilation, bool(named["ceil_mode"]))
    extents = (by * (side - 1) + 1 for by, side in zip(dilation, kernel, strict=True))
    reach = tuple(map(Reach, extents, stride, padding))
    return reading.local(node, source, made, reading.map_of(node, like), reach=reach, padding=LOWEST)


def _average_pool(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["self"], reading.map(named["self"])
    if like is None or like.axes != CHANNELS_FIRST:
        return None
    kernel, padding = _pair(named["kernel_size"]), _pair(named["padding"])
    stride = _pair(named["stride"] or kernel)
    divisor = named["divisor_override"]
    made = AveragePool(kernel, stride, padding, bool(named["ceil_mode"]), bool(named["count_include_pad"]), divisor)
    return _averaged(reading, node, source, made, like)


def _averaged(reading: Reading, node: fx.Node, source: fx.Node, made: AveragePool, like: Map) -> Step:
    answer = reading.map_of(node, like)
    if made.kernel == like.size and made.padding == (0, 0) and made.divisor is None and answer and answer.area == 1:
        return _mean_step(reading, node, source, like, keep=True)
    factor = made.factor(like.size)
    device = node.meta["val"].device
    return reading.local(
        node,
        source,
        made,
        answer,
        reach=tuple(map(Reach, made.kernel, made.stride, made.padding)),
        factor=None if factor is None else factor.reshape(-1).to(device),
    )


def _adaptive_pool(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["self"], reading.map(named["self"])
    if like is None or like.axes != CHANNELS_FIRST:
        return None
    answer = reading.map_of(node, like)
    assert answer is not None
    if answer.size == like.size:
        return source
    if answer.area == 1:
        return _mean_step(reading, node, source, like, keep=True)
    if any(before % after for before, after in zip(like.size, answer.size, strict=True)):
        return None
    kernel = (like.size[0] // answer.size[0], like.size[1] // answer.size[1])
    return _averaged(reading, node, source, AveragePool(kernel, kernel, (0, 0), False, True, None), like)


def _mean(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["self"], reading.map(named["self"])
    if like is None or named["dim"] is None or named.get("dtype") is not None:
        return None
    dims = sorted(dim % 4 for dim in named["dim"])
    if dims == sorted(like.axes):
        return _mean_step(reading, node, source, like, keep=bool(named["keepdim"]))
    return _over_channels(reading, node, named)


def _mean_step(reading: Reading, node: fx.Node, source: fx.Node, like: Map, *, keep: bool) -> Step:
    inputs = (reading.names[source],)
    return Step(node.name, "mean", inputs, Mean(like.axes, keep), None, size=bytes_of(node), layer=layer_of(node))


def _over_channels(reading: Reading, node: fx.Node, named: Named) -> Translated:
    """Turn an operator along one axis, or a few, into a step if the axis is that of the channels and stays."""
    source = named["self"] if "self" in named else named["input"]
    like, dim = reading.map(source), named.get("dim")
    value = node.meta["val"]
    dims = list(dim) if isinstance(dim, list | tuple) else [dim]
    if like is None or dim is None or len(dims) != 1 or int(dims[0] or 0) % 4 != _channels(like):
        return None
    call, inputs = reading.call(node)
    if len(inputs) != 1:
        return None
    if isinstance(value, tuple | list):  # a split: a step for each part that is read
        reading.parts[node] = Step(node.name, "window", inputs, call, like, layer=layer_of(node))
        return None
    if value.ndim != 4:
        return None
    return reading.local(node, source, call, reading.map_of(node, like))


def _channels(like: Map) -> int:
    return 1 if like.axes == CHANNELS_FIRST else 3


def _layer_norm(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["input"], reading.map(named["input"])
    call, inputs = reading.call(node)
    if like is None or like.axes != CHANNELS_LAST or len(named["normalized_shape"]) != 1 or len(inputs) != 1:
        return None
    return reading.local(node, source, call, like)


def _linear(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["input"], reading.map(named["input"])
    weight = reading.constant(named["weight"])
    call, inputs = reading.call(node)
    if like is None or like.axes != CHANNELS_LAST or len(inputs) != 1 or weight is None:
        return None
    return reading.local(node, source, call, reading.map_of(node, like), cost=weight.numel())


def _permute(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["self"], reading.map(named["self"])
    if like is None:
        return None
    if "dims" in named:
        order = [dim % 4 for dim in named["dims"]]
    else:
        order = list(range(4))
        first, second = named["dim0"] % 4, named["dim1"] % 4
        order[first], order[second] = second, first
    axes = (order.index(like.axes[0]), order.index(like.axes[1]))
    if order[0] != 0 or axes not in (CHANNELS_FIRST, CHANNELS_LAST):
        return None
    call, _ = reading.call(node)
    return reading.local(node, source, call, reading.map_of(node, like, axes))


def _cat(reading: Reading, node: fx.Node, named: Named) -> Translated:
    maps = [reading.map(source) for source in named["tensors"]]
    like = maps[0]
    if like is None or any(each is None or (each.size, each.axes) != (like.size, like.axes) for each in maps):
        return None
    if named["dim"] % 4 != _channels(like):
        return None
    call, inputs = reading.call(node)
    return Step(
        node.name, "window", inputs, call, reading.map_of(node, like), size=bytes_of(node), layer=layer_of(node)
    )


def _slice(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["self"], reading.map(named["self"])
    if like is None:
        return None
    dim, before, after = named["dim"] % 4, source.meta["val"].shape, node.meta["val"].shape
    if dim == 0:
        return None
    if before[dim] == after[dim]:
        return source
    if dim == _channels(like):
        return _over_channels(reading, node, named)
    if like.axes != CHANNELS_FIRST:
        return None
    start, step = int(named["start"] or 0), int(named["step"])
    start = max(0, start + like.size[dim - 2]) if start < 0 else start
    call, _ = reading.call(node)
    reach, steps = [Reach(), Reach()], [1, 1]
    reach[dim - 2], steps[dim - 2] = Reach(1, step, -start), step
    made = Cut(call, (steps[0], steps[1]))
    return reading.local(node, source, made, reading.map_of(node, like), reach=tuple(reach))


def _pad(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like, sides = named["self"], reading.map(named["self"]), list(named["pad"])
    constant = named.get("mode", "constant") == "constant" and not named.get("value")
    if like is None or like.axes != CHANNELS_FIRST or not constant or len(sides) > 6:
        return None
    call, _ = reading.call(node)
    if len(sides) == 6:
        # Channels of zeros; were rows or columns padded as well, a window could not do it as the map does.
        return None if any(sides[:4]) else reading.local(node, source, call, reading.map_of(node, like))
    across, down = sides[0], sides[2] if len(sides) == 4 else 0
    reach = (Reach(1, 1, down), Reach(1, 1, across))
    return reading.local(node, source, Cut(call), reading.map_of(node, like), reach=reach)


def _shuffle(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source, like = named["self"], reading.map(named["self"])
    if like is None or like.axes != CHANNELS_FIRST:
        return None
    return reading.local(node, source, Call(torch.channel_shuffle, (Slot(0), int(named["groups"]))), like)


def _view(reading: Reading, node: fx.Node, named: Named) -> Translated:
    """Recognise the shuffle of channels: (n, groups, channels / groups, rows, columns), transposed, and back."""
    source = named["self"]
    if reading.map(source) is not None and tuple(source.meta["val"].shape[1:]) == tuple(node.meta["val"].shape[1:]):
        return source
    if _opname(source) in ("clone", "contiguous"):
        source = source.args[0]
    swaps = (_opname(source) == "transpose" and tuple(source.args[1:]) == (1, 2)) or (
        _opname(source) == "permute" and tuple(source.args[1]) == (0, 2, 1, 3, 4)
    )
    grouped = source.args[0] if swaps else None
    if grouped is None or _opname(grouped) not in ("view", "reshape", "_unsafe_view"):
        return None
    like, groups = reading.map(grouped.args[0]), tuple(grouped.meta["val"].shape[1:])
    if like is None or like.axes != CHANNELS_FIRST or len(groups) != 4:
        return None
    if groups[2:] != like.size or tuple(node.meta["val"].shape[1:]) != (like.channels, *like.size):
        return None
    return reading.local(node, grouped.args[0], Call(torch.channel_shuffle, (Slot(0), int(groups[0]))), like)


def _opname(node: Any) -> str:
    return getattr(node.target, "_opname", "") if isinstance(node, fx.Node) else ""


def _same(reading: Reading, node: fx.Node, named: Named) -> Translated:
    source = next(value for value in named.values() if isinstance(value, fx.Node))
    same_type = source.meta["val"].dtype == node.meta["val"].dtype
    return source if reading.map(source) is not None and same_type else None


def _dropout(reading: Reading, node: fx.Node, named: Named) -> Translated:
    return None if named["train"] else named["input"]


def _pair(value: Any) -> tuple[int, int]:
    values = [int(each) for each in value] if isinstance(value, list | tuple) else [int(value)]
    return (values[0], values[-1])


TRANSLATORS: dict[str, Callable[[Reading, fx.Node, Named], Translated]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    "channel_shuffle": _shuffle,
    "upsample_nearest2d": _upsample,
    "upsample_bilinear2d": _upsample,
    "batch_norm": _batch_norm,
    **dict.fromkeys(POINTWISE, _pointwise),
    "_native_batch_norm_legit_no_training": _batch_norm,
    "relu": _relu,
    "max_pool2d": _max_pool,
    "avg_pool2d": _average_pool,
    "adaptive_avg_pool2d": _adaptive_pool,
    "mean": _mean,
    "softmax": _over_channels,
    "log_softmax": _over_channels,
    "glu": _over_channels,
    "amax": _over_channels,
    "sum": _over_channels,
    "split": _over_channels,
    "split_with_sizes": _over_channels,
    "chunk": _over_channels,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "permute": _permute,
    "transpose": _permute,
    "cat": _cat,
    "slice": _slice,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "view": _view,
    "reshape": _view,
    "_unsafe_view": _view,
    "clone": _same,
    "alias": _same,
    "contiguous": _same,
    "detach": _same,
    "_to_copy": _same,
    "to": _same,
    "dropout": _dropout,
    "feature_dropout": _dropout,
}
