"""Maps against the pixels that are known to matter: tetrominoes on noise. ``make bench-tetrominoes``.

The data of XAI-TRIS (Clark, Wilming and Haufe, "XAI-TRIS: Non-linear image benchmarks to quantify false positive post-hoc
attribution of feature importance", Machine Learning 2024) at 8x8 pixels, made anew from its definition. A T or an L lies on
noise that is white or correlated: added to it (linear), dampening it (multiplicative), anywhere and turned (translations and
rotations), or both with signs whose product is the class (exclusive or). A map should lie on these pixels, and nowhere else.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace
from scipy.optimize import linprog
from scipy.spatial.distance import cdist
from torch import nn

import iconoscope as ico
from benchmarks.figures import machine, put, where
from benchmarks.funny_birds import interval
from benchmarks.one_cycle import train_one_cycle
from benchmarks.optimization import ROOT
from benchmarks.peers import attribute
from iconoscope.occlusion.geometry import make_grid
from iconoscope.subject.network import Network, read_preprocessing
from iconoscope.subject.random_state import seeded

COMMAND = "make bench-tetrominoes"

SIDE = 8
SHAPES = (np.array([[1, 0], [1, 1], [1, 0]]), np.array([[1, 0], [1, 0], [1, 1]]))
"""A T that lies on its side, and an L."""

PLACES = ((1, 1), (4, 5))
"""Row and column of each, where it is always at one place."""

NOISE, SMOOTHED = 0.5, 3.0
"""Standard deviation of the white noise, and of the Gaussian that correlates it, in pixels."""

SHARES = {
    "linear": (0.18, 0.0125),
    "multiplicative": (0.7, 0.1),
    "translations and rotations": (0.65, 0.2),
    "exclusive or": (0.35, 0.15),
}
"""How much of the picture is tetromino, in white and in correlated noise: theirs (`data_config_8by8.json`)."""

BACKGROUNDS = ("white", "correlated")
COUNT, TESTED, EXPLAINED = 10_000, 1_000, 100
CLASSES = ("T", "L")
PREPROCESSING = read_preprocessing({"size": SIDE, "mean": (0.5,), "std": (0.5,), "crop": "none"})

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Tetrominoes:
    """Pictures and the pixels that matter.

    Attributes
    ----------
    values : ndarray, (n, 8, 8)
        From -1 to 1.
    classes : ndarray of int64, (n,)
    truth : ndarray of bool, (n, 8, 8)
        The pixels that tell the classes: all of both tetrominoes where they have their places, as one that is absent tells too;
        else those of the one that is there.
    """

    values: Floats
    classes: NDArray[np.int64]
    truth: NDArray[np.bool_]

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """The pictures in 256 greys, (n, 8, 8, 3)."""
        greys = np.rint((self.values + 1) * 127.5).astype(np.uint8)
        return np.repeat(greys[..., None], 3, 3)

    def __getitem__(self, rows: Any) -> Tetrominoes:
        return Tetrominoes(values=self.values[rows], classes=self.classes[rows], truth=self.truth[rows])


def draw(scenario: str, background: str, count: int, *, seed: int) -> Tetrominoes:
    """Draw pictures of both classes, as many of each."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 2
    patterns, truth = _moved(classes, rng) if scenario == "translations and rotations" else _placed(scenario, classes)
    noise = rng.normal(0, NOISE, (count, SIDE, SIDE))
    if background == "correlated":
        noise = gaussian_filter(noise, SMOOTHED, axes=(1, 2))
    share = SHARES[scenario][BACKGROUNDS.index(background)]
    # Norms are those of all pictures together.
    noise /= np.linalg.norm(noise)
    if scenario == "multiplicative":
        dampened = 1 - share * patterns
        values = dampened / np.linalg.norm(dampened) * noise
    else:
        values = share * patterns / np.linalg.norm(patterns) + (1 - share) * noise
    return Tetrominoes(values=values / np.abs(values).max(), classes=classes, truth=truth)


def _put(shape: NDArray[Any], row: int, column: int) -> Floats:
    picture = np.zeros((SIDE, SIDE))
    picture[row : row + shape.shape[0], column : column + shape.shape[1]] = shape
    return picture


def _placed(scenario: str, classes: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    each = np.stack([_put(shape, *place) for shape, place in zip(SHAPES, PLACES, strict=True)])
    truth = np.broadcast_to(each.any(0), (len(classes), SIDE, SIDE))
    if scenario != "exclusive or":
        return each[classes], truth
    first = np.where(np.arange(len(classes)) // 2 % 2, 1, -1)
    signs = np.stack([first, np.where(classes == 0, first, -first)], 1)
    return np.einsum("nk,kij->nij", signs, each), truth


def _moved(classes: NDArray[np.int64], rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    patterns = []
    for cls in classes.tolist():
        shape = np.rot90(SHAPES[cls], int(rng.integers(4)))
        row, column = (int(rng.integers(SIDE - length + 1)) for length in shape.shape)
        patterns.append(_put(shape, row, column))
    return np.stack(patterns), np.stack(patterns) > 0


def precision(values: Floats, truth: NDArray[np.bool_]) -> float:
    """Give the share of the n pixels that matter which are among the n of the highest absolute values; zeros are not."""
    absolute = np.abs(values).ravel()
    highest = np.argsort(-absolute, kind="stable")[: truth.sum()]
    return float((truth.ravel()[highest] & (absolute[highest] > 0)).sum() / truth.sum())


def closeness(values: Floats, truth: NDArray[np.bool_]) -> float:
    """Give 1 less the earth mover's distance of absolute values to the pixels that matter, as a share of the diagonal.

    Both are given the sum 1 (Rubner et al. 2000). 0 if the map is zero everywhere.
    """
    absolute = np.abs(values).ravel()
    if absolute.sum() == 0:
        return 0.0
    pixels = np.argwhere(np.ones(truth.shape))
    wanted = np.flatnonzero(truth)
    distances = cdist(pixels[wanted], pixels)
    # Rows: what each pixel that matters sends away; columns: what each pixel of the map gets.
    sent = np.kron(np.eye(len(wanted)), np.ones(truth.size))
    got = np.tile(np.eye(truth.size), len(wanted))
    masses = np.concatenate([np.full(len(wanted), 1 / len(wanted)), absolute / absolute.sum()])
    # One of the equations follows from the others, and rounding would make them contradict one another.
    solved = linprog(distances.ravel(), A_eq=np.concatenate([sent, got])[:-1], b_eq=masses[:-1], method="highs")
    if not solved.success:
        raise ArithmeticError(f"the earth mover's distance was not found: {solved.message}")
    return 1 - float(solved.fun) / float(np.hypot(SIDE, SIDE))


def built() -> nn.Sequential:
    """Give two convolutions of 3x3 and two linear layers, that see where things are."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * SIDE**2, 48),
        nn.ReLU(),
        nn.Linear(48, len(CLASSES)),
    )


def trained(data: Tetrominoes, *, seed: int) -> Network:
    """Train a network."""
    with seeded(seed):
        module = built()
    inputs = PREPROCESSING.normalise(data.pictures)
    train_one_cycle(
        module,
        torch.from_numpy(data.classes),
        lambda batch, _: inputs[batch],
        epochs=20,
        batch_size=100,
        peak=2e-3,
        weight_decay=1e-2,
        seed=seed,
    )
    return Network(module, PREPROCESSING, CLASSES, "tetrominoes")


Method = Callable[[Network, Tetrominoes], Sequence[NDArray[Any]]]


def _occlusion(fill: str, patch: int) -> Method:
    def explain(network: Network, data: Tetrominoes) -> list[NDArray[Any]]:
        found = ico.occlude(network, ico.load_images(data.pictures), "logit:T", patch=patch, stride=1, fill=fill)
        # The other class's logit is another column of the same answer.
        drops = [each.clean - each.occluded for each in found]
        return [_spread(drop[..., cls], patch) for drop, cls in zip(drops, data.classes.tolist(), strict=True)]

    return explain


def _spread(drop: NDArray[Any], patch: int) -> Floats:
    """Give each pixel the mean drop over the patches that covered it."""
    total, covered = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    for row, column in np.ndindex(*drop.shape):
        total[row : row + patch, column : column + patch] += drop[row, column]
        covered[row : row + patch, column : column + patch] += 1
    return total / covered


def _captum_occlusion(network: Network, data: Tetrominoes) -> list[NDArray[Any]]:
    grid = make_grid((SIDE, SIDE), patch=1, stride=1)
    inputs = PREPROCESSING.normalise(data.pictures)
    with torch.inference_mode():
        return [
            attribute(network.module, image, cls, grid, batch=64)[0]
            for image, cls in zip(inputs, data.classes.tolist(), strict=True)
        ]


def _gradients(method: str) -> Method:
    def explain(network: Network, data: Tetrominoes) -> list[NDArray[Any]]:
        maps: dict[int, NDArray[Any]] = {}
        for cls, name in enumerate(CLASSES):
            rows = np.flatnonzero(data.classes == cls)
            results = ico.attribute(network, ico.load_images(data.pictures[rows]), f"logit:{name}", method=method)
            maps |= {int(row): result.map for row, result in zip(rows, results, strict=True)}
        return [maps[row] for row in range(len(data.classes))]

    return explain


METHODS: Mapping[str, Method] = {
    "occlusion, zero, patch of 1": _occlusion("zero", 1),
    "occlusion, mean, patch of 1": _occlusion("mean", 1),
    "occlusion, blur, patch of 1": _occlusion("blur", 1),
    "occlusion, zero, patch of 2": _occlusion("zero", 2),
    "Captum Occlusion, zero, patch of 1": _captum_occlusion,
    **{
        f"Captum {name}": _gradients(f"captum:{name}")
        for name in ("InputXGradient", "IntegratedGradients", "GradientShap", "DeepLift", "Saliency", "GuidedBackprop")
    },
    "control: Laplace filter": lambda _, data: [laplace(each) for each in data.values],
    "control: random": lambda _, data: list(np.random.default_rng(0).standard_normal(data.values.shape)),
}
"""By the names that the table has."""


def measured(scenario: str, background: str) -> dict[str, Any]:
    """Train a network, and hold every method against the pixels that matter in pictures that it answers rightly."""
    drawn = draw(scenario, background, COUNT, seed=1)
    order = np.random.default_rng(2).permutation(COUNT)
    network = trained(drawn[order[TESTED:]], seed=0)
    test = drawn[order[:TESTED]]
    with torch.inference_mode():
        right = network.module(PREPROCESSING.normalise(test.pictures)).argmax(1).numpy() == test.classes
    asked = test[np.flatnonzero(right)[:EXPLAINED]]
    methods = {}
    for name, method in METHODS.items():
        start = process_time()
        maps = method(network, asked)
        seconds = (process_time() - start) / len(maps)
        pairs = [(np.asarray(each, float), truth) for each, truth in zip(maps, asked.truth, strict=True)]
        on, near = (np.array([measure(*pair) for pair in pairs]) for measure in (precision, closeness))
        methods[name] = {
            "precision": [float(on.mean()), *interval(on)],
            "closeness": [float(near.mean()), *interval(near)],
            "ms": 1e3 * seconds,
        }
    return {"scenario": scenario, "background": background, "accuracy": float(right.mean()), "methods": methods}


def tables(held: dict[str, Any]) -> str:
    """Give all that was measured as text in Markdown: precision, and behind the stroke closeness."""
    rows = held["rows"]
    heads = ["map", *(f"{row['scenario']}, {row['background']}" for row in rows), "mean"]
    lines = [where(held["machine"], [held["when"]]), "", f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    accuracies = [f"{row['accuracy']:.0%}" for row in rows]
    lines.append(f"| accuracy | {' | '.join(accuracies)} | |")
    means = {
        name: [float(np.mean([row["methods"][name][what][0] for row in rows])) for what in ("precision", "closeness")]
        for name in METHODS
    }
    for name in sorted(METHODS, key=lambda name: -means[name][0]):
        of = [row["methods"][name] for row in rows]
        cells = [f"{one['precision'][0]:.2f} / {one['closeness'][0]:.2f}" for one in of]
        lines.append(f"| {name} | {' | '.join(cells)} | {means[name][0]:.2f} / {means[name][1]:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "tetrominoes.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    for scenario in SHARES:
        for background in BACKGROUNDS:
            rows.append(measured(scenario, background))
            figures = {name: round(one["precision"][0], 3) for name, one in rows[-1]["methods"].items()}
            print(f"{scenario}, {background}: {rows[-1]['accuracy']:.1%} {figures}", flush=True)
    held = {"machine": machine("captum"), "when": str(date.today()), "explained": EXPLAINED, "rows": rows}
    print(tables(held))
    if not asked.dry:
        asked.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        put(asked.page, COMMAND, tables(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
