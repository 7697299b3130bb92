"""Mutation score: how many random changes of meaning in the core numerics the tests notice.

Own code, as the tools that are kept do not suit: mutmut rewrites whole functions, which torch.export then reads, and selects tests
by function, not by line; cosmic-ray starts a new interpreter, and so imports torch, for every mutant; neither draws a
sample by a seed. Here one process has torch imported. Every mutant is a fork of it that reads the module with the change
made (no file is written) and runs the tests that execute the changed statement: those of the module's own folder first, the
fastest first, up to SECONDS of them, and ends at the first that fails. One that hangs counts as caught, and is counted.

Which tests execute which lines is recorded by a trace function (coverage would be a dependency for that alone) and kept
in build/mutation while neither the sources nor the test's file change. Slow tests, and tests of journeys, of pages, of reading files and
of the command line are not used: a mutant that only they notice counts as one that survived.

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
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutants import KINDS, LEFT_OUT, SPEED_ONLY, Mutant, core_files, draw, mutated_tree

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "iconoscope"
KEPT = ROOT / "build" / "mutation"
RESULTS = ROOT / "benchmarks" / "results" / "mutation.json"
EQUIVALENTS = Path(__file__).with_name("equivalent_mutants.json")
FOLDERS = "occlusion optimization exemplars results auditing priors subject".split()
WARM = "torch torch.fx torch.export numpy scipy.stats scipy.ndimage sklearn matplotlib.pyplot PIL.Image pyarrow hypothesis captum.attr"
SECONDS = 20.0
"""Of tests for one mutant, by what they took when they were recorded."""
RECORDED = 30.0
"""Seconds of the processor for the tests of one file: those that would begin later are not used, which can only lower the score."""
FIRST = 20
"""So many tests are collected at first; the others where these pass."""

Lines = set[tuple[str, int]]


@dataclass
class Recording:
    """What one test executes of the core, and how long it takes in seconds."""

    file: str
    seconds: float = 0.0
    passed: bool = True
    lines: Lines = field(default_factory=set)


class Recorder:
    """A plugin that records for every test which lines of the core it executes, its fixtures' lines included."""

    def __init__(self, paths: set[str]) -> None:
        self.tests: dict[str, Recording] = {}
        self._core = {str(PACKAGE / path): path for path in paths}
        self._lines: Lines = set()
        self._of_fixtures: dict[str, Lines] = {}
        self._began = 0.0

    def _trace(self, frame: Any, event: str, argument: Any) -> Any:
        path = self._core.get(frame.f_code.co_filename)
        if path is None:
            return None
        add = self._lines.add

        def on_line(frame: Any, event: str, argument: Any) -> Any:
            if event == "line":
                add((path, frame.f_lineno))
            return on_line

        return on_line

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        outer, self._lines = self._lines, set()
        try:
            return (yield)
        finally:
            self._of_fixtures[fixturedef.argname] = self._lines
            self._lines |= outer

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self) -> None:
        self._began = time.process_time()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        if time.process_time() - self._began > RECORDED:
            item.session.shouldstop = "enough"
        self._lines = set()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # pyright: ignore[reportArgumentType]
            test = self.tests.setdefault(item.nodeid, Recording(str(item.path.relative_to(ROOT))))
            fixtures = (self._of_fixtures.get(name, set()) for name in getattr(item, "fixturenames", ()))
            test.lines = self._lines.union(*fixtures)

    def pytest_runtest_logreport(self, report: Any) -> None:
        test = self.tests.setdefault(report.nodeid, Recording(report.nodeid.split("::")[0]))
        test.seconds += report.duration
        test.passed &= report.passed


class Selection:
    """A plugin that runs the stated tests in the stated order, and keeps the first failure."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {name: number for number, name in enumerate(tests)}
        self.failure = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        chosen = [item for item in items if item.nodeid in self._order]
        items[:] = sorted(chosen, key=lambda item: self._order[item.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failure:
            self.failure = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.failure:
            self.failure = report.nodeid


def forked(answer: Callable[[], Any], seconds: float, name: str) -> Any:
    """Give what a function answers in a fork of this process; None if it takes longer, or ends the fork."""
    kept = KEPT / f"{name}.pickle"
    kept.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setsid()
        quiet = os.open(KEPT / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            kept.write_bytes(pickle.dumps(answer()))
        except BaseException:  # noqa: BLE001 (the fork ends here, and its log says why)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
    ends = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > ends:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.05)
    return pickle.loads(kept.read_bytes()) if kept.exists() else None  # noqa: S301 (written by the fork)


def _run_tests(files: list[str], plugin: object, *settings: str) -> int:
    unused = [f"-pno:{name}" for name in ("cacheprovider", "nbmake", "xdist", "anyio")]
    warm = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is imported already
    return int(pytest.main(["-q", *unused, *warm, *settings, *files], plugins=[plugin]))


def record(paths: list[str], files: list[str], processes: int) -> dict[str, Recording]:
    """Give for every test what it executes; files whose tests were recorded with the same sources are not run again."""
    sources = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(PACKAGE.rglob("*.py")))).hexdigest()
    recorded: dict[str, dict[str, Recording]] = {}

    def on(file: str) -> None:
        digest = hashlib.sha256(sources.encode() + (ROOT / file).read_bytes()).hexdigest()[:16]
        kept = KEPT / "recordings" / f"{file.replace('/', '+')}.{digest}"
        if not kept.exists():
            def run() -> dict[str, Recording]:
                recorder = Recorder(set(paths))
                _run_tests([file], recorder)
                return recorder.tests

            name = f"recording {file.replace('/', '+')}"
            tests = forked(run, 900, name)
            if tests is None:
                print(f"{file}: no recording", flush=True)
                tests = {}
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(pickle.dumps(tests))
        recorded[file] = pickle.loads(kept.read_bytes())  # noqa: S301 (written here)

    side_by_side(on, files, processes)
    return {name: test for tests in recorded.values() for name, test in tests.items() if test.passed}


def side_by_side(work: Callable[[Any], None], tasks: list[Any], processes: int) -> None:
    """Do tasks in so many forks at a time."""
    waiting = iter(tasks)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def worker() -> None:
        while not failures:
            with lock:
                task = next(waiting, None)
            if task is None:
                return
            try:
                work(task)
            except BaseException as error:  # noqa: BLE001 (raised in the main thread)
                failures.append(error)

    workers = [threading.Thread(target=worker) for _ in range(processes)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    if failures:
        raise failures[0]


def choose(mutant: Mutant, tests: dict[str, Recording]) -> list[str]:
    """Give the tests that execute the mutant, the module's own first, the fastest first, up to SECONDS together."""
    touched = {(mutant.path, line) for line in mutant.lines}
    executing = [name for name, test in tests.items() if not touched.isdisjoint(test.lines)]
    if not mutant.function:  # executed by the import: every test that uses the module may notice
        executing = [name for name, test in tests.items() if any(path == mutant.path for path, _ in test.lines)]
    folder, stem = mutant.path.split("/")[0], Path(mutant.path).stem

    def distance(name: str) -> tuple[int, float]:
        file = tests[name].file
        return (0 if stem in Path(file).stem else 1 if f"/{folder}/" in file else 2), tests[name].seconds

    chosen, seconds = [], 0.0
    for name in sorted(executing, key=distance):
        if not chosen or seconds + tests[name].seconds <= SECONDS:
            chosen.append(name)
            seconds += tests[name].seconds
    return chosen


def judge(mutant: Mutant, tests: dict[str, Recording], number: int) -> dict[str, Any]:
    """Run the tests on one mutant."""
    chosen = choose(mutant, tests)
    verdict = {"fate": "survived" if chosen else "not executed", "by": ""}
    for part in (chosen[:FIRST], chosen[FIRST:]):
        if not part:
            break

        def run(part: list[str] = part) -> tuple[int, str]:
            read_as(mutant)
            selection = Selection(part)
            files = list(dict.fromkeys(tests[name].file for name in part))
            return _run_tests(files, selection, "-x"), selection.failure

        limit = 60 + 5 * sum(tests[name].seconds for name in part)
        answer = forked(run, limit, f"mutant {number}")
        if answer is None:
            verdict = {"fate": "hung or ended the process", "by": ""}
            break
        if answer[0] != 0:
            verdict = {"fate": "caught", "by": answer[1] or f"pytest's exit code {answer[0]}"}
            break
    return {
        "module": mutant.path, "line": mutant.line, "function": mutant.function, "kind": mutant.kind, "change": mutant.change,
        "tests": len(chosen), **verdict,
    }  # fmt: skip


def read_as(mutant: Mutant) -> None:
    """Let the module be imported with the change made."""
    mutated, plain = str(PACKAGE / mutant.path), importlib.machinery.SourceFileLoader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        if self.path != mutated:
            return plain(self, fullname)
        return compile(mutated_tree(Path(mutated).read_text(), mutant), mutated, "exec")

    importlib.machinery.SourceFileLoader.get_code = get_code


def report(judged: list[dict[str, Any]], seed: int, commit: str) -> dict[str, Any]:
    """Put the score together; equivalent mutants are counted by themselves, and not in the score."""
    reasons = json.loads(EQUIVALENTS.read_text())
    for verdict in judged:
        key = f"{verdict['module']} {verdict['function']}: {verdict['change']}"
        if verdict["fate"] in ("survived", "not executed") and key in reasons:
            verdict |= {"fate": "equivalent", "by": reasons[key]}
    fates = Counter(verdict["fate"] for verdict in judged)
    caught = fates["caught"] + fates["hung or ended the process"]
    counted = len(judged) - fates["equivalent"]
    return {
        "seed": seed, "commit": commit, "mutants": len(judged), "fates": dict(fates), "caught": caught, "counted": counted,
        "score": round(caught / max(1, counted), 4), "score_equivalents_counted_as_survivors": round(caught / len(judged), 4),
        "kinds": {kind: Counter(verdict["fate"] for verdict in judged if verdict["kind"] == kind) for kind in KINDS},
        "judged": judged,
    }  # fmt: skip


def main() -> None:
    """Draw mutants, run the tests on each, print the survivors and the score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="of those drawn, those whose module begins so")
    parser.add_argument("--again", type=Path, help="a file of results: ask again those that were not caught")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DEBUG_TEMPROOT": str(KEPT / "temporary")}
    (KEPT / "temporary").mkdir(parents=True, exist_ok=True)
    for name in WARM.split():
        importlib.import_module(name)
    gc.freeze()  # what is imported is not searched for garbage in every fork
    paths = core_files(PACKAGE)
    files = [str(file.relative_to(ROOT)) for folder in FOLDERS for file in (ROOT / "tests" / folder).rglob("test_*.py") if file.parent.name != "images"]
    files += [f"src/iconoscope/{path}" for path in paths if ">>>" in (PACKAGE / path).read_text()]
    tests = record(paths, sorted(files), options.processes)
    print(f"{len(tests)} tests", flush=True)
    judged = list(_judged(options, tests))
    summary = report(judged, options.seed, os.popen("git rev-parse --short HEAD").read().strip())
    options.out.write_text(json.dumps(summary, indent=1) + "\n")
    print({name: figure for name, figure in summary.items() if name not in ("judged", "kinds")})


def _judged(options: argparse.Namespace, tests: dict[str, Recording]) -> Iterator[dict[str, Any]]:
    mutants = draw(PACKAGE, options.mutants, options.seed)
    done: list[dict[str, Any]] = []
    if options.again:
        before = json.loads(options.again.read_text())["judged"]
        caught = {f"{verdict['module']} {verdict['function']}: {verdict['change']}" for verdict in before if verdict["fate"] in ("caught", "hung or ended the process")}
        done = [verdict for verdict in before if verdict["fate"] in ("caught", "hung or ended the process")]
        mutants = [mutant for mutant in mutants if mutant.key not in caught]
    mutants = [mutant for mutant in mutants if mutant.path.startswith(options.only)]

    def on(task: tuple[int, Mutant]) -> None:
        verdict = judge(task[1], tests, task[0])
        done.append(verdict)
        if verdict["fate"] != "caught":
            print(*(verdict[name] for name in ("fate", "module", "line", "function", "tests", "kind", "change")), sep=" | ", flush=True)

    side_by_side(on, list(enumerate(mutants)), options.processes)
    yield from sorted(done, key=lambda verdict: (verdict["module"], verdict["line"]))


if __name__ == "__main__":
    main()
