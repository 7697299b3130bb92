"""A bound on memory, as text and as bytes."""

from __future__ import annotations

import re

from iconoscope.errors import QuestionError

__all__ = ["UNITS", "read_memory", "written_memory"]

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
