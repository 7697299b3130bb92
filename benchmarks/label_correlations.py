"""What does a tool that looks at images and labels alone find of the same shortcuts? ``make bench-label-correlations``.

Datalab of cleanlab (https://docs.cleanlab.ai, "spurious correlations") measures darkness, brightness, blur, information, sizes
and greyness of every image by cleanvision, and how well each tells the labels. It never asks the network. It is given the
composites that the audits of ``make bench-composites`` were given, whose verdicts stand beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.audit import share
from benchmarks.composite_networks import cases
from benchmarks.composites import Material
from benchmarks.figures import machine, put, where
from benchmarks.optimization import ROOT
from benchmarks.photographic_composites import HALVES, STRONG
from iconoscope.extras import import_extra
from iconoscope.results.decision_rule import ACCUSING

_RESULTS = ROOT / "benchmarks" / "results"
_IMAGES = 320  # as many as are audited
_THRESHOLD = 0.3  # Datalab's own: of a score that is small where a property tells the labels
_ACCUSING = frozenset(ACCUSING)


def property_scores(
    images: Sequence[NDArray[np.uint8]], labels: Sequence[int], classes: Sequence[str]
) -> dict[str, float]:
    """Give how little each property of the images tells their labels, 0 to 1, as Datalab scores it."""
    datasets = import_extra("datasets", "datasets", "Datalab")
    datalab: Any = import_extra(
        "cleanlab", "bench", "this comparison, with `pip install cleanlab[image,datalab]`"
    ).Datalab
    columns = {"image": [Image.fromarray(pixels) for pixels in images], "label": list(labels)}
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(classes))})
    lab = datalab(
        data=datasets.Dataset.from_dict(columns, features=kinds), label_name="label", image_key="image", verbosity=0
    )
    properties = ("dark", "light", "low_information", "blurry", "odd_aspect_ratio", "odd_size", "grayscale")
    lab.find_issues(
        issue_types={
            "image_issue_types": {name: {} for name in properties},
            "spurious_correlations": {"threshold": _THRESHOLD},
        }
    )
    scores = lab.get_info("spurious_correlations")["correlations_df"]
    return {
        str(name).removesuffix("_score"): round(float(score), 3)
        for name, score in zip(scores["property"], scores["score"], strict=True)
    }


def is_flagged(scores: dict[str, float]) -> bool:
    """Tell whether any property tells the labels, by Datalab's own threshold."""
    return min(scores.values()) < _THRESHOLD


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Give what either accuses, of networks with a shortcut and without, as Markdown."""
    lines = ["| | networks | audit, masks | audit, no masks | Datalab |", "| --- | --- | --- | --- | --- |"]
    planted = [row for row in rows if row["kind"] and row["fall"] > STRONG]
    honest = [row for row in rows if not row["kind"]]
    groups = [(f"shortcut: {kind}", [row for row in planted if row["kind"] == kind]) for kind in _kinds(planted)]
    for text, some in (*groups, ("all shortcuts over 20 points", planted), ("honest networks accused", honest)):
        accused = [share(sum(row[tool] for row in some), len(some)) for tool in ("masks", "no_masks", "datalab")]
        lines.append(f"| {text} | {len(some)} | " + " | ".join(accused) + " |")
    return lines


def _kinds(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask Datalab about every composite set that was audited, write and report."""
    parser = argparse.ArgumentParser(prog="make bench-label-correlations", description=__doc__)
    parser.add_argument("--audits", type=Path, default=_RESULTS / "audit_composites.json")
    parser.add_argument("--out", type=Path, default=_RESULTS / "label_correlations.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--kept", type=Path, default=ROOT / "build" / "composites", help="where the material is kept")
    options = parser.parse_args(arguments)
    audited = json.loads(options.audits.read_text(encoding="utf-8"))["rows"]
    material = Material.gather(options.kept)
    rows: list[dict[str, Any]] = []
    for half, first_seed in HALVES.items():
        for case in cases(first_seed):
            verdicts = {row["masks"]: row for row in audited if (row["network"], row["half"]) == (case.name, half)}
            if set(verdicts) != {True, False}:
                continue
            started = process_time()
            drawn = case.draw(material, "audit", _IMAGES)
            scores = property_scores(list(drawn.pixels), drawn.labels.tolist(), case.classes)
            rows.append({
                "network": case.name,
                "half": half,
                "kind": case.kind,
                "fall": verdicts[True]["fall"],
                "masks": verdicts[True]["word"] in _ACCUSING,
                "no_masks": verdicts[False]["word"] in _ACCUSING,
                "datalab": is_flagged(scores),
                "scores": scores,
                "seconds": round(process_time() - started, 1),
            })  # fmt: skip
            print(case.name, rows[-1]["datalab"], scores, flush=True)
    measured_on = machine("cleanlab", "cleanvision")
    held = {"machine": measured_on, "when": str(date.today()), "rows": rows}
    options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    told = [where(measured_on, [held["when"]]), "", *table(rows)]
    put(options.page, "make bench-label-correlations", "\n".join(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
