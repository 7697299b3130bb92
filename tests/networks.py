"""Small networks of random weights that several tests ask."""

from typing import Any

import torch
from torch import nn


class Small(nn.Module):
    """A convolution and a head of two classes."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


class Doing(nn.Module):
    """Does what it is given, as a module."""

    def __init__(self, work: Any) -> None:
        super().__init__()
        self.work = work

    def forward(self, x):
        return self.work(x)


def half_in_training() -> nn.Sequential:
    """Give a network of three classes that is in training mode, but for its second convolution."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    module.train()
    module[4].eval()
    return module
