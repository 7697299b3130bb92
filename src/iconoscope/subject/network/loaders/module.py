"""A module that is given as an object: what its library has written on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iconoscope.subject.network.loaders.loaded import Loaded

if TYPE_CHECKING:
    from torch import nn

__all__ = ["configured"]


def configured(module: nn.Module) -> Loaded:
    """Read the configuration that a network of timm or transformers carries; of any other there is none to read.

    A network of transformers knows its classes, but not how its images are treated: that is its processor's, and must be given.
    """
    library = type(module).__module__.partition(".")[0]
    if library == "timm" and getattr(module, "pretrained_cfg", None):
        from iconoscope.subject.network.loaders.timm import configuration_of

        preprocessing, classes = configuration_of(module)
        return Loaded(
            module, preprocessing=preprocessing, classes=classes, origin="timm's configuration of it", trained=True
        )
    names = getattr(getattr(module, "config", None), "id2label", None)
    if library == "transformers" and names:
        return Loaded(module, classes=dict(names), origin="its configuration's id2label", trained=True)
    return Loaded(module, trained=True)
