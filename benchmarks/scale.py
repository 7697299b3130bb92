"""Recording on several machines, and reading what they wrote: ``make bench-scale``.

Images are made of CIFAR-10 by flips, shifts and colour. They are recorded by one process, by two parts at once, and by two
workers of Ray, actors of ours and Ray Data, one after another; then a recording of a million images is made up, by the store's
own writer, and asked.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import iconoscope as ico
from benchmarks.exemplars import table
from benchmarks.figures import machine, put, where
from benchmarks.millions import changed, originals
from benchmarks.occlusion import find_data
from benchmarks.optimization import ROOT
from examples.resnet20 import ResNet20

COMMAND = "make bench-scale"
ROWS = 50_000
GROUP = 2_048


def make_images(data: Path, folder: Path, count: int) -> Path:
    """Write images as parquet in shards: those of CIFAR-10, flipped, shifted by up to four pixels, with other colours."""
    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    pictures, labels = originals(data)
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, count, ROWS):
        rows = np.arange(first, min(first + ROWS, count)) % len(pictures)
        cells: list[dict[str, bytes]] = []
        for picture in changed(pictures[rows], random):
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "JPEG", quality=90)
            cells.append({"bytes": file.getvalue()})
        content = pyarrow.table({"image": cells, "label": [ResNet20.classes[label] for label in labels[rows].tolist()]})
        pyarrow.parquet.write_table(content, folder / f"part-{first // ROWS:05d}.parquet", row_group_size=GROUP)
        print("images", first + len(rows), flush=True)
    return folder


# What getrusage tells of a process begins with the memory of the one that has started it.
PEAK = """
def peak():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20
"""
NETWORK = """
import json, sys, time
import iconoscope as ico
{peak}
network = ico.load_network({network!r}, checkpoint={checkpoint!r}, device="cpu")
images = ico.load_images({images!r}, limit={limit})
"""
RECORD = (
    NETWORK
    + """
began = time.perf_counter()
ico.record(network, images, store={store!r}, workers=0, **json.loads(sys.argv[1]))
print("took", time.perf_counter() - began, peak())
"""
)
RAY_DATA = (
    NETWORK
    + """
import ray
from iconoscope.exemplars import ray_workers
def record_by_ray(asked, weights, workers, address):
    from dataclasses import replace
    import os
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    address = ray_workers.NetworkAddress(ray_workers._absolute(asked.network.loaded_by), weights)
    shipped = [ray.put(replace(asked, network=None, workers=0))]
    class Recorder:
        def __init__(self):
            self.recorder = ray_workers.ShardRecorder()
        def __call__(self, batch):
            for shard in batch["id"].tolist():
                self.recorder.record(address, shipped, range(shard, shard + 1))
            return batch
    blocks = asked.shards
    ray.data.range(blocks, override_num_blocks=blocks).map_batches(
        Recorder, batch_size=1, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=1
    ).materialize()
from iconoscope.exemplars import record as _
import importlib
importlib.import_module("iconoscope.exemplars.record").record_by_ray = record_by_ray
began = time.perf_counter()
ico.record(network, images, store={store!r}, workers=0, engine="ray")
print("took", time.perf_counter() - began, peak())
"""
)


def run(*scripts: tuple[str, str]) -> dict[str, float]:
    """Run scripts at once, in processes of their own, and watch what they and the processes of Ray take.

    Returns
    -------
    dict
        Of the slowest the ``seconds``; of all together the ``cpu`` seconds; the largest memory of one that was started
        (``gib``) and of a worker of Ray (``worker_gib``).
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    others = set(ray_processes())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    processes = [
        subprocess.Popen([sys.executable, "-c", script, settings], env=environment, stdout=subprocess.PIPE, text=True)
        for script, settings in scripts
    ]
    largest, spent = 0.0, dict[int, float]()
    while any(process.poll() is None for process in processes):
        for pid, (is_worker, gib, seconds) in ray_processes().items():
            if pid not in others:
                spent[pid] = seconds
                largest = max(largest, gib if is_worker else 0.0)
        time.sleep(0.25)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"{scripts} ended with an error")
    figures = [[float(word) for word in text.split("took")[-1].split()[:2]] for text in said]
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": max(seconds for seconds, _ in figures),
        "cpu": own + sum(spent.values()),
        "gib": max(size for _, size in figures),
        "worker_gib": largest,
    }


def ray_processes() -> dict[int, tuple[bool, float, float]]:
    """Give of every process of Ray whether it is a worker that records, its memory (GiB) and its processor's seconds."""
    found: dict[int, tuple[bool, float, float]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            title = (entry / "cmdline").read_bytes()
            if b"ray::" not in title and b"/ray/" not in title:
                continue
            pages = int((entry / "statm").read_text(encoding="ascii").split()[1])
            ticks = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
        except (OSError, IndexError):
            continue
        is_worker = title.startswith((b"ray::ShardRecorder", b"ray::MapWorker"))
        seconds = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        found[int(entry.name)] = is_worker, pages * os.sysconf("SC_PAGE_SIZE") / 2**30, seconds
    return found


def recording_rows(
    data: Path, images: Path, counts: Sequence[int], folder: Path, *, peer: bool
) -> list[dict[str, Any]]:
    """Record so many images in each way, one after another."""
    rows: list[dict[str, Any]] = []
    for limit in counts:
        about = {
            "network": str(ROOT / "examples" / "resnet20.py") + ":resnet20",
            "checkpoint": str(data / "weights" / "resnet20_cifar10.safetensors"),
            "images": str(images),
            "limit": limit,
            "peak": PEAK,
        }
        ways: dict[str, tuple[str, ...]] = {
            "one process": ("{}",),
            "two parts at once": ('{"part": "1/2"}', '{"part": "2/2"}'),
            "two workers of Ray": ('{"engine": "ray"}',),
        }
        if peer:
            ways["Ray Data, two workers"] = ("",)
        for name, settings in ways.items():
            store = folder / "store"
            shutil.rmtree(store, ignore_errors=True)
            before = os.getloadavg()[0]
            script = (RECORD if settings[0] else RAY_DATA).format(**about, store=str(store))
            figures = run(*((script, own) for own in settings))
            rows.append({"name": name, "images": limit, **figures, "load": before})
            rows[-1]["bytes"] = sum(path.stat().st_size for path in store.rglob("*.parquet"))
            print(rows[-1], flush=True)
    return rows


ASK = (
    """
import json, sys, time
import numpy as np
import iconoscope as ico
"""
    + PEAK
    + """
store, what = sys.argv[1:3]
began = time.perf_counter()
recording = ico.load_recording(store)
opened = time.perf_counter() - began
if what == "top":
    ico.top_images(recording, "early:17")
if what == "find":
    print(ico.find_units(recording, "a").summary())
if what == "vectors":
    np.asarray(recording.vectors())
took = time.perf_counter() - began - opened
print("asked", opened, took, peak())
"""
)


def make_recording(folder: Path, count: int, units: int) -> Path:
    """Write a recording of images that nobody drew and answers that nobody gave, by the store's own writer."""
    import torch

    from iconoscope.exemplars.loader import Batch
    from iconoscope.exemplars.shard import RecordingPlan, Tally, ask_shard
    from iconoscope.results import Question
    from iconoscope.store.recorded_layer import RecordedLayer
    from iconoscope.store.recording_writer import RecordingWriter

    network = ico.load_network("cars", device="cpu")
    preprocessing = {**network.preprocessing.to_json(), "size": [8, 8]}
    classes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    pictures = folder / "pictures.npy"
    np.lib.format.open_memmap(pictures, "w+", np.uint8, (count, 8, 8, 3)).flush()
    layers = [RecordedLayer("early", units // 4, 8, 8, None), RecordedLayer("late", units - units // 4, 4, 4, None)]
    names = [f"{layer.name}:{channel}" for layer in layers for channel in range(layer.channels)]
    names += [f"logit:{name}" for name in classes]
    question = Question(
        technique="record", network="made up", weights="none", subject=f"{count:,} images", pixels="none",
        settings={"preprocessing": preprocessing},
    )  # fmt: skip
    store = folder / "store"
    ico.Store(store).prepare()
    writer = RecordingWriter(ico.Store(store).folder_of(question), layers, names, 100)
    shard = 8_192
    writer.begin(
        question, shards=-(-count // shard), classes=classes, penultimate="made up", source=str(pictures)
    )  # fmt: skip
    plan = RecordingPlan(100, units, len(classes), 1, network.preprocessing, torch.device("cpu"))
    rng = np.random.default_rng(0)
    targets = rng.integers(0, len(classes), count)
    kinds = rng.integers(0, len(classes), units)

    def summarize(pixels: torch.Tensor, thresholds: Any, places: torch.Tensor) -> dict[str, torch.Tensor]:
        rows = summarize.rows  # type: ignore[attr-defined]
        generator = torch.Generator().manual_seed(int(rows[0]))
        maximum = torch.rand(len(rows), units, generator=generator)
        maximum += 0.2 * torch.from_numpy(targets[rows][:, None] == kinds).float()
        logits = torch.rand(len(rows), len(classes), generator=generator)
        return {
            "maximum": maximum,
            "mean": maximum / 2,
            "position": torch.zeros(len(rows), units, dtype=torch.int32),
            "sampled": maximum[:, :, None].expand(-1, -1, len(places)),
            "penultimate": torch.rand(len(rows), 64, generator=generator),
            "logits": logits,
        }

    total = Tally.empty(plan)
    for number in range(-(-count // shard)):
        rows = np.arange(number * shard, min((number + 1) * shard, count))
        summarize.rows = rows  # type: ignore[attr-defined]
        blank = np.zeros((len(rows), 1, 1, 3), np.uint8)
        answers, tally = ask_shard(
            summarize, [Batch(rows, blank, {}, len(rows), int(rows[-1]) + 1)], plan, earlier=total
        )
        total = total.merged(tally)
        columns = {
            "row": rows,
            "id": [f"{row:06d}" for row in rows],
            "label": [classes[target] for target in targets[rows]],
            "target": targets[rows],
            **answers.to_columns(plan),
        }
        writer.write_shard(
            number, columns, tally.to_columns(), maximum=answers.maximum, mean=answers.mean, failed={}
        )  # fmt: skip
    writer.end(total.to_columns())
    return store


def reading_rows(store: Path) -> list[dict[str, Any]]:
    """Ask a recording, each question twice in processes of their own: the first makes files that the second has."""
    rows: list[dict[str, Any]] = []
    for what in ("open", "vectors", "top", "top", "find"):
        asked = subprocess.run(
            [sys.executable, "-c", ASK, str(store), what], stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        opened, took, size = (float(word) for word in asked.split("asked")[-1].split()[:3])
        again = any(row["name"] == what for row in rows)
        rows.append(
            {"name": what, "again": again, "opened": opened, "seconds": took, "gib": size, "load": os.getloadavg()[0]}
        )
        print(rows[-1], asked.partition("asked")[0], flush=True)
    return rows


def tables(held: dict[str, Any]) -> str:
    """Give all that was measured as text in Markdown."""
    recorded, read = held.get("recording", []), held.get("reading", [])
    loads = [row["load"] for row in (*recorded, *read)]
    lines = [
        where(held["machine"], [held["when"]]),
        f"Others kept the machine busy: its load was {min(loads):.0f} to {max(loads):.0f} before each line.",
    ]
    if recorded:
        lines += ["", *recording_table(recorded)]
    if read:
        columns = [
            [
                row["name"] + (" again" if row["again"] else ""),
                f"{row['opened']:.1f}",
                f"{row['seconds']:.1f}",
                f"{row['gib']:.2f}",
            ]
            for row in read
        ]
        lines += ["", *table(["asked", "opened, s (goal 2)", "answered, s", "largest memory, GiB (goal 4)"], columns)]
    return "\n".join(lines)


def recording_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Give what was recorded in each way: two sizes, and between them what a further image takes."""
    of = {(row["name"], row["images"]): row for row in rows}
    fewer, more = sorted({row["images"] for row in rows})

    def slope(name: str, measure: str) -> float:
        """Give what an image takes beyond what is done once, ms."""
        return 1000 * (of[name, more][measure] - of[name, fewer][measure]) / (more - fewer)

    cells = [
        [
            name,
            *(f"{of[name, count]['images'] / of[name, count]['seconds']:,.0f}" for count in (fewer, more)),
            f"{slope(name, 'seconds'):.2f}",
            f"{slope(name, 'cpu'):.2f}",
            f"{slope(name, 'cpu') / slope('two parts at once', 'cpu') - 1:+.0%}",
            *(f"{of[name, count]['gib']:.2f}" for count in (fewer, more)),
            *(f"{of[name, count]['worker_gib']:.2f}" if "Ray" in name else "" for count in (fewer, more)),
        ]
        for name in dict.fromkeys(row["name"] for row in rows)
    ]
    return table(
        ["recorded by", f"{fewer:,} images: a second", f"{more:,}: a second", "ms for each further image",
         "of processors, ms", "over two parts (goal 10%)", f"largest memory at {fewer:,}, GiB", f"at {more:,}",
         f"of a worker at {fewer:,}", f"at {more:,}"],
        cells,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scale.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--images", type=int, default=100_000, help="how many are recorded")
    parser.add_argument("--recorded", type=int, default=1_000_000, help="how many the recording that is read holds")
    parser.add_argument("--units", type=int, default=1_000)
    parser.add_argument("--stages", default="recording,reading")
    parser.add_argument("--no-peer", action="store_true", help="without Ray Data")
    options = parser.parse_args(arguments)
    held = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    held |= {"machine": machine("ray"), "when": str(date.today())}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "recording" in options.stages:
            images = make_images(find_data(), folder / "images", options.images)
            counts = (options.images // 4, options.images)
            held["recording"] = recording_rows(find_data(), images, counts, folder, peer=not options.no_peer)
        if "reading" in options.stages:
            held["reading"] = reading_rows(make_recording(folder, options.recorded, options.units))
    options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    if held.keys() & {"recording", "reading"}:
        put(options.page, COMMAND, tables(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
