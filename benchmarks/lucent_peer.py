"""torch-lucent (0.1.8), as its users call it: ``render_vis`` with its own transforms and parameterization.

It is made for older versions of what it stands on: two names of kornia have moved, torchvision wants two operators that a torch
for processors alone lacks, and it imports IPython to show pictures. All three are put in place here, for it alone.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

__all__ = ["Lucent"]

MOVED = ("get_rotation_matrix2d", "warp_affine")


class Lucent:
    """The peer, ready to be asked."""

    def __init__(self) -> None:
        self._declared = _declare()
        for name in ("IPython", "IPython.display"):
            sys.modules.setdefault(name, ModuleType(name))
        sys.modules["IPython"].display = sys.modules["IPython.display"]  # pyright: ignore[reportAttributeAccessIssue]
        kornia, moved = importlib.import_module("kornia"), importlib.import_module("kornia.geometry.transform")
        for name in MOVED:
            setattr(kornia, name, getattr(moved, name))
        self._param: Any = importlib.import_module("lucent.optvis.param")
        self._render: Any = importlib.import_module("lucent.optvis.render")
        self._objectives: Any = importlib.import_module("lucent.optvis.objectives")

    def run(
        self, module: nn.Module, layer: str, channel: int, *, size: int, batch: int, steps: int, seed: int = 0
    ) -> NDArray[np.float32]:
        """Make pictures (batch, size, size, 3) of 0..1 of a channel of a layer; the network is shown them at that size.

        What is given is as of `course`, but for one number of steps.
        """
        return self.course(module, layer, channel, size=size, batch=batch, steps=(steps,), seed=seed)[-1]

    def course(
        self, module: nn.Module, layer: str, channel: int, *, size: int, batch: int, steps: Sequence[int], seed: int = 0
    ) -> list[NDArray[np.float32]]:
        """Make pictures (batch, size, size, 3) of 0..1 in one run, and give them as they are after each number of steps.

        Parameters
        ----------
        module
            The network, with ImageNet's mean and standard deviation, which lucent's preprocessing has.
        layer
            In its own names, with ``_`` for dots; ``labels`` is what the network answers.
        channel
            The channel or class.
        size
            Side, pixels. lucent would enlarge small pictures to 224; it is kept from that, in its favour.
        batch, steps, seed
            How many pictures, after how many steps, and the seed of its global random numbers.
        """
        torch.manual_seed(seed)
        np.random.seed(seed)
        found = self._render.render_vis(
            module,
            self._objectives.channel(layer, channel),
            lambda: self._param.image(size, batch=batch),
            thresholds=tuple(steps),
            progress=False,
            show_image=False,
            fixed_image_size=size,
        )
        return list(found)


def _declare() -> Any:
    if "torchvision" in sys.modules:
        return None
    declared = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return declared
