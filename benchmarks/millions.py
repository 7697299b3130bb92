"""As many images as one wants, made of CIFAR-10 by flips, shifts and colour, and what ResNet-20 makes of them.

``python -m benchmarks.millions FOLDER --count 1000000`` writes ``images.npy`` (uint8, count x 32 x 32 x 3), ``vectors.npy``
(float32, count x 64, the layer before the logits), ``labels.npy``, ``predictions.npy``,
and in ``count.npy`` how many there are so far. The first 60,000 are CIFAR-10 itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import iconoscope as ico
from benchmarks.occlusion import find_data
from benchmarks.optimization import load
from iconoscope.progress import show_progress, track
from iconoscope.subject.network import Network

BATCH = 250
MARGIN = 4  # pixels that an image is moved by at the most
TONE = 0.25  # by which channels are made lighter or darker at the most, and contrast weaker or stronger


def originals(data: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Give the 60,000 images of CIFAR-10, (60000, 32, 32, 3), and their labels."""
    pictures: list[NDArray[np.uint8]] = []
    labels: list[Any] = []
    for part in ("train", "test"):
        images = ico.load_images(data / "cifar10" / f"{part}.parquet")
        for image in track(images, part):
            pictures.append(np.asarray(image.pixels)[..., :3])
            labels.append(image.label)
    return np.stack(pictures), np.unique(labels, return_inverse=True)[1].astype(np.int64)


def changed(pictures: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Flip, shift and colour each of some pictures (n, height, width, 3) in a way of its own."""
    count, height, width, _ = pictures.shape
    pictures = np.where(random.random((count, 1, 1, 1)) < 0.5, pictures[:, :, ::-1], pictures)
    padded = np.pad(pictures, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
    tops, lefts = random.integers(0, 2 * MARGIN + 1, (2, count))
    rows, columns = tops[:, None] + np.arange(height), lefts[:, None] + np.arange(width)
    moved = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]].astype(np.float32)
    contrast = 1 + TONE * (2 * random.random((count, 1, 1, 1)) - 1)
    tones = 255 * TONE / 2 * (2 * random.random((count, 1, 1, 3)) - 1)
    return ((moved - 128) * contrast + 128 + tones).clip(0, 255).round().astype(np.uint8)


def vectors_of(network: Network, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Give the vectors before the logits, (n, 64), and the class that is answered, (n,)."""
    kept: list[torch.Tensor] = []
    handle = network.module.linear.register_forward_pre_hook(lambda module, args: kept.append(args[0]))  # pyright: ignore
    try:
        with torch.inference_mode():
            logits = network.module(network.preprocessing.normalise(pictures))
    finally:
        handle.remove()
    return kept[0].numpy(), logits.argmax(1).numpy()


def make(folder: Path, count: int, data: Path, seed: int = 0) -> None:
    """Write the images, vectors, labels and answers of `count` images into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    network = load("resnet20", data)
    pictures, classes = originals(data)
    shapes = {"images": ((count, *pictures.shape[1:]), np.uint8), "vectors": ((count, 64), np.float32)}
    shapes |= dict.fromkeys(("labels", "predictions"), ((count,), np.int64))
    files = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype=dtype, shape=shape)
        for name, (shape, dtype) in shapes.items()
    }
    for first in track(range(0, count, BATCH), "images"):
        rows = np.arange(first, min(first + BATCH, count))
        batch = pictures[rows % len(pictures)]
        if first >= len(pictures):
            batch = changed(batch, np.random.default_rng([seed, first]))
        files["images"][rows], files["labels"][rows] = batch, classes[rows % len(pictures)]
        files["vectors"][rows], files["predictions"][rows] = vectors_of(network, batch)
        np.save(folder / "count.npy", rows[-1] + 1)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=None)
    arguments = parser.parse_args()
    with show_progress():
        make(arguments.folder, arguments.count, arguments.data or find_data())


if __name__ == "__main__":
    main()
