"""Memory that the same steps take again and again is kept between them, if the environment says so."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["keeping_memory"]

SWITCH = "ICONOSCOPE_KEEP_MEMORY"
"""The environment variable that must be 1. Nothing is done by itself, since the thresholds belong to the whole process: the C
library does not say what they were, and once one of them has been set it no longer adapts them to what the process does."""

TRIM, PAD, MAP = -1, -2, -3
"""Thresholds of the allocator of the GNU C library (mallopt(3)): from how much free memory at its end it gives some back, how
much more than asked for it takes, and from what size on it takes a piece from the system by itself."""

KEPT = {TRIM: 2**31 - 1, PAD: 2**26, MAP: 2**30}
USUAL = {TRIM: 2**26, PAD: 2**17, MAP: 2**25}
"""Thresholds that the allocator comes to by itself in a process that has freed large pieces."""


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Keep what is freed, for the time of a block, to be taken again; at its end it is given back.

    Large tensors are otherwise given back to the system at once, and their memory is taken anew and filled with zeros in
    every step: up to a sixth of the time of small pictures in large batches, nothing with others. Without `SWITCH`, and where
    there is no such allocator, nothing is done.
    """
    if os.environ.get(SWITCH) != "1":
        yield
        return
    mallopt, trim = _allocator()
    for threshold, size in KEPT.items():
        mallopt(threshold, size)
    try:
        yield
    finally:
        for threshold, size in USUAL.items():
            mallopt(threshold, size)
        trim(0)


@cache
def _allocator() -> tuple[Callable[[int, int], int], Callable[[int], int]]:
    try:
        library = ctypes.CDLL(None)
        return library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):  # another library, or Windows
        return (lambda name, value: 0), (lambda pad: 0)
