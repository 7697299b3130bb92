"""Memory: a bound on it as text and as bytes, what the machine has, and questions that would take more."""

from __future__ import annotations

import os
import re
from pathlib import Path

from iconoscope.errors import QuestionError

__all__ = ["UNITS", "check_fits", "free_memory", "read_memory", "written_memory"]

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def read_memory(memory: str | int | None) -> int | None:
    """Read an amount of memory; give bytes, and None for None.

    Parameters
    ----------
    memory
        Bytes, or text: a number and one of `UNITS`, whose letters may be small.

    Raises
    ------
    QuestionError
        If it is no such thing, or nothing.

    Examples
    --------
    >>> read_memory("1.5GiB"), read_memory("500 mb"), read_memory(4096)
    (1610612736, 500000000, 4096)
    """
    if memory is None:
        return None
    match = None if isinstance(memory, bool) else _WRITTEN.fullmatch(str(memory).strip())
    unit = match[2].upper() or "B" if match else ""
    if match is None or unit not in UNITS or float(match[1]) * UNITS[unit] < 1:
        raise QuestionError(
            f"memory={memory!r} is not an amount of memory.",
            hint=f"Give bytes, or a number with one of {', '.join(UNITS).replace('I', 'i')}: 500MB, 2GB, 1.5GiB.",
        )
    return int(float(match[1]) * UNITS[unit])


def written_memory(count: float) -> str:
    """Write bytes for a person.

    >>> written_memory(1_234_567), written_memory(2e9)
    ('1.2MB', '2.0GB')
    """
    unit = next((unit for unit in ("GB", "MB", "KB") if count >= UNITS[unit]), "B")
    return f"{count / UNITS[unit]:.{0 if unit == 'B' else 1}f}{unit}"


def free_memory() -> int:
    """Give how many bytes this process may still take: what the machine has free, less where a limit is set.

    >>> free_memory() > 10**6
    True
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 2**34]
    if available := re.search(r"MemAvailable:\s+(\d+) kB", _read("/proc/meminfo")):
        limits.append(int(available[1]) * 1024)
    for folder, limit, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        bounds = [_read(f"{folder}/{name}").strip() for name in (limit, used)]
        if all(map(str.isdecimal, bounds)):
            # Files that were read stay in memory and count as used until somebody else wants it.
            cached = re.findall(r"^(?:in)?active_file (\d+)$", _read(f"{folder}/memory.stat"), re.MULTILINE)
            limits.append(int(bounds[0]) - int(bounds[1]) + sum(map(int, cached)))
    try:
        import resource

        address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
        if address_space != resource.RLIM_INFINITY:
            pages = _read("/proc/self/statm").split()
            limits.append(address_space - (int(pages[0]) * resource.getpagesize() if pages else 0))
    except ImportError:  # Windows
        pass
    return max(0, min(limits))


def check_fits(need: float, question: str, *, memory: int | None = None, hint: str = "") -> None:
    """Refuse a question that would take more memory than the machine has free; `memory` raises the bound.

    It is called with an estimate before anything is allocated.

    Raises
    ------
    QuestionError
        With the estimate, and what there is.

    Examples
    --------
    >>> check_fits(1e18, "A picture of 10^9 pixels a side", hint="Give a smaller size.")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    iconoscope.errors.QuestionError: A picture of 10^9 pixels a side would take about ...GB of memory, and ...GB are free.
    Give a smaller size.
    """
    if need > 10**7 and need > (most := max(free_memory(), memory or 0)):
        raise QuestionError(
            f"{question} would take about {written_memory(need)} of memory, and {written_memory(most)} are free.",
            hint=hint,
        )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
