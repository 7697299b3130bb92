"""Exact occlusion against Captum and against a dense loop: ``make bench-occlusion``.

All run in one process, one after another in every repetition, so that whatever else the machine does touches them alike.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TypeVar

import numpy as np
import torch

import iconoscope as ico
from benchmarks.figures import Figures, machine, read, write, write_page
from benchmarks.limit import operation_limit
from benchmarks.networks import VGG16, ResNet18, awaken
from benchmarks.peers import FORWARDS, DenseLoop, captum_ms
from iconoscope.occlusion.geometry import Cover, Grid, make_grid
from iconoscope.occlusion.incremental import PlanCache, scan_exact
from iconoscope.occlusion.incremental.engine import CleanMaps
from iconoscope.occlusion.incremental.exact import MEMORY
from iconoscope.occlusion.sliding_patch import METHODS
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import ClassUnit

ROOT = Path(__file__).parent.parent
Answer = TypeVar("Answer")

SAMPLE_S = 2.0
"""Seconds that Captum and the dense loop are timed for in a repetition, in whole batches: all positions cost them the same."""

ROUNDS, TRIAL_S = 3, 1.0
"""How often every way is tried before the fastest is chosen by its median, and for how many seconds each time."""

COMPILED = 2
"""So many sizes of batch, the fastest without it, are tried by the compiler too."""

DEAF = 0.1
"""The range of the probability up to which an agreement proves nothing."""

COMPARED = 40
"""Positions drawn for the comparison with the network itself, beside the corners; small scans are compared as a whole."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """A network and what it is asked.

    Attributes
    ----------
    name : str
        Of the network.
    make : callable
        From the folder of data to the network and to two of its images, normalised.
    patch, stride : int
        Pixels.
    goals : tuple of float
        Times as fast as Captum and as the dense loop, and the share of the limit.
    batches : tuple of int
        Sizes of batch that are tried.
    """

    name: str
    make: Callable[[Path], tuple[Network, torch.Tensor]]
    patch: int
    stride: int
    goals: tuple[float, float, float]
    batches: tuple[int, ...]


def _resnet20(data: Path) -> tuple[Network, torch.Tensor]:
    factory, weights = ROOT / "examples" / "resnet20.py", data / "weights" / "resnet20_cifar10.safetensors"
    network = ico.load_network(f"{factory}:resnet20", checkpoint=weights, device="cpu")
    return network, _pictures(network, [data / "cifar10" / "folder" / "dog" / f"{n:04}.jpg" for n in (0, 1)])


def _squeezenet(data: Path) -> tuple[Network, torch.Tensor]:
    factory, weights = ROOT / "examples" / "squeezenet.py", data / "weights" / "squeezenet1_1.safetensors"
    classes = data / "imagenet" / "classes.json"
    network = ico.load_network(f"{factory}:squeezenet", checkpoint=weights, classes=classes, device="cpu")
    return network, _pictures(network, _photographs(data)[:2])


def _random(kind: type[ResNet18 | VGG16], data: Path) -> tuple[Network, torch.Tensor]:
    network = ico.load_network(
        kind(),
        classes=[str(n) for n in range(1000)],
        preprocessing={"size": 224, "mean": MEAN, "std": STD},
        device="cpu",
    )
    pictures = _pictures(network, _photographs(data)[:8])
    awaken(network.module, pictures, patch=32)
    return network, pictures[:2]


def _photographs(data: Path) -> list[Path]:
    return sorted((data / "imagenet" / "images").glob("*.jpg"))


def _pictures(network: Network, paths: Sequence[Path]) -> torch.Tensor:
    images = ico.load_images(list(paths))
    return network.preprocessing.normalise(np.stack([network.preprocessing.fit(each.pixels) for each in images]))


CASES = {
    "resnet20": Case("ResNet-20", _resnet20, 8, 1, (2, 1.4, 0.90), (32, 64, 128)),
    "squeezenet": Case("SqueezeNet 1.1", _squeezenet, 32, 8, (8, 3, 0.95), (1, 2, 4, 8, 16)),
    "resnet18": Case("ResNet-18", lambda data: _random(ResNet18, data), 32, 8, (3.5, 2.4, 0.95), (1, 2, 4, 8, 16)),
    "vgg16": Case("VGG16", lambda data: _random(VGG16, data), 32, 16, (8, 6, 0.90), (1, 2, 4, 8)),
}


def measure(case: Case, network: Network, images: torch.Tensor, *, threads: int, repeats: int) -> Figures:
    """Measure a network on some threads.

    Parameters
    ----------
    case
        What is asked.
    network
        In evaluation mode, on the processor.
    images
        (2, 3, height, width), normalised: the one that is asked about, and another.
    threads
        For torch.
    repeats
        How often everything is timed.
    """
    torch.set_num_threads(threads)
    with network.questioned(), torch.inference_mode():
        return _measure(case, network, images, threads, repeats)


def _measure(case: Case, network: Network, images: torch.Tensor, threads: int, repeats: int) -> Figures:
    image, other = images
    grid = make_grid(network.preprocessing.size, patch=case.patch, stride=case.stride)
    target = int(network.module(image[None]).argmax())
    exact = _Exact(network, image, other, grid, target)
    fast = _fast(network, image, grid, target)
    # After the engine, as later too: which sizes are fast depends on how memory is cut up by then.
    rivals = _Rivals(network, image, target, grid)
    rivals.tune(case.batches)

    times: dict[str, list[float]] = {"captum": [], "dense": [], "exact": []} | ({"fast": []} if fast else {})
    clean_s, others = [], _Others()
    for repetition in range(repeats):
        times["captum"].append(rivals.captum_ms())
        times["dense"].append(rivals.dense_ms(seed=repetition))
        times["exact"].append(exact.ms())
        if fast is not None:
            times["fast"].append(_timed(fast)[0] * 1e3 / len(grid))
        clean_s.append(exact.clean_s())
    taken = others.cores()
    positions = _compared(grid)
    naive = torch.stack([_ask(network, image, grid, position) for position in positions]).numpy()
    found = exact.occluded.reshape(len(grid), -1)[positions]
    variation = float(np.ptp(naive[:, target]))
    if variation <= DEAF:
        raise ValueError(
            f"{case.name} is deaf: its probability varies by {variation:.2g} over {len(positions)} positions."
        )
    size = network.preprocessing.size[0]
    return Figures(
        network=case.name,
        question=f"{size}, {case.patch}, {case.stride}",
        threads=threads,
        positions=len(grid),
        goals=case.goals,
        ms=times,
        ways=rivals.ways,
        tuning=rivals.tuning,
        plan_s=exact.plan_s,
        first_s=exact.first_s,
        clean_s=median(clean_s),
        limit=operation_limit(exact.graph, grid),
        difference=float(np.abs(found - naive).max()),
        compared=len(positions),
        variation=variation,
        said=exact.said,
        others=taken,
        when=date.today().isoformat(),
    )


class _Rivals:
    """Captum and the dense loop, each in the fastest of the ways that were tried."""

    def __init__(self, network: Network, image: torch.Tensor, target: int, grid: Grid) -> None:
        self._network, self._image, self._target, self._grid = network, image, target, grid
        self._loops: dict[str, DenseLoop] = {}
        self.ways: dict[str, str] = {}
        self.tuning: dict[str, dict[str, float]] = {}

    def tune(self, batches: Sequence[int]) -> None:
        """Try all sizes of batch, and the compiler on those that are fast without it."""
        self._add("packed", batches)
        captum, packed = self._trials(batches, list(self._loops))
        torch.compiler.reset()  # of one network it keeps eight compilations at most
        self._add("compiled", sorted(batches, key=lambda batch: packed[f"packed, {batch}"])[:COMPILED])
        _, compiled = self._trials([], [way for way in self._loops if way not in packed])
        self.tuning = {"captum": captum, "dense": packed | compiled}
        self.ways = {name: min(tried, key=tried.__getitem__) for name, tried in self.tuning.items()}

    def _add(self, name: str, batches: Sequence[int]) -> None:
        try:
            for batch in batches:
                forward = FORWARDS[name](self._network.module, self._image)
                loop = DenseLoop(forward, self._image, self._grid, batch=batch)
                loop.probabilities(range(batch))
                self._loops[f"{name}, {batch}"] = loop
        except RuntimeError as error:  # there may be no compiler of C++ on this machine
            print(f"left out of the dense loops: {name}: {str(error).splitlines()[0]}", file=sys.stderr)

    def _trials(self, batches: Sequence[int], ways: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
        """Give the milliseconds of Captum with these sizes of batch, and of these dense loops."""
        captum = {str(batch): [self._captum(batch, 1)] for batch in batches}
        dense = {way: [self._dense(way, 1)] for way in ways}
        for round_ in range(ROUNDS):
            for batch, ms in captum.items():
                ms.append(self._captum(int(batch), _batches(TRIAL_S, int(batch), ms[0])))
            for way, ms in dense.items():
                ms.append(self._dense(way, _batches(TRIAL_S, self._loops[way].batch, ms[0]), round_))
        captum_ms, dense_ms = ({way: median(ms[1:]) for way, ms in tried.items()} for tried in (captum, dense))
        return captum_ms, dense_ms

    def _captum(self, batch: int, batches: int) -> float:
        return captum_ms(self._network.module, self._image, self._target, self._grid, batch=batch, batches=batches)

    def _dense(self, way: str, batches: int, seed: int = 0) -> float:
        loop = self._loops[way]
        count = loop.batch * min(batches, len(self._grid) // loop.batch)
        return loop.ms(np.random.default_rng(seed).permutation(len(self._grid))[:count].tolist())

    def captum_ms(self) -> float:
        """Give Captum's milliseconds for a position."""
        batch, ms = int(self.ways["captum"]), self.tuning["captum"][self.ways["captum"]]
        return self._captum(batch, _batches(SAMPLE_S, batch, ms))

    def dense_ms(self, seed: int) -> float:
        """Give the dense loop's milliseconds for a position, at positions drawn at random."""
        way = self.ways["dense"]
        return self._dense(way, _batches(SAMPLE_S, self._loops[way].batch, self.tuning["dense"][way]), seed)


def _batches(seconds: float, batch: int, ms: float) -> int:
    """Give how many batches that take so many milliseconds for a position fill so many seconds; at least one."""
    return max(1, round(1e3 * seconds / (batch * ms)))


class _Exact:
    """The incremental engine with its plan at hand."""

    def __init__(self, network: Network, image: torch.Tensor, other: torch.Tensor, grid: Grid, target: int) -> None:
        self._other, self._grid = other, grid
        unit, cover, plans = network.class_unit("prob", target), Cover(torch.zeros_like(image)), PlanCache(images=100)
        self.plan_s, runner = _timed(lambda: plans.runner(network, image, grid, unit, MEMORY))
        if isinstance(runner, str):
            raise ValueError(f"{network.name} is not answered by the incremental engine: {runner}.")
        self.graph = runner.plan.graph
        self._ask = lambda: scan_exact(network, image, cover, grid, unit, plans=plans)
        self.first_s, scan = _timed(self._ask)
        self.occluded, self.said = scan.occluded, scan.plan
        if not scan.plan.startswith("exact"):
            raise ValueError(f"{network.name} is not answered by the incremental engine: {scan.plan}.")

    def ms(self) -> float:
        """Give the milliseconds for a position, the clean maps at hand."""
        seconds, scan = _timed(self._ask)
        self.occluded = scan.occluded
        return 1e3 * seconds / len(self._grid)

    def clean_s(self) -> float:
        """Give the seconds for the clean maps of another image."""
        return _timed(lambda: CleanMaps(self.graph, self._other))[0]


def _fast(network: Network, image: torch.Tensor, grid: Grid, target: int) -> Callable[[], object] | None:
    """Give the call of the approximate engine, if there is one; it has run once."""
    if "fast" not in METHODS:
        return None
    engine, cover = METHODS["fast"](100, ""), Cover(torch.zeros_like(image))
    unit: ClassUnit = network.class_unit("prob", target)

    def ask() -> object:
        return engine(network, image, cover, grid, unit, memory=None)

    ask()
    return ask


class _Others:
    """What other processes take of the machine from now on."""

    def __init__(self) -> None:
        self._start = perf_counter(), process_time(), _busy_s()

    def cores(self) -> float:
        """Give it in cores, on average."""
        wall, own, busy = (
            now - then for now, then in zip((perf_counter(), process_time(), _busy_s()), self._start, strict=True)
        )
        return max(0.0, (busy - own) / wall)


def _busy_s() -> float:
    """Give the seconds that all cores have worked since the machine was started; 0 where there is no Linux to say so."""
    try:
        user, nice, system, *_ = map(int, Path("/proc/stat").read_text(encoding="utf-8").split()[1:4])
    except OSError:
        return 0.0
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _timed(call: Callable[[], Answer]) -> tuple[float, Answer]:
    start = perf_counter()
    answer = call()
    return perf_counter() - start, answer


def _compared(grid: Grid) -> list[int]:
    """Give the positions that are compared: all of a small image, or else the corners and some drawn at random."""
    if grid.size[0] <= 32:
        return list(range(len(grid)))
    rows, columns = grid.shape
    corners = [0, columns - 1, (rows - 1) * columns, rows * columns - 1]
    drawn = np.random.default_rng(0).permutation(len(grid)).tolist()
    return corners + [position for position in drawn if position not in corners][:COMPARED]


def _ask(network: Network, image: torch.Tensor, grid: Grid, position: int) -> torch.Tensor:
    """Ask the network itself about one position."""
    rows, columns = grid.window(position)
    covered = image.clone()
    covered[:, rows, columns] = 0
    return network.module(covered[None])[0].softmax(0)


def find_data() -> Path:
    """Give the folder of the real networks and photographs.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    for place in (os.environ.get("ICONOSCOPE_DATA"), ROOT.parent / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    raise FileNotFoundError(
        "The networks and photographs are not here: neither ICONOSCOPE_DATA nor ../shared/data is a folder."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and report; give the exit status: 1 if a network failed."""
    parser = argparse.ArgumentParser(prog="make bench-occlusion", description=__doc__)
    parser.add_argument("--networks", default=",".join(CASES), help="which, with commas between them")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas between them")
    parser.add_argument("--repeats", type=int, default=5, help="how often everything is timed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "occlusion.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    asked = parser.parse_args(arguments)
    names = asked.networks.split(",")
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"there is no network {', '.join(unknown)}; there are: {', '.join(CASES)}")
    data, measured_on = find_data(), machine("captum")
    figures = {(each.network, each.threads): each for each in read(asked.out, measured_on)}
    failed = 0
    for name in names:
        case = CASES[name]
        # The figures of the other networks must not be lost, whatever happens to this one.
        try:
            network, images = case.make(data)
            for threads in map(int, asked.threads.split(",")):
                figures[case.name, threads] = measure(case, network, images, threads=threads, repeats=asked.repeats)
                kept = _in_order(figures)
                write(asked.out, kept, measured_on)
                write_page(asked.page, kept, measured_on)
                _report(figures[case.name, threads])
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            failed = 1
    return failed


def _in_order(figures: dict[tuple[str, int], Figures]) -> list[Figures]:
    names = [case.name for case in CASES.values()]
    return sorted(figures.values(), key=lambda one: (one.threads, names.index(one.network)))


def _report(one: Figures) -> None:
    print(
        f"{one.network}, {one.threads} threads: {one.times('exact', 'captum'):.2f} times as fast as Captum, "
        f"{one.times('exact', 'dense'):.2f} as the dense loop, {one.share:.0%} of the limit of {one.limit:.2f}; "
        f"difference {one.difference:.0e}, range {one.variation:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
