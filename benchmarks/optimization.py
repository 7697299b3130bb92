"""Input optimisation against torch-lucent: ``make bench-optimization``.

Both make pictures of the same units at the same size, in one process, one after another in every repetition: a few steps and
many, and the difference gives the milliseconds for a picture and a step.
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
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import iconoscope as ico
from benchmarks.channels import Channels, channels_table, every_channel
from benchmarks.figures import machine, put, where
from benchmarks.lucent_peer import Lucent
from benchmarks.occlusion import find_data
from benchmarks.pictures import Judge, Quality, real_images
from benchmarks.recognition import CONTESTS, Reached, judge_of, recognition, recognition_table
from iconoscope.optimization.frozen import frozen
from iconoscope.optimization.objective import objectives
from iconoscope.optimization.scores import Scores
from iconoscope.subject.network import Network
from iconoscope.subject.probe import probe
from iconoscope.subject.processor import has_bfloat16

ROOT = Path(__file__).parent.parent
BATCH, FEW, SEEDS = 8, 2, 5


@dataclass(frozen=True)
class Case:
    """What is asked, in our words and in lucent's, and the goals against one of its images and against a batch of 8."""

    network: str
    unit: str
    layer: str
    channel: int
    size: int
    steps: int
    goals: tuple[float, float]


CASES = {
    "resnet20": Case("resnet20", "logit:bird", "labels", 2, 32, 64, (8, 2)),
    "features.3": Case("squeezenet", "features.3:7", "features_3", 7, 224, 10, (7, 4)),
    "features.12": Case("squeezenet", "features.12:7", "features_12", 7, 224, 8, (6, 3.5)),
    "squeezenet": Case("squeezenet", "logit:7", "labels", 7, 224, 6, (6, 4)),
}


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Milliseconds for a picture and a step: ours and lucent's, for one picture and for eight; and the least by arithmetic.

    ``half`` is ours for eight with the network in bfloat16, nothing where the processor has none.
    """

    name: str
    unit: str
    size: int
    goals: tuple[float, float]
    ours_1: list[float]
    ours_8: list[float]
    lucent_1: list[float]
    lucent_8: list[float]
    half: list[float]
    least: float
    when: str

    def times(self, slower: str, faster: str = "ours_8") -> float:
        """Give how many times as fast as lucent a picture of our batch is made."""
        return median(getattr(self, slower)) / median(getattr(self, faster))


def load(name: str, data: Path) -> Network:
    """Load a network, in evaluation mode."""
    weights = {"resnet20": "resnet20_cifar10", "squeezenet": "squeezenet1_1"}[name]
    network = ico.load_network(
        f"{ROOT / 'examples' / name}.py:{name}",
        checkpoint=data / "weights" / f"{weights}.safetensors",
        classes=data / "imagenet" / "classes.json" if name == "squeezenet" else None,
        device="cpu",
    )
    network.module.eval()
    return network


class Labels(torch.nn.Module):
    """A network whose answer is a layer, as lucent wants it; its layers keep their names."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        for name, child in module.named_children():
            self.add_module(name, child)
        self._forward: Callable[[torch.Tensor], torch.Tensor] = partial(type(module).forward, module)  # pyright: ignore
        self.labels = torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Answer what the network answers."""
        return self.labels(self._forward(x))


def measure(case: Case, name: str, network: Network, lucent: Lucent, repeats: int) -> Speed:
    """Time both, one after another."""
    peer = Labels(network.module).eval()

    def ours(batch: int, steps: int, precision: str = "float32") -> None:
        ico.optimize(network, case.unit, count=batch, size=case.size, steps=steps, memory="8GB", precision=precision)

    def theirs(batch: int, steps: int) -> None:
        lucent.run(peer, case.layer, case.channel, size=case.size, batch=batch, steps=steps)

    def timed(run: Callable[[int, int], None], batch: int, steps: int) -> float:
        began = process_time()
        run(batch, steps)
        return process_time() - began

    runs: dict[str, tuple[Callable[[int, int], None], int]] = {
        "ours_1": (ours, 1), "ours_8": (ours, BATCH), "lucent_1": (theirs, 1), "lucent_8": (theirs, BATCH),
    }  # fmt: skip
    if has_bfloat16():
        runs["half"] = (partial(ours, precision="bfloat16"), BATCH)
    times: dict[str, list[float]] = {key: [] for key in runs}
    for repeat in range(repeats + 1):
        for key, (run, batch) in runs.items():
            few, all_steps = (timed(run, batch, steps) for steps in (FEW, FEW + case.steps))
            if repeat:  # the first warms up
                times[key].append((all_steps - few) * 1e3 / (batch * case.steps))
    return Speed(
        name=name, unit=case.unit, size=case.size, goals=case.goals, least=least(network, case), when=str(date.today()),
        **{"half": [], **times},
    )  # fmt: skip


def least(network: Network, case: Case) -> float:
    """Give the milliseconds that a picture's step takes at least: its multiplications at the rate of a large convolution."""
    (objective,) = objectives(network, case.unit)
    scores = Scores([objective], network)
    x = torch.rand(1, 3, case.size, case.size, requires_grad=True)
    counter = FlopCounterMode(display=False)
    with (
        network.questioned(),
        frozen(network.module),
        probe(network, scores.layers, before_relu=True) as read,
        counter,
    ):
        scores(read(x)).sum().backward()
    image = torch.randn(8, 256, 56, 56).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3)
    with torch.inference_mode():
        F.conv2d(image, weight, padding=1)
        spent = []
        for _ in range(5):
            began = process_time()
            F.conv2d(image, weight, padding=1)
            spent.append(process_time() - began)
    rate = 2 * 8 * 256 * 256 * 9 * 56 * 56 / median(spent)
    return counter.get_total_flops() / rate * 1e3


def table(speeds: Sequence[Speed]) -> list[str]:
    """Give the figures in Markdown."""
    head = (
        "network, unit, pixels", "lucent, 1 image, ms", "lucent, 8 images, ms", "ours, 1 image, ms", "ours, 8 images, ms",
        "lucent 1 by ours 8 (goal)", "lucent 8 by ours 8 (goal)", "lucent 1 by ours 1", "least by arithmetic, ms",
        "share of it", "bfloat16, 8 images, ms", "lucent 1, 8 by bfloat16",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for one in speeds:
        ms = [f"{median(getattr(one, key)):.2f}" for key in ("lucent_1", "lucent_8", "ours_1", "ours_8")]
        ratios = [
            f"{one.times(key):.1f} ({goal:g})" for key, goal in zip(("lucent_1", "lucent_8"), one.goals, strict=True)
        ]
        alone = f"{median(one.lucent_1) / median(one.ours_1):.1f}"
        name = "ResNet-20" if one.name == "resnet20" else "SqueezeNet 1.1"
        cells = [f"{name}, {one.unit}, {one.size}", *ms, *ratios, alone, f"{one.least:.2f}"]
        cells.append(f"{one.least / median(one.ours_8):.0%}")
        half = ["", ""]
        if one.half:
            half = [
                f"{median(one.half):.2f}",
                ", ".join(f"{one.times(key, 'half'):.1f}" for key in ("lucent_1", "lucent_8")),
            ]
        cells += half
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def judged(network: Network, lucent: Lucent, data: Path) -> dict[str, Quality]:
    """Judge the pictures of the ten classes, five seeds each: ours as they are by default, lucent's at its own 512 steps."""
    judge_network = ico.load_network("cifar10", device="cpu")
    judge = Judge(judge_network, "block4", *real_images(judge_network, str(data / "cifar10" / "test.parquet"), 200))
    names = network.classes
    ours = [ico.optimize(network, [f"logit:{name}" for name in names], seed=seed).images for seed in range(SEEDS)]
    peer = Labels(network.module).eval()
    theirs = [
        lucent.run(peer, "labels", index, size=32, batch=SEEDS, steps=512, seed=index) for index in range(len(names))
    ]
    classes = np.array([judge_network.class_index(name) for name in names])
    return {
        "ours, 64 steps": judge.judge(np.concatenate(ours), np.tile(classes, SEEDS)),
        "lucent, 512 steps": judge.judge(np.concatenate(theirs).astype(np.float32), classes.repeat(SEEDS)),
    }


def quality_table(qualities: dict[str, Quality]) -> list[str]:
    """Give the judgements in Markdown."""
    head = (
        "pictures", "recognised (goal 100%)", "classes at all seeds (goal 10)", "probability (goal .98)",
        "feature cosine over that of real images (goal 1)", "recognised when moved", "spectrum over real images (goal 1.3)",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, one in qualities.items():
        cells = (
            name, f"{one.recognised:.0%}", str(one.all_seeds), f"{one.probability:.3f}",
            f"{one.cosine:.3f} / {one.real_cosine:.3f} = {one.cosine / one.real_cosine:.2f}", f"{one.kept:.0%}",
            f"{one.spectrum / one.real_spectrum:.2f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def measured(parts: Sequence[str], cases: Sequence[str], repeats: int, *, channels: bool) -> dict[str, Any]:
    """Measure some parts of what is kept."""
    data, lucent = find_data(), Lucent()
    networks = {name: load(name, data) for name in dict.fromkeys(CASES[case].network for case in cases)}
    held: dict[str, Any] = {"machine": machine("torch-lucent", "kornia")}
    if "speeds" in parts:
        speeds: list[Speed] = []
        for name in cases:
            speeds.append(measure(CASES[name], name, networks[CASES[name].network], lucent, repeats))
            print("\n".join(table(speeds[-1:])), flush=True)
        held["speeds"] = [asdict(row) for row in speeds]
    if "quality" in parts:
        quality = judged(load("resnet20", data), lucent, data)
        print("\n".join(quality_table(quality)), flush=True)
        held["quality"] = {name: asdict(row) for name, row in quality.items()}
    if "recognition" in parts:
        rows: list[Reached] = []
        for name, network in networks.items():
            if judges := judge_of(name, network):
                rows += recognition(CONTESTS[name], network, Labels(network.module).eval(), lucent, *judges)
        print("\n".join(recognition_table(rows)), flush=True)
        held["recognition"] = [asdict(row) for row in rows]
    if channels:
        network = load("squeezenet", data)
        found = every_channel(network, Labels(network.module).eval(), lucent, data / "imagenet" / "images")
        held["channels"] = [asdict(row) for row in found]
    return held


def page(held: dict[str, Any]) -> str:
    """Give all that is kept in Markdown."""
    speeds = [Speed(**row | {"goals": tuple(row["goals"])}) for row in held["speeds"]]
    tables = [
        recognition_table([Reached(**row) for row in held["recognition"]]),
        table(speeds),
        quality_table({name: Quality(**row) for name, row in held["quality"].items()}),
        channels_table([Channels(**row) for row in held["channels"]]) if held.get("channels") else [],
    ]
    sentence = where(held["machine"], [speed.when for speed in speeds])
    return "\n".join([sentence, *(line for lines in tables if lines for line in ("", *lines))])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog="make bench-optimization", description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help="which, with commas between them")
    parser.add_argument("--only", choices=("speeds", "quality", "recognition"), help="what alone is measured anew")
    parser.add_argument("--repeats", type=int, default=5, help="how often everything is timed")
    parser.add_argument("--channels", action="store_true", help="every channel of SqueezeNet as well: half an hour")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "optimization.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args(arguments)
    names = options.cases.split(",")
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"there is no case {', '.join(unknown)}; there are: {', '.join(CASES)}")
    torch.set_num_threads(1)
    held = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    parts = (options.only,) if options.only else ("speeds", "quality", "recognition")
    held |= measured(parts, names, options.repeats, channels=options.channels)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    put(options.page, "make bench-optimization", page(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
