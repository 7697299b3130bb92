"""SqueezeNet 1.1 for ImageNet (Iandola et al. 2016), with the names of its layers as in torchvision's state dict.

It names its preprocessing, but not the thousand classes: give them as a file. Ask it with::

    iconoscope predict --network examples/squeezenet.py:squeezenet --checkpoint squeezenet1_1.safetensors \
        --classes classes.json --images photographs/
"""

from typing import ClassVar

import torch
from torch import nn


class Fire(nn.Module):
    """Squeeze to few channels, then expand by 1x1 and by 3x3 convolutions side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give maps with twice `expanded` channels."""
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], dim=1
        )


class SqueezeNet(nn.Module):
    """Version 1.1: a convolution, eight Fire modules, and a 1x1 convolution as the classifier."""

    preprocessing: ClassVar = {
        "size": 227,
        "resize": 256,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "bilinear",
        "crop": "center",
    }

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            Fire(512, 64, 256),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(512, 1000, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits (images, 1000) for images (images, 3, height, width)."""
        return self.classifier(self.features(x))


def squeezenet() -> SqueezeNet:
    """Build the network; the weights come from a checkpoint."""
    return SqueezeNet()
