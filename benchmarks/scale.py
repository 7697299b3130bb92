"""Recording on several machines, and reading what they wrote: ``make bench-scale``.

Images are made of CIFAR-10 by flips, shifts and colour. They are recorded by one process, by two parts at once, and by two
workers of Ray, actors of ours and Ray Data, one after another; then a recording of a million images is made up, by the store's
own writer, and asked. What was measured on this machine stays, so that a run that was ended goes on; ``--again`` measures it
anew.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import iconoscope as ico
from benchmarks.exemplars import table
from benchmarks.figures import goes_first, machine, put, said_of_others, where
from benchmarks.millions import changed, originals
from benchmarks.occlusion import find_data
from benchmarks.optimization import ROOT
from examples.resnet20 import ResNet20
from iconoscope.atomic_files import writing_whole
from iconoscope.store.recording import UNITS

COMMAND = "make bench-scale"
ROUNDS = 3
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
        with writing_whole(_part(folder, first)) as hidden:
            pyarrow.parquet.write_table(content, hidden, row_group_size=GROUP)
        print("images", first + len(rows), flush=True)
    return folder


def _part(folder: Path, first: int) -> Path:
    """Give the file of images that begins with one."""
    return folder / f"part-{first // ROWS:05d}.parquet"


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
print("took", time.perf_counter() - began, peak(), time.process_time())
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
    # Beside the two actors one processor for the task that gives numbers, which would wait for them for ever.
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
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
print("took", time.perf_counter() - began, peak(), time.process_time())
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
    # Workers of Ray give way to other programs (nice 15), which parts do not: on a machine that is shared they would wait.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    others = set(ray_processes())
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
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"{scripts} ended with an error")
    figures = [[float(word) for word in text.split("took")[-1].split()[:3]] for text in said]
    return {
        "seconds": max(seconds for seconds, _, _ in figures),
        "cpu": sum(cpu for _, _, cpu in figures) + sum(spent.values()),
        "gib": max(size for _, size, _ in figures),
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


WAYS: dict[str, tuple[str, ...]] = {
    "one process": ("{}",),
    "two parts at once": ('{"part": "1/2"}', '{"part": "2/2"}'),
    "two workers of Ray": ('{"engine": "ray"}',),
    "Ray Data, two workers": ("",),
}
"""Ways to record: the settings of every process that is started; none for the peer."""


def recording_rows(
    data: Path, images: Path, asked: Sequence[tuple[str, int, int]], folder: Path
) -> Iterator[dict[str, Any]]:
    """Record so many images in this way or that, one after another; of each the round is given too."""
    for name, limit, each in asked:
        about = {
            "network": str(ROOT / "examples" / "resnet20.py") + ":resnet20",
            "checkpoint": str(data / "weights" / "resnet20_cifar10.safetensors"),
            "images": str(images),
            "limit": limit,
            "peak": PEAK,
        }
        store = folder / "store"
        shutil.rmtree(store, ignore_errors=True)
        before = os.getloadavg()[0]
        settings = WAYS[name]
        script = (RECORD if settings[0] else RAY_DATA).format(**about, store=str(store))
        figures = run(*((script, own) for own in settings))
        written = sum(path.stat().st_size for path in store.rglob("*.parquet"))
        yield {
            "name": name,
            "images": limit,
            "round": each,
            **figures,
            "load": before,
            "first": goes_first(),
            "bytes": written,
        }


ASK = (
    """
import json, sys, time
import numpy as np
import iconoscope as ico
"""
    + PEAK
    + """
store, what = sys.argv[1:3]
def clocks():
    return np.array([time.perf_counter(), time.process_time()])
began = clocks()
recording = ico.load_recording(store)
opened = clocks()
if what == "top":
    ico.top_images(recording, "early:17")
if what == "find":
    print(ico.find_units(recording, "a").summary())
if what == "vectors":
    np.asarray(recording.vectors())
if what == "map":
    ico.map_images(recording, "pca")
print("asked", *(opened - began), *(clocks() - opened), peak())
"""
)


def make_recording(folder: Path, count: int, units: int) -> None:
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
    folder.mkdir(parents=True)
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


def reading_rows(store: Path, images: int, questions: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Ask a recording, each question in a process of its own: the first of a kind may make files that the second has."""
    done: list[str] = []
    for what in questions:
        asked = subprocess.run(
            [sys.executable, "-c", ASK, str(store), what], stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        print(asked.partition("asked")[0], flush=True)
        names = ("opened", "opened_cpu", "seconds", "cpu", "gib")
        figures = dict(zip(names, map(float, asked.split("asked")[-1].split()), strict=True))
        yield {
            "name": what,
            "images": images,
            "again": what in done,
            **figures,
            "load": os.getloadavg()[0],
            "first": goes_first(),
        }
        done.append(what)


def tables(held: dict[str, Any]) -> str:
    """Give all that was measured as text in Markdown."""
    recorded, read = held.get("recording", []), held.get("reading", [])
    rows = [*recorded, *read]
    lines = [where(held["machine"], [row["when"] for row in rows]), said_of_others(rows)]
    if recorded:
        lines += ["", *recording_table(recorded)]
    if read:
        columns = [
            [
                row["name"] + (" again" if row["again"] else ""),
                *(f"{row[measure]:.1f}" for measure in ("opened", "opened_cpu", "seconds", "cpu")),
                f"{row['gib']:.2f}",
            ]
            for row in read
        ]
        spent = ["opened, s (goal 2)", "of the processor, s", "answered, s", "of processors, s"]
        lines += ["", *table(["asked", *spent, "largest memory, GiB (goal 4)"], columns)]
    return "\n".join(lines)


def recording_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Give what was recorded in each way: what a further image takes beyond what is done once, and memory against images.

    Figures are medians of rounds, in each of which all ways take turns.
    """
    of = {(row["name"], row["images"], row["round"]): row for row in rows}
    names, counts = dict.fromkeys(row["name"] for row in rows), sorted({row["images"] for row in rows})
    rounds = [each for each in range(ROUNDS) if all((name, count, each) in of for name in names for count in counts)]
    fewer, more = counts[0], counts[-1]

    def slope(name: str, measure: str, each: int) -> float:
        """Give what an image takes beyond what is done once, in one round, ms."""
        return 1000 * (of[name, more, each][measure] - of[name, fewer, each][measure]) / max(more - fewer, 1)

    def further(name: str, measure: str) -> str:
        """Give that of all rounds, and by how much it is more than by two parts in the same round."""
        if not rounds or fewer == more:
            return ""
        own = f"{median(slope(name, measure, each) for each in rounds):.2f}"
        if name == "two parts at once" or "two parts at once" not in names:
            return own
        over = [slope(name, measure, each) / slope("two parts at once", measure, each) - 1 for each in rounds]
        spread = f", {min(over):+.0%} to {max(over):+.0%}" if len(over) > 1 else ""
        return f"{own} ({median(over):+.0%}{spread})"

    def of_sizes(name: str, measure: str, value: Callable[[float, int], str]) -> list[str]:
        measured = {
            count: [row[measure] for (way, size, _), row in of.items() if (way, size) == (name, count)]
            for count in counts
        }
        return [value(median(values), count) if values else "" for count, values in measured.items()]

    speed = [
        [
            name,
            *of_sizes(name, "seconds", lambda seconds, count: f"{count / seconds:,.0f}"),
            *(further(name, measure) for measure in ("seconds", "cpu")),
        ]
        for name in names
    ]
    memory = [
        [name + words, *of_sizes(name, measure, lambda gib, _: f"{gib:.2f}")]
        for name in names
        for words, measure in (("", "gib"), (", a worker", "worker_gib"))
        if not words or "Ray" in name
    ]
    written = {row["images"]: f"{row['bytes'] / 1e6:,.0f}" for row in rows}
    sizes = [f"{count:,} images" for count in counts]
    heads = [f"ms of a further image, {fewer:,} to {more:,} (over two parts)", "of processors, ms (goal: 10% over)"]
    return [
        *table(["recorded by", *(f"{size}: a second" for size in sizes), *heads], speed),
        "",
        *table(
            ["largest memory of a process, GiB", *sizes],
            [*memory, ["files of answers, MB", *(written[count] for count in counts)]],
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scale.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--images", type=int, nargs="*", default=[10_000, 100_000], help="how many are recorded")
    parser.add_argument("--recorded", type=int, default=1_000_000, help="how many the recording that is read holds")
    parser.add_argument("--units", type=int, default=1_000)
    parser.add_argument("--asked", nargs="*", default=["open", "open", "vectors", "top", "top", "find", "find", "map"])
    parser.add_argument(
        "--folder", type=Path, help="where images and the recording are made, and stay for the next run"
    )
    parser.add_argument("--stages", default="recording,reading")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--again", action="store_true", help="measure what is held too")
    options = parser.parse_args(arguments)
    held: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    if held.get("machine") != machine("ray"):
        held = {"machine": machine("ray")}

    def keep(kind: str, rows: Iterator[dict[str, Any]]) -> None:
        """Write every row as it comes, in the place of one of the same name and size."""
        for row in rows:
            print(row, flush=True)
            same = ("name", "images", "round", "again")
            others = [other for other in held.get(kind, []) if any(other.get(of) != row.get(of) for of in same)]
            held[kind] = [*others, row | {"when": str(date.today())}]
            options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
            put(options.page, COMMAND, tables(held))

    recorded = {(row["name"], row["images"], row["round"]) for row in held.get("recording", [])}
    ways = [
        (name, count, each) for each in range(ROUNDS) for count in options.images for name in options.ways
        if options.again or (name, count, each) not in recorded
    ]  # fmt: skip
    # The first question of a kind makes files for the second: what one recording is asked is measured as a whole.
    read = set() if options.again else {(row["name"], row["images"]) for row in held.get("reading", [])}
    to_read = {(name, options.recorded) for name in options.asked} - read
    with tempfile.TemporaryDirectory() as name:
        folder: Path = options.folder or Path(name)
        if "recording" in options.stages and ways:
            images = folder / f"images-{max(options.images)}"
            if not _part(images, max(options.images) - 1).is_file():
                make_images(find_data(), images, max(options.images))
            keep("recording", recording_rows(find_data(), images, ways, folder))
        if "reading" in options.stages and to_read:
            made = folder / f"recording-{options.recorded}"
            if not list(made.glob(f"store/record/*/{UNITS}")):  # which is written last
                shutil.rmtree(made, ignore_errors=True)
                make_recording(made, options.recorded, options.units)
            keep("reading", reading_rows(made / "store", options.recorded, options.asked))
    put(options.page, COMMAND, tables(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
