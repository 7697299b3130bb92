"""A network that is only looked through: nothing of it learns, and what never changes is brought into its fastest form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from iconoscope.subject.batch_norm import scale_and_shift
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LOGITS, FunctionCalls, LayerCall, probe, tensors_in, watching

__all__ = ["adjacent_layers", "frozen"]

NARROW = 4
"""A convolution of at most so many channels is one of pictures, whose gradient has a way of its own."""

FEW = 0.25
"""Share of a convolution's channels up to which its gradient is computed through these alone."""


@contextmanager
def frozen(
    module: nn.Module, pairs: Iterable[tuple[nn.Module, nn.Module]] = (), *, dtype: torch.dtype | None = None
) -> Iterator[None]:
    """Freeze a module in evaluation mode for the time of a block; it comes back as it was.

    No gradients are asked of its parameters, and:

    - the weights of convolutions lie in the memory order of channels last, in which they would be brought anew in every pass;
    - batch norms, which only scale and shift by now, are taken into the convolution before them, or do just that;
    - a ReLU before a maximum pooling is done after it, where there is less to do; the maximum does not mind;
    - the gradient with respect to pictures is a convolution forward, which is several times as fast as the one back;
    - the gradient of a convolution of which few channels have one goes through these alone.

    Parameters
    ----------
    module
        On any device; all but the first is for processors.
    pairs
        Modules inside it that follow each other and nothing else, as `adjacent_layers` gives them.
    dtype
        What the weights of convolutions are turned to, once and for all; under autocast they would be in every pass.
    """
    with ExitStack() as stack:
        for parameter in module.parameters():
            stack.callback(parameter.requires_grad_, parameter.requires_grad)
            parameter.requires_grad_(False)
        merged: set[nn.Module] = set()
        for first, second in pairs:
            if not all(_plain(layer) and not layer._forward_hooks for layer in (first, second)):
                continue  # a hook sees, and may change, what lies between the two
            if type(first) is nn.Conv2d and type(second) is nn.BatchNorm2d and (scaling := _scaling(second)):
                weight = first.weight.double() * scaling[0].view(-1, 1, 1, 1)
                shift = scaling[1] if first.bias is None else scaling[1] + first.bias.double() * scaling[0]
                stack.enter_context(_forward(first, _convolution(first, weight, shift, dtype)))
                stack.enter_context(_forward(second, _as_given))
            elif type(first) is nn.ReLU and type(second) is nn.MaxPool2d and not second.return_indices:
                stack.enter_context(_forward(first, _as_given))
                stack.enter_context(_forward(second, _pooled_and_rectified(second)))
            else:
                continue
            merged |= {first, second}
        for layer in module.modules():
            if layer in merged or not _plain(layer):
                continue
            if type(layer) is nn.Conv2d:
                stack.enter_context(_forward(layer, _convolution(layer, layer.weight, layer.bias, dtype)))
            elif type(layer) is nn.BatchNorm2d and (scaling := _scaling(layer)):
                stack.enter_context(_forward(layer, _affine(layer, *scaling)))
        yield


def _plain(module: nn.Module) -> bool:
    """Whether a module does what its class says, on a processor."""
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return (
        "forward" not in vars(module)
        and not module._forward_pre_hooks
        and not module._backward_hooks
        and all(tensor.device.type == "cpu" and tensor.layout == torch.strided for tensor in tensors)
    )


@contextmanager
def _forward(module: nn.Module, function: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    vars(module)["forward"] = function
    try:
        yield
    finally:
        del vars(module)["forward"]


def _as_given(input: torch.Tensor) -> torch.Tensor:
    return input


def _scaling(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Give what a norm multiplies channels by and adds to them; None if it takes that from the batch."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None or norm.training:
        return None
    return scale_and_shift(mean, variance, norm.weight, norm.bias, norm.eps)


def _affine(norm: nn.BatchNorm2d, scale: torch.Tensor, shift: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    dtype = (norm.running_mean if norm.running_mean is not None else scale).dtype
    scale, shift = (
        factor.to(dtype).view(1, -1, 1, 1).contiguous(memory_format=torch.channels_last) for factor in (scale, shift)
    )
    return lambda input: torch.addcmul(shift, input, scale)


def _convolution(
    module: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype | None
) -> Callable[[torch.Tensor], torch.Tensor]:
    dtype = dtype or module.weight.dtype
    weight = weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
    bias = None if bias is None else bias.detach().to(dtype)
    stride, padding, dilation, groups = module.stride, module.padding, module.dilation, module.groups
    if module.padding_mode != "zeros":
        return lambda input: module._conv_forward(input, weight, bias)
    if isinstance(padding, tuple) and weight.shape[1] <= NARROW and set(dilation) == {1} and groups == 1:
        phases = _phases(weight, stride)
        return lambda input: _PictureConvolution.apply(input, weight, bias, stride, padding, phases)
    if isinstance(padding, tuple) and groups == 1:
        sparse = _SparseGradient(weight, stride, padding, dilation)
        return lambda input: (
            _PrunedConvolution.apply(input, weight, bias, sparse)
            if input.ndim == 4
            else F.conv2d(input, weight, bias, stride, padding, dilation)
        )
    return lambda input: F.conv2d(input, weight, bias, stride, padding, dilation, groups)


class _SparseGradient:
    """The gradient of one convolution with respect to its input, where most of the channels that it answers have none.

    Of the last layer one channel is asked for, and of a layer that joins several convolutions perhaps none of this one's. To
    see that takes a pass over the gradient, so once a convolution had more channels with a gradient it is not looked at again.
    """

    def __init__(
        self, weight: torch.Tensor, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...]
    ) -> None:
        self.weight, self.settings = weight, (stride, padding, dilation)
        self.few = True

    def __call__(self, gradient: torch.Tensor, size: torch.Size) -> torch.Tensor:
        weight = self.weight
        if self.few:
            used = gradient.abs().amax((0, 2, 3)).nonzero().squeeze(1)  # NaN is not zero either
            self.few = len(used) <= FEW * len(weight)
            if self.few and len(used) == 0:
                return gradient.new_zeros(size)
            if self.few:
                gradient, weight = (
                    tensor.index_select(axis, used).contiguous(memory_format=torch.channels_last)
                    for tensor, axis in ((gradient, 1), (weight, 0))
                )
        stride, padding, dilation = self.settings
        unread = weight.new_empty(1).expand(size)  # its shape alone is asked for
        return torch.ops.aten.convolution_backward(
            gradient, unread, weight, None, stride, padding, dilation, False, (0, 0), 1, (True, False, False)
        )[0]


class _PrunedConvolution(torch.autograd.Function):
    """A convolution whose gradient goes back through the channels alone that have one."""

    @staticmethod
    def forward(
        ctx: Any, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, sparse: _SparseGradient
    ) -> torch.Tensor:
        ctx.sparse, ctx.size = sparse, input.shape
        return F.conv2d(input, weight, bias, *sparse.settings)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return ctx.sparse(gradients[0], ctx.size), None, None, None


def _phases(weight: torch.Tensor, stride: tuple[int, ...]) -> torch.Tensor:
    """Give the weights (stride * stride * in, out, taps, taps) of the convolution from a gradient to that of what was given.

    Of every ``stride``-th row and column that is one convolution without a stride, with the taps that fall there.
    """
    out, channels, height, width = weight.shape
    down, across = stride
    taps = -(-height // down), -(-width // across)
    padded = F.pad(weight, (0, taps[1] * across - width, 0, taps[0] * down - height))
    split = padded.view(out, channels, taps[0], down, taps[1], across).flip(2, 4)
    moved = split.permute(1, 3, 5, 0, 2, 4).reshape(channels * down * across, out, *taps)
    return moved.contiguous(memory_format=torch.channels_last)


class _PictureConvolution(torch.autograd.Function):
    """A convolution of pictures, whose gradient is computed by convolutions forward.

    The gradient with respect to few channels is slow in oneDNN. Pixels that lie at the same remainder of the stride (one
    phase of it) are reached by the same taps of the kernel, so for each phase the gradient is a convolution without a stride;
    the phases are its channels, which are interleaved to rows and columns afterwards.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
        phases: torch.Tensor,
    ) -> torch.Tensor:
        ctx.phases, ctx.stride, ctx.padding, ctx.size = phases, stride, padding, input.shape[2:]
        return F.conv2d(input, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        phases, (down, across), (height, width) = ctx.phases, ctx.stride, ctx.size
        top, left = ctx.padding
        split = F.conv2d(gradients[0], phases, padding=(phases.shape[2] - 1, phases.shape[3] - 1))
        count, _, rows, columns = split.shape
        channels = split.shape[1] // (down * across)
        padded = split.view(count, channels, down, across, rows, columns).permute(0, 1, 4, 2, 5, 3)
        padded = padded.reshape(count, channels, rows * down, columns * across)
        # Beyond the last place of the kernel nothing was looked at.
        short = max(0, top + height - rows * down), max(0, left + width - columns * across)
        if any(short):
            padded = F.pad(padded, (0, short[1], 0, short[0]))
        return padded[:, :, top : top + height, left : left + width], None, None, None, None, None


def _pooled_and_rectified(pool: nn.MaxPool2d) -> Callable[[torch.Tensor], torch.Tensor]:
    settings = tuple(
        tuple(sides) if isinstance(sides, tuple | list) else (sides, sides)
        for sides in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    )
    return lambda input: _PooledAndRectified.apply(input, (*settings, pool.ceil_mode))


class _PooledAndRectified(torch.autograd.Function):
    """The ReLU of a maximum pooling, which is the maximum pooling of the ReLU."""

    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, settings: tuple[Any, ...]) -> torch.Tensor:
        # What comes after a ReLU's threshold is the same before a maximum and after it; after it there is less to do. The
        # operations are those that autograd itself would call, so the numbers are the same.
        answer, places = torch.ops.aten.max_pool2d_with_indices(input, *settings)
        torch.ops.aten.relu_(answer)  # not the method: `probe` would read before it, where nothing has a gradient
        ctx.save_for_backward(input, answer, places)
        ctx.settings = settings
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        input, answer, places = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradients[0], answer, 0)
        back = torch.ops.aten.max_pool2d_with_indices_backward(passed, input, *ctx.settings, places)
        return back, None


def adjacent_layers(network: Network, layers: Iterable[str], batch: torch.Tensor) -> list[tuple[nn.Module, nn.Module]]:
    """Give the pairs of modules of which the second is given the first's answer, and nothing else is.

    Modules without children count, each once at most in a pass; those that are called more than once do not, and a module
    whose answer is that of a layer asked for is no first of a pair.

    Parameters
    ----------
    network
        In evaluation mode; it is run once.
    layers
        Full names of the layers asked for, at the deepest of which the pass ends.
    batch
        Normalised input (1, channels, height, width).
    """
    if network.opaque:
        return []
    names = tuple(layers)
    read = {name for name in names if name != LOGITS}
    leaves = [name for name, module in network.module.named_modules() if not any(True for _ in module.children())]
    calls: list[LayerCall] = []
    answers: set[int] = set()  # ids of what the layers asked for answer
    uses: Counter[int] = Counter()  # by the id of a tensor, how often functions made other tensors of it
    alive: list[Any] = []  # so that no two tensors have the same id

    def note(call: LayerCall) -> None:
        if call.name in read:
            answers.update(map(id, tensors_in(call.output)))
        single = len(call.inputs) == 1 and isinstance(call.inputs[0], torch.Tensor)
        if call.name in leaves and isinstance(call.output, torch.Tensor) and single:
            calls.append(call)

    def count(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        answer = function(*args, **kwargs)
        if any(True for _ in tensors_in(answer)):
            uses.update(map(id, tensors_in([*args, *kwargs.values()])))
            alive.extend((args, kwargs, answer))
        return answer

    with (
        watching(network, dict.fromkeys((*leaves, *read)), note),
        torch.enable_grad(),
        probe(network, names) as reader,
        FunctionCalls(count),
    ):
        reader(batch.requires_grad_())
    return _pairs(calls, answers, uses)


def _pairs(calls: list[LayerCall], answers: set[int], uses: Counter[int]) -> list[tuple[nn.Module, nn.Module]]:
    times = Counter(call.module for call in calls)
    readers: dict[int, list[LayerCall]] = {}
    for call in calls:
        readers.setdefault(id(call.inputs[0]), []).append(call)
    pairs: list[tuple[nn.Module, nn.Module]] = []
    for call in calls:
        answer = id(call.output)
        in_place = call.output is call.inputs[0]
        after = [reader for reader in readers.get(answer, []) if reader is not call]
        if len(after) == 1 and answer not in answers and uses[answer] == 1 + in_place:
            second = after[0].module
            if times[call.module] == times[second] == 1:
                pairs.append((call.module, second))
    return pairs
