"""Recording, maps and searches against their peers: ``make bench-exemplars``.

The bare forward pass with the same loader, openTSNE as it comes, scikit-learn, MiniSom, and a loop over units and shuffled
labels. All of a table run in one process, one after another in each repetition.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import iconoscope as ico
from benchmarks.figures import machine, put, where
from benchmarks.occlusion import find_data
from benchmarks.optimization import ROOT, load
from iconoscope.exemplars.layouts import LAYOUTS
from iconoscope.exemplars.loader import feed
from iconoscope.exemplars.nearest_neighbours import metric_vectors, nearest_rows, trustworthiness
from iconoscope.exemplars.roc_area import rank_test
from iconoscope.exemplars.som import fit_som
from iconoscope.store import Recording
from iconoscope.subject.images import Images
from iconoscope.subject.network import Network
from iconoscope.subject.network.pass_memory import images_together

COMMAND = "make bench-exemplars"
BATCH = 128


def timed(ask: Callable[[], Any]) -> tuple[float, Any]:
    """Give the seconds that a call takes, and its answer."""
    began = perf_counter()
    answer = ask()
    return perf_counter() - began, answer


def recording_rows(data: Path, repetitions: int, folder: Path) -> tuple[list[dict[str, Any]], Recording]:
    """Time recordings against the bare forward pass of the same network with the same loader, in turn."""
    test = ico.load_images(data / "cifar10" / "test.parquet")
    photographs = ico.load_images(data / "imagenet" / "images")
    small, large = load("resnet20", data), load("squeezenet", data)
    convolutions = [name for name, module in small.module.named_modules() if isinstance(module, torch.nn.Conv2d)]
    cases = [
        ("ResNet-20, all convolutions", small, test, convolutions, 0.05),
        ("ResNet-20, blocks (the default)", small, test, None, 0.05),
        ("SqueezeNet 1.1, Fire modules (the default)", large, photographs, None, 0.03),
    ]
    rows: list[dict[str, Any]] = []
    recording: Recording | None = None
    for number, (name, network, images, layers, goal) in enumerate(cases):
        bare, parts, ours = [], [], []
        units = 0
        together = images_together(network, min(BATCH, len(images)))
        for repetition in range(repetitions + 1):  # the first is to warm up
            alone, in_parts = (
                timed(lambda network=network, images=images, most=most: bare_pass(network, images, most))[0]
                for most in (BATCH, together)
            )
            store = folder / f"{number}-{repetition}"
            took, latest = timed(
                lambda network=network, images=images, layers=layers, store=store: ico.record(
                    network, images, layers, store=store, batch=BATCH, workers=0
                )
            )
            if repetition:
                bare.append(alone)
                parts.append(in_parts)
                ours.append(took)
            units = len(latest.units)
            print(name, round(alone, 2), round(in_parts, 2), round(took, 2), flush=True)
            if number == 1:
                recording = latest
            if number != 1 or repetition < repetitions:
                shutil.rmtree(store)
        rows.append(
            {
                "name": name,
                "images": len(images),
                "units": units,
                "bare": bare,
                "parts": parts,
                "goal": goal,
                "ours": ours,
                "over": median(seconds / alone for alone, seconds in zip(bare, ours, strict=True)) - 1,
                "over_parts": median(seconds / alone for alone, seconds in zip(parts, ours, strict=True)) - 1,
            }
        )
        print(rows[-1], flush=True)
    assert recording is not None
    return rows, recording


def bare_pass(network: Network, images: Images, most: int) -> None:
    """Run the network over all images, so many at once, and keep nothing."""
    with network.questioned(), torch.inference_mode():
        for batch in feed(images, network.preprocessing, range(len(images)), batch=BATCH, workers=0, shard=2048):
            for part in network.preprocessing.normalise(batch.pixels).split(most):
                network.module(part).softmax(1)


def map_rows(vectors: NDArray[np.float32], repetitions: int, *, sklearn: bool) -> list[dict[str, Any]]:
    """Time t-SNE from vectors to points, and say how good each map is."""
    near = metric_vectors(vectors, "cosine")
    perplexity = 30.0

    def ours() -> NDArray[np.float32]:
        settings = {"perplexity": perplexity, "seed": 0, "iterations": 250}
        rows, distances = nearest_rows(near, 90)
        return LAYOUTS["tsne"](near, rows, distances, settings).points

    def alone() -> NDArray[np.float32]:
        from openTSNE import TSNE

        return np.array(TSNE(perplexity=30, metric="cosine", n_jobs=-1, random_state=0).fit(vectors), np.float32)

    def learned() -> NDArray[np.float32]:
        from sklearn.manifold import TSNE

        reducer = TSNE(perplexity=int(perplexity), metric="cosine", init="pca", random_state=0, n_jobs=-1)
        return reducer.fit_transform(vectors).astype(np.float32)

    peers = {"iconoscope": ours, "openTSNE alone": alone, **({"scikit-learn": learned} if sklearn else {})}
    times: dict[str, list[float]] = {name: [] for name in peers}
    quality: dict[str, float] = {}
    for repetition in range(repetitions):
        for name, ask in peers.items():
            if name == "scikit-learn" and repetition:
                continue  # minutes
            took, points = timed(ask)
            times[name].append(took)
            quality[name] = trustworthiness(near, torch.from_numpy(points), 15, sample=10_000)
            print(len(vectors), name, round(took, 1), round(quality[name], 4), flush=True)
    return [
        {"name": name, "images": len(vectors), "seconds": times[name], "trustworthiness": quality[name]}
        for name in peers
    ]


def som_rows(vectors: NDArray[np.float32], repetitions: int) -> list[dict[str, Any]]:
    """Time epochs of self-organising maps; both errors beside."""
    from minisom import MiniSom

    rows: list[dict[str, Any]] = []
    tensor = torch.from_numpy(vectors)
    for side in (20, 40):
        ours: dict[int, list[float]] = {5: [], 10: []}
        theirs: list[float] = []
        errors: dict[str, tuple[float, float]] = {}
        for _ in range(repetitions):
            for epochs, seconds in ours.items():
                took, fitted = timed(lambda side=side, epochs=epochs: fit_som(tensor, (side, side), epochs=epochs))
                seconds.append(took / epochs)
                errors[f"iconoscope, {epochs} epochs"] = fitted.quantisation_error, fitted.topographic_error
            # Its width falls to a third by the end: from 3 to 1, as ours ends.
            som = MiniSom(side, side, vectors.shape[1], sigma=3, learning_rate=0.5, random_seed=0)
            som.pca_weights_init(vectors)
            took, _ = timed(lambda som=som: som.train(vectors, 5 * len(vectors), random_order=True))
            theirs.append(took / 5)
            errors["MiniSom, 5 epochs"] = float(som.quantization_error(vectors)), float(som.topographic_error(vectors))
        times = {"iconoscope, 5 epochs": ours[5], "iconoscope, 10 epochs": ours[10], "MiniSom, 5 epochs": theirs}
        for name, spent in times.items():
            rows.append(
                {
                    "name": name,
                    "side": side,
                    "epoch": spent,
                    "quantisation": errors[name][0],
                    "topographic": errors[name][1],
                    "times": median(theirs) / median(spent),
                }
            )
            print(rows[-1], flush=True)
    return rows


def search_rows(recording: Recording, repetitions: int) -> list[dict[str, Any]]:
    """Time a search with 999 shuffles against a loop over units and shuffled labels, of which a part is timed."""
    from scipy.stats import rankdata

    answers = np.asarray(recording.responses[:, : len(recording.units) - len(recording.classes)])
    of_class = np.array([label == "truck" for label in recording.labels])
    concept, others = answers[of_class], answers[~of_class]
    ours, theirs = [], []
    rng = np.random.default_rng(0)
    for _ in range(repetitions):
        ours.append(timed(lambda: rank_test(concept, others, permutations=999))[0])
        ranks = rankdata(answers[:, 0])

        def loop(ranks: NDArray[Any] = ranks) -> float:
            return max(float(ranks[rng.permutation(of_class)].sum()) for _ in range(99))

        theirs.append(timed(loop)[0] / 99 * 999 * answers.shape[1])
    return [{"units": answers.shape[1], "images": len(answers), "ours": ours, "loop": theirs}]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Give a table in Markdown."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def tables(held: dict[str, Any]) -> str:
    """Give all that was measured as text in Markdown."""
    recorded = [
        [
            row["name"],
            f"{row['images']:,}",
            f"{row['units']:,}",
            f"{median(row['bare']):.1f}",
            f"{median(row['parts']):.1f}" if "parts" in row else "",
            f"{median(row['ours']):.1f}",
            f"{row['over']:+.0%} (at most {row.get('goal', 0.08):+.0%})",
            f"{row['over_parts']:+.0%}" if "parts" in row else "",
        ]
        for row in held["recording"]
    ]
    mapped = [
        [f"{row['images']:,}", row["name"], f"{median(row['seconds']):.0f}", f"{row['trustworthiness']:.4f}"]
        for row in held["maps"]
    ]
    learned = [
        [
            f"{row['side']}x{row['side']}",
            row["name"],
            f"{1000 * median(row['epoch']):.0f}",
            f"{row['times']:.0f}" + (" (15)" if "MiniSom" not in row["name"] else ""),
            f"{row['quantisation']:.4f}",
            f"{row['topographic']:.4f}",
        ]
        for row in held["som"]
    ]
    searched = [
        [f"{row['images']:,}", f"{row['units']}", f"{median(row['ours']):.2f}", f"{median(row['loop']):.0f}"]
        for row in held["search"]
    ]
    return "\n".join(
        [
            where(held["machine"], [held["when"], held.get("recorded", held["when"])]),
            "",
            *table(["recorded", "images", "units", "bare pass, s", "in parts, s", "record, s",
                    "over the bare pass (goal)", "over that in parts"], recorded),
            "",
            *table(["images", "t-SNE by", "s", "trustworthiness at 15"], mapped),
            "",
            *table(
                ["cells", "self-organising map by", "ms for an epoch", "times MiniSom (goal)", "quantisation error",
                 "topographic error"],
                learned,
            ),
            "",
            *table(["images", "units", "search with 999 shuffles, s", "a loop over units and shuffles, s"], searched),
        ]
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "exemplars.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only-recording", action="store_true", help="leave the other tables as they are")
    options = parser.parse_args(arguments)
    data, measured_on = find_data(), machine("openTSNE", "scikit-learn", "MiniSom")
    with tempfile.TemporaryDirectory() as folder:
        recorded, recording = recording_rows(data, options.repetitions, Path(folder))
        if options.only_recording:
            kept = json.loads(options.out.read_text(encoding="utf-8"))
            return write(options, {**kept, "recording": recorded, "recorded": str(date.today())})
        vectors = np.array(recording.vectors())
        train = ico.record(
            load("resnet20", data), ico.load_images(data / "cifar10" / "train.parquet"), store=Path(folder) / "train"
        )
        both_sets = np.concatenate([vectors, train.vectors()])
        held = {
            "machine": measured_on,
            "when": str(date.today()),
            "recording": recorded,
            "som": som_rows(vectors, min(3, options.repetitions)),
            "search": search_rows(recording, options.repetitions),
            "maps": [
                *map_rows(vectors, min(3, options.repetitions), sklearn=True),
                *map_rows(both_sets, 1, sklearn=False),
            ],
        }
    return write(options, held)


def write(options: argparse.Namespace, held: dict[str, Any]) -> int:
    """Write what was measured, and the tables of the page."""
    options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    put(options.page, COMMAND, tables(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
