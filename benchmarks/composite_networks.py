"""Networks trained on photographic composites, of which is known by exchange what they learned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.composites import PLANTED_CLASSES, SIDE, Composites, Material, draw_composites
from benchmarks.one_cycle import train_one_cycle
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network, read_preprocessing
from iconoscope.subject.random_state import seeded

__all__ = ["CompositeCase", "CompositeTruth", "cases", "images_of", "trained_network"]

_TWO, _FOUR = ("animal", "thing"), ("bird", "mammal", "fruit", "flower")
_PREPROCESSING = read_preprocessing({"size": SIDE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"})
_TRAINING, _NEW = 6000, 600  # composites to learn from, and to measure the truth on
_EPOCHS, _BATCH, _PEAK_RATE = 6, 50, 4e-3
_PURPOSES = {"training": 1, "truth": 2, "audit": 3}


class CompositeTruth(NamedTuple):
    """What a network was measured to have learned, on new composites.

    Attributes
    ----------
    accuracy
        The share answered rightly where the property tells the class as often as in training; in honest networks never.
    own, exchanged
        Of planted classes alone, the share answered rightly with the property of the own side, and of the other.
    """

    accuracy: float
    own: float
    exchanged: float

    @property
    def fall(self) -> float:
        """Points of accuracy lost when the property alone is exchanged."""
        return 100 * (self.own - self.exchanged)


@dataclass(frozen=True)
class CompositeCase:
    """One network, and the composites that it is judged on.

    Attributes
    ----------
    classes
        Its classes.
    kind
        What is planted, a key of `KINDS`; empty where it is honest.
    share
        How often the property tells the planted classes in training; 0.5 tells nothing.
    seed
        Of all draws, and of the division of cut-outs.
    audited
        What tells the planted classes on the images of the audit, though the network is honest; empty for nothing.
    """

    classes: tuple[str, ...]
    kind: str
    share: float
    seed: int
    audited: str = ""

    @property
    def honest(self) -> bool:
        """Whether training gave no reason to learn a property."""
        return not self.kind

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{self.kind or 'honest'}-{len(self.classes)}-{self.share:.2f}-{self.seed}"

    def draw(self, material: Material, purpose: str, count: int, *, exchanged: bool | None = None) -> Composites:
        """Draw composites for training, truth or audit; for truth with the property always on the own side, or exchanged."""
        share, kind = (1.0, self.kind) if exchanged is not None else (self.share, self.kind)
        if purpose == "audit" and self.audited:
            share, kind = 1.0, self.audited
        return draw_composites(
            material,
            count,
            classes=self.classes,
            kind=kind,
            share=share,
            seed=10_000 * _PURPOSES[purpose] + self.seed,
            split=self.seed,
            training=purpose == "training",
            exchanged=bool(exchanged),
        )


def cases(first_seed: int) -> list[CompositeCase]:
    """Give a half of the suite: eight honest networks, the last judged on confounded composites, and ten planted."""
    honest = [CompositeCase((_TWO, _FOUR)[number % 2], "", 0.5, first_seed + number) for number in range(7)]
    confounded = [CompositeCase(_TWO, "", 0.5, first_seed + 7, audited="hue")]
    planted = [
        (_TWO, "hue", 1.0),
        (_FOUR, "hue", 0.95),
        (_TWO, "texture", 0.95),
        (_FOUR, "photographs", 1.0),
        (_TWO, "companion", 1.0),
        (_FOUR, "companion", 0.95),
        (_TWO, "paint", 1.0),
        (_FOUR, "paint", 0.95),
        (_FOUR, "size", 1.0),
        (_TWO, "size", 0.95),
    ]
    numbered = [
        CompositeCase(classes, kind, share, first_seed + len(honest) + 1 + number)
        for number, (classes, kind, share) in enumerate(planted)
    ]
    return [*honest, *confounded, *numbered]


def images_of(case: CompositeCase, material: Material, *, masks: bool, count: int = 320) -> Images:
    """Draw the composites that a case is judged on, with labels, and with the exact masks if wished."""
    drawn = case.draw(material, "audit", count)
    labels = [case.classes[label] for label in drawn.labels.tolist()]
    return load_images(drawn.pixels, labels=labels, masks=drawn.masks if masks else None)


def trained_network(case: CompositeCase, material: Material, folder: Path) -> tuple[Network, CompositeTruth]:
    """Train the network of a case and measure what it learned; or read both from the folder, where they are kept."""
    path = folder / f"{case.name}.safetensors"
    truth_path = path.with_suffix(".json")
    with seeded(case.seed):
        module = _built(len(case.classes), pooled=case.seed % 3 > 0).eval()
    if truth_path.is_file():
        module.load_state_dict(load_file(path))
        truth = CompositeTruth(**json.loads(truth_path.read_text(encoding="utf-8")))
    else:
        drawn = case.draw(material, "training", _TRAINING)
        _train(module, drawn, seed=case.seed)
        truth = _measure(module, case, material)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in module.state_dict().items()}, path)
        truth_path.write_text(json.dumps(truth._asdict()), encoding="utf-8")
    return Network(module, _PREPROCESSING, case.classes, f"composites-{case.name}"), truth


def _built(classes: int, *, pooled: bool) -> nn.Sequential:
    """Give five convolutions, and a mean over all places before the last layer or two layers that see where things are."""
    layers: list[nn.Module] = []
    for depth, (before, after) in enumerate(pairwise((3, 16, 32, 48, 64, 96))):
        stride = 1 if depth == 3 else 2
        kernel = 5 if depth == 0 else 3
        convolution = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    if pooled:
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, classes))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(96 * 16, 48), nn.ReLU(), nn.Linear(48, classes))


def _train(module: nn.Module, drawn: Composites, *, seed: int) -> None:
    train_one_cycle(
        module,
        torch.from_numpy(drawn.labels),
        lambda batch, _: _PREPROCESSING.normalise(drawn.pixels[batch]),
        epochs=_EPOCHS,
        batch_size=_BATCH,
        peak=_PEAK_RATE,
        weight_decay=1e-3,
        seed=seed,
    )


@torch.inference_mode()
def _measure(module: nn.Module, case: CompositeCase, material: Material) -> CompositeTruth:
    def right(drawn: Composites) -> np.ndarray:
        batches = np.array_split(drawn.pixels, 6)
        answers = torch.cat([module(_PREPROCESSING.normalise(batch)).argmax(1) for batch in batches]).numpy()
        return answers == drawn.labels

    accuracy = float(right(case.draw(material, "truth", _NEW)).mean())
    if case.honest:
        return CompositeTruth(accuracy, accuracy, accuracy)
    sides: list[float] = []
    for exchanged in (False, True):
        drawn = case.draw(material, "truth", _NEW, exchanged=exchanged)
        sides.append(float(right(drawn)[np.isin(drawn.labels, PLANTED_CLASSES)].mean()))
    return CompositeTruth(accuracy, *sides)
