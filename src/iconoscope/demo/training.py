"""Training of the two built-in networks that tell the makes of car apart, and the proof of what each has learned.

``cars`` is trained where the background tells the make, and learns the background; ``cars-honest`` where it tells
nothing, and has to learn the cars. Weights are written only if both turn out so.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch.nn import functional as F

from iconoscope.demo.cars import BACKGROUNDS, MAKES, SIZE, Cars, draw_cars
from iconoscope.errors import QuestionError, TrainingError
from iconoscope.progress import track
from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.builtin.cars import CarNetwork, car_network
from iconoscope.subject.network import read_preprocessing
from iconoscope.subject.network.checkpoint import METADATA_KEY

__all__ = ["TRAINED_ON", "retrain"]

# The networks, and the backgrounds of the images that each is trained on.
TRAINED_ON = {"cars": "telling", "cars-honest": "neutral"}

_PREPROCESSING = read_preprocessing({"size": SIZE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"})
_TRAINING_IMAGES, _NEW_IMAGES = 3000, 2000
_EPOCHS, _BATCH, _PEAK_RATE = 12, 50, 1e-2
# Keeps the networks from being so sure that no patch moves a probability.
_SMOOTHING = 0.1
# Far from the seeds that people choose, so that nobody questions the networks about their own training images.
_FIRST_SEED = 1_000_000

# What each network has to reach on new images: the least and the greatest accuracy.
_REQUIRED = {
    "cars": {"own": (0.99, 1.0), "exchanged": (0.0, 0.20)},
    "cars-honest": {"own": (0.99, 1.0), "exchanged": (0.95, 1.0)},
}


def retrain(directory: Path | None = None, *, seed: int = 0, device: str = "cpu") -> dict[str, dict[str, float]]:
    """Draw images, train both networks, measure them on new images and write their weights.

    Parameters
    ----------
    directory
        Where ``cars.safetensors`` and ``cars-honest.safetensors`` go; by default where the package keeps its own.
    seed
        Of the images, the first weights and the order of training, 0 or more. On one machine's CPU, the same seed gives
        the same weights.
    device
        Where to train, in torch's words.

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
        For a negative seed or a device that torch does not have.
    """
    _check(seed, device)
    seed_of_training, seed_of_new = _FIRST_SEED + 2 * seed, _FIRST_SEED + 2 * seed + 1
    networks, accuracies = {}, {}
    new_images = {kind: draw_cars(_NEW_IMAGES, backgrounds=kind, seed=seed_of_new) for kind in BACKGROUNDS}
    for name, kind in TRAINED_ON.items():
        images = draw_cars(_TRAINING_IMAGES, backgrounds=kind, seed=seed_of_training)
        networks[name] = _train(images, name, seed, device)
        measured = {other: _accuracy(networks[name], images, device) for other, images in new_images.items()}
        accuracies[name] = {"own": measured[kind], **measured}
    _require(accuracies)
    for name, network in networks.items():
        path = BUILTIN[name].weights if directory is None else Path(directory) / f"{name}.safetensors"
        _write(network, path, TRAINED_ON[name], accuracies[name])
    return accuracies


def _check(seed: int, device: str) -> None:
    if seed < 0:
        raise QuestionError(f"A seed of {seed} is negative.", hint="Give 0 or more.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise QuestionError(f"torch cannot use the device {device!r}: {error}", hint='"cpu" always works.') from error


def _train(cars: Cars, name: str, seed: int, device: str) -> CarNetwork:
    with torch.random.fork_rng(devices=[]):  # the caller's own random numbers stay as they were
        torch.default_generator.manual_seed(seed)
        network = car_network()
    network.to(device).train()
    makes = torch.from_numpy(cars.makes).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    batches = list(_batches(len(makes), np.random.default_rng((seed, 1))))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_RATE, total_steps=len(batches))
    for batch in track(batches, f"training {name}"):
        loss = F.cross_entropy(
            network(_PREPROCESSING.normalise(cars.pixels[batch]).to(device)), makes[batch], label_smoothing=_SMOOTHING
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def _batches(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(_EPOCHS):
        yield from np.array_split(rng.permutation(count), count // _BATCH)


@torch.inference_mode()
def _accuracy(network: CarNetwork, cars: Cars, device: str) -> float:
    batches = range(0, len(cars.makes), 250)
    answers = [
        network(_PREPROCESSING.normalise(cars.pixels[at : at + 250]).to(device)).argmax(1).cpu() for at in batches
    ]
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
    weights = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".retrain-") as folder:
        unfinished = Path(folder) / path.name
        unfinished.write_bytes(save(weights, {METADATA_KEY: json.dumps(configuration)}))
        unfinished.replace(path)
