"""Pictures along learned priors against pictures without: ``make bench-prior``.

Ten classes of ResNet-20, thirty pictures each, judged by another network, the built-in ``cifar10``; and airplanes that are
changed into trucks. Priors are fitted apart.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import iconoscope as ico
from benchmarks.figures import machine, put, where
from benchmarks.occlusion import find_data
from benchmarks.optimization import ROOT, load
from benchmarks.pictures import real_images
from iconoscope.optimization.latent_parameterization import CAP
from iconoscope.optimization.reference_activations import ReferenceImages, read_reference
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LOGITS, probe

EARLY, LAST = "block1", "block4"
EACH, AIRPLANES = 30, 20
GOALS = {
    "gaussian, capped": ("at least 98%", "at most 0.3", "at most 0.75", "at least 0.65", "at least 90%"),
    "refined, capped": ("at least 98%", "at most 0.2", "at most 0.5", "at least 0.75", "at least 90%"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was found of one way to make pictures.

    Attributes
    ----------
    name : str
        The way.
    recognised : float
        The share that the judge calls what they were made of.
    last, early : float
        Frechet distance of the judge's last features to those of real images, and of its early ones, which know texture.
    diversity : float
        Mean distance of the judge's last features between pictures of a class, over that between real images of it.
    trucks, asked_more : float or None
        The share of airplanes that the judge calls a truck at the end; and the same where the most is asked for, without a cap.
    seconds : float
        For a picture.
    """

    name: str
    recognised: float
    last: float
    early: float
    diversity: float
    trucks: float | None
    asked_more: float | None
    seconds: float


class Critic:
    """The judge, and what it answers to real images.

    Parameters
    ----------
    network
        The built-in ``cifar10``.
    images, labels
        Real images, (n, height, width, 3) of 0..255, and their classes.
    """

    def __init__(self, network: Network, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self._network = network
        self._moments = {}
        _, features = self._look(images)
        for layer, values in features.items():
            self._moments[layer] = values.mean(0), np.cov(values.T)
        self._spread = _within(features[LAST], labels)

    @torch.inference_mode()
    def _look(self, images: NDArray[Any]) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
        """Give the classes that it names, and the means over all places of its features."""
        classes: list[NDArray[np.int64]] = []
        features: dict[str, list[NDArray[np.float64]]] = {EARLY: [], LAST: []}
        pixels = images if images.dtype == np.uint8 else (images * 255).round().astype(np.uint8)
        with self._network.questioned(), probe(self._network, [LOGITS, EARLY, LAST]) as read:
            for first in range(0, len(pixels), 200):
                answers = read(self._network.preprocessing.normalise(pixels[first : first + 200]))
                classes.append(answers[LOGITS].argmax(1).numpy())
                for layer, values in features.items():
                    values.append(answers[layer].mean((2, 3)).double().numpy())
        return np.concatenate(classes), {layer: np.concatenate(values) for layer, values in features.items()}

    def judge(
        self,
        name: str,
        images: NDArray[Any],
        labels: NDArray[np.int64],
        *,
        trucks: float | None = None,
        asked_more: float | None = None,
        seconds: float = 0,
    ) -> Row:
        """Judge pictures that were made of classes."""
        named, features = self._look(images)
        return Row(
            name=name,
            recognised=float((named == labels).mean()),
            last=frechet(features[LAST], *self._moments[LAST]),
            early=frechet(features[EARLY], *self._moments[EARLY]),
            diversity=_within(features[LAST], labels) / self._spread,
            trucks=trucks,
            asked_more=asked_more,
            seconds=seconds,
        )

    def share(self, images: NDArray[Any], name: str) -> float:
        """Give the share of pictures that it calls by a name."""
        return float((self._look(images)[0] == self._network.class_index(name)).mean())


def frechet(values: NDArray[np.float64], mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Give the Frechet distance (Heusel et al. 2017) of some values to a normal distribution."""
    measured = np.cov(values.T)
    roots, vectors = np.linalg.eigh(covariance)
    half = vectors * np.sqrt(roots.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(half @ measured @ half).clip(0)).sum()
    return float(((values.mean(0) - mean) ** 2).sum() + np.trace(measured) + np.trace(covariance) - 2 * shared)


def _within(features: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return float(np.mean([torch.pdist(torch.from_numpy(features[labels == one])).mean() for one in np.unique(labels)]))


def made(network: Network, natural: ReferenceImages, **settings: Any) -> tuple[NDArray[np.float32], float]:
    """Make thirty pictures of each class, the first class first; and the seconds for one."""
    began = perf_counter()
    visualization = ico.optimize(
        network, [f"logit:{name}" for name in network.classes], count=EACH, compare=natural, **settings
    )
    return visualization.images, (perf_counter() - began) / len(visualization)


def turned(
    network: Network, airplanes: NDArray[np.uint8], natural: ReferenceImages, **settings: Any
) -> NDArray[np.float32]:
    """Change airplanes into trucks."""
    return ico.optimize(network, "logit:truck", start=airplanes, compare=natural, **settings).images


def table(rows: Sequence[Row]) -> list[str]:
    """Give the figures in Markdown, as shares of those that they are held against."""
    free, control = rows[1], rows[2]
    head = (
        "pictures", "recognised by the judge", "Frechet distance, last features, over no prior's",
        "early features, over the capped control's", "diversity within a class over that of real images",
        "20 airplanes, judged trucks", "the same, asked for the most", "s for a picture",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for one in rows:
        goals = GOALS.get(one.name, ("",) * 5)
        stated = (
            f"{one.recognised:.1%}",
            f"{one.last / free.last:.2f} ({one.last:.1f})",
            f"{one.early / control.early:.2f} ({one.early:.3f})",
            f"{one.diversity:.2f}",
            _share(one.trucks),
        )
        cells = [text + (f"; goal {goal}" if goal else "") for text, goal in zip(stated, goals, strict=True)]
        cells += [_share(one.asked_more), f"{one.seconds:.2f}" if one.seconds else ""]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return lines


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog="make bench-prior", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "priors.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args(arguments)
    data, measured_on = find_data(), machine()
    network, judge = load("resnet20", data), ico.load_network("cifar10", device="cpu")
    critic = Critic(judge, *real_images(judge, str(data / "cifar10" / "test.parquet"), 500))
    train_path = str(data / "cifar10" / "train.parquet")
    natural = read_reference(network, ico.load_images(train_path, limit=5000))
    pixels, labels = real_images(judge, train_path, EACH)
    airplanes = pixels[labels == judge.class_index("airplane")][:AIRPLANES]
    classes = np.array([judge.class_index(name) for name in network.classes]).repeat(EACH)
    rows = [critic.judge("real images", pixels, labels, trucks=critic.share(airplanes, "truck"))]
    print(rows[0], flush=True)
    for name, settings in WAYS.items():
        images, seconds = made(network, natural, **settings)
        shares = [
            critic.share(turned(network, airplanes, natural, **asking), "truck")
            for asking in (settings, {**settings, "cap": float("inf")})
        ]
        rows.append(critic.judge(name, images, classes, trucks=shares[0], asked_more=shares[1], seconds=seconds))
        print(rows[-1], flush=True)
    figures = {"machine": measured_on, "when": str(date.today()), "rows": [asdict(row) for row in rows]}
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    put(options.page, "make bench-prior", "\n".join([where(measured_on, [figures["when"]]), "", *table(rows)]))
    return 0


WAYS: dict[str, dict[str, Any]] = {
    "no prior": {},
    "no prior, capped": {"cap": CAP},
    "gaussian, capped": {"prior": "cifar10"},
    "refined, capped": {"prior": "cifar10-refined"},
}

if __name__ == "__main__":
    sys.exit(main())
