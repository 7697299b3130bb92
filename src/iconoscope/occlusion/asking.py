"""What is decided alike by every technique that asks about one image after another."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from iconoscope.errors import IconoscopeWarning
from iconoscope.subject.images import Image
from iconoscope.subject.network import Network
from iconoscope.subject.unit import Unit

if TYPE_CHECKING:
    import torch

__all__ = ["is_one", "say_unlabelled", "unit_of"]


def is_one(images: Any) -> bool:
    """Tell one image from a set of one, by what was given: an `Image`, a PIL image, or pixels without an axis for images."""
    return isinstance(images, Image) or hasattr(images, "getexif") or getattr(images, "ndim", 4) <= 3


def unit_of(network: Network, image: torch.Tensor, label: int) -> tuple[Unit, str]:
    """Give the unit that an image (3, height, width) is asked about where none is named, and why that one.

    It is the probability of its label's class or, where `label` is -1, of the class that the network predicts.
    """
    if label >= 0:
        return network.class_unit("prob", label), "label"
    predicted = int(network.logits(image[None].to(network.device))[0].argmax())
    return network.class_unit("prob", predicted), "prediction"


def say_unlabelled(origins: Sequence[str]) -> None:
    """Warn where some of the images, but not all, were asked about what the network predicts."""
    unlabelled = sum(origin == "prediction" for origin in origins)
    if 0 < unlabelled < len(origins):
        warnings.warn(
            f"{unlabelled} of {len(origins)} images have no label that the network knows: they were asked about the class "
            "that it predicts.",
            IconoscopeWarning,
            stacklevel=3,
        )
