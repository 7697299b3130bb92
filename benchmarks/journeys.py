"""Where a user waits: whole commands from the shell to the answer, ``make bench-journeys``.

Each command runs in an empty folder, as a user's would, some times; what is kept is the median. Seconds on the wall are what
a user waits and hang on what else the machine does; seconds of the processors are the command's own. The first answer is
there when the named file is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import machine, put, where
from benchmarks.occlusion import find_data

COMMAND = "make bench-journeys"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "journeys.json"
PHOTOGRAPHS = 4
UNTRAINED = ("--preprocessing", '{"size": 224, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}')


@dataclass(frozen=True, kw_only=True)
class Journey:
    """A command whose answer a user waits for.

    Attributes
    ----------
    arguments : tuple of str
        What stands behind `iconoscope`; ``{data}``, ``{root}`` and ``{photographs}`` are folders.
    answer : str
        The file that is there at the end.
    first : str or None
        The file that is there with the first answer, if there is one before the end.
    goal : float or None
        Seconds that it may take at the most.
    """

    arguments: tuple[str, ...]
    answer: str
    first: str | None = None
    goal: float | None = None


def _occlude(*network: str, goal: float | None = None) -> Journey:
    names = ("--classes", "{data}/imagenet/classes.json")
    arguments = ("occlude", "--network", *network, *names, "--images", "{photographs}", "--out", "maps.png")
    return Journey(arguments=arguments, answer=f"maps-{PHOTOGRAPHS}.png", first="maps-1.png", goal=goal)


CIFAR10 = ("--network", "cifar10", "--images", "{data}/cifar10/test.parquet")

JOURNEYS: dict[str, Journey] = {
    "demo": Journey(arguments=("demo", "--out", "demo"), answer="demo/report.html", first="demo/report.html", goal=10),
    "a unit's picture, ResNet-20": Journey(
        arguments=("optimize", "logit:bird", "--network", "cifar10", "--out", "bird.png"), answer="bird.png", goal=3
    ),
    "four photographs, SqueezeNet": _occlude(
        "{root}/examples/squeezenet.py:squeezenet",
        "--checkpoint",
        "{data}/weights/squeezenet1_1.safetensors",
    ),
    "four photographs, ResNet-18": _occlude("{root}/benchmarks/networks.py:ResNet18", *UNTRAINED),
    "four photographs, VGG16": _occlude("{root}/benchmarks/networks.py:VGG16", *UNTRAINED),
    "recording 10,000 images, ResNet-20": Journey(arguments=("record", *CIFAR10, "--store", "run"), answer="run"),
    "audit of 800 images, ResNet-20": Journey(
        arguments=("audit", *CIFAR10, "--limit", "800", "--out", "audit.html"), answer="audit.html", goal=30
    ),
}
"""What is waited for; the goals are seconds on two cores that do nothing else."""


def walk(journey: Journey, folders: dict[str, Path]) -> dict[str, float | None]:
    """Run a command in an empty folder; give its seconds on the wall and of the processors, and those to the first answer.

    Raises
    ------
    RuntimeError
        If the command fails, or does not write what it should.
    """
    command = [str(Path(sys.executable).with_name("iconoscope"))]
    command += [_with_folders(argument, folders) for argument in journey.arguments]
    with tempfile.TemporaryDirectory() as empty:
        before, began, first = _processor_seconds(), time.perf_counter(), None
        log = Path(empty) / "output.txt"
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=empty, stdout=output, stderr=output)
            while process.poll() is None:
                if journey.first and first is None and (Path(empty) / journey.first).exists():
                    first = time.perf_counter() - began
                time.sleep(0.02)
        seconds = time.perf_counter() - began
        if process.returncode or not (Path(empty) / journey.answer).exists():
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {log.read_text()[-2000:]}")
    return {"wall": seconds, "processor": _processor_seconds() - before, "first": first}


def _with_folders(argument: str, folders: dict[str, Path]) -> str:
    for name, folder in folders.items():
        argument = argument.replace(f"{{{name}}}", str(folder))
    return argument


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def table(figures: dict[str, Any]) -> str:
    """Give the figures as text in Markdown."""
    rows = figures["journeys"]
    lines = [
        where(figures["machine"], [row["when"] for row in rows]),
        "",
        "| from the shell to the answer | goal, s | s of the processors | s on the wall | first answer, s | others' load |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=lambda row: list(JOURNEYS).index(row["name"])):
        goal, first = JOURNEYS[row["name"]].goal, row["first"]
        lines.append(
            f"| {row['name']} | {'' if goal is None else f'{goal:g}'} | {row['processor']:.1f} | {row['wall']:.1f} | "
            f"{'' if first is None else f'{first:.1f}'} | {row['load']:.1f} |"
        )
    return "\n".join(lines)


def keep(row: dict[str, Any]) -> None:
    """Put a row among those that were measured on this machine, and the table on its page."""
    figures: dict[str, Any] = {"machine": machine(), "journeys": []}
    if RESULTS.is_file():
        held = json.loads(RESULTS.read_text(encoding="utf-8"))
        figures = held if held["machine"] == figures["machine"] else figures
    figures["journeys"] = [*(other for other in figures["journeys"] if other["name"] != row["name"]), row]
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    put(ROOT / "docs" / "performance.md", COMMAND, table(figures))


def main(arguments: Sequence[str]) -> None:
    """Walk the journeys that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journeys", nargs="*", default=list(JOURNEYS), choices=list(JOURNEYS))
    parser.add_argument("--times", type=int, default=3, help="how often each is walked, one after the other")
    asked = parser.parse_args(arguments)
    data = find_data()
    with tempfile.TemporaryDirectory() as photographs:
        for path in sorted((data / "imagenet" / "images").iterdir())[:PHOTOGRAPHS]:
            (Path(photographs) / path.name).symlink_to(path.resolve())
        folders = {"data": data.resolve(), "root": ROOT, "photographs": Path(photographs)}
        walked: dict[str, list[dict[str, float | None]]] = {name: [] for name in asked.journeys}
        for _ in range(asked.times):
            for name in asked.journeys:
                load = os.getloadavg()[0]
                walked[name].append(walk(JOURNEYS[name], folders) | {"load": load})
                print(name, walked[name][-1], flush=True)
    for name, times in walked.items():
        medians: dict[str, float | None] = {}
        for column in times[0]:
            values = [value for each in times if (value := each[column]) is not None]
            medians[column] = median(values) if values else None
        keep({"name": name, **medians, "when": date.today().isoformat()})


if __name__ == "__main__":
    main(sys.argv[1:])
