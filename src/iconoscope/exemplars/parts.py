"""Parts of a recording, by numbers: which shards are whose, who says so, and which commands ask about what is missing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from iconoscope.errors import QuestionError, shortened

__all__ = ["Part", "commands_for", "consecutive_runs", "read_part"]

AUTO = "auto"
TORCHRUN = ("RANK", "WORLD_SIZE")
SLURM = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
_COMMANDS = 8
"""Commands that a message lists at most."""


class Part(NamedTuple):
    """One of so many parts of a recording, counted from 1: each is a run of shards, and none is in two of them.

    >>> Part(2, 3).shards(8), str(Part(2, 3))
    (range(2, 5), '2/3')
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def shards(self, total: int) -> range:
        """Give its shards, of so many; of more parts than shards some have none."""
        return range(total * (self.number - 1) // self.of, total * self.number // self.of)


def read_part(part: str | Sequence[int], environment: Mapping[str, str] = os.environ) -> Part:
    """Read which part is meant.

    Parameters
    ----------
    part
        A number and a count, or ``3/64``; ``auto`` for what torchrun or a job array of SLURM says in the environment.
    environment
        Its variables.

    Raises
    ------
    QuestionError
        If it is no part, or nobody says which.

    Examples
    --------
    >>> read_part("3/64"), read_part((3, 64)), read_part("auto", {"RANK": "2", "WORLD_SIZE": "64"})
    (Part(number=3, of=64), Part(number=3, of=64), Part(number=3, of=64))
    """
    if part == AUTO:
        return _part_of_this_job(environment)
    numbers = part
    if isinstance(part, str):
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", part)
        numbers = (int(match[1]), int(match[2])) if match else ()
    if len(numbers) != 2 or not 1 <= int(numbers[0]) <= int(numbers[1]):
        written = part if isinstance(part, str) else "/".join(map(str, part))
        raise QuestionError(
            f"part={shortened([written])} is no part: parts are counted from 1, as 1/64 to 64/64.",
            hint="auto takes it from torchrun (RANK, WORLD_SIZE) or a job array of SLURM, which may count from 0.",
        )
    return Part(int(numbers[0]), int(numbers[1]))


def _part_of_this_job(environment: Mapping[str, str]) -> Part:
    ranked, arrayed = (all(name in environment for name in names) for names in (TORCHRUN, SLURM))
    if ranked and arrayed:
        raise QuestionError(
            "part=auto: this is a rank of torchrun and a task of an array too, and either may count the parts.",
            hint="Say which: --part $((RANK + 1))/$WORLD_SIZE, or by SLURM_ARRAY_TASK_ID.",
        )
    if ranked:
        rank, count = (_number(environment, name) for name in TORCHRUN)
        return read_part((rank + 1, count))
    if arrayed:
        return _part_of_array(environment)
    missing = ", ".join((*TORCHRUN, *SLURM))
    raise QuestionError(
        f"part=auto: nobody says which part this is; of {missing} neither pair is set.",
        hint="torchrun sets the first two and sbatch --array the others; or say it: --part 3/64.",
    )


def _part_of_array(environment: Mapping[str, str]) -> Part:
    """Give the part of a task of a job array: those may start anywhere and have steps."""
    task, count = (_number(environment, name) for name in SLURM)
    first = _number(environment, "SLURM_ARRAY_TASK_MIN", 0)
    step = max(1, _number(environment, "SLURM_ARRAY_TASK_STEP", 1))
    last = _number(environment, "SLURM_ARRAY_TASK_MAX", first + step * (count - 1))
    if first + step * (count - 1) != last or (task - first) % step:
        raise QuestionError(
            f"part=auto: the job array has {count} tasks from {first} to {last}, which are not all that lie between.",
            hint="Give an array without gaps, as --array=0-63; to ask some parts again say which: --part 3/64.",
        )
    return read_part(((task - first) // step + 1, count))


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"\d{1,9}", text):
        raise QuestionError(f"part=auto: {name}={shortened([text])} is no number.", hint="Say it: --part 3/64.")
    return int(text)


def commands_for(missing: Iterable[int], total: int) -> str:
    """Say which parts ask about just those shards, as they are typed; a run of shards is one part where that is possible.

    >>> commands_for([2, 3, 4, 7], 8)
    '--part 2/3, --part 8/8'
    """
    parts = (part for run in consecutive_runs(sorted(missing)) for part in _parts_of(run, total))
    shown = [f"--part {part}" for part in islice(parts, _COMMANDS + 1)]
    return ", ".join(shown[:_COMMANDS]) + (" and others" if len(shown) > _COMMANDS else "")


def _parts_of(run: range, total: int) -> Iterator[Part]:
    """Give the part that is just this run of shards or, where there is none, one for each of them."""
    if len(run) > 1:  # parts of so many shards are a shard longer or shorter than their mean
        counts = range(max(1, total // (len(run) + 1)), total // (len(run) - 1) + 1)
        if exact := next((part for count in counts if (part := _exact(run, count, total))), None):
            yield exact
            return
    for shard in run:
        yield Part(shard + 1, total)


def _exact(run: range, count: int, total: int) -> Part | None:
    number = run.start * count // total + 1
    candidates = (Part(n, count) for n in (number, number + 1) if n <= count)
    return next((part for part in candidates if part.shards(total) == run), None)


def consecutive_runs(shards: Sequence[int]) -> list[range]:
    """Put numbers of shards, in their order, that follow each other together.

    >>> consecutive_runs([0, 1, 2, 5])
    [range(0, 3), range(5, 6)]
    """
    runs: list[range] = []
    for shard in shards:
        if runs and runs[-1].stop == shard:
            runs[-1] = range(runs[-1].start, shard + 1)
        else:
            runs.append(range(shard, shard + 1))
    return runs
