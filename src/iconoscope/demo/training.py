"""Training of the two built-in networks that tell the makes of car apart, and the proof of what each has learned.

``cars`` is trained where the background tells the make, and learns the background; ``cars-honest`` where it tells
nothing, and has to learn the cars. Weights are written only if both turn out so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from iconoscope.atomic_files import writing_whole
from iconoscope.demo.cars import BACKGROUNDS, MAKES, SIZE, Cars, draw_cars
from iconoscope.errors import TrainingError, check_seed
from iconoscope.progress import track
from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.builtin.cars import CarNetwork, car_network
from iconoscope.subject.network import Preprocessing, read_preprocessing
from iconoscope.subject.network.checkpoint import METADATA_KEY
from iconoscope.subject.random_state import seeded

__all__ = ["TRAINED_ON", "Schedule", "retrain", "seeded", "train"]


class Schedule(NamedTuple):
    """Schedule of a training: rounds through the images, images in a step, the highest rate, smoothing of the labels."""

    epochs: int
    batch: int
    peak_rate: float
    smoothing: float = 0.0


# The networks, and the backgrounds of the images that each is trained on.
TRAINED_ON = {"cars": "telling", "cars-honest": "neutral"}

_PREPROCESSING = read_preprocessing({"size": SIZE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"})
_TRAINING_IMAGES, _NEW_IMAGES = 3000, 2000
# Smoothing keeps the networks from being so sure that no patch moves a probability.
_SCHEDULE = Schedule(epochs=12, batch=50, peak_rate=1e-2, smoothing=0.1)
# Far from the seeds that people choose, so that nobody questions the networks about their own training images.
_FIRST_SEED = 1_000_000

# What each network has to reach on new images: the least and the greatest accuracy.
_REQUIRED = {
    "cars": {"own": (0.99, 1.0), "exchanged": (0.0, 0.20)},
    "cars-honest": {"own": (0.99, 1.0), "exchanged": (0.95, 1.0)},
}


def retrain(directory: Path | None = None, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Draw images, train both networks, measure them on new images and write their weights.

    Parameters
    ----------
    directory
        Where ``cars.safetensors`` and ``cars-honest.safetensors`` go; by default where the package keeps its own.
    seed
        Of the images, the first weights and the order of training, 0 or more. On one machine's CPU, which trains, the same
        seed gives the same weights.

    Returns
    -------
    dict
        For each network the accuracy, 0..1, on 2,000 new images of each kind of background (``"telling"``,
        ``"exchanged"``, ``"neutral"``: the same cars in all three) and as ``"own"`` on its own kind.

    Raises
    ------
    TrainingError
        If a network did not reach its figures. Then neither file is written.
    QuestionError
        For a negative seed.
    """
    check_seed(seed)
    seed_of_training, seed_of_new = _FIRST_SEED + 2 * seed, _FIRST_SEED + 2 * seed + 1
    networks, accuracies = {}, {}
    new_images = {kind: draw_cars(_NEW_IMAGES, backgrounds=kind, seed=seed_of_new) for kind in BACKGROUNDS}
    for name, kind in TRAINED_ON.items():
        images = draw_cars(_TRAINING_IMAGES, backgrounds=kind, seed=seed_of_training)
        with seeded(seed):
            networks[name] = car_network()
        train(networks[name], images.pixels, images.makes, _PREPROCESSING, _SCHEDULE, seed=seed)
        measured = {behind: _accuracy(networks[name], images) for behind, images in new_images.items()}
        accuracies[name] = {"own": measured[kind], **measured}
    _require(accuracies)
    for name, network in networks.items():
        path = BUILTIN[name].weights if directory is None else Path(directory) / f"{name}.safetensors"
        _write(network, path, TRAINED_ON[name], accuracies[name])
    return accuracies


def train(
    module: nn.Module,
    pixels: NDArray[np.uint8],
    makes: NDArray[np.int64],
    preprocessing: Preprocessing,
    schedule: Schedule,
    *,
    seed: int,
) -> None:
    """Train a classifier in place, and leave it in the mode that answers.

    Parameters
    ----------
    module
        From (n, 3, height, width) to logits (n, classes).
    pixels, makes
        (n, height, width, 3) uint8, and the index of the class (n,).
    """
    module.train()
    targets = torch.from_numpy(makes)
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=1e-3)
    rng = np.random.default_rng((seed, 1))
    count = len(makes) // schedule.batch
    batches = [batch for _ in range(schedule.epochs) for batch in np.array_split(rng.permutation(len(makes)), count)]
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.peak_rate, total_steps=len(batches))
    for batch in track(batches, "training"):
        logits = module(preprocessing.normalise(pixels[batch]))
        loss = F.cross_entropy(logits, targets[batch], label_smoothing=schedule.smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    module.eval()


@torch.inference_mode()
def _accuracy(network: CarNetwork, cars: Cars) -> float:
    batches = range(0, len(cars.makes), 250)
    answers = [network(_PREPROCESSING.normalise(cars.pixels[first : first + 250])).argmax(1) for first in batches]
    return float((torch.cat(answers).numpy() == cars.makes).mean())


def _require(accuracies: dict[str, dict[str, float]]) -> None:
    """Hold the measured accuracies to the figures."""
    for name, figures in _REQUIRED.items():
        for kind, (least, greatest) in figures.items():
            accuracy = accuracies[name][kind]
            if not least <= accuracy <= greatest:
                raise TrainingError(
                    f"The network {name} is right on {accuracy:.1%} of the new images ({kind} backgrounds); "
                    f"it has to be between {least:.0%} and {greatest:.0%}. Nothing was written.",
                    hint="Another seed may do. If the images or the network were changed, undo that first.",
                )


def _write(network: CarNetwork, path: Path, kind: str, accuracy: dict[str, float]) -> None:
    """Write the weights with their configuration, whole or not at all."""
    configuration = {
        "preprocessing": _PREPROCESSING.to_json(),
        "classes": MAKES,
        "trained_on": f"{_TRAINING_IMAGES} drawn cars on {kind} backgrounds",
        "accuracy": accuracy,
    }
    weights = {key: value.contiguous() for key, value in network.state_dict().items()}
    with writing_whole(path) as hidden:
        hidden.write_bytes(save(weights, {METADATA_KEY: json.dumps(configuration)}))
