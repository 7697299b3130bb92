"""Every operation that is known, by itself: what its step says, and its answers on windows against those on whole images."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental.engine import CleanMaps, Runner
from iconoscope.occlusion.incremental.plan import make_plan
from iconoscope.subject.captured.capture import capture
from iconoscope.subject.captured.graph import CHANNELS_FIRST, CHANNELS_LAST, EDGE, LOWEST, ZEROS, MapShape, run_graph
from iconoscope.subject.captured.operators import CapturedCall, Convolution
from iconoscope.subject.captured.receptive_field import AxisField, UpsampledField
from tests.networks import Doing

SIZE = (24, 20)
GRID = make_grid(SIZE, patch=(3, 2), stride=(7, 6))


class Worked(nn.Module):
    """A convolution and a tanh, which nothing is folded into, some work on the maps, and what reads all there is."""

    def __init__(self, work: Any) -> None:
        super().__init__()
        self.conv, self.work, self.head = nn.Conv2d(3, 4, 1), work, nn.LazyLinear(2)

    def forward(self, x):
        return self.head(self.work(torch.tanh(self.conv(x))).flatten(1))


def captured(work):
    torch.manual_seed(0)
    module = Worked(work if isinstance(work, nn.Module) else Doing(work)).eval()
    with torch.no_grad():
        module(torch.zeros(1, 3, *SIZE))
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean, norm.running_var = torch.randn(4), torch.rand(4) + 0.5
                norm.weight.copy_(torch.randn(4))
                norm.bias.copy_(torch.randn(4))
    module.double()
    return module, capture(module, torch.zeros(3, *SIZE, dtype=torch.float64))


def answers_agree(module, graph):
    """Answers at every position against those of the network to images with a patch on them."""
    generator = torch.Generator().manual_seed(1)
    image, picture = (torch.randn(3, *SIZE, generator=generator, dtype=torch.float64) for _ in range(2))
    plan, cover = make_plan(graph, GRID, memory=1 << 30), Cover(picture)
    covered = torch.stack([cover.over(image, GRID, position) for position in range(len(GRID))])
    with torch.no_grad():
        expected = module(covered)
        every_step = run_graph(graph, covered, {step.name for step in graph.steps})
        answers = torch.empty_like(expected).view(*GRID.shape, -1)
        for chunks, part in Runner(plan).run(CleanMaps(graph, image), cover):
            first = 0
            for chunk in chunks:
                lines = part[first : first + len(chunk)].view(len(chunk.rows), len(chunk.columns), -1)
                answers[np.ix_(chunk.rows, chunk.columns)] = lines
                first += len(chunk)
    assert torch.allclose(every_step[graph.output], expected, atol=1e-9)
    for step in graph.steps:
        assert step.bytes * len(GRID) == every_step[step.name].nbytes and step.by_image, step.name
    assert torch.allclose(answers.view(len(GRID), -1), expected, atol=1e-9) and bool(expected.std(0).min() > 1e-6)
    return plan


ONE = (AxisField(), AxisField())
MEAN, WHOLE = (("mean", None, ONE, ZEROS, None, False, 0), ("whole", None, ONE, ZEROS, None, False, 0))


def window(size, *, channels=4, axes=CHANNELS_FIRST, fields=ONE, padding=ZEROS, crop=None, factor=False, cost=0):
    return "window", MapShape(size, axes, channels), fields, padding, crop, factor, cost


def everywhere(size, channels=4, axes=CHANNELS_FIRST, cost=0):
    return "everywhere", MapShape(size, axes, channels), ONE, ZEROS, None, False, cost


def fields(*sides):
    return tuple(AxisField(*side) for side in sides)


def up(*sides):
    return tuple(UpsampledField(*side) for side in sides)


class Norm(nn.Module):
    def __init__(self, layout=True):
        super().__init__()
        self.norm, self.linear, self.layout = nn.LayerNorm(4), nn.Linear(4, 6), layout

    def forward(self, x):
        return self.linear(self.norm(x.permute(0, 2, 3, 1)))


def shuffled(x, transposed=True):
    grouped = x.view(x.shape[0], 2, 2, *SIZE)
    swapped = grouped.transpose(1, 2) if transposed else grouped.permute(0, 2, 1, 3, 4)
    return swapped.contiguous().view(x.shape[0], 4, *SIZE)


LAST = (MapShape(SIZE, CHANNELS_LAST, 4), MapShape(SIZE, CHANNELS_LAST, 6))
STEPS: dict[str, tuple[Any, list[Any]]] = {
    "convolution": (
        nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (2, 3), groups=2),
        # Of 24 rows with a row on each side, 5 of which are read at once, every second; of 20 columns, 4 at once.
        [window((11, 17), channels=6, fields=fields((5, 2, 1), (4, 1, 0)), cost=6 * 2 * 3 * 2)],
    ),
    "same": (
        nn.Conv2d(4, 4, (4, 3), padding="same"),
        [window(SIZE, fields=fields((4, 1, 1), (3, 1, 1)), cost=4 * 4 * 12)],
    ),
    "valid": (
        nn.Conv2d(4, 4, (4, 3), padding="valid"),
        [window((21, 18), fields=fields((4, 1, 0), (3, 1, 0)), cost=192)],
    ),
    "transposed": (
        nn.ConvTranspose2d(4, 6, (4, 3), (2, 3), (1, 0), (1, 0), 2, dilation=(2, 1)),
        # An input reaches 2 * 3 + 1 rows, of which one is cut off ahead; the multiplications are those of an input.
        [
            window(
                (52, 60),
                channels=6,
                fields=up((2, 1, 6, -3, 1), (3, 0, 3, -1, 0)),
                crop=(7, 3),
                cost=4 * 3 * 12 * 480 // 3120,
            )
        ],
    ),
    "nearest": (
        nn.Upsample(scale_factor=(2, 3)),
        [window((48, 60), fields=up((2, 0, 2, 0, 0), (3, 0, 3, 0, 0)), crop=(0, 0))],
    ),
    "bilinear": (
        nn.Upsample(scale_factor=(2, 3), mode="bilinear"),
        [window((48, 60), fields=up((2, 2, 4, -1, 2), (3, 3, 6, -1, 3)), padding=EDGE, crop=(2, 3))],
    ),
    "bilinear to corners": (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), [everywhere((48, 40))]),
    "enlarged by a fraction": (nn.Upsample((36, 40)), [everywhere((36, 40))]),
    "norm": (nn.BatchNorm2d(4), [window(SIZE)]),
    "norm after a convolution": (
        nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        [window(SIZE, cost=16)],
    ),
    "norm after a relu": (
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
        [window(SIZE, cost=16), window(SIZE)],
    ),
    "relu of a sum": (lambda x: torch.relu(x + 0.5 * x), [window(SIZE), window(SIZE)]),
    "relu of a relu": (lambda x: torch.relu(torch.relu(x * 2)), [window(SIZE), window(SIZE)]),
    "sum that is read twice": (lambda x: torch.relu(y := x + 1) + y, [window(SIZE)] * 3),
    "maximum": (
        nn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), ceil_mode=True),
        [window((13, 18), fields=fields((3, 2, 1), (3, 1, 0)), padding=LOWEST)],
    ),
    "maximum without a stride": (
        nn.MaxPool2d(3),
        [window((8, 6), fields=fields((3, 3, 0), (3, 3, 0)), padding=LOWEST)],
    ),
    "average": (nn.AvgPool2d((2, 4), (2, 3), 1), [window((13, 7), fields=fields((2, 2, 1), (4, 3, 1)))]),
    "average without a stride": (nn.AvgPool2d((4, 5)), [window((6, 4), fields=fields((4, 4, 0), (5, 5, 0)))]),
    "average of what there is": (
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        [window((13, 11), fields=fields((3, 2, 1), (3, 2, 1)), factor=True)],
    ),
    "sum as an average": (
        nn.AvgPool2d(2, divisor_override=1),
        [window((12, 10), fields=fields((2, 2, 0), (2, 2, 0)), factor=True)],
    ),
    "average of blocks": (nn.AdaptiveAvgPool2d((6, 4)), [window((6, 4), fields=fields((4, 4, 0), (5, 5, 0)))]),
    "average of blocks of its size": (nn.AdaptiveAvgPool2d(SIZE), []),
    "average of unlike blocks": (nn.AdaptiveAvgPool2d((7, 4)), [everywhere((7, 4))]),
    "mean": (nn.AdaptiveAvgPool2d(1), [MEAN]),
    "mean of an axis": (lambda x: x.mean(2, keepdim=True), [everywhere((1, 20))]),
    "mean of channels": (lambda x: x.mean(1, keepdim=True), [window(SIZE, channels=1)]),
    "mean of all but images": (lambda x: x.mean((1, 2, 3), keepdim=True), [everywhere((1, 1), 1)]),
    "softmax": (lambda x: x.softmax(-3), [window(SIZE)]),
    "softmax of rows": (lambda x: x.softmax(2), [everywhere(SIZE)]),
    "gated": (lambda x: F.glu(x, 1), [window(SIZE, channels=2)]),
    "largest": (lambda x: x.amax((1,), keepdim=True), [window(SIZE, channels=1)]),
    "largest of pixels": (lambda x: x.amax((1, 2)), [WHOLE]),
    "sum of channels that go": (lambda x: x.sum(1), [WHOLE]),
    "halves": (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), [window(SIZE, channels=2)] * 2 + [window(SIZE)]),
    "rows cut": (lambda x: x[:, :, 3:-2:2], [window((10, 20), fields=fields((1, 2, -3), (1, 1, 0)))]),
    "columns cut": (lambda x: x[..., -7:], [window((24, 7), fields=fields((1, 1, 0), (1, 1, -13)))]),
    "channels cut": (lambda x: x[:, 1:3], [window(SIZE, channels=2)]),
    "all of it": (lambda x: x[:, :, :99], []),
    "channels last": (
        Norm(),
        [
            window(SIZE, axes=CHANNELS_LAST),
            window(SIZE, axes=CHANNELS_LAST),
            window(SIZE, channels=6, axes=CHANNELS_LAST, cost=24),
        ],
    ),
    "channels last cut": (
        lambda x: x.permute(0, 2, 3, 1)[:, 2:],
        [window(SIZE, axes=CHANNELS_LAST), everywhere((22, 20), axes=CHANNELS_LAST)],
    ),
    "channels last and back": (
        lambda x: x.permute(0, 2, 3, 1).mul(3).permute(0, 3, 1, 2),
        [window(SIZE, axes=CHANNELS_LAST)] * 2 + [window(SIZE)],
    ),
    "rows for columns": (lambda x: x.transpose(2, 3), [everywhere((20, 24))]),
    "channels to the end": (lambda x: x.transpose(1, -1), [everywhere((24, 4), 20)]),
    "shuffled": (shuffled, [window(SIZE)]),
    "shuffled otherwise": (lambda x: shuffled(x, transposed=False), [window(SIZE)]),
    "torch's shuffle": (lambda x: F.channel_shuffle(x, 2), [window(SIZE)]),
    "padded": (lambda x: F.pad(x, (1, 0, 2, -3)), [window((23, 21), fields=fields((1, 1, 2), (1, 1, 1)))]),
    "padded across": (lambda x: F.pad(x, (2, 1)), [window((24, 23), fields=fields((1, 1, 0), (1, 1, 2)))]),
    "padded with channels": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)), [window(SIZE, channels=7)]),
    "padded all round": (lambda x: F.pad(x, (1, 0, 0, 0, 1, 2)), [everywhere((24, 21), 7)]),
    "padded with ones": (lambda x: F.pad(x, (1, 0), value=1.0), [everywhere((24, 21))]),
    "padded by what is there": (nn.ReflectionPad2d((1, 0, 2, 0)), [everywhere((26, 21))]),
    "other numbers": (lambda x: x.bfloat16().to(x.dtype), [everywhere(SIZE)] * 2),
    "a copy": (lambda x: x.clone().contiguous().detach(), []),
    "dropped": (nn.Sequential(nn.Dropout(), nn.Dropout2d()), []),
    "scaled by channel": (lambda x: x * torch.arange(4.0, dtype=x.dtype)[:, None, None], [window(SIZE)]),
    "scaled by row": (lambda x: x * torch.arange(24.0, dtype=x.dtype)[:, None], [everywhere(SIZE)]),
    "scaled by column": (lambda x: x * torch.arange(20.0, dtype=x.dtype), [everywhere(SIZE)]),
    "joined": (lambda x: torch.cat([x, x * 2], -3), [window(SIZE), window(SIZE, channels=8)]),
    "joined below": (lambda x: torch.cat([x, x * 2], 2), [window(SIZE), everywhere((48, 20))]),
    "vectors joined": (
        lambda x: torch.cat([x.mean((2, 3)), x.mean((3, 2))], 1),
        [MEAN] * 2 + [WHOLE],
    ),
    "gate": (
        lambda x: x * torch.sigmoid(x.mean((2, 3)))[:, :, None, None],
        [MEAN, WHOLE, WHOLE, everywhere((1, 1)), everywhere(SIZE)],
    ),
    "gate of a pixel": (
        lambda x: x * x.mean((2, 3), keepdim=True),
        [MEAN, everywhere(SIZE)],
    ),
    "made of a vector": (
        lambda x: x.mean((2, 3))[:, :, None, None] * torch.ones(1, 1, 5, 1, dtype=x.dtype),
        [MEAN, WHOLE, everywhere((1, 1)), everywhere((5, 1))],
    ),
}


def described(step):
    return step.kind, step.map, step.fields, step.padding, step.crop, step.factor is not None, step.cost


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", STEPS)
def test_an_operation_by_itself(name):
    work, expected = STEPS[name]
    module, graph = captured(work)
    answers_agree(module, graph)
    image, conv, tanh, *steps = graph.steps
    assert [step.kind for step in (image, conv, tanh)] == ["input", "window", "window"]
    found = [described(step) for step in steps]
    assert found[: len(expected)] == expected
    assert all(step[:2] == ("whole", None) for step in found[len(expected) :])  # what leads to the head
    assert steps[-1].cost == steps[-1].multiplications == module.head.weight.numel()
    assert (conv.cost, conv.multiplications, tanh.cost) == (4 * 3, 4 * 3 * 24 * 20, 0)
    assert (image.layer, conv.layer, steps[-1].layer) == ("", "conv", "head")


def test_what_is_folded_into_a_convolution_or_a_sum():
    """A norm, where nothing else reads the convolution; and a ReLU, once, into what nobody else holds."""
    folded = {
        "norm and relu": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU()), [(Convolution, True)]),
        "relu": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()), [(Convolution, True)]),
        "no relu": (nn.Conv2d(4, 4, 1), [(Convolution, False)]),
        "sum": (lambda x: torch.relu(x + x * 2), [(CapturedCall, False), (CapturedCall, True)]),
        "difference": (lambda x: torch.relu(2 * x - x), [(CapturedCall, False), (CapturedCall, True)]),
        "a relu after": (lambda x: torch.relu(torch.sin(x)), [(CapturedCall, False), (CapturedCall, False)]),
    }
    for work, expected in folded.values():
        _, graph = captured(work)
        operators: list[Any] = [step.operator for step in graph.steps[3:] if step.kind == "window"]
        assert [(type(operator), operator.relu) for operator in operators] == expected


def test_dropping_that_goes_on_is_not_left_out():
    assert [step.kind for step in captured(lambda x: F.dropout(x, 0.5, True))[1].steps[3:4]] == ["everywhere"]


def test_the_work_of_what_is_no_map_is_counted_for_an_image():
    """Of a convolution of vectors, of one the other way, and of linear layers on every token."""

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.across, self.back = nn.Conv1d(4, 6, 5, stride=2), nn.ConvTranspose1d(6, 2, 3, stride=3)
            self.linear = nn.Linear(7, 5)

        def forward(self, x):
            return self.linear(self.back(self.across(x.mean(2)))[:, :, :21].unflatten(2, (3, 7)))

    steps = captured(Tokens())[1].steps
    costs = {step.layer.split(".")[-1]: step.multiplications for step in steps if step.cost}
    # 20 columns, 5 read at once, every second: 8; each of which reaches 3. Three times two tokens of seven numbers.
    assert costs == {
        "conv": 12 * 480,
        "across": 4 * 6 * 5 * 8,
        "back": 6 * 2 * 3 * 8,
        "linear": 7 * 5 * 2 * 3,
        "head": 60,
    }
