"""What do other ways to look for shortcuts find on the same networks and images? ``make bench-audit-peers``.

Beside the audit's verdicts stand

- slices of errors: the mixture of Domino (`benchmarks.error_slices`), of each class against all others, as its authors ask.
  A slice made from one half of the images accuses the class if its images on the other half are answered rightly 20 points less
  often than the rest (Fisher's test, 1%). A slice of all images shows what was planted if eight of its ten most typical ones
  lack the shortcut of the class, or are of another and have it: Eyuboglu et al.'s own measure. Where it is sure there are none;
- removal of objects, where masks are known, after SPIRE (Plumb et al. 2022, TMLR), which removes an object that comes with the
  class and sees whether the answer changes. Here the object of the class itself is taken out and its place filled from around:
  its ground is accused if the class is then answered 20 points more often where it was in than where another was (and three
  standard errors). What is on the object it cannot see;
- Datalab of cleanlab (`benchmarks.label_correlations`), which looks at images and labels alone.

The photographs are those of `benchmarks.audit_sizes`, drawn by chance before any was audited, the composites those of the half
``frozen``. Verdicts are read from the results of ``make bench-audit-photographs`` and ``make bench-composites``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import fisher_exact
from torch import nn

from benchmarks.audit import share
from benchmarks.audit_photographs import STRONG, names_rightly
from benchmarks.audit_sizes import DRAWN
from benchmarks.composite_networks import CompositeCase, cases, trained_network
from benchmarks.composites import PLANTED_CLASSES, Material
from benchmarks.error_slices import ErrorSlices
from benchmarks.figures import machine, put, where
from benchmarks.label_correlations import is_flagged, property_scores
from benchmarks.optimization import ROOT
from benchmarks.photographic_composites import HALVES, NAMED_RIGHTLY
from benchmarks.planted_networks import NETWORKS
from benchmarks.planted_photographs import audited_images, load_planted, rule_breakers, truth
from iconoscope.auditing.segmentation import take_apart
from iconoscope.results.decision_rule import ACCUSING
from iconoscope.subject.network import Network

_RESULTS = ROOT / "benchmarks" / "results"
_IMAGES, _COMPOSITES = 800, 320  # as many as were audited
_WORSE, _CHANCE = 0.2, 0.01  # of the accuracy of a slice that accuses; of Fisher's test
_TYPICAL, _LACKING = 10, 8  # images of a slice, and how many of them have to break the rule
_BATCH = 100

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class PeerRow:
    """One class of one network, and who accuses it.

    Attributes
    ----------
    network, name, kind
        The network, the class, and what was planted in it; empty where nothing was.
    fall
        Points lost by exchange.
    audit, audit_named
        Whether the audit accuses it, and names or shows first what can be what was planted.
    slices, slices_named
        Whether a slice of errors does, and whether one shows what was planted.
    removal, removal_named
        Whether its ground is accused when objects are taken out, and whether something was planted there; None without masks.
    """

    network: str
    name: str
    kind: str
    fall: float
    audit: bool
    audit_named: bool
    slices: bool
    slices_named: bool
    removal: bool | None = None
    removal_named: bool | None = None


def answers_and_embeddings(network: Network, pixels: Pixels) -> tuple[Floats, Floats]:
    """Give the probabilities (n, classes) of pictures, and what the last layer makes them of, (n, numbers)."""
    last = [module for module in network.module.modules() if isinstance(module, nn.Linear)][-1]
    embeddings: list[torch.Tensor] = []
    handle = last.register_forward_pre_hook(lambda _, inputs: embeddings.append(inputs[0].detach()))
    try:
        with torch.inference_mode():
            logits = [
                network.module(network.preprocessing.normalise(pixels[first : first + _BATCH]))
                for first in range(0, len(pixels), _BATCH)
            ]
    finally:
        handle.remove()
    return torch.cat(logits).softmax(1).double().numpy(), torch.cat(embeddings).double().numpy()


def accused_by_slices(
    network: Network, pixels: Pixels, labels: Integers, breaking: NDArray[np.bool_], *, seed: int = 0
) -> tuple[set[int], set[int]]:
    """Give the classes that slices of errors accuse, and those of whose shortcut a slice shows what it is.

    Parameters
    ----------
    network, pixels, labels
        The network, and labelled pictures (n, height, width, 3).
    breaking
        (n, classes): pictures of the class that lack its shortcut, and others that have it.
    seed
        Of the division into halves, and of the mixtures.
    """
    probabilities, embeddings = answers_and_embeddings(network, pixels)
    order = np.random.default_rng(seed).permutation(len(pixels))
    fit, test = order[::2], order[1::2]
    accused: set[int] = set()
    shown: set[int] = set()
    for of_class in range(len(network.classes)):
        is_class, answered = labels == of_class, probabilities.argmax(1) == of_class
        one_hot = np.stack([~is_class, is_class], 1).astype(float)
        certainty = np.stack([1 - probabilities[:, of_class], probabilities[:, of_class]], 1)
        right = (answered == is_class)[test]
        mixture = ErrorSlices.fit(embeddings[fit], one_hot[fit], certainty[fit], seed=seed)
        found = mixture.memberships(embeddings[test], one_hot[test], certainty[test])
        if any(_errs_more(membership > 0.5, right) for membership in found.T):
            accused.add(of_class)
        # What is looked at are slices of all images.
        found = ErrorSlices.fit(embeddings, one_hot, certainty, seed=seed).memberships(embeddings, one_hot, certainty)
        typical = np.argsort(-found, axis=0, kind="stable")[:_TYPICAL]
        if (breaking[typical, of_class].sum(0) >= _LACKING).any():
            shown.add(of_class)
    return accused, shown


def _errs_more(inside: NDArray[np.bool_], right: NDArray[np.bool_]) -> bool:
    """Tell whether images (n,) of a slice are answered rightly less often than the others."""
    if not inside.any() or inside.all() or right[~inside].mean() - right[inside].mean() < _WORSE:
        return False
    counts = [[int((side & answers).sum()) for answers in (~right, right)] for side in (inside, ~inside)]
    return float(fisher_exact(counts, alternative="greater")[1]) <= _CHANCE  # pyright: ignore[reportArgumentType]


def accused_by_removal(network: Network, pixels: Pixels, masks: NDArray[np.bool_], labels: Integers) -> set[int]:
    """Give the classes that are still answered when their objects are taken out, more often than when others' are."""
    sizes = np.full((len(pixels), 2), pixels.shape[1:3])
    without = (take_apart(pixels, list(masks), sizes).ground * 255).round().astype(np.uint8)
    answered = answers_and_embeddings(network, without)[0].argmax(1)
    accused: set[int] = set()
    for of_class in range(len(network.classes)):
        own, others = (answered[side] == of_class for side in (labels == of_class, labels != of_class))
        error = np.sqrt(own.var() / len(own) + others.var() / len(others))
        if own.mean() - others.mean() >= max(STRONG / 100, 3 * error):
            accused.add(of_class)
    return accused


def photograph_rows(name: str, verdicts: Sequence[dict[str, Any]]) -> list[PeerRow]:
    """Give a row for every class of a network on photographs that was audited."""
    network, planted = load_planted(name), truth(name)
    pixels, labels = audited_images(name, 0, _IMAGES)
    accused, shown = accused_by_slices(network, pixels, labels, rule_breakers(name, 0, _IMAGES))
    rows: list[PeerRow] = []
    for verdict in verdicts:
        if (verdict["network"], verdict["sample"]) == (name, 0):
            index = network.classes.index(verdict["name"])
            kind, fall = planted.get(index, ("", 0.0))
            audit = verdict["word"] in ACCUSING
            named = audit and bool(kind) and names_rightly(kind, tuple(verdict["names"]))
            rows.append(
                PeerRow(
                    name, verdict["name"], kind, fall, audit, named, index in accused, bool(kind) and index in shown
                )
            )
    return rows


def composite_rows(
    case: CompositeCase, material: Material, verdicts: Sequence[dict[str, Any]], folder: Path
) -> list[PeerRow]:
    """Give a row for every class of a network on composites; planted are the two that the property tells apart."""
    network, figures = trained_network(case, material, folder)
    drawn = case.draw(material, "audit", _COMPOSITES)
    breaking = drawn.breaking[:, None] & np.isin(np.arange(len(case.classes)), PLANTED_CLASSES)
    accused, shown = accused_by_slices(network, drawn.pixels, drawn.labels, breaking)
    by_removal = accused_by_removal(network, drawn.pixels, drawn.masks, drawn.labels)
    (verdict,) = [row for row in verdicts if row["masks"] and (row["network"], row["half"]) == (case.name, "frozen")]
    by_audit = {name: names for name, _, *names in verdict["accused"]}
    rows: list[PeerRow] = []
    for index, name in enumerate(case.classes):
        kind = case.kind if index in PLANTED_CLASSES else ""
        right = NAMED_RIGHTLY.get(kind, ())
        named = bool(by_audit.get(name)) and by_audit[name][0] in right
        of_ground = kind not in ("", "paint", "size")
        rows.append(
            PeerRow(
                f"composites-{case.name}", name, kind, round(figures.fall, 1) if kind else 0.0, name in by_audit, named,
                index in accused, bool(kind) and index in shown, index in by_removal, of_ground and index in by_removal,
            )
        )  # fmt: skip
    return rows


def table(rows: Sequence[PeerRow], datalab: dict[str, bool]) -> list[str]:
    """Give who detects, names and accuses what, as Markdown; Datalab says it of a set of images, not of a class."""
    lines = [
        "| | classes | audit | slices of errors | removal of objects |",
        "| --- | --- | --- | --- | --- |",
    ]
    composites = [row for row in rows if row.removal is not None]
    photographs = [row for row in rows if row.removal is None]
    for text, some in (("photographs", photographs), ("composites with masks", composites)):
        strong = [row for row in some if row.kind and row.fall > STRONG]
        planted = {row.network for row in some if row.kind}
        groups: tuple[tuple[str, list[PeerRow], Callable[[PeerRow], tuple[bool, bool, bool | None]]], ...] = (
            ("detected, of shortcuts over 20 points", strong, _accusing),
            ("detected, and shown or named rightly", strong, _naming),
            ("other classes accused, beside shortcuts", [r for r in some if not r.kind and r.network in planted], _accusing),
            ("classes of honest networks accused", [r for r in some if r.network not in planted], _accusing),
        )  # fmt: skip
        for what, of, saying in groups:
            counted = [[saying(row)[tool] for row in of] for tool in range(3)]
            cells = [share(sum(map(bool, said)), len(said)) if None not in said else "wants masks" for said in counted]
            lines.append(f"| {text}: {what} | {len(of)} | " + " | ".join(cells) + " |")
    strong_sets = {row.network for row in rows if row.kind and row.fall > STRONG} & datalab.keys()
    honest_sets = ({row.network for row in rows} - {row.network for row in rows if row.kind}) & datalab.keys()
    flagged = [share(sum(datalab[name] for name in some), len(some)) for some in (strong_sets, honest_sets)]
    lines += [
        "",
        f"Datalab flags {flagged[0]} of the sets of images with such a shortcut, {flagged[1]} of the honest ones.",
    ]
    return lines


def _accusing(row: PeerRow) -> tuple[bool, bool, bool | None]:
    return row.audit, row.slices, row.removal


def _naming(row: PeerRow) -> tuple[bool, bool, bool | None]:
    return row.audit_named, row.slices_named, row.removal_named


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask about every network, write and report; what a file has already is not asked again."""
    parser = argparse.ArgumentParser(prog="make bench-audit-peers", description=__doc__)
    parser.add_argument("--out", type=Path, default=_RESULTS / "audit_peers.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--kept", type=Path, default=ROOT / "build" / "composites", help="where the material is kept")
    parser.add_argument("--networks", nargs="*", default=list(DRAWN), help="on photographs")
    parser.add_argument(
        "--datalab", action="store_true", help="ask it about the photographs too; wants iconoscope[bench-data]"
    )
    parser.add_argument("--composites", nargs="*", help="names of the half frozen; all if it is not given")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    of_photographs, of_composites, of_datalab = (
        json.loads((_RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]
        for name in ("audit_photographs", "audit_composites", "label_correlations")
    )
    frozen = [case for case in cases(HALVES["frozen"]) if options.composites is None or case.name in options.composites]
    material = Material.gather(options.kept)
    asked: dict[str, Callable[[], list[PeerRow]]] = {
        **{name: partial(photograph_rows, name, of_photographs) for name in options.networks},
        **{
            f"composites-{case.name}": partial(composite_rows, case, material, of_composites, options.kept)
            for case in frozen
        },
    }
    held: dict[str, Any] = {"rows": [], "datalab": {}}
    if options.out.is_file():
        held = json.loads(options.out.read_text(encoding="utf-8"))
    rows = [PeerRow(**row) for row in held["rows"]]
    datalab: dict[str, bool] = held["datalab"] | {
        f"composites-{row['network']}": row["datalab"] for row in of_datalab if row["half"] == "frozen"
    }
    for network, ask in asked.items():
        if network not in {row.network for row in rows}:
            rows += ask()
        if options.datalab and network not in datalab:
            pixels, labels = audited_images(network, 0, _IMAGES)
            scores = property_scores(list(pixels), labels.tolist(), NETWORKS[network].classes)
            datalab[network] = is_flagged(scores)
        accused = {row.name: (row.audit, row.slices, row.removal) for row in rows if row.network == network}
        print(network, accused, datalab.get(network), flush=True)
        held = {
            "machine": machine(),
            "when": str(date.today()),
            "datalab": datalab,
            "rows": [asdict(row) for row in rows],
        }
        options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    count = len({row.network for row in rows})
    told = [where(held["machine"], [held["when"]]) + f" {count} networks.", "", *table(rows, datalab)]
    put(options.page, "make bench-audit-peers", "\n".join(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
