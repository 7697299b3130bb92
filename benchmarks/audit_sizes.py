"""How many images does an audit of photographs want? ``make bench-audit-sizes``.

Networks with shortcuts planted, and honest ones, are each audited on 200, 400, 800 and 1,600 photographs that they were not
trained on. Smaller samples are the first images of larger ones, so that nothing but the number differs. Beside what was
detected stands what the page states, or would, of the power at that number. Which networks was drawn by chance before any was
audited, two of every half of `NETWORKS` with something planted and three without. What was audited is kept, so that a run that
is ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from benchmarks.audit import share
from benchmarks.audit_photographs import STRONG, conclusions_of, names_rightly
from benchmarks.figures import machine, put, where
from benchmarks.optimization import ROOT
from benchmarks.planted_networks import NETWORKS
from benchmarks.planted_photographs import truth
from iconoscope.results.audit_text import MEASURED_DETECTION
from iconoscope.results.decision_rule import ACCUSING, LEAST_IMAGES, UNJUDGED
from iconoscope.results.hypothesis_rule import power

SIZES = (200, 400, 800, 1600)
DRAWN = (
    "tuning-resnet20-4", "frozen-separable-3", "tuning-separable-2", "fresh-honest-vgg", "unseen-resnet20-2",
    "last-separable-3", "frozen-vgg-2", "last-honest-vgg", "fresh-vgg-4", "last-resnet20-1", "unseen-vgg-2",
    "fresh-honest-separable", "fresh-separable-3",
)  # fmt: skip


@dataclass(frozen=True)
class SizedRow:
    """One class of one network, on so many images.

    Attributes
    ----------
    network, name : str
        A key of `NETWORKS`, and the class.
    images : int
        That were audited.
    answered : int
        Of them, with this class.
    kind : str
        What was planted in it; empty where nothing was.
    fall : float
        Points lost by exchange.
    word, reason : str
        The verdict, and why there is none.
    names : tuple of str
        What it names.
    """

    network: str
    name: str
    images: int
    answered: int
    kind: str
    fall: float
    word: str
    reason: str
    names: tuple[str, ...]

    @property
    def accused(self) -> bool:
        """Whether something other than the object is said to decide."""
        return self.word in ACCUSING

    @property
    def unjudged(self) -> bool:
        """Whether it is left open what decides: cannot be judged, or borderline."""
        return self.word in UNJUDGED

    @property
    def enough(self) -> bool:
        """Whether as many images as the rule asks for are answered with the class, and with others."""
        return LEAST_IMAGES <= self.answered <= self.images - LEAST_IMAGES

    def power(self, fall: float = STRONG) -> float:
        """Give the chance of detection that a page states of a shortcut of so many points; nothing where it states none."""
        if not self.enough:
            return 0.0
        return MEASURED_DETECTION * power(self.answered, self.images - self.answered, fall / 100)


def sized_rows(network: str, images: int) -> tuple[list[SizedRow], float]:
    """Audit a network on so many images: a row for every class, and the seconds of a core."""
    planted = truth(network)
    conclusions, seconds = conclusions_of(network, 0, images)
    counts = {index: int((conclusions.images.predicted == index).sum()) for index in conclusions.by_class}
    rows = [
        SizedRow(
            network, NETWORKS[network].classes[index], images, counts[index], *planted.get(index, ("", 0.0)),
            conclusion.word, conclusion.reason, conclusion.names,
        )
        for index, conclusion in conclusions.by_class.items()
    ]  # fmt: skip
    return rows, seconds["processor"]


def table(rows: Sequence[SizedRow], seconds: dict[str, dict[str, float]]) -> list[str]:
    """Give the figures at every size as Markdown."""
    sizes = sorted({row.images for row in rows})
    strong = {size: [row for row in rows if row.images == size and row.fall > STRONG] for size in sizes}
    enough = {size: [row for row in strong[size] if row.enough] for size in sizes}
    honest = {size: [row for row in rows if row.images == size and not NETWORKS[row.network].plants] for size in sizes}
    beside = {
        size: [row for row in rows if row.images == size and not row.kind and NETWORKS[row.network].plants]
        for size in sizes
    }

    def counted(of: dict[int, list[SizedRow]], happened: Callable[[SizedRow], bool]) -> list[str]:
        return [share(sum(map(happened, of[size])), len(of[size])) for size in sizes]

    def rightly(row: SizedRow) -> bool:
        return names_rightly(row.kind, row.names)

    def expected(fall: Callable[[SizedRow], float]) -> list[str]:
        return [
            f"{mean(row.power(fall(row)) for row in enough[size]):.0%}" if enough[size] else "none" for size in sizes
        ]

    accused = {size: [row for row in strong[size] if row.accused] for size in sizes}
    judged = {size: [row for row in (*honest[size], *beside[size]) if row.enough] for size in sizes}
    lines = [
        ("images of the class, median", [f"{median(row.answered for row in strong[size]):.0f}" for size in sizes]),
        ("detected, of shortcuts that cost over 20 points", counted(strong, lambda row: row.accused)),
        ("of these where 30 images are answered with the class", counted(enough, lambda row: row.accused)),
        ("stated by the page, of one that costs 20 points", expected(lambda _: STRONG)),
        ("the same of what each of these costs", expected(lambda row: row.fall)),
        ("named or shown rightly, of the detected", counted(accused, rightly)),
        ("cannot be judged, or borderline, of the shortcuts", counted(strong, lambda row: row.unjudged)),
        ("other classes accused, beside shortcuts", counted(beside, lambda row: row.accused)),
        ("classes of honest networks accused", counted(honest, lambda row: row.accused)),
        ("both, of those with 30 images", counted(judged, lambda row: row.accused)),
        ("cannot be judged, of classes without a shortcut", counted(
            {size: [*honest[size], *beside[size]] for size in sizes}, lambda row: row.unjudged)),
        ("seconds of a core, median (longest)", [_spread(seconds[str(size)].values()) for size in sizes]),
    ]  # fmt: skip
    head = ["| images | " + " | ".join(f"{size:,}" for size in sizes) + " |", "| --- |" + " --- |" * len(sizes)]
    return head + [f"| {text} | " + " | ".join(cells) + " |" for text, cells in lines]


def _spread(seconds: Any) -> str:
    values = list(seconds)
    return f"{median(values):.0f} ({max(values):.0f})"


def shortcuts(rows: Sequence[SizedRow]) -> list[str]:
    """Give the verdict on every shortcut at every size, the costliest first."""
    sizes = sorted({row.images for row in rows})
    verdicts = {(row.network, row.name, row.images): row for row in rows}
    planted = {(row.network, row.name): row for row in rows if row.kind}
    lines = [
        "| planted | class, network | points | " + " | ".join(f"{size:,}" for size in sizes) + " |",
        "| --- |" + " --- |" * (2 + len(sizes)),
    ]
    for (network, name), row in sorted(planted.items(), key=lambda item: -item[1].fall):
        cells = [_said(verdicts.get((network, name, size))) for size in sizes]
        lines.append(f"| {row.kind} | {name}, {network} | {row.fall:.0f} | " + " | ".join(cells) + " |")
    return lines


def _said(row: SizedRow | None) -> str:
    if row is None:
        return "not answered"
    if row.accused or row.word == "borderline":
        return f"{'' if row.accused else 'borderline: '}{row.names[0]}"
    return {"undecided": row.reason, "nothing": "nothing found"}.get(row.word, row.word)


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit at every size, write and report; what a file has already is not asked again."""
    parser = argparse.ArgumentParser(prog="make bench-audit-sizes", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "audit_sizes.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--networks", nargs="*", default=list(DRAWN))
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    held: dict[str, Any] = (
        json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {"rows": [], "seconds": {}}
    )
    for network in options.networks:
        for size in options.sizes:
            of_size = held["seconds"].setdefault(str(size), {})
            if network in of_size:
                continue
            rows, of_size[network] = sized_rows(network, size)
            held["rows"] += [asdict(row) for row in rows]
            accused = {row.name: row.names[0] for row in rows if row.accused}
            print(f"{network}, {size} images: {of_size[network]} s of one core, accused {accused}", flush=True)
            held |= {"machine": machine(), "when": str(date.today())}
            options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    rows = [SizedRow(**row | {"names": tuple(row["names"])}) for row in held["rows"]]
    networks = {row.network for row in rows}
    honest = sum(not NETWORKS[name].plants for name in networks)
    text = [
        where(held["machine"], [held["when"]]) + f" {len(networks)} networks, {honest} of them honest.", "",
        *table(rows, held["seconds"]), "", *shortcuts(rows),
    ]  # fmt: skip
    put(options.page, "make bench-audit-sizes", "\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
