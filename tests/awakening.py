"""Networks with random weights that hear: else they answer the same to everything, and a comparison proves nothing."""

import numpy as np
import torch
from torch import nn

import iconoscope as ico
from iconoscope.occlusion.geometry import Cover

ENDS_OF_BRANCHES = ("bn3", "f.c.1")
"""Names of the last norm of a residual branch, in torchvision's ResNet-50 and RegNet."""


def awaken(module, pictures, covered):
    """Let norms see pictures, and scale the head until the probabilities before some covered pictures differ by over 0.1.

    Deep networks of random norms are chaotic: each layer blows up a difference, that of rounding too, until float32 itself is
    off by more than engines may differ. Trained ones are not; so residual branches begin small (Goyal et al. 2017), and norms
    leave most of what they pass on above zero, where a ReLU is a straight line.

    `pictures` are (n, channels, height, width) and `covered` likewise, one picture with the patch at several positions. Gives
    the module in evaluation mode.
    """
    with torch.no_grad():
        for name, each in module.named_modules():
            if isinstance(each, nn.modules.batchnorm._BatchNorm):
                ends = name.endswith(ENDS_OF_BRANCHES)
                each.weight.fill_(0.3 if ends else 1)
                each.bias.fill_(0 if ends else 0.5)
                each.momentum = None  # the plain mean over what is seen
                each.reset_running_stats()
                each.train()
        module(pictures)
        module.eval()
        head = [each for each in module.modules() if isinstance(each, nn.Linear)][-1]
        if not head.weight.any():
            nn.init.normal_(head.weight)
        answers = module.double()(covered.double())
        centre = answers.mean(0)
        low, high = 0.0, 1e6
        for _ in range(60):
            scale = (low + high) / 2
            spread = np.ptp(((answers - centre) * scale).softmax(1).numpy(), axis=0).max()
            low, high = (scale, high) if spread < 0.11 else (low, scale)
        head.bias.sub_(centre)
        head.weight.mul_(high)
        head.bias.mul_(high)
    return module.float()


def as_network(module, size, classes=1000):
    """Give a module as a network whose input is as it is given."""
    preprocessing = {"size": size, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(module, preprocessing=preprocessing, classes=list(map(str, range(classes))), device="cpu")


def covered_everywhere(image, grid):
    """Give the image with a patch of zeros at every position, (positions, channels, height, width)."""
    cover = Cover(torch.zeros_like(image))
    return torch.stack([cover.over(image, grid, position) for position in range(len(grid))])
