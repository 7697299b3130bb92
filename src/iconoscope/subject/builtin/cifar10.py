"""A small residual network for CIFAR-10 (Krizhevsky 2009): airplanes, birds, trucks and seven other things of 32x32 pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Block", "CifarNetwork", "cifar_network"]


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which has a 1x1 convolution where the map shrinks (He et al. 2016)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions answer to the input."""
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class CifarNetwork(nn.Module):
    """Four blocks, 32 to 144 channels wide, the mean over all places, and a linear layer on top.

    It takes images (n, 3, 32, 32), normalised, and gives the logits (n, 10). Other sizes work too.

    Examples
    --------
    >>> CifarNetwork().eval()(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.block1 = Block(32, 32, 1)  # 32 x 32
        self.block2 = Block(32, 64, 2)  # 16 x 16
        self.block3 = Block(64, 128, 2)  # 8 x 8
        self.block4 = Block(128, 144, 1)  # 8 x 8
        self.linear = nn.Linear(144, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Give the logits (n, 10) of a batch of images (n, 3, height, width)."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = self.block4(self.block3(self.block2(self.block1(x))))
        return self.linear(x.mean((2, 3)))


def cifar_network() -> CifarNetwork:
    """Make the network with random weights."""
    return CifarNetwork()
