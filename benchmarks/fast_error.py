"""The error that ``method="fast"`` states against the one that it makes: ``make bench-fast``.

Every position of every map is answered by both engines, so the largest error is known.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import iconoscope as ico
from benchmarks.exemplars import table
from benchmarks.figures import machine, put, where
from benchmarks.occlusion import CASES, ROOT, find_data
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.sliding_patch import METHODS
from iconoscope.subject.network import Network

COMMAND = "make bench-fast"
GRIDS = {"squeezenet": [(32, 8), (48, 16)], "resnet20": [(8, 1), (5, 2)], "resnet18": [(32, 16), (56, 16)]}
"""Patch and stride, pixels; the smallest grid has 144 positions."""

STATED = re.compile(r"off by (\S+) on average and (\S+) at most on \d+ positions .* estimated (\S+) at most on all")


def photographs(name: str, data: Path, count: int) -> list[Path]:
    """Give so many photographs for a network, of as many classes as there are."""
    if name == "resnet20":
        paths = sorted((data / "cifar10" / "folder").glob("*/000*.jpg"), key=lambda path: (path.name, path.parent))
        return paths[:count]
    paths = sorted((data / "imagenet" / "images").glob("*.jpg"))
    return paths[:: len(paths) // count][:count]


def measured(name: str, patch: int, stride: int, data: Path, count: int) -> list[dict[str, Any]]:
    """Give for every photograph and both kinds of unit what was stated of the error, and what it was."""
    network, _ = CASES[name].make(data)
    preprocessing = network.preprocessing
    fitted = np.stack([preprocessing.fit(image.pixels) for image in ico.load_images(photographs(name, data, count))])
    with network.questioned(), torch.inference_mode():
        return _errors(network, preprocessing.normalise(fitted), patch, stride)


def _errors(network: Network, images: torch.Tensor, patch: int, stride: int) -> list[dict[str, Any]]:
    grid = make_grid(network.preprocessing.size, patch=patch, stride=stride)
    exact, *fast = (METHODS[method](10**6, "") for method in ("exact", "fast", "fast"))
    figures = []
    for image in images:
        cover, index = Cover(torch.zeros_like(image)), int(network.module(image[None]).argmax())
        logits = exact(network, image, cover, grid, network.class_unit("logit", index), memory=None).occluded
        probabilities = network.probabilities(torch.from_numpy(logits).flatten(0, 1)).numpy()
        truth: dict[Literal["logit", "prob"], Any] = {"logit": logits, "prob": probabilities}
        for (kind, true), engine in zip(truth.items(), fast, strict=True):
            scan = engine(network, image, cover, grid, network.class_unit(kind, index), memory=None)
            if not (stated := STATED.search(scan.plan)):
                raise ValueError(f"{network.name} was not answered by the fast engine: {scan.plan}.")
            wanted = true.reshape(*grid.shape, -1)[..., index]
            off = np.abs(scan.occluded[..., index] - wanted)
            figures.append(
                {
                    "unit": kind,
                    "stated": [float(number) for number in stated.groups()],
                    "true": [float(off.mean()), float(off.max())],
                    "range": float(np.ptp(wanted)),
                }
            )
    return figures


def row(name: str, patch: int, stride: int, kind: str, figures: Sequence[dict[str, Any]]) -> list[str]:
    """Give a line of the table: by how much what is stated is passed."""
    those = [figure for figure in figures if figure["unit"] == kind]
    true = np.array([figure["true"] for figure in those])
    _, sampled, estimated = np.maximum(np.array([figure["stated"] for figure in those]), 1e-12).T
    by_sampled, by_estimated = true[:, 1] / sampled, true[:, 1] / estimated
    shares = [f"{np.mean(by_estimated > times):.0%}" for times in (1, 1.5)]
    return [
        f"{name}, {patch}, {stride}",
        kind,
        str(len(those)),
        f"{np.median(true[:, 1] / [figure['range'] for figure in those]):.1%}",
        f"{np.median(by_sampled):.2f}, {np.quantile(by_sampled, 0.9):.1f}",
        f"{np.mean(by_sampled > 1.5):.0%}",
        f"{np.median(by_estimated):.2f}, {np.quantile(by_estimated, 0.9):.2f}, {by_estimated.max():.2f}",
        *shares,
    ]


HEAD = [
    "network, patch, stride",
    "unit",
    "maps",
    "largest error, of the map's range (median)",
    "over the sampled maximum: median, 9 in 10",
    "over 1.5 times it",
    "over the estimate: median, 9 in 10, largest",
    "over it",
    "over 1.5 times it",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; give the exit status."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--images", type=int, default=20, help="photographs for every network")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "fast_error.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    asked = parser.parse_args(arguments)
    data, measured_on, today = find_data(), machine(), date.today().isoformat()
    figures = [
        {
            "network": CASES[name].name,
            "patch": patch,
            "stride": stride,
            "maps": measured(name, patch, stride, data, asked.images),
        }
        for name, grids in GRIDS.items()
        for patch, stride in grids
    ]
    asked.out.write_text(
        json.dumps({"machine": measured_on, "when": today, "figures": figures}) + "\n", encoding="utf-8"
    )
    rows = [
        row(one["network"], one["patch"], one["stride"], kind, one["maps"])
        for one in figures
        for kind in ("prob", "logit")
    ]
    put(asked.page, COMMAND, "\n".join([where(measured_on, [today]), "", *table(HEAD, rows)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
