"""The shortcut suite: small networks of which is known what they learned, so that a conclusion about one can be marked.

A network is trained on cars of which one property tells the make (see `draw_planted`), as reliably as the case says. How much
it leans on that property is then measured: the same new photographs with the property alone exchanged, and how far its accuracy
falls. An honest network is trained where the property tells nothing; a hard one to judge is honest, and questioned with
photographs in which the property tells the make all the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.shortcuts import KEPT_BACK, SHORTCUTS, SIDE, Planted, draw_planted
from iconoscope.demo.cars import MAKES
from iconoscope.demo.training import Schedule, seeded, train
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network, read_preprocessing

__all__ = [
    "CORRELATIONS",
    "HONEST",
    "Case",
    "SuiteNetwork",
    "Truth",
    "honest_cases",
    "images_of",
    "network_of",
    "planted_cases",
]

CORRELATIONS = (1.0, 0.95, 0.8)
HONEST = 0.5  # the correlation that tells nothing

_PREPROCESSING = read_preprocessing({"size": SIDE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"})
_TRAINING, _NEW = 800, 300  # images to learn from, and to measure the truth on
_SCHEDULE = Schedule(epochs=6, batch=40, peak_rate=4e-3)
# The seeds of a case's three sets of images must never meet.
_SETS = {"training": 1_000_000, "truth": 2_000_000, "audit": 3_000_000}


class Truth(NamedTuple):
    """What a network was measured to have learned, on new images on the side of their make.

    Attributes
    ----------
    accuracy, exchanged
        The share answered rightly as they are, and with the property on the other side.
    """

    accuracy: float
    exchanged: float

    @property
    def fall(self) -> float:
        """How far the accuracy falls when the property alone is exchanged."""
        return self.accuracy - self.exchanged


@dataclass(frozen=True)
class Case:
    """One network to be judged, and the images that it is judged on.

    Attributes
    ----------
    shortcut
        A key of ``SHORTCUTS`` or ``KEPT_BACK``.
    trained, audited
        How reliably the property tells the make in training, and on the images of the audit; 0.5 tells nothing.
    seed
        Of the images, the first weights and the order of training.
    """

    shortcut: str
    trained: float
    audited: float
    seed: int

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{self.shortcut.replace(' ', '-')}-{self.trained:.2f}-{self.audited:.2f}-{self.seed}"

    @property
    def honest(self) -> bool:
        """Whether training gave no reason to learn the property."""
        return self.trained == HONEST

    def draw(self, purpose: str, count: int, *, correlation: float, exchanged: bool = False) -> Planted:
        """Draw images for one of the purposes training, truth and audit."""
        number = sorted(SHORTCUTS | KEPT_BACK).index(self.shortcut)
        seed = _SETS[purpose] + 1000 * self.seed + 20 * number + round(10 * self.trained)
        return draw_planted(count, self.shortcut, correlation=correlation, seed=seed, exchanged=exchanged)


class SuiteNetwork(nn.Module):
    """Four convolutions and two linear layers that see where things are, for images (n, 3, 64, 64).

    Examples
    --------
    >>> SuiteNetwork().eval()(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 2])
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 48, 48)
        for depth, (before, after) in enumerate(pairwise(widths), 1):
            kernel = 5 if depth == 1 else 3
            self.add_module(f"conv{depth}", nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2, bias=False))
            self.add_module(f"bn{depth}", nn.BatchNorm2d(after))
            self.add_module(f"relu{depth}", nn.ReLU())
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(48 * 16, 64)
        self.relu5 = nn.ReLU()
        self.head = nn.Linear(64, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Give the logits (n, 2) of lynx and bison."""
        for module in self.children():
            images = module(images)
        return images


def planted_cases(seeds: range, shortcuts: tuple[str, ...] = tuple(SHORTCUTS)) -> list[Case]:
    """Give a network for every shortcut, correlation and seed, judged on images like those it was trained on."""
    return [
        Case(shortcut, trained, trained, seed) for seed in seeds for shortcut in shortcuts for trained in CORRELATIONS
    ]


def honest_cases(seeds: range) -> list[Case]:
    """Give honest networks: of every other seed judged on images in which the property tells the make all the same."""
    return [
        Case(shortcut, HONEST, HONEST if seed % 2 else CORRELATIONS[(seed // 2 + number) % 3], seed)
        for seed in seeds
        for number, shortcut in enumerate(SHORTCUTS)
    ]


def images_of(case: Case, count: int = 320, *, masks: bool = False) -> Images:
    """Draw the images that a case is judged on, with labels, and with the masks of the cars if wished."""
    drawn = case.draw("audit", count, correlation=case.audited)
    labels = [MAKES[make] for make in drawn.makes.tolist()]
    return load_images(drawn.pixels, labels=labels, masks=drawn.masks if masks else None)


def network_of(case: Case, folder: str | Path) -> tuple[Network, Truth]:
    """Train the network of a case and measure what it learned; or read both from the folder, where they are kept."""
    path = Path(folder) / f"{case.name}.safetensors"
    module, truth_path = SuiteNetwork().eval(), path.with_suffix(".json")
    if truth_path.is_file():
        module.load_state_dict(load_file(path))
        truth = Truth(**json.loads(truth_path.read_text(encoding="utf-8")))
    else:
        drawn = case.draw("training", _TRAINING, correlation=case.trained)
        with seeded(case.seed):
            module = SuiteNetwork()
        train(module, drawn.pixels, drawn.makes, _PREPROCESSING, _SCHEDULE, seed=case.seed)
        truth = _measure(module, case)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in module.state_dict().items()}, path)
        truth_path.write_text(json.dumps(truth._asdict()), encoding="utf-8")
    return Network(module, _PREPROCESSING, MAKES, f"suite-{case.name}"), truth


@torch.inference_mode()
def _measure(module: SuiteNetwork, case: Case) -> Truth:
    right: list[float] = []
    for exchanged in (False, True):
        drawn = case.draw("truth", _NEW, correlation=1.0, exchanged=exchanged)
        answers = module(_PREPROCESSING.normalise(drawn.pixels)).argmax(1).numpy()
        right.append(float((answers == drawn.makes).mean()))
    return Truth(*right)
