"""The recipe of the documentation for one's own training loop, as it is written there."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import nn

import iconoscope as ico

PAGE = (Path(__file__).parents[2] / "docs" / "figures.md").read_text(encoding="utf-8")


class Writer:
    """As TensorBoard's SummaryWriter: it is given figures, with their names and steps."""

    def __init__(self):
        self.pictures = {}

    def add_figure(self, tag, figure, global_step=None, close=True):
        assert isinstance(figure, Figure)
        figure.canvas.draw()
        self.pictures[tag, global_step] = np.asarray(figure.canvas.buffer_rgba()).copy()  # type: ignore
        if close:
            plt.close(figure)


@pytest.fixture
def train():
    (recipe,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def train" in block)
    scope = {"torch": torch}
    exec(recipe, scope)
    return scope["train"]


def trained(train, writer):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    pixels, targets = torch.rand(8, 3, 16, 16), torch.arange(8) % 2
    how = {"size": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    image = ico.load_images(np.full((1, 16, 16, 3), 99, np.uint8), labels=["b"])[0]
    train(module, [(pixels, targets)] * 3, image, writer, epochs=2, classes=["a", "b"], preprocessing=how)
    return module


def test_every_epoch_has_its_figures_and_training_goes_on_as_without(train, monkeypatch):
    open_before = plt.get_fignums()
    writer = Writer()
    asked = trained(train, writer)
    assert set(writer.pictures) == {
        (f"iconoscope/{name}", epoch) for name in ("occlusion", "optimised") for epoch in (0, 1)
    }
    for name in ("occlusion", "optimised"):
        first, second = (writer.pictures[f"iconoscope/{name}", epoch] for epoch in (0, 1))
        assert first.std() > 10 and (first.shape != second.shape or (first != second).any())
    assert plt.get_fignums() == open_before and asked.training
    monkeypatch.setitem(train.__globals__, "log_figures", lambda *arguments: None)
    for name, weight in trained(train, writer).state_dict().items():
        assert torch.equal(weight, asked.state_dict()[name]), name


def test_tensorboard_takes_the_figures(train, tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard", exc_type=ImportError)
    with tensorboard.SummaryWriter(tmp_path) as writer:
        trained(train, writer)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 10_000
