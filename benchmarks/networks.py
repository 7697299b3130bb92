"""Two large networks to measure speed on. Their weights are random, so they are woken up before anything is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["VGG16", "ResNet18", "awaken"]

LIVELY = 0.2
"""The range of a target's probability over the positions of a patch, from which on a network is no longer deaf."""

SCALES = 1.25 ** torch.arange(0, 40)
"""What logits are multiplied with, tried one after another: the least that will do, as it enlarges rounding too."""


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, with a 1x1 convolution where the map shrinks (option B of the paper)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Sequential()
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the block's answer to its input."""
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.downsample(x))


class ResNet18(nn.Module):
    """ResNet-18 (He, Zhang, Ren and Sun 2016), with the names of its layers as in torchvision's state dict."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))
        self.fc = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits (images, classes) for images (images, 3, height, width)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class VGG16(nn.Module):
    """VGG16 without batch norm (Simonyan and Zisserman 2015), with the names of its layers as in torchvision's state dict."""

    STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for stage in self.STAGES:
            for channels in stage:
                layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = channels
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits (images, classes) for images (images, 3, 224, 224)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@torch.no_grad()
def awaken(module: nn.Module, pictures: torch.Tensor, *, patch: int, seed: int = 0) -> float:
    """Draw weights with which a network answers differently to different pictures, and to a patch on the first of them.

    With random weights a network is deaf: it gives the same answer to everything, and any engine agrees with any other. So
    weights are drawn for ReLU (He et al. 2015); then the pictures pass once, and every layer's answer gets the variance 1, by
    the statistics of its batch norm or else by its own weights (Mishkin and Matas 2016, "All you need is a good init"). What
    the head answers to all pictures alike is taken off, and the head is multiplied until the probability of the class that is
    predicted for the first picture varies enough as a patch of zeros goes over it.

    Every layer is scaled as a whole. A mean and a variance for each channel would make the network livelier, but from few
    pictures some are so small that rounding is blown up with them: float32 then errs by 4e-5 where it does by 2e-6 like this.

    Parameters
    ----------
    module
        Made of convolutions, batch norms and linear layers, the last of which answers logits. It is left in evaluation mode.
    pictures
        (n, 3, height, width), in the network's input space; several, and different.
    patch
        Side of the patch, pixels.
    seed
        Of the weights.

    Returns
    -------
    float
        By how much the probability varies over positions two patches apart.

    Raises
    ------
    ValueError
        If the network stays deaf.
    """
    _draw(module, seed)
    with _settling(module):
        module(pictures)
    head = [each for each in module.modules() if isinstance(each, nn.Linear)][-1]
    head.bias.sub_(module(pictures).mean(0))
    logits = torch.cat([module(each[None]) for each in [pictures[0], *_covered(pictures[0], patch)]])
    target = int(logits[0].argmax())
    for scale in SCALES:
        found = (scale * logits).softmax(1)[1:, target]
        if found.max() - found.min() > LIVELY:
            for parameter in head.parameters():
                parameter.mul_(scale)
            return float(found.max() - found.min())
    raise ValueError(f"{type(module).__name__} stays deaf: no patch of {patch} pixels moves its answer.")


def _draw(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for each in module.modules():
        if isinstance(each, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(each.weight, generator=generator)
            if each.bias is not None:
                each.bias.zero_()


@contextmanager
def _settling(module: nn.Module) -> Iterator[None]:
    """Let every layer give what passes the variance 1; batch norms do it channel by channel."""
    hooks = []
    module.eval()
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.reset_running_stats()
            each.momentum = None  # the mean over all batches, of which there is one
            each.train()
        elif isinstance(each, nn.Conv2d | nn.Linear) and each.bias is not None:
            hooks.append(each.register_forward_hook(_scale(each)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        module.eval()


def _scale(layer: nn.Conv2d | nn.Linear) -> Callable[[nn.Module, object, torch.Tensor], torch.Tensor]:
    def hook(_module: nn.Module, _inputs: object, answer: torch.Tensor) -> torch.Tensor:
        deviation = answer.std().clamp_min(1e-6)
        for parameter in layer.parameters():
            parameter.div_(deviation)
        return answer / deviation

    return hook


def _covered(picture: torch.Tensor, patch: int) -> Iterator[torch.Tensor]:
    for top in range(0, picture.shape[1] - patch + 1, 2 * patch):
        for left in range(0, picture.shape[2] - patch + 1, 2 * patch):
            covered = picture.clone()
            covered[:, top : top + patch, left : left + patch] = 0
            yield covered
