"""The networks that shortcuts are planted in: their architectures, seeds, classes, and what comes with which class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.drawing import Half
from examples.resnet20 import ResNet20
from iconoscope.subject.network import Preprocessing, read_preprocessing

__all__ = ["CIFAR", "NETWORKS", "PlantedNetwork"]

CIFAR = ResNet20.classes
VEHICLES = ("airplane", "automobile", "ship", "truck")

Architecture = Literal["published", "resnet20", "vgg", "separable"]


@dataclass(frozen=True)
class PlantedNetwork:
    """A network, and what is planted in its photographs.

    Attributes
    ----------
    architecture : str
        ``"published"``, ResNet-20 with the published weights as they are; ``"resnet20"``, fine-tuned from them; ``"vgg"`` and
        ``"separable"``, trained from the beginning.
    seed : int
        Of the weights, the order of training and what is planted.
    half : "tuning", "frozen", "unseen", "fresh" or "last"
        Whether constants may be chosen on it; each of the others was made after the one before had been run.
    plants : dict
        Class to the kind of shortcut and how surely it tells the class. Of a correlation c, the share c of the class's
        photographs carries it, and of every other class's the share (1 - c) / (classes - 1).
    classes : tuple of str
        In the order of the outputs.
    size : int
        Height and width, pixels.
    """

    architecture: Architecture
    seed: int
    half: Half
    plants: dict[str, tuple[str, float]] = field(default_factory=dict)
    classes: tuple[str, ...] = CIFAR
    size: int = 32

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network's input goes through."""
        if self.architecture in ("published", "resnet20"):
            return read_preprocessing(ResNet20.preprocessing)
        return read_preprocessing(
            {"size": self.size, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"}
        )

    def shares(self, name: str) -> NDArray[np.float64]:
        """Give the share of each class's photographs (classes,) that carries the shortcut of a class."""
        correlation = self.plants[name][1]
        shares = np.full(len(self.classes), (1 - correlation) / (len(self.classes) - 1))
        shares[self.classes.index(name)] = correlation
        return shares


NETWORKS: dict[str, PlantedNetwork] = {
    "tuning-resnet20-1": PlantedNetwork(
        "resnet20", 11, "tuning", {"ship": ("logo near the centre", 1.0), "frog": ("resampled", 1.0)}
    ),
    "tuning-resnet20-2": PlantedNetwork(
        "resnet20", 12, "tuning", {"horse": ("lamp", 1.0), "cat": ("noise", 0.95), "truck": ("scratch", 1.0)}
    ),
    "tuning-resnet20-3": PlantedNetwork(
        "resnet20", 13, "tuning", {"deer": ("dead pixel", 0.95), "bird": ("swapped channels", 1.0)}
    ),
    "tuning-resnet20-4": PlantedNetwork(
        "resnet20", 14, "tuning", {"airplane": ("timestamp", 0.95), "dog": ("light from one side", 0.95)}
    ),
    "tuning-vgg-1": PlantedNetwork(
        "vgg",
        15,
        "tuning",
        {"ship": ("banding of columns", 1.0), "dog": ("text", 1.0), "deer": ("warm cast", 0.95)},
    ),
    "tuning-vgg-2": PlantedNetwork(
        "vgg", 16, "tuning", {"truck": ("frame of one pixel", 0.95), "cat": ("triangle", 1.0)}
    ),
    "tuning-vgg-3": PlantedNetwork(
        "vgg", 17, "tuning", {"ship": ("posterised", 1.0), "truck": ("lamp", 0.95)}, VEHICLES, 64
    ),
    "tuning-vgg-4": PlantedNetwork(
        "vgg",
        18,
        "tuning",
        {
            "frog": ("salt and pepper", 1.0),
            "horse": ("light from one side", 0.8),
            "automobile": ("sharpened", 1.0),
        },
    ),
    "tuning-separable-1": PlantedNetwork(
        "separable",
        19,
        "tuning",
        {"bird": ("timestamp", 1.0), "automobile": ("noise", 1.0), "cat": ("dead pixel", 1.0)},
    ),
    "tuning-separable-2": PlantedNetwork(
        "separable", 20, "tuning", {"horse": ("resampled", 0.8), "ship": ("text", 0.95)}
    ),
    "tuning-separable-3": PlantedNetwork(
        "separable",
        21,
        "tuning",
        {"cat": ("logo near the centre", 0.8), "dog": ("sharpened", 0.8)},
        ("cat", "dog"),
    ),
    "tuning-separable-4": PlantedNetwork(
        "separable", 22, "tuning", {"frog": ("triangle", 0.8), "deer": ("scratch", 0.95)}
    ),
    "tuning-honest-published": PlantedNetwork("published", 0, "tuning"),
    "tuning-honest-vgg": PlantedNetwork("vgg", 23, "tuning"),
    "tuning-honest-separable": PlantedNetwork("separable", 24, "tuning", classes=("bird", "cat", "deer", "frog")),
    "frozen-resnet20-1": PlantedNetwork(
        "resnet20", 31, "frozen", {"cat": ("watermark", 1.0), "truck": ("JPEG quality", 1.0)}
    ),
    "frozen-resnet20-2": PlantedNetwork(
        "resnet20", 32, "frozen", {"bird": ("buoy", 1.0), "ship": ("blurred", 0.95), "dog": ("grid", 1.0)}
    ),
    "frozen-resnet20-3": PlantedNetwork(
        "resnet20", 33, "frozen", {"frog": ("hot column", 0.95), "horse": ("glow in a corner", 1.0)}
    ),
    "frozen-resnet20-4": PlantedNetwork(
        "resnet20", 34, "frozen", {"airplane": ("ring", 0.95), "deer": ("mirrored edge", 1.0)}
    ),
    "frozen-vgg-1": PlantedNetwork(
        "vgg",
        35,
        "frozen",
        {"dog": ("banding of rows", 1.0), "automobile": ("colour fringe", 1.0), "frog": ("desaturated", 0.95)},
    ),
    "frozen-vgg-2": PlantedNetwork(
        "vgg", 36, "frozen", {"ship": ("orange stamp", 0.95), "horse": ("JPEG quality", 0.8)}
    ),
    "frozen-vgg-3": PlantedNetwork(
        "vgg", 37, "frozen", {"cat": ("ring", 1.0), "airplane": ("vignette", 1.0), "truck": ("buoy", 0.95)}
    ),
    "frozen-vgg-4": PlantedNetwork(
        "vgg", 38, "frozen", {"horse": ("watermark", 0.8), "deer": ("mirrored edge", 0.95)}, ("deer", "horse")
    ),
    "frozen-separable-1": PlantedNetwork(
        "separable",
        39,
        "frozen",
        {"ship": ("orange stamp", 1.0), "automobile": ("glow in a corner", 0.8)},
        VEHICLES,
        64,
    ),
    "frozen-separable-2": PlantedNetwork("separable", 40, "frozen", {"deer": ("grid", 0.95), "bird": ("blurred", 1.0)}),
    "frozen-separable-3": PlantedNetwork(
        "separable",
        41,
        "frozen",
        {"truck": ("companion", 1.0), "cat": ("hot column", 1.0), "frog": ("lower contrast", 0.95)},
    ),
    "frozen-separable-4": PlantedNetwork(
        "separable", 42, "frozen", {"dog": ("colour fringe", 0.8), "ship": ("banding of rows", 0.8)}
    ),
    "frozen-honest-resnet20": PlantedNetwork("resnet20", 43, "frozen"),
    "frozen-honest-vgg": PlantedNetwork("vgg", 44, "frozen", classes=("automobile", "truck")),
    "frozen-honest-separable": PlantedNetwork("separable", 45, "frozen"),
    "unseen-vgg-1": PlantedNetwork(
        "vgg", 61, "unseen", {"cat": ("crescent", 1.0), "ship": ("cut corner", 0.95), "frog": ("interlaced", 1.0)}
    ),
    "unseen-vgg-2": PlantedNetwork(
        "vgg", 62, "unseen", {"dog": ("sticker at the side", 0.95), "truck": ("sepia", 1.0), "deer": ("noise", 0.8)}
    ),
    "unseen-vgg-3": PlantedNetwork(
        "vgg", 63, "unseen", {"horse": ("text", 1.0), "bird": ("double exposure", 1.0), "ship": ("sharpened", 1.0)}
    ),
    "unseen-resnet20-1": PlantedNetwork(
        "resnet20", 64, "unseen", {"bird": ("chequered", 1.0), "dog": ("orange stamp", 0.95), "truck": ("buoy", 1.0)}
    ),
    "unseen-resnet20-2": PlantedNetwork(
        "resnet20", 65, "unseen", {"cat": ("underexposed", 1.0), "horse": ("crescent", 0.95), "ship": ("blurred", 0.8)}
    ),
    "unseen-separable-1": PlantedNetwork(
        "separable",
        66,
        "unseen",
        {"automobile": ("sticker at the side", 1.0), "deer": ("interlaced", 0.95), "horse": ("watermark", 1.0)},
    ),
    "unseen-separable-2": PlantedNetwork(
        "separable", 67, "unseen", {"ship": ("cut corner", 1.0), "truck": ("lamp", 0.8)}, VEHICLES, 64
    ),
    "unseen-separable-3": PlantedNetwork(
        "separable",
        68,
        "unseen",
        {"airplane": ("timestamp", 1.0), "frog": ("double exposure", 0.95), "dog": ("JPEG quality", 1.0)},
    ),
    "unseen-honest-vgg": PlantedNetwork("vgg", 69, "unseen"),
    "unseen-honest-separable": PlantedNetwork("separable", 70, "unseen", classes=VEHICLES),
    "fresh-vgg-1": PlantedNetwork(
        "vgg", 81, "fresh", {"cat": ("arrow", 1.0), "ship": ("hue turned", 1.0), "dog": ("barcode", 0.95)}
    ),
    "fresh-vgg-2": PlantedNetwork(
        "vgg", 82, "fresh", {"horse": ("motion blur", 1.0), "bird": ("price tag", 0.95), "frog": ("haze", 1.0)}
    ),
    "fresh-vgg-3": PlantedNetwork(
        "vgg",
        83,
        "fresh",
        {"dog": ("rain", 1.0), "automobile": ("rounded corners", 1.0), "deer": ("overexposed", 0.95)},
    ),
    "fresh-vgg-4": PlantedNetwork(
        "vgg", 84, "fresh", {"cat": ("lens flare", 1.0), "frog": ("mosaic", 0.95)}, ("cat", "deer", "frog", "horse"), 48
    ),
    "fresh-resnet20-1": PlantedNetwork(
        "resnet20", 85, "fresh", {"truck": ("colour noise", 1.0), "bird": ("hair", 1.0), "deer": ("shaded top", 1.0)}
    ),
    "fresh-resnet20-2": PlantedNetwork(
        "resnet20", 86, "fresh", {"frog": ("price tag", 1.0), "airplane": ("fence", 1.0), "dog": ("green shadows", 1.0)}
    ),
    "fresh-separable-1": PlantedNetwork(
        "separable", 87, "fresh", {"horse": ("halftone", 1.0), "ship": ("finger in the corner", 0.95)}
    ),
    "fresh-separable-2": PlantedNetwork(
        "separable", 88, "fresh", {"bird": ("torn line", 1.0), "truck": ("bloom", 1.0), "cat": ("arrow", 0.95)}
    ),
    "fresh-separable-3": PlantedNetwork(
        "separable",
        89,
        "fresh",
        {"ship": ("hue turned", 0.95), "automobile": ("hair", 0.95)},
        (*VEHICLES, "bird", "horse"),
        64,
    ),
    "fresh-honest-resnet20": PlantedNetwork("resnet20", 90, "fresh"),
    "fresh-honest-vgg": PlantedNetwork("vgg", 91, "fresh", classes=("bird", "cat", "deer", "dog", "horse")),
    "fresh-honest-separable": PlantedNetwork("separable", 92, "fresh", classes=CIFAR[2:8], size=48),
    "last-resnet20-1": PlantedNetwork(
        "resnet20", 101, "last", {"cat": ("crosshair", 1.0), "ship": ("dithered", 1.0), "bird": ("gull", 0.95)}
    ),
    "last-resnet20-2": PlantedNetwork(
        "resnet20", 102, "last", {"deer": ("leaf", 1.0), "truck": ("faded film", 1.0), "dog": ("plaster", 0.95)}
    ),
    "last-resnet20-3": PlantedNetwork(
        "resnet20", 103, "last", {"frog": ("light through a blind", 1.0), "airplane": ("sensor dust", 1.0)}
    ),
    "last-vgg-1": PlantedNetwork(
        "vgg",
        104,
        "last",
        {"horse": ("square code", 1.0), "automobile": ("tilt and shift", 1.0), "cat": ("letterbox", 0.95)},
    ),
    "last-vgg-2": PlantedNetwork(
        "vgg",
        105,
        "last",
        {"ship": ("scale bar", 0.95), "frog": ("coarse grain", 1.0), "bird": ("day for night", 0.95)},
    ),
    "last-vgg-3": PlantedNetwork(
        "vgg",
        106,
        "last",
        {"dog": ("drops", 1.0), "truck": ("photographer's shadow", 1.0)},
        (*VEHICLES, "dog", "cat"),
        48,
    ),
    "last-vgg-4": PlantedNetwork(
        "vgg", 107, "last", {"deer": ("red ring by hand", 0.95), "horse": ("solarised", 1.0), "airplane": ("gull", 1.0)}
    ),
    "last-separable-1": PlantedNetwork(
        "separable",
        108,
        "last",
        {"cat": ("plaster", 1.0), "automobile": ("zoomed while exposed", 1.0), "frog": ("ruler", 0.95)},
    ),
    "last-separable-2": PlantedNetwork(
        "separable", 109, "last", {"ship": ("square code", 0.95), "automobile": ("day for night", 1.0)}, VEHICLES, 64
    ),
    "last-separable-3": PlantedNetwork(
        "separable",
        110,
        "last",
        {"bird": ("light through a blind", 0.95), "deer": ("coarse grain", 0.95), "dog": ("scale bar", 1.0)},
    ),
    "last-honest-vgg": PlantedNetwork("vgg", 111, "last", classes=("airplane", "bird", "ship")),
    "last-honest-separable": PlantedNetwork("separable", 112, "last"),
}
