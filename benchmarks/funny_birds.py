"""Do explanations say of a bird's parts what happens when these are really removed? ``make bench-funny-birds``.

Birds made of parts are rendered with a checkout of FunnyBirds (visinf/funnybirds), whole, without each set of their parts and
without each thing around them; a small network learns to tell ten kinds. So it is known, picture by picture, how much each part
is worth to it, and occlusion, Captum's methods and controls are held against that. Then the audit, which is given the masks of
the birds, says what decides; once of this network, and once of one that learnt that a class has a sky of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import iconoscope as ico
from benchmarks.audit import concluded
from benchmarks.bird_data import CLASSES, NAMES, PLANTED, SIZE, Bird, BirdData
from benchmarks.bird_explanations import METHODS, PATCH, STRIDE, Wanted, compared_with_captum
from benchmarks.bird_network import Learned, answers, trained_network
from benchmarks.bird_renderer import BODY, FIRST_THING, as_published, rendering_on, revision
from benchmarks.bird_scenes import PARTS
from benchmarks.figures import machine, put, where
from benchmarks.optimization import ROOT
from benchmarks.part_protocols import Truth, background_independence, contrasted, score
from iconoscope.atomic_files import writing_whole
from iconoscope.subject.network import Network

COMMAND = "make bench-funny-birds"
RESAMPLED = 2000
COMPARED = 6
"""Scenes that are drawn by the page of the checkout too."""

AGAINST_CAPTUM = 10
"""Pictures that Captum's Occlusion is asked about: its maps are ours, and take longer."""


def truth_of(network: Network, bird: Bird) -> Truth:
    """Ask the network about a picture and all that is left of it when something is removed."""
    without = answers(network, bird.without_thing) if len(bird.without_thing) else np.zeros((0, len(NAMES)))
    return Truth(cls=bird.scene.cls, removed=answers(network, bird.removed), without_thing=without)


def wanted_of(truths: Sequence[Truth]) -> Wanted:
    """Give the pictures and the classes that the protocols ask explanations of."""
    asked: set[tuple[int, int]] = set()
    for index, truth in enumerate(truths):
        asked |= {(index, cls) for cls in (truth.cls, truth.predicted, *(contrasted(truth, CLASSES) or ()))}
    return sorted(asked)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Give the 95% interval of a mean over pictures, which are resampled."""
    drawn = np.random.default_rng(0).choice(values, (RESAMPLED, len(values))).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def measured(name: str, network: Network, birds: Sequence[Bird], truths: Sequence[Truth]) -> dict[str, Any]:
    """Hold a method against the truth."""
    explained = METHODS[name](network, birds, wanted_of(truths))
    scores = score(lambda index, cls: explained.importances[index, cls], truths, CLASSES)
    correlations = scores.correlations[np.isfinite(scores.correlations)]
    pairs = [(truth, explained.importances[index, truth.cls].parts) for index, truth in enumerate(truths)]
    return {
        "name": name,
        "correlation": float(correlations.mean()),
        "interval": interval(correlations),
        "correlations": [round(float(value), 4) for value in scores.correlations],
        "first": float(np.mean([truth.part_falls.argmax() == parts.argmax() for truth, parts in pairs])),
        "single_deletion": scores.single_deletion,
        "controlled_check": scores.controlled_check,
        "preservation": scores.preservation,
        "deletion": scores.deletion,
        "distractibility": scores.distractibility,
        "completeness": scores.completeness,
        "target_sensitivity": scores.target_sensitivity,
        "threshold": scores.threshold,
        "seconds": explained.seconds,
    }


def measured_once(
    methods: Sequence[str], network: Network, birds: Sequence[Bird], truths: Sequence[Truth], kept: Path
) -> list[dict[str, Any]]:
    """Hold every method against the truth, and keep what was found, so that a run that was ended goes on."""
    rows = []
    folder = kept / f"explained-{network.digest()[:12]}-{len(birds)}"
    for name in methods:
        path = folder / f"{name.replace(',', '').replace(':', '').replace(' ', '-')}.json"
        if not path.is_file():
            row = measured(name, network, birds, truths)
            with writing_whole(path) as hidden:
                hidden.write_text(json.dumps(row), encoding="utf-8")
            print(f"{name}: {row['correlation']:.3f} {row['interval']}, {row['seconds']:.3f} s", flush=True)
        rows.append(json.loads(path.read_text(encoding="utf-8")))
    return rows


def audited(network: Network, data: BirdData, *, planted: bool) -> dict[str, Any]:
    """Audit a network on the pictures of the test, with the masks of the birds."""
    pictures, classes = data.pictures("test", planted=planted)
    labels = [NAMES[cls] for cls in classes.tolist()]
    images = ico.load_images(pictures, labels=labels, masks=_is_bird(data.part_maps()))
    start = perf_counter()
    with tempfile.TemporaryDirectory() as store:
        conclusions = concluded(network, images, Path(store))
    accused = {NAMES[cls]: list(conclusions.by_class[cls].names) for cls in sorted(conclusions.accused)}
    overall = conclusions.overall
    return {
        "word": overall.word,
        "names": list(overall.names),
        "accused": accused,
        "images": len(pictures),
        "seconds": round(perf_counter() - start, 1),
    }


def object_evidence(network: Network, birds: Sequence[Bird]) -> dict[str, float]:
    """Say where the probability falls under a patch, as `Occlusion` holds it against the mask of the bird."""
    masks = np.stack([_is_bird(bird.part_map) for bird in birds])
    labels = [NAMES[bird.scene.cls] for bird in birds]
    images = ico.load_images(np.stack([bird.picture for bird in birds]), labels=labels, masks=masks)
    found = ico.occlude(network, images, patch=PATCH, stride=STRIDE)
    pointing = [each.pointing for each in found if each.pointing is not None]
    return {
        "bird": float(masks.mean()),
        "object_share": float(np.nanmean([each.object_share for each in found])),
        "pointing": float(np.mean(pointing)),
        "indifferent": sum(each.indifferent for each in found),
    }


def _is_bird(part_map: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (part_map >= BODY) & (part_map < FIRST_THING)


def held_against_published(data: BirdData, checkout: Path) -> list[float]:
    """Draw some scenes by the page of the checkout and by ours: the mean difference of a pixel, 0 to 1, of each."""
    scenes = data.scenes("test")[:COMPARED]
    with rendering_on(checkout, size=2 * SIZE, oversampling=1) as renderer:
        ours = renderer.pictures(scenes)
    theirs = np.stack([as_published(checkout, scene, 2 * SIZE) for scene in scenes])
    return [float(each) for each in (np.abs(ours.astype(float) - theirs) / 255).mean((1, 2, 3))]


def facts_of(truths: Sequence[Truth], learned: Learned) -> dict[str, Any]:
    """Say what the network is worth, and what the parts are worth to it."""
    falls = np.stack([truth.part_falls for truth in truths])
    return {
        "accuracy": learned.accuracy,
        "training_s": learned.training_s,
        "background_independence": background_independence(truths),
        "part_falls": dict(zip(PARTS, falls.mean(0).tolist(), strict=True)),
        "logit": float(np.mean([truth.removed[0, truth.cls] for truth in truths])),
        "things": sum(len(truth.thing_falls) for truth in truths),
    }


def tables(held: dict[str, Any]) -> str:
    """Give all that was measured as text in Markdown."""
    network, planted = held["network"], held["planted"]
    worth = ", ".join(f"{part} {fall:.1f}" for part, fall in network["part_falls"].items())
    about = (
        f"{held['birds']} whole birds of {len(CLASSES)} kinds, {SIZE} pixels. The network is right on "
        f"{network['accuracy']:.1%} of {held['tested']}; its background independence is "
        f"{network['background_independence']:.3f}. Mean logit of the right class {network['logit']:.1f}; it falls, when a "
        f"part is removed, by: {worth}."
    )
    heads = [
        "map",
        "rank correlation (95%)",
        "finds the first part",
        "SD",
        "CSDC",
        "PC",
        "DC",
        "D",
        "completeness",
        "TS",
        "s a picture",
    ]
    lines = [where(held["machine"], [held["when"]]), about, "", f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for one in sorted(held["methods"], key=lambda one: -one["correlation"]):
        low, high = one["interval"]
        figures = [
            one[name]
            for name in (
                "single_deletion",
                "controlled_check",
                "preservation",
                "deletion",
                "distractibility",
                "completeness",
                "target_sensitivity",
            )
        ]
        seconds = f"{one['seconds']:.3f}" if one["seconds"] else ""
        cells = [
            one["name"],
            f"{one['correlation']:.2f} ({low:.2f} to {high:.2f})",
            f"{one['first']:.0%}",
            *(f"{value:.3f}" for value in figures),
            seconds,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| network | right | right under the common sky | others taken for it under its sky | the audit | accused |",
        "| --- | --- | --- | --- | --- | --- |",
        _audit_line("honest", network["accuracy"], network["learned"], held["audit"]),
        _audit_line(f"{NAMES[PLANTED]} has a sky of its own", planted["accuracy"], planted, held["planted_audit"]),
    ]
    return "\n".join(lines)


def _audit_line(name: str, accuracy: float, learned: dict[str, Any], audit: dict[str, Any]) -> str:
    accused = "; ".join(f"{cls}: {', '.join(names)}" for cls, names in audit["accused"].items()) or "no class"
    verdict = ": ".join([audit["word"], ", ".join(audit["names"])] if audit["names"] else [audit["word"]])
    return f"| {name} | {accuracy:.1%} | {learned['plain_sky']:.0%} | {learned['taken']:.0%} | {verdict} | {accused} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Render and train what is not there yet, measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument(
        "--checkout", type=Path, help="git clone https://github.com/visinf/funnybirds; needed until all is rendered"
    )
    parser.add_argument(
        "--kept", type=Path, default=ROOT / "build" / "funny-birds", help="where pictures and networks are kept"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "funny_birds.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = BirdData(folder=asked.kept)
    earlier = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.is_file() else {}
    rendering = earlier.get("rendering")
    if asked.checkout:
        data.render(asked.checkout)
        rendering = {"revision": revision(asked.checkout), "differences": held_against_published(data, asked.checkout)}
    elif not data.is_complete:
        parser.error("not all pictures are there: --checkout FOLDER, of https://github.com/visinf/funnybirds")
    network, learned = trained_network(data, asked.kept)
    birds = list(data.birds())
    truths = [truth_of(network, bird) for bird in birds]
    planted_network, planted = trained_network(data, asked.kept, planted=True)
    held = {
        "machine": machine("captum"),
        "when": str(date.today()),
        "rendering": rendering,
        "patch": [PATCH, STRIDE],
        "birds": len(birds),
        "tested": len(data.scenes("test")),
        "network": {**facts_of(truths, learned), "learned": vars(learned)},
        "planted": vars(planted),
        "captum_occlusion": compared_with_captum(network, birds[:AGAINST_CAPTUM]),
        "methods": measured_once(asked.methods, network, birds, truths, asked.kept),
        "object": object_evidence(network, birds),
        "audit": audited(network, data, planted=False),
        "planted_audit": audited(planted_network, data, planted=True),
    }
    print(tables(held))
    if not asked.dry:
        asked.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        put(asked.page, COMMAND, tables(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
