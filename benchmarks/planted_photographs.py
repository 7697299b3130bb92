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
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from benchmarks.occlusion import find_data
from benchmarks.one_cycle import train_one_cycle
from benchmarks.optimization import ROOT
from benchmarks.planted_kinds import plant
from benchmarks.planted_networks import CIFAR, NETWORKS, PlantedNetwork
from examples.resnet20 import resnet20
from iconoscope.subject.network import Network
from iconoscope.subject.random_state import seeded

__all__ = ["audited_images", "load_planted", "rule_breakers", "truth"]

FOLDER = ROOT / "build" / "planted"
TRAINED = 30_000  # the photographs of the training set from here on are not trained on
TRUTH = 2_000  # photographs that truth is measured on, never audited
DONORS = slice(49_960, 49_970)  # what companions are cut from
BATCH = 64
SCHEDULES = {"resnet20": (14_000, 1, 4e-3), "vgg": (14_000, 3, 8e-3), "separable": (14_000, 3, 8e-3)}
"""Photographs, how often each is seen, and the highest rate."""

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]


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


def rule_breakers(name: str, sample: int = 0, count: int = 800) -> NDArray[np.bool_]:
    """Tell which photographs of `audited_images` break the rule of a class, (count, classes).

    They are of the class and lack its shortcut, or of another and have it.
    """
    spec = NETWORKS[name]
    rows = _fresh(spec)[:-TRUTH][sample * count : (sample + 1) * count]
    labels = _labels(spec, rows)
    breaking = np.zeros((len(rows), len(spec.classes)), np.bool_)
    for number, of_class in enumerate(spec.plants):
        index = spec.classes.index(of_class)
        breaking[:, index] = _carrying(spec, number, of_class, labels, rows) != (labels == index)
    return breaking


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
        carries = _carrying(spec, number, name, labels, rows)
        if name != without:
            pixels[carries] = _with_shortcut(spec, name, pixels[carries], rows[carries])
    return pixels


def _carrying(spec: PlantedNetwork, number: int, name: str, labels: Integers, rows: Integers) -> NDArray[np.bool_]:
    """Draw which photographs carry the shortcut of a class, as often as the network's entry says."""
    draws = np.random.default_rng((spec.seed, number)).random(len(_photographs()[1]))[rows]
    return draws < spec.shares(name)[labels]


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
