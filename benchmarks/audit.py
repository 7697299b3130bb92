"""How often is the audit right? Networks of which it is known what they learned, judged blind: ``make bench-audit``.

The constants of the rule were chosen on the seeds 0 to 7 and frozen. What is reported is of other seeds, which were run once;
and of two shortcuts that no family is for and that were never looked at before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from time import perf_counter

import torch
from scipy.stats import binomtest

from benchmarks.figures import machine, put, where
from benchmarks.optimization import ROOT
from benchmarks.shortcut_suite import Case, honest_cases, images_of, network_of, planted_cases
from benchmarks.shortcuts import KEPT_BACK, SHORTCUTS
from iconoscope.auditing import NUISANCES
from iconoscope.auditing.audit import conclude_from_evidence
from iconoscope.auditing.hypotheses.examination import examine_hypotheses
from iconoscope.auditing.sample import load_sample
from iconoscope.exemplars import record
from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.decision_rule import ACCUSING
from iconoscope.subject.images import Images
from iconoscope.subject.network import Network

TUNED, REPORTED = (range(3), range(8)), (range(100, 103), range(100, 117))  # of planted networks, and of honest ones
UNSEEN = range(100, 105)
RELIES, STRONGLY = 0.2, 0.5  # of accuracy, lost when the property alone is exchanged: then it is relied on


@dataclass(frozen=True)
class Row:
    """One network, what it learned, and what the audit said.

    Attributes
    ----------
    shortcut, family : str
        What was planted, and the family that should name it.
    trained, audited : float
        How reliably it told the make in training and on the audited images.
    seed : int
        Of the case.
    accuracy, fall : float
        On new images, and how far it falls when the property alone is exchanged.
    word : str
        The verdict.
    names : tuple of str
        What it names, first the explanation.
    seconds : float
        That the audit took, on one core.
    """

    shortcut: str
    family: str
    trained: float
    audited: float
    seed: int
    accuracy: float
    fall: float
    word: str
    names: tuple[str, ...]
    seconds: float

    @property
    def accused(self) -> bool:
        """Whether something other than the object is said to decide."""
        return self.word in ACCUSING

    @property
    def honest(self) -> bool:
        """Whether training gave no reason to learn the property."""
        return self.trained == 0.5


def concluded(network: Network, images: Images, store: Path) -> Conclusions:
    """Audit a network, without what is only there to be looked at."""
    recording = record(network, images, store=store, workers=0)
    sample = load_sample(network, recording, images, most=1600, seed=0)
    hypotheses = examine_hypotheses(network, sample, seed=0)
    return conclude_from_evidence(network, sample, tuple(NUISANCES.values()), hypotheses, seed=0)


def judge(case: Case, folder: Path) -> Row:
    """Train the network of a case, or take it from the folder, and audit it blind: no masks, only images and labels."""
    torch.set_num_threads(1)
    network, truth = network_of(case, folder)
    images = images_of(case)
    started = perf_counter()
    with tempfile.TemporaryDirectory() as store:
        overall = concluded(network, images, Path(store)).overall
    return Row(
        shortcut=case.shortcut,
        family=(SHORTCUTS | KEPT_BACK)[case.shortcut].family,
        trained=case.trained,
        audited=case.audited,
        seed=case.seed,
        accuracy=truth.accuracy,
        fall=truth.fall,
        word=overall.word,
        names=overall.names,
        seconds=round(perf_counter() - started, 2),
    )


def share(count: int, of: int) -> str:
    """Give a share with its exact interval (Clopper and Pearson 1934)."""
    if not of:
        return "0 of 0"
    low, high = binomtest(count, of).proportion_ci(method="exact")
    return f"{count} of {of}, {count / of:.1%} ({low:.1%} to {high:.1%})"


def table(rows: Sequence[Row]) -> list[str]:
    """Give the figures against their goals, and every shortcut by itself."""
    planted = [row for row in rows if not row.honest and row.family]
    relying = [row for row in planted if row.fall > RELIES]
    strong = [row for row in relying if row.fall > STRONGLY]
    found = [row for row in relying if row.accused]
    named = [row for row in found if row.names[0] == row.family]
    honest = [row for row in rows if row.honest]
    twins, hard = ([row for row in honest if (row.audited == 0.5) == alike] for alike in (True, False))
    unseen = [row for row in rows if not row.family and row.fall > RELIES]
    weak = [row for row in planted if row.fall <= RELIES]
    lines = [
        "| | found (95% interval) | goal |",
        "| --- | --- | --- |",
        f"| detected, accuracy falls by more than 20 points | {share(len(found), len(relying))} | at least 95% |",
        f"| detected, by more than 50 points | {share(sum(row.accused for row in strong), len(strong))} | at least 98% |",
        f"| right family named, of the detected | {share(len(named), len(found))} | at least 92% |",
        f"| honest networks accused | {share(sum(row.accused for row in honest), len(honest))} | at most 3% |",
        f"| of these, audited on images like their own | {share(sum(row.accused for row in twins), len(twins))} | |",
        f"| and on confounded images | {share(sum(row.accused for row in hard), len(hard))} | |",
        f"| no family for it: flagged | {share(sum(row.accused for row in unseen), len(unseen))} | |",
        f"| and as `background, unnamed` | {share(sum(row.word == 'unnamed' for row in unseen), len(unseen))} "
        "| at least 60% |",
        f"| planted, but of less weight than 20 points: accused | {share(sum(row.accused for row in weak), len(weak))} | |",
        "",
        "| planted | relied on | detected | named rightly | named otherwise | honest networks | accused |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for shortcut in dict.fromkeys(row.shortcut for row in rows):
        mine = [row for row in rows if row.shortcut == shortcut]
        relying = [row for row in mine if not row.honest and row.fall > RELIES]
        detected = [row for row in relying if row.accused]
        other = Counter(row.names[0] for row in detected if row.names[0] != row.family)
        honest = [row for row in mine if row.honest]
        told = ", ".join(f"{name} {count}" for name, count in other.most_common())
        lines.append(
            f"| {shortcut} | {len(relying)} | {len(detected)} | {len(detected) - sum(other.values())} | {told} "
            f"| {len(honest)} | {sum(row.accused for row in honest)} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge all networks of a half of the suite, write and report."""
    parser = argparse.ArgumentParser(prog="make bench-audit", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "audit.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument(
        "--networks", type=Path, default=ROOT / "build" / "audit-suite", help="where trained ones are kept"
    )
    parser.add_argument(
        "--tuned", action="store_true", help="the half that the constants were chosen on; reports nothing"
    )
    parser.add_argument("--processes", type=int, default=max(1, os.cpu_count() or 1))
    asked = parser.parse_args(arguments)
    planted, honest = TUNED if asked.tuned else REPORTED
    cases = [*planted_cases(planted), *honest_cases(honest)]
    cases += [] if asked.tuned else planted_cases(UNSEEN, tuple(KEPT_BACK))
    started, rows = perf_counter(), []
    with multiprocessing.get_context("spawn").Pool(asked.processes, maxtasksperchild=40) as pool:
        waiting = [pool.apply_async(judge, (case, asked.networks)) for case in cases]
        for each in waiting:
            rows.append(each.get())
            told = rows[-1]
            print(
                f"{len(rows)}/{len(cases)} {told.shortcut} {told.trained} {told.audited} {told.seed}: fall {told.fall:.2f}, "
                f"{told.word} {' '.join(told.names[:2])}",
                flush=True,
            )
    seconds = perf_counter() - started
    lines = table(rows)
    print("\n".join(lines))
    if not asked.tuned:
        held = {
            "machine": machine(),
            "when": str(date.today()),
            "seconds": round(seconds),
            "rows": [asdict(row) for row in rows],
        }
        asked.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        told = f"{len(rows)} networks trained and judged in {seconds / 60:.0f} minutes, {asked.processes} at a time."
        put(asked.page, "make bench-audit", "\n".join([where(held["machine"], [held["when"]]), told, "", *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
