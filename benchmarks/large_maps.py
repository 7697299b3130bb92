"""Neighbours and maps of very many images: ``make bench-large-maps ARGS="--vectors FOLDER"``.

The folder is what ``python -m benchmarks.millions`` wrote. Each row runs in a process of its own with one thread; seconds are
those of the processor, since other programs may have the cores, and memory is the most that the process held. Rows that were
measured on this machine with these versions stay, so that a run that was ended goes on; ``--again`` measures them anew.
Neighbours that one map has looked for are kept in the folder for the others of the same images.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import machine, put, where
from iconoscope.atomic_files import writing_whole
from iconoscope.extras import import_extra

COMMAND = "make bench-large-maps"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "large_maps.json"
K = 15
PEERS = ("faiss-cpu", "hnswlib", "pynndescent", "usearch", "openTSNE")

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


def read_vectors(folder: Path, count: int, numbers: int) -> Vectors:
    """Give vectors of length one, (count, numbers): those of the last layer, or what a random layer makes of them."""
    held = np.load(folder / "vectors.npy", mmap_mode="r")
    vectors = np.array(held[: min(count, int(np.load(folder / "count.npy")))], np.float32)
    random = np.random.default_rng(0)
    if count > len(vectors):  # moved by what a change of an image does to another's vector
        own, other = random.integers(0, len(vectors), (2, count - len(vectors)))
        originals = vectors[other % 60_000]
        vectors = np.concatenate([vectors, np.maximum(vectors[own] + 0.5 * (vectors[other] - originals), 0)])
    if numbers > vectors.shape[1]:
        layer = random.normal(size=(vectors.shape[1], numbers)).astype(np.float32)
        vectors = np.maximum(vectors @ layer, 0)
        vectors += 0.05 * vectors.std() * random.normal(size=vectors.shape).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def exact(vectors: Vectors) -> Rows:
    """Look at every pair."""
    import torch

    from iconoscope.exemplars.nearest_neighbours import nearest_rows

    return nearest_rows(torch.from_numpy(vectors), K)[0]


def ours(vectors: Vectors) -> Rows:
    """Ask usearch as `map_images` does."""
    import torch

    from iconoscope.exemplars.approximate_neighbours import approximate_rows

    return approximate_rows(torch.from_numpy(vectors), K)[0].astype(np.int64)


def _peer(module: str) -> Any:
    """Import a library that ours is compared with."""
    return import_extra(module, "bench-neighbours", "this comparison")


def faiss_lists(vectors: Vectors) -> Rows:
    """Ask faiss's inverted lists: as many as the root of the number of vectors, of which 16 are looked through."""
    faiss = _peer("faiss")

    faiss.omp_set_num_threads(1)
    lists = round(len(vectors) ** 0.5)
    index: Any = faiss.IndexIVFFlat(faiss.IndexFlatL2(vectors.shape[1]), vectors.shape[1], lists)
    index.train(vectors[np.random.default_rng(0).choice(len(vectors), min(len(vectors), 50 * lists), replace=False)])
    index.add(vectors)
    index.nprobe = 16
    return index.search(vectors, K + 1)[1]


def faiss_graph(vectors: Vectors) -> Rows:
    """Ask faiss's hierarchical graph."""
    faiss = _peer("faiss")

    faiss.omp_set_num_threads(1)
    index: Any = faiss.IndexHNSWFlat(vectors.shape[1], 16)
    index.hnsw.efConstruction = index.hnsw.efSearch = 64
    index.add(vectors)
    return index.search(vectors, K + 1)[1]


def hnswlib_graph(vectors: Vectors) -> Rows:
    """Ask hnswlib's hierarchical graph."""
    hnswlib = _peer("hnswlib")

    index = hnswlib.Index("l2", vectors.shape[1])
    index.init_index(len(vectors), ef_construction=64, M=16, random_seed=0)
    index.add_items(vectors, num_threads=1)
    index.set_ef(64)
    return index.knn_query(vectors, K + 1, num_threads=1)[0].astype(np.int64)


def descent(vectors: Vectors) -> Rows:
    """Ask pynndescent, whose compilation is counted."""
    graph: Any = _peer("pynndescent").NNDescent(vectors, n_neighbors=K + 1, random_state=0, n_jobs=1).neighbor_graph
    return np.asarray(graph[0], np.int64)


SEARCHES: dict[str, Callable[[Vectors], Rows]] = {
    "every pair": exact,
    "usearch (ours)": ours,
    "faiss, lists": faiss_lists,
    "faiss, graph": faiss_graph,
    "hnswlib": hnswlib_graph,
    "pynndescent": descent,
}


MOST_NUMBERS = dict.fromkeys(SEARCHES, 64_000_000) | {"every pair": 60_000 * 512, "usearch (ours)": 512_000_000}
"""Numbers, images by numbers of each, up to which a search is measured: every pair of a million images would take hours."""


def neighbours_row(folder: Path, name: str, count: int, numbers: int) -> dict[str, Any]:
    """Time a search and say which share of the true neighbours it gives."""
    import torch

    from iconoscope.exemplars.approximate_neighbours import neighbour_recall

    vectors = read_vectors(folder, count, numbers)
    forget_peak()
    held, began = peak(), process_time()
    rows = SEARCHES[name](vectors)
    seconds = process_time() - began
    others = np.stack([row[row != own][:K] for own, row in enumerate(rows)])
    recall = neighbour_recall(torch.from_numpy(vectors), others, K, sample=500)
    return {
        "name": name,
        "images": count,
        "numbers": numbers,
        "seconds": seconds,
        "recall": recall,
        "gb": peak() - held,
    }


def map_row(folder: Path, method: str, count: int) -> dict[str, Any]:
    """Time a map from vectors to points, and say how far it can be trusted."""
    import torch

    from iconoscope.exemplars import tsne
    from iconoscope.exemplars.approximate_neighbours import neighbour_recall
    from iconoscope.exemplars.layouts import LAYOUTS
    from iconoscope.exemplars.nearest_neighbours import trustworthiness

    near = torch.from_numpy(read_vectors(folder, count, 64))
    settings: dict[str, Any] = {
        "perplexity": 30.0,
        "seed": 0,
        "iterations": 250,
        "topology": "rectangular",
        "epochs": 10,
    }
    settings["shape"] = (max(2, round(np.sqrt(5 * np.sqrt(count)))),) * 2
    if count > tsne.WHOLE:
        settings["embedded"] = tsne.SAMPLE
    wanted = {"tsne": 30 if count > tsne.WHOLE else 90}.get(method, K)
    rows, distances, search = kept_neighbours(folder, near, wanted)
    began = process_time()
    points = LAYOUTS[method](near, rows, distances, settings).points
    placed = process_time() - began
    return {
        "name": method,
        "images": count,
        "neighbours": search["seconds"],
        "seconds": placed,
        "gb": max(peak(), search["gb"]),
        "recall": neighbour_recall(near, rows, K, sample=500),
        "trustworthiness": trustworthiness(near, torch.from_numpy(points), K, sample=500),
    }


def kept_neighbours(folder: Path, near: Any, wanted: int) -> tuple[NDArray[Any], NDArray[np.float32], dict[str, float]]:
    """Give neighbours as `map_images` looks for them, and what the search took: seconds, and the memory by its end.

    They are kept in the folder, under what decides about them, and searched once for the maps of all methods.
    """
    from iconoscope.exemplars import approximate_neighbours

    source = Path(approximate_neighbours.__file__).read_bytes()
    versions = json.dumps(machine("usearch")).encode()
    key = hashlib.sha256(near.numpy().tobytes() + source + versions).hexdigest()[:16]
    path = folder / f"neighbours-{len(near)}-{wanted}-{key}.npz"
    if path.is_file():
        with np.load(path) as held:
            return held["rows"], held["distances"], {name: float(held[name]) for name in ("seconds", "gb")}
    began = process_time()
    rows, distances = approximate_neighbours.neighbours_of(near, wanted)
    search = {"seconds": process_time() - began, "gb": peak()}
    with writing_whole(path) as beside, beside.open("wb") as file:
        np.savez(file, rows=rows, distances=distances, seconds=search["seconds"], gb=search["gb"])
    return rows, distances, search


def peak() -> float:
    """Give the most memory that this process held since it began, or since `forget_peak`, gigabytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def forget_peak() -> None:
    """Let the most that was held begin anew from what is held now: making the vectors takes more than they do."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def tables(figures: dict[str, Any]) -> str:
    """Give the figures as text in Markdown."""
    lines = [
        where(figures["machine"], [row["when"] for row in [*figures["neighbours"], *figures["maps"]]]),
        "",
        "| images | numbers | neighbours by | s of one core | recall at 15 | GB beside the vectors |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    order = list(SEARCHES)
    for row in sorted(figures["neighbours"], key=lambda row: (row["numbers"], row["images"], order.index(row["name"]))):
        cells = f"{row['images']:,} | {row['numbers']} | {row['name']} | {row['seconds']:.1f} | {row['recall']:.4f}"
        lines.append(f"| {cells} | {row['gb']:.2f} |")
    lines += [
        "",
        "| images | map by | neighbours, s of one core | points, s of one core | GB in all | recall | trustworthiness at 15 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(figures["maps"], key=lambda row: (row["name"], row["images"])):
        lines.append(
            f"| {row['images']:,} | {row['name']} | {row['neighbours']:.0f} | {row['seconds']:.0f} | {row['gb']:.2f} | "
            f"{row['recall']:.4f} | {row['trustworthiness']:.4f} |"
        )
    return "\n".join(lines)


def held_figures() -> dict[str, Any]:
    """Give what was measured on this machine with these versions."""
    figures: dict[str, Any] = {"machine": machine(*PEERS), "neighbours": [], "maps": []}
    if RESULTS.is_file():
        held = json.loads(RESULTS.read_text(encoding="utf-8"))
        figures = held if held["machine"] == figures["machine"] else figures
    return figures


def is_same(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two rows were asked for the same; rows of maps have no numbers, since all are of 64."""
    return all(row.get(name) == other.get(name) for name in ("name", "images", "numbers"))


def keep(kind: str, row: dict[str, Any]) -> None:
    """Put a row among those that were measured on this machine, and the tables on their page."""
    figures = held_figures()
    others = [other for other in figures[kind] if not is_same(other, row)]
    figures[kind] = [*others, row | {"when": date.today().isoformat()}]
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    put(ROOT / "docs" / "performance.md", COMMAND, tables(figures))


def planned(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Give the rows that a run measures, in order: what is asked for, without what would take hours, and what is held."""
    rows = [
        {"kind": "neighbours", "name": name, "images": count, "numbers": numbers}
        for numbers in asked.numbers
        for count in asked.counts
        for name in asked.searches
        if count * numbers <= MOST_NUMBERS[name]
    ]
    rows += [{"kind": "maps", "name": name, "images": count} for count in asked.counts for name in asked.maps]
    held = held_figures()
    return [row for row in rows if asked.again or not any(is_same(row, other) for other in held[row["kind"]])]


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=Path, required=True, help="folder that benchmarks.millions wrote")
    parser.add_argument("--counts", type=int, nargs="*", default=[60_000, 250_000, 1_000_000])
    parser.add_argument("--numbers", type=int, nargs="*", default=[64, 512])
    parser.add_argument("--searches", nargs="*", default=list(SEARCHES), choices=list(SEARCHES))
    parser.add_argument("--maps", nargs="*", default=["pca", "som", "tsne"])
    parser.add_argument("--again", action="store_true", help="measure what is held too")
    parser.add_argument("--one", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.one:
        kind, name, count, numbers = asked.one
        if kind == "maps":
            keep(kind, map_row(asked.vectors, name, int(count)))
        else:
            keep(kind, neighbours_row(asked.vectors, name, int(count), int(numbers)))
        return
    for row in planned(asked):
        one = [row["kind"], row["name"], str(row["images"]), str(row.get("numbers", 64))]
        print(*one, flush=True)
        command = [sys.executable, "-m", "benchmarks.large_maps", "--vectors", str(asked.vectors), "--one", *one]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"})
    put(ROOT / "docs" / "performance.md", COMMAND, tables(held_figures()))


if __name__ == "__main__":
    main(sys.argv[1:])
