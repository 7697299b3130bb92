"""Two passes of a few images against torch.export: the same steps, and a way back to it where two passes cannot tell."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.networks import ResNet18
from iconoscope.subject.captured import capture as capturing
from iconoscope.subject.captured.capture import capture
from iconoscope.subject.captured.graph import Graph, run_graph
from iconoscope.subject.captured.tracing import TraceError, trace
from tests.networks import Doing, Small

SIZE = (12, 10)


def steps_of(graph: Graph) -> list[tuple[Any, ...]]:
    """All of the steps but their names, which each way gives as it likes."""
    return [
        (step.kind, type(step.operator), len(step.inputs), step.map, step.fields, step.padding, step.crop, step.cost,
         step.bytes, step.layer, step.by_image)
        for step in graph.steps
    ]  # fmt: skip


def exported(module: nn.Module, image: torch.Tensor) -> Graph:
    with torch.no_grad():
        return capturing._graph(capturing._exported(module, image))


class Attending(nn.Module):
    """Patches of a picture with a token in front, which attend to each other: lengths that hang on the images everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.token = nn.Conv2d(3, 8, 2, stride=2), nn.Parameter(torch.randn(1, 1, 8))
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 2)

    def forward(self, x):
        patches = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), patches], 1)
        count, length, width = tokens.shape
        q, k, v = self.qkv(tokens).view(count * length, 3, 2, width // 2).view(count, length, 3, 2, -1).unbind(2)
        mixed = F.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (q, k, v)))
        return self.head(mixed.transpose(1, 2).reshape(count, length, width)[:, 0])


class Shifting(nn.Module):
    """What torch.export decides by the number of images: a convolution over all, shuffled channels, parts, padding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=(1, 0), stride=(1, 2), bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        first, second = F.relu_(self.norm(self.conv(x))).chunk(2, 1)
        shuffled = F.channel_shuffle(torch.cat([first * 2, second], 1), 2)
        return self.head(F.pad(F.max_pool2d(shuffled, 2, ceil_mode=True), (1, 0, 0, 1)).mean((2, 3)))


@pytest.mark.parametrize("make", [Attending, Shifting, Small, ResNet18], ids=lambda make: make.__name__)
def test_steps_are_those_of_torch_export_and_answer_as_the_network_does(make, monkeypatch):
    torch.manual_seed(0)
    module = make().eval()
    size = (32, 32) if make is ResNet18 else SIZE
    expected = exported(module, torch.zeros(3, *size))
    monkeypatch.setattr(torch.export, "export", lambda *_, **__: pytest.fail("two passes are enough here"))
    graph = capture(module, torch.zeros(3, *size))
    assert steps_of(graph) == steps_of(expected)
    for count in (1, 5):
        batch = torch.randn(count, 3, *size)
        with torch.no_grad():
            assert torch.allclose(run_graph(graph, batch)[graph.output], module(batch), atol=1e-5)


REFUSED = {
    "a number of the picture": lambda x: x * float(x.mean()),
    "numpy's number of the picture": lambda x: x * float(x.numpy(force=True).mean()),
    "a choice by a list of numbers": lambda x: x if max(x.std((1, 2, 3)).tolist()) > 0.3 else -x,
    "a choice by an array of numbers": lambda x: x if x.std((1, 2, 3)).detach().numpy().max() > 0.3 else -x,
    "a choice by the picture": lambda x: x if x.sum() > 3 else -x,
    "a choice by the number of images": lambda x: x if len(x) > 2 else -x,
    "more than a multiple of the images": lambda x: F.pad(x, (0, 0, 0, 0, 0, 0, 0, 1))[: len(x) + 1][:-1],
    "what is not zero": lambda x: x[:, :, 0, 0][x[:, :, 0, 0] > -5].view(len(x), -1),
}


@pytest.mark.parametrize("work", REFUSED.values(), ids=REFUSED)
def test_what_hangs_on_what_is_shown_or_on_how_much_is_refused(work):
    with pytest.raises(TraceError):
        trace(Doing(work), torch.zeros(3, *SIZE))


def test_maps_that_are_too_large_to_be_held_are_refused(monkeypatch):
    monkeypatch.setattr("iconoscope.subject.captured.tracing.LARGEST", 10_000)
    with pytest.raises(TraceError, match="too large"):
        trace(Small().eval(), torch.zeros(3, *SIZE))


def test_what_the_network_keeps_is_never_written_into():
    kept = torch.ones(3, 1, 1)
    for work in (lambda x: x + kept.add_(1), lambda x: x + kept.view(-1)[:1].mul_(2), lambda x: x + kept.copy_(x[0])):
        with pytest.raises(TraceError):
            trace(Doing(work), torch.zeros(3, 1, 1))
    assert (kept == 1).all()


def test_no_hook_stays_behind_whatever_comes():
    from torch.nn.modules import module as modules

    before = len(modules._global_forward_hooks), len(modules._global_forward_pre_hooks)
    with pytest.raises(TraceError):
        trace(Doing(lambda x: x if x.sum() > 3 else -x), torch.zeros(3, *SIZE))
    assert (len(modules._global_forward_hooks), len(modules._global_forward_pre_hooks)) == before
