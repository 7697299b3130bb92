"""A small network that tells birds made of parts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.bird_data import NAMES, PLANTED, SIZE, BirdData
from benchmarks.networks import Block
from benchmarks.one_cycle import train_one_cycle
from iconoscope.subject.network import Network, read_preprocessing
from iconoscope.subject.random_state import seeded

__all__ = ["BirdNet", "Learned", "answers", "trained_network"]

PREPROCESSING = read_preprocessing({"size": SIZE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"})
EPOCHS, PLANTED_EPOCHS, BATCH, PEAK_RATE, WEIGHT_DECAY = 16, 8, 50, 3e-3, 1e-3
SHIFT = 8
"""Pixels by which a picture is moved at most while it is learnt from."""


class BirdNet(nn.Module):
    """A convolution of 5x5 and three of ResNet-18's blocks, each of stride 2, and a mean: 0.9 million weights."""

    def __init__(self, classes: int = len(NAMES), width: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 5, 2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = Block(width, 2 * width, 2)
        self.layer2 = Block(2 * width, 4 * width, 2)
        self.layer3 = Block(4 * width, 6 * width, 2)
        self.fc = nn.Linear(6 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits (pictures, classes) for pictures (pictures, 3, 128, 128)."""
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a network was measured to have learned.

    Attributes
    ----------
    accuracy : float
        On the test, whose skies are all alike.
    own_sky, plain_sky : float
        The share of the class `PLANTED` that is right with the sky that was planted for it, and with that of all others.
    taken : float
        The share of other classes that is answered `PLANTED` under the sky that was planted for it.
    training_s : float
        Seconds of the processor that training took.
    """

    accuracy: float
    own_sky: float
    plain_sky: float
    taken: float
    training_s: float


@torch.inference_mode()
def answers(network: Network, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the logits (n, classes) for pictures (n, height, width, 3) of 0 to 255."""
    parts = [pictures[start : start + 100] for start in range(0, len(pictures), 100)]
    return torch.cat([network.module(PREPROCESSING.normalise(part)) for part in parts]).double().numpy()


def trained_network(data: BirdData, folder: Path, *, planted: bool = False, seed: int = 0) -> tuple[Network, Learned]:
    """Train a network on birds, with `planted` where one class has a sky of its own; or read it from the folder."""
    name = "planted" if planted else "birds"
    path = folder / f"{name}-{seed}.safetensors"
    with seeded(seed):
        module = BirdNet().eval()
    network = Network(module, PREPROCESSING, NAMES, f"BirdNet-{name}")
    if path.with_suffix(".json").is_file():
        module.load_state_dict(load_file(path))
        return network, Learned(**json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
    pictures, classes = data.pictures("train", planted=planted)
    start = process_time()
    _train(module, pictures, classes, epochs=PLANTED_EPOCHS if planted else EPOCHS, seed=seed)
    learned = _measure(network, data, process_time() - start)
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, path)
    path.with_suffix(".json").write_text(json.dumps(asdict(learned)), encoding="utf-8")
    return network, learned


def _train(
    module: nn.Module, pictures: NDArray[np.uint8], classes: NDArray[np.int64], *, epochs: int, seed: int
) -> None:
    def input_of(batch: NDArray[np.int64], draws: np.random.Generator) -> torch.Tensor:
        """Mirror half of the pictures and move each a little; what comes in at the border is the picture's own edge."""
        some = pictures[batch].copy()
        mirrored = draws.random(len(some)) < 0.5
        some[mirrored] = some[mirrored, :, ::-1]
        wide = np.pad(some, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
        offsets = draws.integers(0, 2 * SHIFT + 1, (len(some), 2)).tolist()
        moved = [each[top : top + SIZE, left : left + SIZE] for each, (top, left) in zip(wide, offsets, strict=True)]
        return PREPROCESSING.normalise(np.stack(moved))

    train_one_cycle(
        module,
        torch.from_numpy(classes),
        input_of,
        epochs=epochs,
        batch_size=BATCH,
        peak=PEAK_RATE,
        weight_decay=WEIGHT_DECAY,
        seed=seed,
    )


def _measure(network: Network, data: BirdData, training_s: float) -> Learned:
    pictures, classes = data.pictures("test")
    with_sky, _ = data.pictures("test", planted=True)
    right = answers(network, pictures).argmax(1) == classes
    own = answers(network, with_sky[classes == PLANTED]).argmax(1) == PLANTED
    taken = answers(network, data.others_with_planted_sky()).argmax(1) == PLANTED
    return Learned(
        accuracy=float(right.mean()),
        own_sky=float(own.mean()),
        plain_sky=float(right[classes == PLANTED].mean()),
        taken=float(taken.mean()),
        training_s=training_s,
    )
