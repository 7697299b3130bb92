"""Does the audit find shortcuts planted in real photographs? ``make bench-audit-photographs``.

Every network of `benchmarks.planted_networks` is audited blind on photographs that it was not trained on: which classes with a
shortcut are accused, what is named, and which other classes are accused. The figures are of the first sample of each network;
further samples, which have no photograph in common with it, say how often a verdict repeats. docs/audit.md tells what the
halves that no constant was chosen by gave when they were first run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from time import perf_counter, process_time

import torch

import iconoscope as ico
from benchmarks.audit import concluded, share
from benchmarks.figures import machine, put, where
from benchmarks.optimization import ROOT
from benchmarks.planted_kinds import KINDS
from benchmarks.planted_networks import NETWORKS
from benchmarks.planted_photographs import audited_images, load_planted, truth
from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.decision_rule import ACCUSING, UNJUDGED

HALVES = ("tuning", "frozen", "unseen", "fresh", "last")
STRONG = 20.0  # points that are lost without a shortcut, or to it: then it has to be found
SMALL = ("stamp", "mark", "thing", "pixels", "corner tag", "border")
SHOWN_RIGHTLY = {
    "place": SMALL,
    "thing": SMALL,
    "layout": ("layout", "light gradient", "brightness", "background brightness", "contrast", "background hue", "colour cast"),
    "spectrum": ("spectrum", "sharpness", "noise", "JPEG quality", "background texture", "original size"),
    "tone": ("tone", "layout", "spectrum", "brightness", "contrast", "saturation", "colour cast", "background hue"),
}  # fmt: skip
"""What names a shortcut rightly, or shows it by a picture, by the hypothesis that is meant for its kind."""


@dataclass(frozen=True)
class ClassRow:
    """One class of one network, on one sample.

    Attributes
    ----------
    network, half : str
        A key of `NETWORKS`, and its half.
    sample : int
        Of its photographs, which of the disjoint samples.
    name : str
        The class.
    kind : str
        What was planted in it; empty where nothing was.
    fall : float
        Points lost by exchange.
    word : str
        The verdict.
    names : tuple of str
        What it names.
    position : str
        Where.
    """

    network: str
    half: str
    sample: int
    name: str
    kind: str
    fall: float
    word: str
    names: tuple[str, ...]
    position: str

    @property
    def accused(self) -> bool:
        """Whether something other than the object is said to decide."""
        return self.word in ACCUSING

    @property
    def shown_rightly(self) -> bool:
        """Whether what is named first can be what was planted."""
        return names_rightly(self.kind, self.names)


def names_rightly(kind: str, names: Sequence[str]) -> bool:
    """Tell whether the first of what a verdict names can be what was planted."""
    right = SHOWN_RIGHTLY.get(KINDS[kind].hypothesis, (*SMALL, "spectrum", "layout", "tone"))
    return bool(names) and (names[0] in right or names[0] == KINDS[kind].family)


def conclusions_of(name: str, sample: int, count: int) -> tuple[Conclusions, dict[str, float]]:
    """Audit a network on one of its samples of so many photographs: what is concluded, and the seconds that it took."""
    network = load_planted(name)
    pixels, labels = audited_images(name, sample, count)
    images = ico.load_images(pixels, labels=[network.classes[label] for label in labels.tolist()])
    started, started_working = perf_counter(), process_time()
    with tempfile.TemporaryDirectory() as store:
        conclusions = concluded(network, images, Path(store))
    return conclusions, {
        "seconds": round(perf_counter() - started, 1),
        "processor": round(process_time() - started_working, 1),
    }


def audited(name: str, sample: int, count: int) -> tuple[list[ClassRow], dict[str, float]]:
    """Audit a network on one of its samples: a row for every class that is answered, and the seconds that it took."""
    planted = truth(name)
    conclusions, seconds = conclusions_of(name, sample, count)
    rows: list[ClassRow] = []
    for index, conclusion in conclusions.by_class.items():
        kind, fall = planted.get(index, ("", 0.0))
        rows.append(
            ClassRow(
                name,
                NETWORKS[name].half,
                sample,
                NETWORKS[name].classes[index],
                kind,
                fall,
                conclusion.word,
                conclusion.names,
                conclusion.position,
            )
        )
    return rows, seconds


def table(rows: Sequence[ClassRow]) -> list[str]:
    """Give the figures of every half, and every shortcut, as Markdown."""
    lines = [
        "| | " + " | ".join(HALVES) + " | goal |",
        "| --- |" + " --- |" * (len(HALVES) + 1),
    ]
    by_half = {half: [row for row in rows if row.half == half and not row.sample] for half in HALVES}
    strong = {half: [row for row in of if row.kind and row.fall > STRONG] for half, of in by_half.items()}
    weak = {half: [row for row in of if row.kind and row.fall <= STRONG] for half, of in by_half.items()}
    found = {half: [row for row in of if row.accused] for half, of in strong.items()}
    free = {half: [row for row in of if not row.kind and row.word != "undecided"] for half, of in by_half.items()}
    figures = (
        (
            "detected, of shortcuts that cost over 20 points",
            {h: share(len(found[h]), len(strong[h])) for h in HALVES},
            "95%",
        ),
        (
            "named or shown rightly, of these",
            {h: share(sum(row.shown_rightly for row in found[h]), len(found[h])) for h in HALVES},
            "90%",
        ),
        (
            "borderline or cannot be judged",
            {h: share(sum(row.word in UNJUDGED for row in strong[h]), len(strong[h])) for h in HALVES},
            "",
        ),
        ("weaker ones, accused", {h: share(sum(row.accused for row in weak[h]), len(weak[h])) for h in HALVES}, ""),
        (
            "classes without a shortcut, accused",
            {h: share(sum(row.accused for row in free[h]), len(free[h])) for h in HALVES},
            "at most 1%",
        ),
        ("accused or not, the same on a disjoint sample", {h: share(*_repeated(rows, h)) for h in HALVES}, "97%"),
    )
    lines += [f"| {text} | " + " | ".join(of[h] for h in HALVES) + f" | {goal} |" for text, of, goal in figures]
    lines += ["", "| planted | class, network | fall | verdict |", "| --- | --- | --- | --- |"]
    for row in sorted((row for row in rows if row.kind and not row.sample), key=lambda row: -row.fall):
        named = f"{row.word}: {row.names[0]}" if row.names else row.word
        said = f"{named} {row.position}".rstrip()
        lines.append(f"| {row.kind} | {row.name}, {row.network} | {row.fall:.0f} | {said} |")
    return lines


def _repeated(rows: Sequence[ClassRow], half: str) -> tuple[int, int]:
    """Count the classes that are accused on the first sample and on the second, or on neither; and all that are on both."""
    first, second = (
        {(row.network, row.name): row.accused for row in rows if row.half == half and row.sample == sample}
        for sample in (0, 1)
    )
    return sum(first[key] == second[key] for key in first.keys() & second.keys()), len(first.keys() & second.keys())


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit, write and report."""
    parser = argparse.ArgumentParser(prog="make bench-audit-photographs", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "audit_photographs.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument(
        "--networks", nargs="*", default=list(NETWORKS), help="names; those whose figures are kept stay"
    )
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--samples", type=int, default=1, help="disjoint samples of each network")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    held = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    others = [row for row in held.get("rows", []) if row["network"] not in options.networks]
    rows = [ClassRow(**{**row, "names": tuple(row["names"])}) for row in others]
    seconds: dict[str, dict[str, float]] = {
        k: v for k, v in held.get("seconds", {}).items() if k not in options.networks
    }
    for name in options.networks:
        for sample in range(options.samples):
            of_network, seconds[name] = audited(name, sample, options.images)
            rows += of_network
            accused = {row.name: row.names[0] for row in of_network if row.accused}
            print(f"{name}, sample {sample}: {seconds[name]['processor']} s of one core, accused {accused}", flush=True)
    measured_on = machine()
    result = {
        "machine": measured_on,
        "when": str(date.today()),
        "seconds": seconds,
        "rows": [asdict(row) for row in rows],
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    put(
        options.page,
        "make bench-audit-photographs",
        "\n".join([where(measured_on, [result["when"]]), "", *table(rows)]),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
