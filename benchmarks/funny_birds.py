"""Do explanations say of a bird's parts what happens when these are really removed? ``make bench-funny-birds``.

Birds made of parts are rendered with a checkout of FunnyBirds (visinf/funnybirds), whole, without each set of their parts and
without each thing around them; a small network learns to tell ten kinds. So it is known, picture by picture, how much each part
is worth to it, and occlusion, Captum's methods and controls are held against that. Then the audit, which is given the masks of
the birds, says what decides; once of this network, and once of one that learnt that a class has a sky of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import iconoscope as ico
from benchmarks.bird_data import CLASSES, NAMES, PLANTED, SIZE, Bird, BirdData
from benchmarks.bird_explanations import METHODS, PATCH, STRIDE, Wanted, compared_with_captum
from benchmarks.bird_network import Learned, answers, trained_network
from benchmarks.bird_renderer import BODY, FIRST_THING, as_published, rendering_on, revision
from benchmarks.bird_scenes import PARTS
from benchmarks.figures import machine, put, where
from benchmarks.optimization import ROOT
from benchmarks.part_protocols import Truth, background_independence, contrasted, score
from iconoscope.atomic_files import writing_whole
from iconoscope.auditing import NUISANCES
from iconoscope.auditing.audit import conclude_from_evidence
from iconoscope.auditing.sample import load_sample
from iconoscope.exemplars import record
from iconoscope.subject.network import Network

COMMAND = "make bench-funny-birds"
RESAMPLED = 2000
COMPARED = 6
"""Scenes that are drawn by the page of the checkout too."""

RENDERED = "rendering.json"
"""What a folder of pictures was rendered with."""

FAMILIES = ("background brightness", "background hue", "brightness", "colour cast", "object size")
"""What the audit exchanges, beside whole birds and backgrounds; hypotheses would take it minutes on pictures as large."""

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


def kept_answer(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give what a file holds, or measure and keep it there, so that a run that was ended goes on."""
    if not path.is_file():
        found = measure()
        with writing_whole(path) as hidden:
            hidden.write_text(json.dumps(found), encoding="utf-8")
        print(f"{path.stem}: { {name: value for name, value in found.items() if name != 'correlations'} }", flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def audited(network: Network, data: BirdData, *, planted: bool) -> dict[str, Any]:
    """Audit a network on the pictures of the test, with the masks of the birds: whole birds and backgrounds, and `FAMILIES`."""
    pictures, classes = data.pictures("test", planted=planted)
    labels = [NAMES[cls] for cls in classes.tolist()]
    images = ico.load_images(pictures, labels=labels, masks=_is_bird(data.part_maps()))
    start = process_time()
    with tempfile.TemporaryDirectory() as store:
        recording = record(network, images, store=store, workers=0)
        sample = load_sample(network, recording, images, most=len(pictures), seed=0)
        families = tuple(NUISANCES[name] for name in FAMILIES)
        conclusions = conclude_from_evidence(network, sample, families, None, seed=0, chosen=True)
    accused = {NAMES[cls]: list(conclusions.by_class[cls].names) for cls in sorted(conclusions.accused)}
    overall = conclusions.overall
    return {
        "word": overall.word,
        "names": list(overall.names),
        "accused": accused,
        "images": len(pictures),
        "seconds": round(process_time() - start, 1),
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


COLUMNS = {
    "SD": "single_deletion",
    "CSDC": "controlled_check",
    "PC": "preservation",
    "DC": "deletion",
    "D": "distractibility",
    "completeness": "completeness",
    "TS": "target_sensitivity",
}
"""The figures of a method as the table calls them."""


def tables(held: dict[str, Any]) -> str:
    """Give all that was measured as text in Markdown."""
    network, planted, captum = held["network"], held["planted"], held["captum_occlusion"]
    worth = ", ".join(f"{part} {fall:.1f}" for part, fall in network["part_falls"].items())
    about = (
        f"{held['birds']} whole birds of {len(CLASSES)} kinds, {SIZE} pixels. The network is right on "
        f"{network['accuracy']:.1%} of {held['tested']}; its background independence is "
        f"{network['background_independence']:.3f} ({network['things']} things removed). Mean logit of the right class "
        f"{network['logit']:.1f}; it falls, when a part is removed, by: {worth}."
    )
    heads = ["map", "rank correlation (95%)", "first part", *COLUMNS, "s a map"]
    lines = [
        f"{where(held['machine'], [held['when']])} {about}",
        "",
        f"| {' | '.join(heads)} |",
        "| --- " * len(heads) + "|",
    ]
    for one in sorted(held["methods"], key=lambda one: -one["correlation"]):
        low, high = one["interval"]
        figures = [f"{one[name]:.3f}" for name in COLUMNS.values()]
        seconds = f"{one['seconds']:.3f}" if one["seconds"] else ""
        cells = [
            one["name"],
            f"{one['correlation']:.2f} ({low:.2f} to {high:.2f})",
            f"{one['first']:.0%}",
            *figures,
            seconds,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Captum's Occlusion, asked what `zero` is asked of {AGAINST_CAPTUM} of them: the same maps "
        f"to {captum['difference']:.0e}, of a range of {captum['range']:.1f}, in {captum['seconds']:.2f} s of the processor "
        f"a map, where ours take {captum['our_seconds']:.2f} s for all classes.",
        "",
        f"| network | right, all skies alike | {NAMES[PLANTED]} under the common sky "
        "| others taken for it under its sky | the audit | accused |",
        "| --- | --- | --- | --- | --- | --- |",
        _audit_line("honest", network["learned"], held["audit"]),
        _audit_line(f"{NAMES[PLANTED]} had a sky of its own", planted, held["planted_audit"]),
    ]
    return "\n".join(lines)


def _audit_line(name: str, learned: dict[str, Any], audit: dict[str, Any]) -> str:
    accused = "; ".join(f"{cls}: {', '.join(names)}" for cls, names in audit["accused"].items()) or "no class"
    verdict = ": ".join([audit["word"], ", ".join(audit["names"])] if audit["names"] else [audit["word"]])
    shares = [f"{learned[name]:.0%}" for name in ("accuracy", "plain_sky", "taken")]
    return f"| {' | '.join([name, *shares, verdict, accused])} |"


def measured_all(data: BirdData, methods: Sequence[str]) -> dict[str, Any]:
    """Train what is not there yet, and measure everything, or read it where it is kept."""
    network, learned = trained_network(data, data.folder)
    planted_network, planted = trained_network(data, data.folder, planted=True)
    birds = list(data.birds())
    truths = [truth_of(network, bird) for bird in birds]
    of_network, of_planted = (
        data.folder / f"explained-{each.digest()[:12]}-{len(birds)}" for each in (network, planted_network)
    )
    return {
        "machine": machine("captum"),
        "when": str(date.today()),
        "rendering": json.loads((data.folder / RENDERED).read_text(encoding="utf-8")),
        "patch": [PATCH, STRIDE],
        "birds": len(birds),
        "tested": len(data.scenes("test")),
        "network": {**facts_of(truths, learned), "learned": vars(learned)},
        "planted": vars(planted),
        "captum_occlusion": kept_answer(
            of_network / "captum-occlusion.json", lambda: compared_with_captum(network, birds[:AGAINST_CAPTUM])
        ),
        "methods": [
            kept_answer(of_network / _file_of(name), partial(measured, name, network, birds, truths))
            for name in methods
        ],
        "object": kept_answer(of_network / "object.json", lambda: object_evidence(network, birds)),
        "audit": kept_answer(of_network / "audit.json", lambda: audited(network, data, planted=False)),
        "planted_audit": kept_answer(of_planted / "audit.json", lambda: audited(planted_network, data, planted=True)),
    }


def _file_of(method: str) -> str:
    return f"{re.sub('[^a-zA-Z0-9]+', '-', method)}.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Render and train what is not there yet, measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--checkout", type=Path, help="of https://github.com/visinf/funnybirds; until all is rendered")
    parser.add_argument("--kept", type=Path, default=ROOT / "build" / "funny-birds", help="where all is kept")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "funny_birds.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = BirdData(folder=asked.kept)
    if asked.checkout:
        data.render(asked.checkout)
        kept_answer(
            asked.kept / RENDERED,
            lambda: {
                "revision": revision(asked.checkout),
                "differences": held_against_published(data, asked.checkout),
            },
        )
    elif not (data.is_complete and (asked.kept / RENDERED).is_file()):
        parser.error("not all pictures are there: --checkout FOLDER, of https://github.com/visinf/funnybirds")
    held = measured_all(data, asked.methods)
    print(tables(held))
    if not asked.dry:
        asked.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        put(asked.page, COMMAND, tables(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
