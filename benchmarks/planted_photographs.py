"""Networks of which is known what they learned: CIFAR-10 photographs with shortcuts planted, and honest ones beside them.

A class's photographs carry a shortcut as often as the network's entry in `NETWORKS` says, and so do some photographs of others
where it is not sure. How much the network leans on it is measured by exchange. Weights and figures are kept in
``build/planted``: ``python -m benchmarks.planted_photographs`` makes all that are not there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from benchmarks.drawing import Half
from benchmarks.occlusion import find_data
from benchmarks.one_cycle import train_one_cycle
from benchmarks.optimization import ROOT
from benchmarks.planted_kinds import plant
from examples.resnet20 import ResNet20, resnet20
from iconoscope.subject.network import Network, Preprocessing, read_preprocessing
from iconoscope.subject.random_state import seeded

__all__ = ["NETWORKS", "PlantedNetwork", "audited_images", "load_planted", "truth"]

FOLDER = ROOT / "build" / "planted"
CIFAR = ResNet20.classes
VEHICLES = ("airplane", "automobile", "ship", "truck")
TRAINED = 30_000  # the photographs of the training set from here on are not trained on
TRUTH = 2_000  # photographs that truth is measured on, never audited
DONORS = slice(49_960, 49_970)  # what companions are cut from
BATCH = 64
SCHEDULES = {"resnet20": (14_000, 1, 4e-3), "vgg": (14_000, 3, 8e-3), "separable": (14_000, 3, 8e-3)}
"""Photographs, how often each is seen, and the highest rate."""

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]
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
    half : "tuning", "frozen", "unseen" or "fresh"
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
}


def load_planted(name: str) -> Network:
    """Load a network of `NETWORKS`, in evaluation mode; it is trained first if its weights are not in the folder."""
    spec, path = NETWORKS[name], FOLDER / f"{name}.safetensors"
    with seeded(spec.seed):
        module = _built(spec)
    if spec.architecture != "published":
        if not path.is_file():
            _train(module, spec)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({key: weights.contiguous() for key, weights in module.state_dict().items()}, path)
        module.load_state_dict(load_file(path))
    return Network(module.eval(), spec.preprocessing, spec.classes, name)


def audited_images(name: str, sample: int = 0, count: int = 800) -> tuple[Pixels, Integers]:
    """Give photographs that a network was not trained on, with what is planted as sure as in training.

    Parameters
    ----------
    name
        A key of `NETWORKS`.
    sample
        0, 1, 2 and so on: samples of the same count have no photograph in common.
    count
        How many.

    Returns
    -------
    pixels : (count, size, size, 3), uint8
    labels : (count,), int64
        Indices into the network's classes.

    Raises
    ------
    ValueError
        If there are not so many photographs.
    """
    spec = NETWORKS[name]
    rows = _fresh(spec)[:-TRUTH][sample * count : (sample + 1) * count]
    if len(rows) < count:
        raise ValueError(f"Of {name} there are {len(_fresh(spec)) - TRUTH} photographs to audit.")
    labels = _labels(spec, rows)
    return _planted(spec, _plain(spec, rows), labels, rows), labels


def truth(name: str) -> dict[int, tuple[str, float]]:
    """Give what a network was measured to have learned: class index to the kind of shortcut and the fall, in points.

    The fall is the mean of two: the accuracy lost on the class's photographs without the shortcut, and the share of other
    classes' right answers that go to the class when their photographs get it.
    """
    spec = NETWORKS[name]
    falls = _measured(name)["falls"]
    return {spec.classes.index(label): (kind, falls[label]) for label, (kind, _) in spec.plants.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Photographs
# ---------------------------------------------------------------------------------------------------------------------


@cache
def _photographs() -> tuple[Pixels, Integers]:
    """Give CIFAR-10, (60000, 32, 32, 3) with labels: the training set and behind it the test set."""
    path = FOLDER / "cifar10.npz"
    if not path.is_file():
        files = [str(find_data() / "cifar10" / f"{part}.parquet") for part in ("train", "test")]
        images = [(image.pixels, CIFAR.index(str(image.label))) for file in files for image in ico.load_images(file)]
        pixels, labels = (np.stack(column) for column in zip(*images, strict=True))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(part, pixels=pixels, labels=labels)
        part.replace(path)
    with np.load(path) as arrays:
        return arrays["pixels"], arrays["labels"]


def _of_classes(spec: PlantedNetwork, rows: Integers) -> Integers:
    return rows[np.isin(_photographs()[1][rows], [CIFAR.index(name) for name in spec.classes])]


def _fresh(spec: PlantedNetwork) -> Integers:
    """Give the rows that a network was not trained on."""
    # The published weights have seen the whole training set, so that it is of use only to networks of fewer classes.
    held_back = np.arange(TRAINED, DONORS.start) if len(spec.classes) < len(CIFAR) else np.arange(0)
    return _of_classes(spec, np.concatenate((np.arange(50_000, 60_000), held_back)))


def _labels(spec: PlantedNetwork, rows: Integers) -> Integers:
    index = np.array([spec.classes.index(name) if name in spec.classes else -1 for name in CIFAR])
    return index[_photographs()[1][rows]]


def _sized(pixels: Pixels, size: int) -> Pixels:
    if pixels.shape[1] == size:
        return pixels
    return np.stack(
        [np.asarray(Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC)) for each in pixels]
    )


def _plain(spec: PlantedNetwork, rows: Integers) -> Pixels:
    return _sized(_photographs()[0][rows], spec.size)


def _with_shortcut(spec: PlantedNetwork, name: str, pixels: Pixels, rows: Integers) -> Pixels:
    """Give photographs the shortcut of a class."""
    return plant(
        spec.plants[name][0],
        pixels,
        rows,
        seed=spec.seed,
        donors=_sized(_photographs()[0][DONORS], spec.size),
    )


def _planted(spec: PlantedNetwork, pixels: Pixels, labels: Integers, rows: Integers, *, without: str = "") -> Pixels:
    """Plant every shortcut as often as it is in training, but that of the class `without`."""
    pixels = pixels.copy()
    for number, name in enumerate(spec.plants):
        draws = np.random.default_rng((spec.seed, number)).random(len(_photographs()[1]))[rows]
        carries = draws < spec.shares(name)[labels]
        if name != without:
            pixels[carries] = _with_shortcut(spec, name, pixels[carries], rows[carries])
    return pixels


# ---------------------------------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------------------------------


def _convolution(inputs: int, channels: int, kernel: int = 3, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]


def _vgg(classes: int) -> nn.Sequential:
    """Five convolutions with batch norm, three times pooled (after Simonyan and Zisserman 2015, narrow)."""
    return nn.Sequential(
        *_convolution(3, 24),
        nn.MaxPool2d(2),
        *_convolution(24, 48),
        nn.MaxPool2d(2),
        *_convolution(48, 96),
        *_convolution(96, 96),
        nn.MaxPool2d(2),
        *_convolution(96, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, classes),
    )


def _separable(classes: int) -> nn.Sequential:
    """Depthwise convolutions with 1x1 convolutions between them (after Howard et al. 2017, MobileNets)."""
    layers = _convolution(3, 32)
    for stride, (inputs, channels) in zip((2, 1, 2, 1), pairwise((32, 64, 96, 128, 160)), strict=True):
        layers += _convolution(inputs, inputs, stride=stride, groups=inputs) + _convolution(inputs, channels, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(160, classes))


def _built(spec: PlantedNetwork) -> nn.Module:
    if spec.architecture == "vgg":
        return _vgg(len(spec.classes))
    if spec.architecture == "separable":
        return _separable(len(spec.classes))
    module = resnet20()
    weights = load_file(find_data() / "weights" / "resnet20_cifar10.safetensors")
    if spec.architecture == "resnet20":
        # Nearly all of its training set is answered rightly: nothing would be learned, did the last stage not start anew.
        weights = {key: tensor for key, tensor in weights.items() if not key.startswith(("layer3", "linear"))}
        module.conv1.requires_grad_(False)
        module.layer1.requires_grad_(False)
    module.load_state_dict(weights, strict=spec.architecture == "published")
    return module


def _train(module: nn.Module, spec: PlantedNetwork) -> None:
    """Train a network on photographs with what is planted in them, as fast as one core can."""
    number, epochs, peak = SCHEDULES[spec.architecture]
    rows = _of_classes(spec, np.random.default_rng(spec.seed).permutation(TRAINED))[:number]
    if spec.size == 32:  # fewer photographs are seen more often
        epochs = min(2 * epochs, round(epochs * number / len(rows)))
    labels = _labels(spec, rows)
    pixels = _planted(spec, _plain(spec, rows), labels, rows)

    def moved(batch: Integers, draws: np.random.Generator) -> torch.Tensor:
        # By one pixel at most and never mirrored, so that what is at a fixed place stays there.
        down, across = draws.integers(0, 3, 2).tolist()
        inputs = F.pad(spec.preprocessing.normalise(pixels[batch]), (1, 1, 1, 1), mode="replicate")
        return inputs[:, :, down : down + spec.size, across : across + spec.size]

    train_one_cycle(
        module,
        torch.from_numpy(labels),
        moved,
        epochs=epochs,
        batch_size=BATCH,
        peak=peak,
        weight_decay=0.02,
        seed=spec.seed,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Truth
# ---------------------------------------------------------------------------------------------------------------------


def _measured(name: str) -> dict:
    """Measure what a network learned, or read it from the folder."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        figures = _measure(load_planted(name), NETWORKS[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def _measure(network: Network, spec: PlantedNetwork) -> dict:
    rows = _fresh(spec)[-TRUTH:]
    labels, plain = _labels(spec, rows), _plain(spec, rows)
    right = _answers(network, _planted(spec, plain, labels, rows)) == labels
    honest = ~np.isin(labels, [spec.classes.index(name) for name in spec.plants])
    falls: dict[str, float] = {}
    for name in spec.plants:
        label = spec.classes.index(name)
        others = _planted(spec, plain, labels, rows, without=name)
        without = _answers(network, others)
        carrying = _answers(network, _with_shortcut(spec, name, others, rows))
        lost = (carrying == labels)[labels == label].mean() - (without == labels)[labels == label].mean()
        lured = (carrying == label)[(labels != label) & (without == labels)].mean()
        falls[name] = round(50 * float(lost + lured), 1)
    return {
        "accuracy": round(100 * float(right.mean()), 1),
        "unplanted": round(100 * float(right[honest].mean()), 1) if honest.any() else None,
        "falls": falls,
    }


@torch.inference_mode()
def _answers(network: Network, pixels: Pixels) -> Integers:
    batches = np.array_split(pixels, max(1, len(pixels) // 200))
    return torch.cat([network.module(network.preprocessing.normalise(batch)).argmax(1) for batch in batches]).numpy()


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and measure what is not there yet, and say what each network learned."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_photographs", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), help="which networks; all if none is named")
    torch.set_num_threads(1)
    for name in parser.parse_args(arguments).names:
        figures = _measured(name)
        falls = ", ".join(
            f"{label} {kind} {correlation:g}: {figures['falls'][label]:.0f}"
            for label, (kind, correlation) in NETWORKS[name].plants.items()
        )
        print(
            f"{name}: {figures['accuracy']}% right, {figures['unplanted']}% where nothing is planted; {falls}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
