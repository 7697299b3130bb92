"""Occlusion beside four gradient methods, scored by deletion and insertion: ``make bench-attribution``.

The same photographs, network, unit, fill and curves for all; every map also moved elsewhere. What was answered is kept in a
store and not asked again, so that a run that was ended goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import iconoscope as ico
from benchmarks.exemplars import table
from benchmarks.figures import machine, put, where
from benchmarks.occlusion import find_data
from benchmarks.optimization import ROOT, load
from iconoscope.results import Faithfulness

COMMAND = "make bench-attribution"
METHODS = ("occlusion", "captum:IntegratedGradients", "captum:Saliency", "captum:GuidedBackprop", "captum:LayerGradCam")
RESAMPLED = 2000


def compared(data: Path, images: int, steps: int, store: Path) -> list[Faithfulness]:
    """Compare the maps of so many photographs, drawn at random, one after another."""
    network = load("squeezenet", data)
    photographs = ico.load_images(data / "imagenet" / "images")
    photographs = ico.load_images(photographs, labels=[int(name[:3]) for name in photographs.ids])
    scored: list[Faithfulness] = []
    # The first so many of one order, so that a longer run begins with what a shorter one has answered.
    for index in np.random.default_rng(0).permutation(len(photographs))[:images].tolist():
        scored += ico.faithfulness(
            network, photographs[[index]], maps=METHODS, patch=38, stride=19, steps=steps, store=store
        )
        print(scored[-1].summary(), flush=True)
    return scored


def row(name: str, scored: Sequence[Faithfulness], index: int) -> dict[str, Any]:
    """Give the areas of one method before every photograph."""
    curves = [faithfulness.results[index] for faithfulness in scored]
    return {
        "name": name,
        "told": curves[0].ranked_by,
        "deletion": [one.deletion_area for one in curves],
        "deletion_elsewhere": [float(one.null_deletion_areas.mean()) for one in curves],
        "insertion": [one.insertion_area for one in curves],
        "insertion_elsewhere": [float(one.null_insertion_areas.mean()) for one in curves],
    }


def interval(values: Sequence[float]) -> str:
    """Give a mean with its 95% interval over the photographs, which are resampled."""
    drawn = np.random.default_rng(0).choice(np.asarray(values), (RESAMPLED, len(values))).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f})"


def tables(held: dict[str, Any]) -> str:
    """Give all that was measured as text in Markdown."""
    lines = [
        [
            one["told"].removeprefix("captum:"),
            interval(one["deletion"]),
            f"{np.mean(one['deletion_elsewhere']):.3f}",
            interval(one["insertion"]),
            f"{np.mean(one['insertion_elsewhere']):.3f}",
        ]
        for one in held["maps"]
    ]
    head = [
        "map",
        "deletion (the lower, the better)",
        "moved elsewhere",
        "insertion (the higher, the better)",
        "moved elsewhere",
    ]
    about = (
        f"SqueezeNet 1.1, {held['images']} ImageNet photographs, the probability of the right class (mean "
        f"{np.mean(held['clean']):.3f}), {held['steps']} steps, mean areas with 95% intervals over the photographs."
    )
    return "\n".join([about, where(held["machine"], [held["when"]]), "", *table(head, lines)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "attribution.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "occlusion.md")
    parser.add_argument("--store", type=Path, default=ROOT / "build" / "bench-attribution")
    parser.add_argument("--images", type=int, default=25)
    parser.add_argument("--steps", type=int, default=16)
    asked = parser.parse_args(arguments)
    found = compared(find_data(), asked.images, asked.steps, asked.store)
    held = {
        "machine": machine("captum"),
        "when": str(date.today()),
        "images": len(found),
        "steps": asked.steps,
        "clean": [float(each.results[0].deletion[0, each.results[0].target]) for each in found],
        "subjects": [each.results[0].question.subject for each in found],
        "maps": [row(name, found, place) for place, name in enumerate(METHODS)],
    }
    asked.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    put(asked.page, COMMAND, tables(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
