"""Mutation score: how many random changes of meaning in the core numerics the tests notice.

Own code, as the tools that are kept do not suit: mutmut 3 rewrites whole functions, which torch.export then reads, and
selects tests by function; cosmic-ray starts a new interpreter, and so imports torch, for every mutant; neither draws a sample
by a seed. Here one process has torch imported. Every mutant is a fork of it that reads the module with the change made (no
file is written) and runs the tests that execute the changed statement: those of the module's own test file first, then of its
folder, the fastest first, up to SECONDS of them, and ends at the first that fails. One that hangs counts as caught, and is
counted by itself.

Which tests execute which lines is recorded by a trace function (coverage would be a dependency for that alone) and kept in
build/mutation while neither the sources nor the test's file change. Slow tests, and tests of journeys, pages, files and the
command line are not used: a mutant that only they notice counts as one that survived.

    python -m benchmarks.mutation --mutants 200 --seed 19
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib
import importlib.machinery
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutants import KINDS, LEFT_OUT, SPEED_ONLY, Mutant, core_files, draw, mutants_of, mutated_tree

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "iconoscope"
WORK = ROOT / "build" / "mutation"
RESULTS = ROOT / "benchmarks" / "results" / "mutation.json"
EQUIVALENTS = Path(__file__).with_name("equivalent_mutants.json")
FOLDERS = ("occlusion", "optimization", "exemplars", "results", "auditing", "priors", "subject")
WARM = (
    "torch", "torch.fx", "torch.export", "numpy", "scipy.stats", "scipy.ndimage", "sklearn", "matplotlib.pyplot",
    "PIL.Image", "pyarrow", "hypothesis", "captum.attr",
)  # fmt: skip
SECONDS = 30.0
"""Of tests for one mutant, by what they took when they were recorded."""
RECORDED = 60.0
"""Seconds of the processor for the tests of one file: later ones are not used, which can only lower the score."""
FIRST = 20
"""So many tests are collected at first; the others where these pass."""

CAUGHT = ("caught", "hung or ended the process")

Lines = set[tuple[str, int]]


@dataclass
class Recording:
    """What one test executes of the core, and how long it takes in seconds."""

    file: str
    seconds: float = 0.0
    passed: bool = True
    lines: Lines = field(default_factory=set)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: its fate, the test that noticed it or the reason why none can, and how many could have."""

    module: str
    line: int
    function: str
    kind: str
    change: str
    tests: int
    fate: str
    by: str = ""

    @property
    def key(self) -> str:
        """What the mutant is, line numbers left out."""
        return f"{self.module} {self.function}: {self.change}"


class Recorder:
    """A plugin of pytest that records for every test which lines of the core it executes, its fixtures' lines included."""

    def __init__(self, paths: list[str]) -> None:
        self.tests: dict[str, Recording] = {}
        self._core = {str(PACKAGE / path): path for path in paths}
        self._lines: Lines = set()
        self._of_fixtures: dict[str, tuple[Lines, float]] = {}
        self._began = 0.0

    def _trace(self, frame: Any, event: str, argument: Any) -> Any:
        path = self._core.get(frame.f_code.co_filename)
        if path is None:
            return None

        def on_line(frame: Any, event: str, argument: Any) -> Any:
            if event == "line":
                self._lines.add((path, frame.f_lineno))
            return on_line

        return on_line

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        """Record a fixture by itself: it is made once, for several tests."""
        outside, self._lines, begins = self._lines, set(), time.perf_counter()
        try:
            return (yield)
        finally:
            self._of_fixtures[fixturedef.argname] = set(self._lines), time.perf_counter() - begins
            self._lines |= outside

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self) -> None:
        """Begin to count."""
        self._began = time.process_time()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        """Record a test."""
        if time.process_time() - self._began > RECORDED:
            item.session.shouldstop = f"the tests of a file have {RECORDED} s"
        self._lines = set()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # pyright: ignore[reportArgumentType]
            test = self.tests.setdefault(item.nodeid, Recording(str(item.path.relative_to(ROOT))))
            for name in getattr(item, "fixturenames", ()):
                lines, seconds = self._of_fixtures.get(name, (set(), 0.0))
                self._lines |= lines
                test.seconds += seconds  # each test may be the one that has to make it
            test.lines = self._lines

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up the seconds of a test."""
        test = self.tests.setdefault(report.nodeid, Recording(report.nodeid.split("::")[0]))
        test.seconds += report.duration if report.when != "setup" else 0.0
        test.passed &= report.passed


class Selection:
    """A plugin of pytest that runs the stated tests in the stated order, and names the first failure."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {name: number for number, name in enumerate(tests)}
        self.failure = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave the others out."""
        selected = [item for item in items if item.nodeid in self._order]
        items[:] = sorted(selected, key=lambda item: self._order[item.nodeid])

    def _note(self, report: Any) -> None:
        if report.failed and not self.failure:
            self.failure = report.nodeid

    pytest_runtest_logreport = pytest_collectreport = _note


def run_tests(files: list[str], plugin: object, *settings: str) -> int:
    """Run pytest in this process, and give its exit code."""
    unused = [f"-pno:{name}" for name in ("cacheprovider", "nbmake", "xdist", "anyio")]
    plain = "--assert=plain"  # a module that is asked for its doctests would else be read past `read_as`
    return int(pytest.main(["-q", *unused, plain, *settings, *files], plugins=[plugin]))


_running: set[int] = set()


def forked(answer: Callable[[], Any], seconds: float, name: str) -> Any:
    """Give what a function answers in a fork of this process; None if it takes longer, or ends the fork."""
    file = WORK / f"{name}.pickle"
    file.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        log = os.open(WORK / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            file.write_bytes(pickle.dumps(answer()))
        except BaseException:  # noqa: BLE001 (the fork ends here, and its log says why)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)
    _running.add(child)
    ends = time.monotonic() + seconds
    try:
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > ends:
                os.kill(child, signal.SIGABRT)  # pytest's faulthandler then writes into the log where it hangs
                time.sleep(1)
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return None
            time.sleep(0.05)
    finally:
        _running.discard(child)
    return pickle.loads(file.read_bytes()) if file.exists() else None  # noqa: S301 (written by the fork)


def end(number: int, frame: Any) -> None:
    """End this process and its forks."""
    for child in list(_running):
        os.killpg(child, signal.SIGKILL)
    os._exit(1)


def side_by_side(work: Callable[[Any], None], tasks: list[Any], processes: int) -> None:
    """Do tasks, so many at a time."""
    waiting, lock = iter(tasks), threading.Lock()
    failures: list[Exception] = []

    def worker() -> None:
        while not failures:
            with lock:
                task = next(waiting, None)
            if task is None:
                return
            try:
                work(task)
            except Exception as error:  # noqa: BLE001 (raised below)
                failures.append(error)

    threads = [threading.Thread(target=worker) for _ in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def record(paths: list[str], processes: int) -> dict[str, Recording]:
    """Give for every test what it executes; files whose tests were recorded with the same sources are not run again."""
    files = [file for folder in FOLDERS for file in (ROOT / "tests" / folder).rglob("test_*.py")]
    files = [str(file.relative_to(ROOT)) for file in files if file.parent.name != "images"]
    files += [f"src/iconoscope/{path}" for path in paths if ">>>" in (PACKAGE / path).read_text()]
    files.append("tests/test_torch_modes.py")  # of all techniques: what torch was told changes no answer
    sources = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(PACKAGE.rglob("*.py")))).digest()
    recorded: dict[str, dict[str, Recording]] = {}

    def on(file: str) -> None:
        name = file.replace("/", "+")
        stored = WORK / "recordings" / f"{name}.{hashlib.sha256(sources + (ROOT / file).read_bytes()).hexdigest()[:16]}"

        def run() -> dict[str, Recording]:
            recorder = Recorder(paths)
            run_tests([file], recorder)
            return recorder.tests

        if not stored.exists():
            tests = forked(run, 900, f"recording {name}")
            if tests is None:
                print(f"{file}: no recording", flush=True)
                return
            stored.write_bytes(pickle.dumps(tests))
        recorded[file] = pickle.loads(stored.read_bytes())  # noqa: S301 (written here)

    side_by_side(on, sorted(files), processes)
    return {name: test for tests in recorded.values() for name, test in tests.items() if test.passed}


def choose(mutant: Mutant, tests: dict[str, Recording]) -> list[str]:
    """Give the tests that execute the mutant, the module's own first, the fastest first, up to SECONDS together."""
    touched = {(mutant.path, line) for line in mutant.lines}
    executing = [name for name, test in tests.items() if not touched.isdisjoint(test.lines)]
    naming: set[str] = set()
    if not mutant.function or mutant.line not in mutant.lines:
        # Executed by the import, as defaults are: tests whose file names the module may notice, and are the first.
        module = f"iconoscope.{mutant.path.removesuffix('.py').replace('/', '.')}"
        naming = {file for file in {test.file for test in tests.values()} if module in (ROOT / file).read_text()}
        using = {name for name, test in tests.items() if any(path == mutant.path for path, _ in test.lines)}
        using = set() if mutant.function else using
        executing = list(
            dict.fromkeys([*executing, *(name for name, test in tests.items() if test.file in naming or name in using)])
        )
    folder, stem = mutant.path.split("/")[0], Path(mutant.path).stem

    def distance(name: str) -> tuple[int, float]:
        file = tests[name].file
        return (0 if stem in Path(file).stem or file in naming else 1 if f"/{folder}/" in file else 2), tests[
            name
        ].seconds

    chosen, seconds = [], 0.0
    for name in sorted(executing, key=distance):
        if not chosen or seconds + tests[name].seconds <= SECONDS:
            chosen.append(name)
            seconds += tests[name].seconds
    return chosen


def read_as(mutant: Mutant) -> None:
    """Let the module be imported with the change made."""
    mutated, plain = str(PACKAGE / mutant.path), importlib.machinery.SourceFileLoader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        if self.path != mutated:
            return plain(self, fullname)
        return compile(mutated_tree(Path(mutated).read_text(), mutant), mutated, "exec")

    importlib.machinery.SourceFileLoader.get_code = get_code


def judge(mutant: Mutant, tests: dict[str, Recording], number: int) -> Verdict:
    """Run the tests on one mutant."""
    chosen = choose(mutant, tests)
    fate, by = "survived" if chosen else "not executed", ""
    for part in (chosen[:FIRST], chosen[FIRST:]):

        def run(part: list[str] = part) -> tuple[int, str]:
            read_as(mutant)
            selection = Selection(part)
            return run_tests(sorted({tests[name].file for name in part}), selection, "-x"), selection.failure

        if not part:
            break
        answer = forked(run, 60 + 5 * sum(tests[name].seconds for name in part), f"mutant {number}")
        if answer is None:
            fate = "hung or ended the process"
        elif answer[0]:
            fate, by = "caught", answer[1] or f"pytest's exit code {answer[0]}"
        if fate in CAUGHT:
            break
    return Verdict(mutant.path, mutant.line, mutant.function, mutant.kind, mutant.change, len(chosen), fate, by)


def summarise(verdicts: list[Verdict], seed: int) -> dict[str, Any]:
    """Put the score together; equivalent mutants are counted by themselves, and are not in the score."""
    reasons = json.loads(EQUIVALENTS.read_text())
    equivalent = [verdict for verdict in verdicts if verdict.fate not in CAUGHT and verdict.key in reasons]
    missed = [verdict for verdict in verdicts if verdict.fate not in CAUGHT and verdict.key not in reasons]
    caught = [verdict for verdict in verdicts if verdict.fate in CAUGHT]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    return {
        "commit": commit.strip(),
        "seed": seed,
        "mutants": len(verdicts),
        "caught": len(caught),
        "hung": sum(verdict.fate == CAUGHT[1] for verdict in verdicts),
        "missed": len(missed),
        "equivalent": len(equivalent),
        "score": round(len(caught) / max(1, len(caught) + len(missed)), 4),
        "score_if_equivalents_count_as_missed": round(len(caught) / max(1, len(verdicts)), 4),
        "by_kind": {
            kind: {
                name: sum(verdict.kind == kind for verdict in those)
                for name, those in (("caught", caught), ("missed", missed), ("equivalent", equivalent))
            }
            for kind in KINDS
        },
        "seconds_of_tests_for_a_mutant": SECONDS,
        "kinds": KINDS,
        "left_out": {**LEFT_OUT, "functions": SPEED_ONLY},
        "judged": [
            {**asdict(verdict), "fate": "equivalent", "by": reasons[verdict.key]}
            if verdict in equivalent
            else asdict(verdict)
            for verdict in verdicts
        ],
    }


def main() -> None:
    """Draw mutants, run the tests on each, print the survivors and the score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--again", type=Path, help="results of the same seed: only what was not caught there is run again"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DEBUG_TEMPROOT": str(WORK / "temporary")}
    for folder in ("temporary", "recordings"):
        (WORK / folder).mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    for name in WARM:
        importlib.import_module(name)
    gc.freeze()  # what is imported is not searched for garbage in every fork
    paths = core_files(PACKAGE)
    tests = record(paths, options.processes)
    print(f"{len(tests)} tests are recorded.", flush=True)
    verdicts: list[Verdict] = []
    if options.again:
        before = [Verdict(**verdict) for verdict in json.loads(options.again.read_text())["judged"]]
        verdicts = [verdict for verdict in before if verdict.fate in CAUGHT]
        possible = {
            (mutant.key, mutant.line): mutant
            for path in paths
            for mutant in mutants_of(path, (PACKAGE / path).read_text())
        }  # the same change may stand on several lines of a function
        missed = [(verdict.key, verdict.line) for verdict in before if verdict.fate not in CAUGHT]
        mutants = [possible[key] for key in missed if key in possible]
        print(*(f"The code is gone: {key}" for key in missed if key not in possible), sep="\n")
    else:
        mutants = draw(PACKAGE, options.mutants, options.seed)

    def on(task: tuple[int, Mutant]) -> None:
        verdict = judge(task[1], tests, task[0])
        verdicts.append(verdict)
        print(*asdict(verdict).values(), sep=" | ", flush=True)

    side_by_side(on, list(enumerate(mutants)), options.processes)
    summary = summarise(sorted(verdicts, key=lambda verdict: (verdict.module, verdict.line)), options.seed)
    options.out.write_text(json.dumps(summary, indent=1) + "\n")
    print({name: figure for name, figure in summary.items() if isinstance(figure, int | float)})


if __name__ == "__main__":
    main()
