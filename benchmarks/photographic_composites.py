"""Is the audit right on photographs with known masks? ``make bench-composites``.

Every network of `benchmarks.composite_networks` is audited blind on composites of cut-outs and grounds that it was not trained
on, once with the exact masks of the objects and once without any. The constants were chosen on the half ``tuning``; the half
``frozen`` was run once, after they were.
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
from time import perf_counter

import torch

from benchmarks.audit import concluded, share
from benchmarks.composite_networks import CompositeCase, CompositeTruth, cases, images_of, trained_network
from benchmarks.composites import GROUNDS, KINDS, Material
from benchmarks.figures import machine, put, where
from benchmarks.optimization import ROOT
from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.decision_rule import ACCUSING

HALVES = {"tuning": 0, "frozen": 100}
"""The first seed of each half."""

STRONG = 20.0  # points that are lost when the property alone is exchanged: then it has to be found
_OF_THE_GROUND = (
    "background", "background brightness", "background hue", "background texture", "light gradient", "layout", "spectrum",
    "brightness", "contrast", "colour cast", "saturation", "sharpness",
)  # fmt: skip
_THINGS = ("thing", "mark", "stamp", "corner tag")
NAMED_RIGHTLY = {
    **dict.fromkeys(GROUNDS, _OF_THE_GROUND),
    "companion": (*_THINGS, "background", "layout"),
    "paint": ("paint", "colour cast", "saturation"),
    "size": ("object size",),
}
"""What names first a shortcut of a kind rightly, or shows it."""


@dataclass(frozen=True)
class CompositeRow:
    """One network, and what its audit said with masks or without.

    Attributes
    ----------
    network, half, kind
        Its name, its half, and what was planted; empty where nothing was.
    share
        How often that told the planted classes.
    masks
        Whether the masks were given.
    confounded
        Whether it is honest and was judged where a property tells the classes all the same.
    accuracy, fall
        On new composites, 0 to 1, and points lost when the property is exchanged.
    word, names
        The verdict on the network.
    accused
        Accused classes, each with its word and what it names.
    """

    network: str
    half: str
    kind: str
    share: float
    masks: bool
    confounded: bool
    accuracy: float
    fall: float
    word: str
    names: tuple[str, ...]
    accused: tuple[tuple[str, ...], ...]

    @property
    def named_rightly(self) -> bool:
        """Whether what is named first can be what was planted."""
        return bool(self.names) and self.names[0] in NAMED_RIGHTLY.get(self.kind, ())

    @property
    def is_accused(self) -> bool:
        """Whether something other than the object is said to decide any class."""
        return self.word in ACCUSING


def judged(case: CompositeCase, half: str, material: Material, folder: Path, *, masks: bool) -> CompositeRow:
    """Audit the network of a case."""
    network, truth = trained_network(case, material, folder)
    with tempfile.TemporaryDirectory() as store:
        conclusions = concluded(network, images_of(case, material, masks=masks), Path(store))
    return row_of(case, half, truth, conclusions, masks=masks)


def row_of(
    case: CompositeCase, half: str, truth: CompositeTruth, conclusions: Conclusions, *, masks: bool
) -> CompositeRow:
    """Give what is known of a network and what its audit concluded."""
    accused = tuple(
        (case.classes[index], conclusions.by_class[index].word, *conclusions.by_class[index].names)
        for index in sorted(conclusions.accused)
    )
    return CompositeRow(
        network=case.name,
        half=half,
        kind=case.kind,
        share=case.share,
        masks=masks,
        confounded=bool(case.audited),
        accuracy=round(truth.accuracy, 3),
        fall=round(truth.fall, 1),
        word=conclusions.overall.word,
        names=conclusions.overall.names,
        accused=accused,
    )


def table(rows: Sequence[CompositeRow]) -> list[str]:
    """Give the figures of both halves with masks and without, and every planted network, as Markdown."""
    columns = [(half, masks) for half in HALVES for masks in (True, False)]
    told = [f"{half}, {'masks' if masks else 'no masks'}" for half, masks in columns]
    lines = ["| | " + " | ".join(told) + " |", "| --- |" + " --- |" * len(columns)]
    of = [[row for row in rows if (row.half, row.masks) == column] for column in columns]

    def line(text: str, counted: Sequence[tuple[int, int]]) -> str:
        return f"| {text} | " + " | ".join(share(*each) for each in counted) + " |"

    strong = [[row for row in some if row.kind and row.fall > STRONG] for some in of]
    found = [[row for row in some if row.is_accused] for some in strong]
    lines.append(line("detected, of those that cost over 20 points", _counts(found, strong)))
    for kind in ("ground", "companion", "object"):
        mine = [[row for row in some if KINDS[row.kind] == kind] for some in strong]
        lines.append(line(f"of these: {kind}", [(sum(row.is_accused for row in some), len(some)) for some in mine]))
    lines.append(
        line(
            "named or shown rightly, of the detected",
            [(sum(r.named_rightly for r in some), len(some)) for some in found],
        )
    )
    for text, confounded in (
        ("honest networks accused", False),
        ("honest, judged on confounded images, accused", True),
    ):
        honest = [[row for row in some if not row.kind and row.confounded == confounded] for some in of]
        lines.append(line(text, [(sum(row.is_accused for row in some), len(some)) for some in honest]))
    lines += ["", "| network | accuracy | fall | with masks | without |", "| --- | --- | --- | --- | --- |"]
    for row in sorted(
        (row for row in rows if row.masks), key=lambda row: (row.half != "tuning", not row.kind, -row.fall)
    ):
        without = [
            other for other in rows if (other.network, other.half, other.masks) == (row.network, row.half, False)
        ]
        verdicts = [f"{each.word}: {each.names[0]}" if each.names else each.word for each in (row, *without)]
        told = " | ".join([*verdicts, "not run"][:2])
        lines.append(f"| {row.network} | {row.accuracy:.0%} | {row.fall:.0f} | {told} |")
    return lines


def _counts(part: list[list[CompositeRow]], whole: list[list[CompositeRow]]) -> list[tuple[int, int]]:
    return [(len(some), len(all_of_it)) for some, all_of_it in zip(part, whole, strict=True)]


def write(rows: Sequence[CompositeRow], out: Path, page: Path, *, seconds: float) -> None:
    """Write the rows as JSON, and the tables to the page."""
    held = {
        "machine": machine(),
        "when": str(date.today()),
        "seconds": round(seconds),
        "rows": [asdict(row) for row in rows],
    }
    out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    put(page, "make bench-composites", "\n".join([where(held["machine"], [held["when"]]), "", *table(rows)]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is not there yet, audit, write and report."""
    parser = argparse.ArgumentParser(prog="make bench-composites", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "audit_composites.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--kept", type=Path, default=ROOT / "build" / "composites", help="where networks are kept")
    parser.add_argument("--stamps", type=Path, help="where tuxpaint-stamps-default was unpacked; fetched if not given")
    parser.add_argument("--halves", nargs="*", default=list(HALVES), choices=list(HALVES))
    parser.add_argument("--masks", nargs="*", default=["with", "without"], choices=["with", "without"])
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    material = Material.gather(options.kept, options.stamps)
    rows: list[CompositeRow] = []
    started = perf_counter()
    for half in options.halves:
        for case in cases(HALVES[half]):
            for masks in options.masks:
                rows.append(judged(case, half, material, options.kept, masks=masks == "with"))
                row = rows[-1]
                print(
                    f"{row.network}, {masks} masks: {row.accuracy:.0%}, fall {row.fall:.0f}, {row.word} {row.accused}",
                    flush=True,
                )
    print("\n".join(table(rows)))
    if not options.dry:
        write(rows, options.out, options.page, seconds=perf_counter() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
