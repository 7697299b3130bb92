"""Occlusion, input optimisation and recording on a graphics card: ``make bench-gpu``.

First whether it is right: the tests run on that machine, and every answer is held against that of the same network on the
processor in float32. Then how long it takes, in float32 without and with TF32, and with the network in bfloat16. Clocks are
read when the card has done all that it was given. CUDA graphs are not
tried: whether a loop can be captured shows on a card alone.

Without a card nothing is measured; ``--device cpu --small`` runs the same on a processor, small.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import iconoscope as ico
from benchmarks.figures import machine, put, where
from benchmarks.networks import VGG16, ResNet18, awaken
from iconoscope.subject.network import Network

COMMAND = "make bench-gpu"
ROOT = Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "gpu.json", ROOT / "docs" / "performance.md"
MODES = ("float32", "TF32", "bfloat16")
BATCH = 128


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One question to one network in one kind of numbers.

    Attributes
    ----------
    network, question : str
        What was asked.
    mode : str
        One of `MODES`.
    seconds : list of float
        Of every repetition; the first, in which everything is made ready, is not among them.
    per : str
        What there is `count` of in them: positions, steps of a picture, images.
    count : int
        How many.
    difference : float
        The largest between its answers and those of the processor in float32, over the largest of the latter.
    """

    network: str
    question: str
    mode: str
    seconds: list[float]
    per: str
    count: int
    difference: float

    @property
    def milliseconds(self) -> float:
        """For one position, step or image; the median."""
        return 1e3 * median(self.seconds) / self.count


class InBfloat16(nn.Module):
    """A network that computes in bfloat16 where torch's autocast says that this does, and answers in float32."""

    def __init__(self, module: nn.Module, device: str) -> None:
        super().__init__()
        for name, child in module.named_children():
            self.add_module(name, child)
        self._forward: Callable[[torch.Tensor], torch.Tensor] = partial(type(module).forward, module)  # pyright: ignore
        self._device = device

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Answer in float32."""
        with torch.autocast(self._device, torch.bfloat16):
            answer = self._forward(x)
        return answer.float()


@dataclass(frozen=True)
class Question:
    """A question that is measured: what there is how much of, and a function from a network and a mode to its answer."""

    text: str
    per: str
    count: int
    ask: Callable[[Network, str], NDArray[Any]]


@contextmanager
def numbers(mode: str) -> Iterator[None]:
    """Let products of matrices and convolutions use TF32 on the card, or not, for the time of a block."""
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = mode == "TF32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def timed(ask: Callable[[], NDArray[Any]], device: str) -> tuple[float, NDArray[Any]]:
    """Give the seconds until the device has done what a call gave it, and the answer."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    synchronize()
    began = perf_counter()
    answer = ask()
    synchronize()
    return perf_counter() - began, answer


def textures(count: int, size: int) -> NDArray[np.uint8]:
    """Draw smooth coloured textures (count, size, size, 3)."""
    coarse = np.random.default_rng(0).random((count, 3, max(2, size // 8), max(2, size // 8)), np.float32)
    fine = torch.nn.functional.interpolate(torch.from_numpy(coarse), (size, size), mode="bicubic").clamp(0, 1)
    return (255 * fine).byte().permute(0, 2, 3, 1).numpy()


def modules(*, small: bool) -> Iterator[tuple[str, nn.Module, dict[str, Any]]]:
    """Give networks by name, with how each is loaded: the built-in one, and unless it is to be small two large ones."""
    built_in = ico.load_network("cifar10", device="cpu")
    yield "cifar10", built_in.module, {"preprocessing": built_in.preprocessing, "classes": built_in.classes}
    preprocessing = {"size": 224, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    for kind in () if small else (ResNet18, VGG16):
        module = kind().eval()
        awaken(module, torch.from_numpy(textures(4, 224)).permute(0, 3, 1, 2).div(127.5).sub(1), patch=32)
        yield kind.__name__, module, {"preprocessing": preprocessing}


def questions(network: Network, *, small: bool) -> list[Question]:
    """Give what is asked of a network; of the networks for photographs by larger pictures."""
    size = network.preprocessing.size[0]
    patch, stride = (8, 8 if small else 2) if size < 100 else (32, 8)
    count, steps, images = (2, 3, 32) if small else (8, 64, 2048 if size < 100 else 512)
    pictures, photograph = textures(images, size), textures(1, size)[0]
    positions = ico.occlude(network, photograph, "prob:0", patch=patch, stride=stride, method="dense").drop.size

    def occluded(method: str, asked: Network, mode: str) -> NDArray[Any]:
        return ico.occlude(asked, photograph, "prob:0", patch=patch, stride=stride, method=method).occluded

    def optimized(asked: Network, mode: str) -> NDArray[Any]:
        precision = "bfloat16" if mode == "bfloat16" else "float32"
        return ico.optimize(asked, "logit:0", count=count, steps=steps, precision=precision).objective[:, :1]

    def recorded(asked: Network, mode: str) -> NDArray[Any]:
        with tempfile.TemporaryDirectory() as store:
            return np.array(ico.record(asked, pictures, store=store, batch=BATCH, workers=0).responses)

    return [
        Question(f"occlude, dense, patch {patch}, stride {stride}", "position", positions, partial(occluded, "dense")),
        Question(f"occlude, exact, patch {patch}, stride {stride}", "position", positions, partial(occluded, "exact")),
        Question(f"optimize, {count} pictures", "picture's step", count * steps, optimized),
        Question(f"record, batches of {min(BATCH, images)}", "image", images, recorded),
    ]


def measure(
    name: str, module: nn.Module, loading: dict[str, Any], device: str, repeats: int, *, small: bool
) -> Iterator[Measurement]:
    """Ask a network on a device everything in every kind of numbers, beside the same on the processor in float32."""
    reference = ico.load_network(module, device="cpu", **loading)
    for question in questions(reference, small=small):
        expected = question.ask(reference, "float32").astype(np.float64)
        for mode in MODES:
            wrapped = (
                InBfloat16(module, device).eval() if mode == "bfloat16" and "optimize" not in question.text else module
            )
            network = ico.load_network(wrapped, device=device, **loading)
            try:
                with numbers(mode):
                    runs = [timed(partial(question.ask, network, mode), device) for _ in range(repeats + 1)]
            finally:
                module.to("cpu")
            difference = float(np.abs(runs[-1][1] - expected).max() / float(np.abs(expected).max()))
            yield Measurement(
                network=name, question=question.text, mode=mode, seconds=[spent for spent, _ in runs[1:]],
                per=question.per, count=question.count, difference=difference,
            )  # fmt: skip


def tests() -> str:
    """Run the tests on this machine, and give pytest's last line."""
    done = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if " passed" in line or " failed" in line or " error" in line]
    said = lines[-1].strip("= ") if lines else f"they ended with {done.returncode}"
    return said if not done.returncode or lines else f"{said}: {done.stderr[-500:]}"


def tables(held: dict[str, Any]) -> str:
    """Give what was measured in Markdown."""
    rows = [Measurement(**row) for row in held["measurements"]]
    lines = [
        f"{where(held['machine'], [held['when']])} On {held['device']}. `make test` there: {held['tests']}.",
        "",
        "| network | question | of one | " + " | ".join(f"{mode}, ms | differs by" for mode in MODES) + " |",
        "| --- " * (3 + 2 * len(MODES)) + "|",
    ]
    for network, question, per in dict.fromkeys((row.network, row.question, row.per) for row in rows):
        by_mode = {row.mode: row for row in rows if (row.network, row.question) == (network, question)}
        cells = [f"{by_mode[mode].milliseconds:.3f} | {by_mode[mode].difference:.0e}" for mode in MODES]
        lines.append(f"| {' | '.join([network, question, per, *cells])} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="one small network and few images, to see that it runs")
    parser.add_argument("--no-tests", action="store_true", help="leave out make test, which takes a quarter of an hour")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="benchmarks/results/gpu.json; nowhere of a processor")
    parser.add_argument("--page", type=Path, help="docs/performance.md; nowhere of a processor")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            f"There is no graphics card that torch {torch.__version__} can use, so nothing was measured.",
            file=sys.stderr,
        )
        return 1
    held: dict[str, Any] = {
        "machine": machine(),
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "the processor alone",
        "when": str(date.today()),
        "tests": "left out" if options.no_tests else tests(),
        "measurements": [],
    }
    print(f"make test: {held['tests']}", flush=True)
    for name, module, loading in modules(small=options.small):
        for row in measure(name, module, loading, options.device, options.repeats, small=options.small):
            held["measurements"].append(asdict(row))
            print(
                f"{name}, {row.question}, {row.mode}: {row.milliseconds:.3f} ms, differs by {row.difference:.0e}",
                flush=True,
            )
    of_card = options.device == "cuda"
    if out := options.out or (RESULTS if of_card else None):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    if page := options.page or (PAGE if of_card else None):
        put(page, COMMAND, tables(held))
    print(tables(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
