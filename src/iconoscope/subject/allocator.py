"""Memory that the same steps take again and again is kept between them: some by itself, all if the environment says so."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

__all__ = ["KEPT_BY_ITSELF", "keeping_memory", "let_memory_be_kept"]

SWITCH = "ICONOSCOPE_KEEP_MEMORY"
"""The environment variable that must be 1. No threshold is set by itself, since they belong to the whole process: the C library
does not say what they were, and once one of them has been set it no longer adapts them to what the process does."""

TRIM, PAD, MAP = -1, -2, -3
"""Thresholds of the allocator of the GNU C library (mallopt(3)): from how much free memory at its end it gives some back, how
much more than asked for it takes, and from what size on it takes a piece from the system by itself."""

KEPT = {TRIM: 2**31 - 1, PAD: 2**26, MAP: 2**30}
USUAL = {TRIM: 2**26, PAD: 2**17, MAP: 2**25}
"""Thresholds that the allocator comes to by itself in a process that has freed large pieces."""


LARGEST_ADAPTED = 2**25
"""Bytes of the largest piece by which the allocator of the GNU C library changes its thresholds by itself (mallopt(3))."""

KEPT_BY_ITSELF = 2 * LARGEST_ADAPTED
"""Bytes that are free at the end of the memory, up to which it then gives none back."""


def let_memory_be_kept() -> None:
    """Take and free one piece of memory as large as the allocator learns from.

    It gives pieces larger than any that were freed so far back to the system at once, and free memory beyond twice that size.
    So a network whose maps are of 1 to 10 MB has their memory taken anew, and filled with zeros, at every pass: up to a third
    of the time. The piece is never written to, so it takes no memory and no time; a process that has once freed a tensor of
    that size is in the same state. Elsewhere it does nothing.
    """
    np.empty(LARGEST_ADAPTED - 2**13, np.uint8)


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Keep what is freed, for the time of a block, to be taken again; at its end it is given back.

    Large tensors are otherwise given back to the system at once, and their memory is taken anew and filled with zeros in
    every step: up to a sixth of the time of small pictures in large batches, nothing with others. Without `SWITCH`, and where
    there is no such allocator, no more is done than `let_memory_be_kept` does.
    """
    let_memory_be_kept()
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
