"""What was measured: on disk as JSON, and as tables on a page."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

__all__ = [
    "Figures",
    "goes_first",
    "machine",
    "put",
    "read",
    "said_of_others",
    "tables",
    "where",
    "write",
    "write_page",
]

COMMAND = "make bench-occlusion"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One network on some number of threads.

    Attributes
    ----------
    network : str
        Its name.
    question : str
        Size, patch and stride in words.
    threads, positions : int
        How many.
    goals : tuple of float
        What is to be reached: times as fast as Captum, as the dense loop, and the share of the limit.
    ms : dict
        Milliseconds for a position in every repetition: captum, dense, exact and, where there is such a method, fast.
    ways : dict
        How captum and dense ran, which is the fastest of the ways in `tuning`.
    tuning : dict
        Milliseconds for a position in every way that was tried.
    plan_s, first_s, clean_s : float
        Seconds to capture and plan, once for a geometry; for the first image after it, in which every size is prepared and
        some positions are checked; and for the clean maps of a further image.
    limit : float
        The most that `dense` over `exact` can be, by multiplications.
    difference : float
        The largest between the probabilities of `exact` and of the network itself, all classes.
    compared : int
        At so many positions.
    variation : float
        The range of the target's probability over these.
    said : str
        How the engine itself describes what ran.
    others : float
        Cores that other processes took meanwhile, on average; where it is much, the figures are not worth much.
    when : str
        Date.
    """

    network: str
    question: str
    threads: int
    positions: int
    goals: tuple[float, float, float]
    ms: dict[str, list[float]]
    ways: dict[str, str]
    tuning: dict[str, dict[str, float]]
    plan_s: float
    first_s: float
    clean_s: float
    limit: float
    difference: float
    compared: int
    variation: float
    said: str
    others: float
    when: str

    def times(self, faster: str, slower: str) -> float:
        """Give how many times as fast one is as the other, by their medians."""
        return median(self.ms[slower]) / median(self.ms[faster])

    @property
    def share(self) -> float:
        """What is reached of the limit."""
        return self.times("exact", "dense") / self.limit

    def map_s(self, name: str) -> float:
        """Give the seconds for the whole map of a further image, clean maps and all."""
        return self.positions * median(self.ms[name]) / 1e3 + (self.clean_s if name == "exact" else 0)


def machine(*peers: str) -> dict[str, Any]:
    """Say what measures: processor, cores, versions, those of the peers too."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        **{name: version(name) for name in peers},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    widest = next((f" with {name}" for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    return f"{names[0] if names else platform.processor() or platform.machine()}{widest}"


def read(path: Path, measured_on: dict[str, Any]) -> list[Figures]:
    """Give the figures of a file, if they were measured on this machine with these versions; none otherwise."""
    if not path.is_file():
        return []
    held = json.loads(path.read_text(encoding="utf-8"))
    if held["machine"] != measured_on:
        return []
    return [Figures(**each | {"goals": tuple(each["goals"])}) for each in held["figures"]]


def write(path: Path, figures: Sequence[Figures], measured_on: dict[str, Any]) -> None:
    """Write figures to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    held = {"machine": measured_on, "figures": [asdict(each) for each in figures]}
    path.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


def write_page(path: Path, figures: Sequence[Figures], measured_on: dict[str, Any]) -> None:
    """Put the tables between the two marks of a page, as `put` does."""
    put(path, COMMAND, tables(figures, measured_on))


def put(path: Path, command: str, text: str) -> None:
    """Put text between the two marks of a command on a page; what is around them stays.

    Raises
    ------
    ValueError
        If the page does not have the marks, one behind the other.
    """
    first, last = (f"<!-- made by {command}: {where} -->" for where in ("begin", "end"))
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the tables: it lies between {first} and {last}.")
    path.write_text(f"{before}{first}\n{text}\n{last}{after}", encoding="utf-8")


def goes_first() -> bool:
    """Tell whether this process and those that it starts go before all others, as `chrt --rr 10` has them do."""
    return os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)


def said_of_others(rows: Sequence[dict[str, Any]]) -> str:
    """Say whether other programs came in between, by what `goes_first` said of each row and the machine's load before it."""
    loads = [row["load"] for row in rows] or [0.0]
    span = " to ".join(dict.fromkeys(f"{load:.0f}" for load in (min(loads), max(loads))))
    busy = f"the load of the machine was {span} before each line"
    if all(row["first"] for row in rows):
        return f"Other programs did not come in between (real-time priority), though {busy}."
    return f"Other programs came in between: {busy}."


def where(measured_on: dict[str, Any], dates: Sequence[str]) -> str:
    """Say in a sentence what measured, and when."""
    of = f"{measured_on['processor']}, {measured_on['cores']} cores, {measured_on['system']}"
    others = {
        name: value for name, value in measured_on.items() if name not in ("processor", "cores", "system", "python")
    }
    about = ", ".join([*(f"{name} {value}" for name, value in others.items()), f"Python {measured_on['python']}"])
    when = " to ".join(dict.fromkeys([*sorted(dates)[:1], *sorted(dates)[-1:]]))
    return f"Measured on {of}; {about}; {when}."


def tables(figures: Sequence[Figures], measured_on: dict[str, Any]) -> str:
    """Give the figures as text in Markdown."""
    return "\n".join(
        [
            where(measured_on, [each.when for each in figures]),
            "",
            *_table(figures, _speed(figures)),
            "",
            "What is done once, and then the whole map of a further image, its clean maps included, in seconds:",
            "",
            *_table(figures, ONCE),
        ]
    )


Column = tuple[str, Callable[[Figures], str]]

NAMES: tuple[Column, ...] = (
    ("network, pixels, patch, stride", lambda one: f"{one.network}, {one.question}"),
    ("threads", lambda one: str(one.threads)),
)

ONCE: tuple[Column, ...] = (
    *NAMES,
    ("capture and plan", lambda one: f"{one.plan_s:.2f}"),
    ("first image", lambda one: f"{one.first_s:.2f}"),
    ("clean maps", lambda one: f"{one.clean_s:.3f}"),
    ("map by Captum", lambda one: f"{one.map_s('captum'):.1f}"),
    ("map by dense loop", lambda one: f"{one.map_s('dense'):.1f}"),
    ("map by exact", lambda one: f"{one.map_s('exact'):.1f}"),
    ("Captum by exact", lambda one: f"{one.map_s('captum') / one.map_s('exact'):.2f}"),
    ("cores taken by others", lambda one: f"{one.others:.1f}"),
)


def _speed(figures: Sequence[Figures]) -> tuple[Column, ...]:
    columns: tuple[Column, ...] = (
        *NAMES,
        ("Captum, ms", lambda one: _ms(one, "captum")),
        ("dense loop, ms", lambda one: _ms(one, "dense")),
        ("exact, ms", lambda one: _ms(one, "exact")),
        ("Captum by exact (goal)", lambda one: f"{one.times('exact', 'captum'):.2f} ({one.goals[0]:g})"),
        ("dense by exact (goal)", lambda one: f"{one.times('exact', 'dense'):.2f} ({one.goals[1]:g})"),
        ("its limit", lambda one: f"{one.limit:.2f}"),
        ("share of the limit (goal)", lambda one: f"{one.share:.0%} ({one.goals[2]:.0%})"),
        ("largest difference", lambda one: f"{one.difference:.0e}"),
        ("range of the map", lambda one: f"{one.variation:.2f}"),
    )
    if any("fast" in each.ms for each in figures):
        columns += (("fast, ms", lambda one: _ms(one, "fast")), ("Captum by fast", _fast))
    return columns


def _ms(one: Figures, name: str) -> str:
    if name not in one.ms:
        return ""
    ms = median(one.ms[name])
    return f"{ms:.{2 if ms < 10 else 1 if ms < 100 else 0}f}"


def _fast(one: Figures) -> str:
    return f"{one.times('fast', 'captum'):.1f}" if "fast" in one.ms else ""


def _table(figures: Sequence[Figures], columns: Sequence[Column]) -> list[str]:
    head = [f"| {' | '.join(name for name, _ in columns)} |", "| --- " * len(columns) + "|"]
    return head + [f"| {' | '.join(cell(each) for _, cell in columns)} |" for each in figures]
