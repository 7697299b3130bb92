"""The network that tells two makes of car apart. Two sets of weights come with it: ``cars`` and ``cars-honest``."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["CarNetwork", "car_network"]


class CarNetwork(nn.Module):
    """Four convolutions, each normalised and rectified, the mean over all places, and a linear layer on top.

    It takes images (n, 3, 96, 96), normalised, and gives the logits (n, 2) of lynx and bison. Other sizes work too.

    Examples
    --------
    >>> CarNetwork().eval()(torch.zeros(5, 3, 96, 96)).shape
    torch.Size([5, 2])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=5, stride=2, padding=2, bias=False)  # 48 x 48
        self.bn1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1, bias=False)  # 24 x 24
        self.bn2 = nn.BatchNorm2d(32)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(32, 48, kernel_size=3, stride=2, padding=1, bias=False)  # 12 x 12
        self.bn3 = nn.BatchNorm2d(48)
        self.relu3 = nn.ReLU()
        self.conv4 = nn.Conv2d(48, 64, kernel_size=3, padding=1, bias=False)  # 12 x 12
        self.bn4 = nn.BatchNorm2d(64)
        self.relu4 = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(64, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Give the logits (n, 2) of a batch of images (n, 3, height, width)."""
        x = self.relu1(self.bn1(self.conv1(images)))
        x = self.relu2(self.bn2(self.conv2(x)))
        x = self.relu3(self.bn3(self.conv3(x)))
        x = self.relu4(self.bn4(self.conv4(x)))
        return self.head(self.flatten(self.pool(x)))


def car_network() -> CarNetwork:
    """Make the network with random weights."""
    return CarNetwork()
