"""What a captured network becomes: which steps, of what kind, how many multiplications; and what a chunk paints and reads."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from iconoscope.occlusion.dense import scan_dense
from iconoscope.occlusion.fills import patch_means, read_fill
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental import exact, scan_exact
from iconoscope.occlusion.incremental.instructions import make_instructions
from iconoscope.occlusion.incremental.plan import make_plan
from iconoscope.occlusion.incremental.windows import arrange_windows, whole_maps
from iconoscope.subject.captured.capture import capture
from iconoscope.subject.captured.graph import run_graph
from tests.networks import Doing


class Worked(nn.Module):
    """A convolution, some work on its maps, a linear layer on their means."""

    def __init__(self, work: Any) -> None:
        super().__init__()
        self.conv, self.work, self.head = nn.Conv2d(3, 4, 3, padding=1), work, nn.LazyLinear(2)

    def forward(self, x):
        return self.head(self.work(torch.relu(self.conv(x))).mean((2, 3)))


def captured(work, size=(12, 10)):
    torch.manual_seed(0)
    module = Worked(work if isinstance(work, nn.Module) else Doing(work))
    module.eval()
    with torch.no_grad():
        module(torch.zeros(1, 3, *size))
    graph = capture(module, torch.zeros(3, *size))
    batch = torch.randn(3, 3, *size)
    with torch.no_grad():
        found = run_graph(graph, batch)[graph.output]
        assert torch.allclose(found, module(batch), atol=1e-5)
    return graph


def kinds(work):
    return [step.kind for step in captured(work).steps]


PLAIN = ["input", "window", "mean", "whole"]


@pytest.mark.parametrize("drop", [nn.Dropout(), nn.Dropout2d(), nn.Identity()], ids=str)
def test_what_does_nothing_is_no_step(drop):
    assert kinds(drop) == PLAIN


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda x: torch.cat([x, x + 1], 1), "window"),
        (lambda x: torch.cat([x, F.max_pool2d(x, 3, 1, 1)], 1), "window"),
        (lambda x: x + x.mean((2, 3), keepdim=True), "everywhere"),  # a gate
        (lambda x: x * torch.sigmoid(x.mean((2, 3))[:, :, None, None]), "everywhere"),
    ],
)
def test_what_pixels_depend_on(work, expected):
    assert captured(work).steps[-3].kind == expected


def half_in_place(x):
    first, second = x.clone().chunk(2, 1)
    first.add_(1)
    return torch.cat([first, second], 1)


def test_a_part_of_a_map_that_is_written_in_place():
    captured(half_in_place)
    captured(lambda x: (part := x.clone()[:, :2].mul_(3)) + part)


def test_the_work_of_a_pass_is_counted():
    """Of a convolution of 3 x 3 on 12 x 10 pixels, from 3 to 4 channels, and of a linear layer."""
    module = Worked(nn.Identity())
    module(torch.zeros(1, 3, 12, 10))
    preprocessing = {"size": (12, 10), "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop": "none"}
    network = ico.load_network(module.eval(), preprocessing=preprocessing, classes=["a", "b"], device="cpu")
    with network.questioned():
        assert exact._work(network, torch.zeros(3, 12, 10)) == 12 * 10 * 9 * 3 * 4 + 4 * 2
    assert capture(module, torch.zeros(3, 12, 10)).multiplications == 12 * 10 * 9 * 3 * 4 + 4 * 2


def test_every_position_has_its_own_colour_in_every_engine(monkeypatch):
    monkeypatch.setattr(exact, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(exact, "LEAST_WORK", 0.0)
    size = (26, 22)
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 3, 2), nn.Flatten(), nn.LazyLinear(2)
    )
    module(torch.zeros(1, 3, *size))
    preprocessing = {"size": size, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    network = ico.load_network(module.eval(), preprocessing=preprocessing, classes=["a", "b"], device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = network.preprocessing.normalise(picture[None])[0]
    grid = make_grid(size, patch=(5, 4), stride=(4, 3))
    cover = read_fill("patch-mean", network.preprocessing).cover(picture, network.preprocessing, grid, 0)
    assert cover.colours is not None and cover.colours.shape == (*grid.shape, 3)
    means = torch.from_numpy(patch_means(picture, grid)).float()
    assert torch.allclose(cover.colours, (means - 0.5) / 0.25, atol=1e-5)
    with network.questioned(), torch.inference_mode():
        unit = network.resolve("logit:a")
        found = scan_exact(network, image, cover, grid, unit)
        assert found.plan.startswith("exact"), found.plan
        for position in range(len(grid)):
            rows, columns = grid.window(position)
            covered = image.clone()
            covered[:, rows, columns] = cover.colours.reshape(-1, 3)[position][:, None, None]
            plain = network.logits(covered[None])[0].numpy()
            assert np.allclose(found.occluded.reshape(len(grid), -1)[position], plain, atol=1e-5)
        assert np.allclose(scan_dense(network, image, cover, grid, unit).occluded, found.occluded, atol=1e-5)


def test_the_indices_of_a_chunk_are_counted_in_bytes():
    graph = captured(nn.MaxPool2d(3, 1, 1))
    plan = make_plan(graph, make_grid((12, 10), patch=3, stride=3), memory=1 << 30)
    for colours in (False, True):
        for instruction in make_instructions(plan, plan.chunks[0], colours=colours, device=torch.device("cpu")):
            indices = [gather.index for gather in instruction.gathers if gather]
            indices += [] if instruction.index is None else [instruction.index]
            assert instruction.bytes == sum(index.numpy().nbytes for index in indices)


def test_windows_are_whole_only_if_they_are_the_map():
    shape = next(step.map for step in captured(nn.Identity()).steps if step.map is not None)
    plan = make_plan(captured(nn.Identity()), make_grid((12, 10), patch=2, stride=4), memory=1 << 30)
    down, across = plan.changed[plan.graph.steps[0].name]
    assert not arrange_windows(shape, down, across, 10**9).whole and whole_maps(shape, 3).whole
    assert Cover().colours is None
