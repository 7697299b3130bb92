"""Occlusion of networks on which the incremental engine gains little, against Captum at equal work: ``make bench-plain``.

timm's networks with random weights: what an answer costs does not depend on them. Both run in one process on one thread, one
after another in every repetition, and what is counted is the processor's time, since a wall clock also counts what other
processes take.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch

import iconoscope as ico
from benchmarks.figures import machine, put, where
from benchmarks.peers import attribute
from iconoscope.occlusion.dropped import scan_dropped
from iconoscope.occlusion.geometry import Cover, Grid, make_grid
from iconoscope.occlusion.sliding_patch import METHODS
from iconoscope.subject.network import Network
from iconoscope.subject.patch_tokens import find_patch_tokens

ROOT = Path(__file__).parent.parent
COMMAND = "make bench-plain"

NETWORKS = {
    "ViT-S/16": "vit_small_patch16_224",
    "Swin-T": "swin_tiny_patch4_window7_224",
    "ConvNeXt-T": "convnext_tiny",
    "ResNet-50": "resnet50",
    "EfficientNet-Lite0": "efficientnet_lite0",
}
"""By their names, what timm calls them."""

PATCH, STRIDE = 64, 64
"""Pixels, of 224: sixteen positions, so that a repetition takes seconds."""

IMAGES = 100
"""For how many images a plan is made, which is not counted."""

BATCHES = (4, 16)
"""Values of Captum's `perturbations_per_eval`; the faster counts."""


def load(name: str) -> Network:
    """Give one of timm's networks with random weights that answer differently to different pictures."""
    declared = torch.library.Library("torchvision", "DEF")  # which timm imports, and torch for CPUs alone does not have
    for operator in ("nms", "qnms"):
        declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torch.manual_seed(0)
    module = importlib.import_module("timm").create_model(name, num_classes=1000).eval()
    how = {"size": 224, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return ico.load_network(module, classes=[str(n) for n in range(1000)], preprocessing=how, device="cpu")


def measure(network: Network, repeats: int) -> dict[str, Any]:
    """Give milliseconds of the processor for a position, in every repetition, and what ran how."""
    grid = make_grid((224, 224), patch=PATCH, stride=STRIDE)
    image = torch.randn(3, 224, 224, generator=torch.Generator().manual_seed(0))
    unit, cover = network.class_unit("prob", 7), Cover(torch.zeros_like(image))
    with network.questioned(), torch.inference_mode():
        engine = METHODS["exact"](IMAGES, "")

        def ours() -> Any:
            return engine(network, image, cover, grid, unit, memory=None)

        def captum(batch: int) -> Any:
            return attribute(lambda covered: network.module(covered).softmax(1), image, 7, grid, batch=batch)

        scan = ours()
        ways = {"ours": ours} | {f"captum, {batch}": lambda batch=batch: captum(batch) for batch in BATCHES}
        if network.name.startswith("VisionTransformer"):
            tokens = find_patch_tokens(network, "")
            ways["dropped"] = lambda: scan_dropped(network, image, grid, unit, tokens)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repeats):
            for way, ask in ways.items():
                start = process_time()
                ask()
                times[way].append(1e3 * (process_time() - start) / len(grid))
        return {"ms": times, "plan": scan.plan, "difference": _difference(network, image, grid, scan.occluded)}


def _difference(network: Network, image: torch.Tensor, grid: Grid, occluded: Any) -> float:
    """Give the largest difference of a probability from the network itself, at all positions."""
    largest = 0.0
    for position in range(len(grid)):
        rows, columns = grid.window(position)
        covered = image.clone()
        covered[:, rows, columns] = 0
        naive = network.module(covered[None])[0].softmax(0).numpy()
        largest = max(largest, float(np.abs(naive - occluded.reshape(len(grid), -1)[position]).max()))
    return largest


def table(figures: dict[str, dict[str, Any]], measured_on: dict[str, Any]) -> str:
    """Give the figures as text in Markdown."""
    heads = ["network", "Captum, ms", "ours, ms", "Captum by ours", "largest difference", "what ran"]
    lines = [where(measured_on, [one["when"] for one in figures.values()]), ""]
    lines += [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for name, one in figures.items():
        ms = {way: median(times) for way, times in one["ms"].items()}
        captum = min(value for way, value in ms.items() if way.startswith("captum"))
        row = [name, f"{captum:.0f}", f"{ms['ours']:.0f}", f"{captum / ms['ours']:.2f}", f"{one['difference']:.0e}"]
        lines.append(f"| {' | '.join([*row, one['plan']])} |")
        if "dropped" in ms:
            row = [f"{name}, tokens dropped", f"{captum:.0f}", f"{ms['dropped']:.0f}", f"{captum / ms['dropped']:.2f}"]
            lines.append(f"| {' | '.join(row)} | another question | fewer tokens |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--networks", default=",".join(NETWORKS), help="which, with commas between them")
    parser.add_argument("--repeats", type=int, default=3, help="how often everything is timed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "plain_networks.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    asked = parser.parse_args(arguments)
    names = asked.networks.split(",")
    if unknown := [name for name in names if name not in NETWORKS]:
        parser.error(f"there is no network {', '.join(unknown)}; there are: {', '.join(NETWORKS)}")
    torch.set_num_threads(1)
    measured_on = machine("captum", "timm")
    held = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.is_file() else {}
    figures = held.get("figures", {}) if held.get("machine") == measured_on else {}
    for name in names:
        figures[name] = {**measure(load(NETWORKS[name]), asked.repeats), "when": date.today().isoformat()}
        ordered = {known: figures[known] for known in NETWORKS if known in figures}
        asked.out.write_text(
            json.dumps({"machine": measured_on, "figures": ordered}, indent=1) + "\n", encoding="utf-8"
        )
        put(asked.page, COMMAND, table(ordered, measured_on))
        print(name, figures[name], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
