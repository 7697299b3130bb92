"""The questions about the second network, asked by a process of its own while this one asks about the first.

Small networks are not answered faster by two threads than by one, and the rest of an audit is Python's. The process leaves its
answers in the store, where they are found when their turn comes; whatever it does not answer, for whatever reason, is asked
here. So the report is the same with it and without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iconoscope.demo.photographs import demo_images
from iconoscope.demo.questions import STEPS, Questions, draw_recorded
from iconoscope.errors import IconoscopeWarning, warn

__all__ = ["SecondProcess", "second_process"]

DRAWN = "drawn"
"""What the process says when the photographs that are recorded are files."""


class SecondProcess:
    """What this process knows of the other one."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process
        self._said: set[str] = set()

    def has(self, step: str) -> bool:
        """Wait until a step is done, and say whether it is: not, where there is no process, or it ended before."""
        while step not in self._said and self._process is not None and self._process.stdout is not None:
            line = self._process.stdout.readline()
            if not line:
                self._process = None
                break
            try:
                told = json.loads(line)
            except ValueError:  # a library that prints
                continue
            if isinstance(told, dict) and "warning" in told:
                warn(told["warning"])
            elif isinstance(told, dict):
                self._said.add(told.get("step", ""))
        return step in self._said


@contextmanager
def second_process(
    name: str, out: Path, *, count: int, seed: int, device: str, checkpoint: Path | None
) -> Iterator[SecondProcess]:
    """Ask about a network in another process for the time of a block, if there are two processors, each with half the threads.

    Parameters
    ----------
    name, device, checkpoint
        Of the network.
    out
        The folder of the demo.
    count, seed
        Of the photographs that it is audited on.
    """
    import torch

    threads = torch.get_num_threads()
    # On Windows libraries that are loaded wait for a thread that reads from the standard input (cpython#78961).
    if threads < 2 or not sys.executable or os.name == "nt" or not _asks_processors(device):
        yield SecondProcess(None)
        return
    asked = {"name": name, "out": str(out), "count": count, "seed": seed}
    asked["checkpoint"] = None if checkpoint is None else str(checkpoint)
    command = [sys.executable, "-c", f"from {__name__} import answer; answer()", json.dumps(asked)]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads // 2),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONSAFEPATH": "1",  # what lies in the user's folder is imported there no more than here
    }
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
    except OSError:  # no memory or no room for one more
        yield SecondProcess(None)
        return
    torch.set_num_threads(threads - threads // 2)
    try:
        yield SecondProcess(process)
    finally:
        torch.set_num_threads(threads)
        process.kill()  # whoever asks again goes on from what is in the store
        with process:  # waits for it, and closes what leads to it
            pass


def _asks_processors(device: str) -> bool:
    import torch

    return device == "cpu" or (
        device == "auto" and not torch.cuda.is_available() and not torch.backends.mps.is_available()
    )


def answer() -> None:
    """Answer what the first argument of the process asks, and say on its output what is done."""
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", IconoscopeWarning)
    warnings.showwarning = lambda message, *_, **__: _say(warning=str(message))
    asked = json.loads(sys.argv[1])
    out, seed = Path(asked["out"]), int(asked["seed"])
    checkpoint = None if asked["checkpoint"] is None else Path(asked["checkpoint"])
    photographs = demo_images(asked["count"], backgrounds="telling", seed=seed)
    questions = Questions.about(asked["name"], photographs, out, seed=seed, device="cpu", checkpoint=checkpoint)
    questions.covered()
    _say(step="covered")
    draw_recorded(out, seed=seed)
    _say(step=DRAWN)
    for step in list(STEPS)[1:]:
        getattr(questions, step)()
        _say(step=step)


def _say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _end_with_the_other() -> None:
    """End this process when the one that started it is gone, however it went.

    It reads below `sys.stdin`, whose lock would stay with processes that are forked meanwhile, and which they close first.
    """
    os.read(0, 1)
    os._exit(1)
