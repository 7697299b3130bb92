"""ResNet-20 for CIFAR-10 (He, Zhang, Ren and Sun 2016, "Deep Residual Learning for Image Recognition", section 4.2).

The state dict is laid out as ``conv1``, ``bn1``, ``layer{1,2,3}.{0,1,2}.{conv1,bn1,conv2,bn2}``, ``linear``. Ask it with::

    iconoscope predict --network examples/resnet20.py:resnet20 --checkpoint resnet20_cifar10.safetensors --images test.parquet
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights (option A of the paper)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.added = channels - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the block's answer to its input; where the map shrinks, the input gives every second pixel."""
        shortcut = x[:, :, :: self.stride, :: self.stride]
        # New channels are zero, half of them before and half behind the old ones.
        shortcut = F.pad(shortcut, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + shortcut)


class ResNet20(nn.Module):
    """Three stages of three blocks, 16, 32 and 64 channels wide."""

    preprocessing: ClassVar = {
        "size": 32,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "bilinear",
        "crop": "none",
    }
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits (images, 10) for images (images, 3, 32, 32)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def resnet20() -> ResNet20:
    """Build the network; the weights come from a checkpoint."""
    return ResNet20()
