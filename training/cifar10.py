"""Train the built-in network ``cifar10`` and write its weights as float16 with their preprocessing, classes and accuracy.

    python -m training.cifar10 --train train.parquet --test test.parquet

An epoch takes about a minute and a half on two cores. The state is kept after every epoch: started again, it goes on from
there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

import iconoscope as ico
from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.builtin.cifar10 import CifarNetwork
from iconoscope.subject.network import read_preprocessing
from iconoscope.subject.network.checkpoint import METADATA_KEY
from iconoscope.subject.processor import has_bfloat16

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PREPROCESSING = read_preprocessing({"size": 32, "mean": (0.491, 0.482, 0.447), "std": (0.247, 0.244, 0.262)})
BATCH, PEAK_RATE, MOMENTUM, DECAY, SMOOTHING = 128, 0.2, 0.9, 5e-4, 0.05
LEAST = 0.88
"""Top-1 on the test images, below which nothing is written."""


def load(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the pictures of a file (n, 3, 32, 32), normalised, and their labels (n,)."""
    images = ico.load_images(path)
    pixels = np.stack([image.pixels for image in images])
    return PREPROCESSING.normalise(pixels), torch.tensor([CLASSES.index(str(label)) for label in images.labels])


def augmented(batch: torch.Tensor, draw: np.random.Generator) -> torch.Tensor:
    """Flip and shift each picture on its own: by up to four pixels, what comes in is mirrored."""
    padded = F.pad(batch, (4, 4, 4, 4), mode="reflect")
    rows, columns = (torch.from_numpy(draw.integers(0, 9, (2, len(batch), 1))) + torch.arange(32))[:, :, :]
    flipped = torch.from_numpy(draw.random(len(batch)) < 0.5)
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    index = torch.arange(len(batch))[:, None, None]
    shifted = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return shifted.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def batches(count: int, draw: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Give the images of each batch of one epoch, in an order that is drawn."""
    yield from np.split(draw.permutation(count)[: count // BATCH * BATCH], count // BATCH)


def groups(network: nn.Module) -> list[dict[str, object]]:
    """Let weights decay, but not what norms scale and shift, nor biases."""
    decayed = [weight for weight in network.parameters() if weight.ndim > 1]
    free = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [{"params": decayed, "weight_decay": DECAY}, {"params": free, "weight_decay": 0.0}]


@torch.inference_mode()
def accuracy(network: nn.Module, pictures: torch.Tensor, labels: torch.Tensor) -> float:
    """Give the top-1 accuracy, 0..1."""
    network.eval()
    answers = torch.cat([network(part).argmax(1) for part in pictures.split(500)])
    return float((answers == labels).double().mean())


def train(network: CifarNetwork, data: tuple[torch.Tensor, torch.Tensor], epochs: int, seed: int, state: Path) -> None:
    """Train by stochastic gradient descent with one cycle of the rate, or go on with what `state` holds."""
    pictures, labels = data
    optimizer = torch.optim.SGD(groups(network), lr=0.1, momentum=MOMENTUM, nesterov=True)
    steps = len(labels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=epochs * steps, pct_start=0.25, anneal_strategy="linear", final_div_factor=1e3
    )
    first = 0
    if state.exists():
        checkpoint = torch.load(state, weights_only=True)
        network.load_state_dict(checkpoint["network"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        schedule.load_state_dict(checkpoint["schedule"])
        first = checkpoint["epoch"]
    lowered = has_bfloat16()
    for epoch in range(first, epochs):
        draw, began, total = np.random.default_rng([seed, epoch]), time.perf_counter(), 0.0
        network.train()
        for rows in batches(len(labels), draw):
            chosen = torch.from_numpy(rows)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=lowered):
                answers = network(augmented(pictures[chosen], draw))
            loss = F.cross_entropy(answers.float(), labels[chosen], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        checkpoint = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        }
        torch.save({**checkpoint, "epoch": epoch + 1}, state)
        print(f"epoch {epoch + 1}: loss {total / steps:.3f}, {time.perf_counter() - began:.0f} s", flush=True)


def write(network: CifarNetwork, path: Path, reached: float, epochs: int) -> None:
    """Write the weights as float16."""
    configuration = {
        "preprocessing": PREPROCESSING.to_json(),
        "classes": CLASSES,
        "trained_on": f"CIFAR-10's 50,000 training images, {epochs} epochs",
        "accuracy": round(reached, 4),
    }
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    weights = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(weights, path, {METADATA_KEY: json.dumps(configuration)})
    path.chmod(0o644)


def main() -> int:
    """Train, test and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="50,000 images as parquet")
    parser.add_argument("--test", type=Path, required=True, help="10,000 images as parquet")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=Path("build/cifar10.pt"), help="kept after every epoch")
    parser.add_argument("--out", type=Path, default=BUILTIN["cifar10"].weights)
    options = parser.parse_args()
    options.state.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    network = CifarNetwork()
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    train(network, load(options.train), options.epochs, options.seed, options.state)
    # What is measured is what is written: the weights as float16 keep them.
    network.half().float()
    reached = accuracy(network, *load(options.test))
    print(f"top-1 on the test images: {reached:.4f}")
    if reached < LEAST:
        print(f"That is under {LEAST}: nothing is written.", file=sys.stderr)
        return 1
    write(network, options.out, reached, options.epochs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
