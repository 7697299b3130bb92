"""What several tests need: a planted network whose truth is known, and the real data where they are."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import nn

import iconoscope as ico

ROOT = Path(__file__).parent.parent

settings.register_profile(
    "without deadline", deadline=None
)  # how long an example takes hangs on what else the machine does
settings.load_profile("without deadline")


class Planted(nn.Module):
    """Looks at nothing but rows 4..11 and columns 8..15: the logit of `seen` is three times the mean red there."""

    preprocessing = {"size": 24, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"}  # noqa: RUF012
    classes = ("seen", "unseen", "third class")

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([[1.0, 0, 0], [0, -1.0, 0]])[..., None, None])

    def forward(self, x):
        maps = self.relu(self.features(x))
        seen = 3 * maps[:, :1, 4:12, 8:16].mean((2, 3))
        return torch.cat([seen, torch.ones_like(seen), torch.zeros_like(seen)], 1)


@pytest.fixture(autouse=True)
def no_open_figures():
    """Close what a test has drawn with pyplot: the next one may count figures."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture
def planted():
    return ico.load_network(Planted(), device="cpu")


@pytest.fixture
def bright():
    """A bright, slightly uneven picture of the planted network's size."""
    return np.random.default_rng(0).integers(180, 256, (24, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def data():
    for place in (os.environ.get("ICONOSCOPE_DATA"), ROOT.parent / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("the real networks and images are not here: neither ICONOSCOPE_DATA nor ../shared/data is a folder")


@pytest.fixture(scope="session")
def torchvision_models():
    """torchvision's networks. Beside a torch for CPUs alone it can be imported only where two of its operators are declared."""
    declared = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import models

    yield models
    del declared


@pytest.fixture(scope="session")
def resnet20(data):
    return ico.load_network(
        f"{ROOT / 'examples' / 'resnet20.py'}:resnet20",
        checkpoint=data / "weights" / "resnet20_cifar10.safetensors",
        device="cpu",
    )


@pytest.fixture(scope="session")
def squeezenet(data):
    return ico.load_network(
        f"{ROOT / 'examples' / 'squeezenet.py'}:squeezenet",
        checkpoint=data / "weights" / "squeezenet1_1.safetensors",
        classes=data / "imagenet" / "classes.json",
        device="cpu",
    )


@pytest.fixture(scope="session")
def photographs(data):
    """The 125 ImageNet photographs; the first three digits of a name are its class."""
    images = ico.load_images(data / "imagenet" / "images")
    return ico.load_images(images, labels=[int(name[:3]) for name in images.ids])
