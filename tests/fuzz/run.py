"""Bad input of every kind: cases from a seed, run one after another in a process of bounded memory.

    PYTHONPATH=tests python -m fuzz.run SEED COUNT FOLDER [FIRST]

Every line on stdout is one case as JSON, with what is wrong with its outcome,
or nothing. A case is right if it is answered, or refused by
one of our own errors: without a traceback, in time, in the memory that there is, without a control character on the terminal.
"""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

SECONDS = 60
"""That a case may take on a busy machine; the slowest right one takes five."""

MEMORY = 2_500_000_000
"""Bytes of addresses beyond those that torch and the networks take."""

Case = tuple[str, Callable[[], object]]


class TooSlowError(BaseException):
    """No except clause of ours may swallow it."""


def cases(seed: int, folder: Path) -> Iterator[Case]:
    """Draw cases without end, of all kinds in turn."""
    from fuzz import files, options, python

    generator = random.Random(seed)
    kinds = [kind(generator, folder) for kind in (options.cases, files.cases, python.cases, options.units)]
    for turn in iter(lambda: kinds, None):
        for kind in turn:
            yield next(kind)


def wrong(case: Callable[[], object]) -> str:
    """Run a case; say what is wrong with its outcome, or nothing."""
    from iconoscope.errors import IconoscopeError, IconoscopeWarning

    out, err = io.StringIO(), io.StringIO()
    started = time.perf_counter()
    status: object = None
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("always", IconoscopeWarning)
            signal.alarm(SECONDS)
            status = case()
    except IconoscopeError as error:
        err.write(f"error: {error}")
        if not error.message.strip():
            return "an error without words"
    except BaseException:  # noqa: BLE001 -- whatever comes out is what is looked for
        return traceback.format_exc()
    finally:
        signal.alarm(0)
    written = out.getvalue() + err.getvalue()
    if time.perf_counter() - started > SECONDS:
        return "it was ended because it took too long"
    for sign in ("Traceback", "mistake in iconoscope", "not enough memory", "can't allocate"):
        if sign in written:
            return f"{sign}: {written[-2000:]}"
    if any(not (character.isprintable() or character in "\n") for character in err.getvalue()):
        return f"raw characters: {err.getvalue()[-500:]!r}"
    if isinstance(status, int) and status not in (0, 1, 2):
        return f"exit status {status}: {written[-500:]}"
    if status in (1, 2) and isinstance(status, int) and written.count("error: ") < 1:
        return f"exit status {status} without an error: {written[-500:]}"
    if len(written) > 200_000:
        return f"{len(written)} characters were written: {written[:300]}"
    if list(Path.cwd().rglob("MARKER*")):
        return "code of the input ran"
    return ""


def _too_slow(number: int, frame: object) -> None:
    raise TooSlowError(f"{SECONDS} seconds")


def main(seed: int, count: int, folder: Path, first: int = 0) -> None:
    from fuzz.samples import make_samples

    with redirect_stdout(sys.stderr):
        make_samples(folder)
    signal.signal(signal.SIGALRM, _too_slow)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for number, (name, case) in zip(range(count), cases(seed, folder), strict=False):
        if number < first:
            continue
        print(json.dumps({"number": number, "begins": name}), flush=True)
        started = time.perf_counter()
        reason = wrong(case)
        print(
            json.dumps({"number": number, "name": name, "wrong": reason, "s": round(time.perf_counter() - started, 2)}),
            flush=True,
        )


if __name__ == "__main__":
    seed, count, folder, *more = sys.argv[1:]
    main(int(seed), int(count), Path(folder), *map(int, more))
