"""Memory is kept between steps, and given back."""

import ctypes
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from iconoscope.subject import allocator
from iconoscope.subject.allocator import keeping_memory


def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        [torch.ones(12_000_000) for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is that of the GNU C library")
def test_large_tensors_do_not_go_back_to_the_system(monkeypatch):
    monkeypatch.setenv(allocator.SWITCH, "1")
    with keeping_memory():
        faults(20)  # until its place is found
        assert faults(20) < 20_000  # of 700,000 pages that would be taken anew
        inside = resident()
    assert resident() < inside - 100_000_000  # all of it is given back


REPEATED = """
import resource
import numpy as np
from iconoscope.subject.allocator import let_memory_be_kept

if {kept}:
    let_memory_be_kept()
for _ in range(20):
    [np.ones(300_000) for _ in range(8)]
    before = resource.getrusage(resource.RUSAGE_SELF)
    [np.ones(300_000) for _ in range(8)]
    after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_minflt - before.ru_minflt, after.ru_maxrss)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is that of the GNU C library")
def test_a_piece_that_was_freed_keeps_the_memory_of_smaller_ones():
    """Nineteen megabytes, in pieces of 2.4: all of their pages are taken anew, or none; the piece itself takes none."""
    runs = [
        subprocess.run([sys.executable, "-c", REPEATED.format(kept=kept)], check=True, capture_output=True, text=True)
        for kept in (False, True)
    ]
    (without, usual), (with_it, resident) = ([int(word) for word in run.stdout.split()] for run in runs)
    assert without > 1000 and with_it < 100
    assert resident < usual + 10_000


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_where_there_is_no_such_allocator_nothing_is_done(monkeypatch):
    def missing(name):
        raise OSError("no library")

    monkeypatch.setenv(allocator.SWITCH, "1")
    monkeypatch.setattr(ctypes, "CDLL", missing)
    allocator._allocator.cache_clear()
    try:
        with keeping_memory():
            pass
    finally:
        allocator._allocator.cache_clear()


def test_no_threshold_is_set_by_itself(monkeypatch):
    """The thresholds are those of the whole process, which is the user's."""
    monkeypatch.delenv(allocator.SWITCH, raising=False)
    monkeypatch.setattr(allocator, "_allocator", lambda: pytest.fail("the C library was asked"))
    with keeping_memory():
        pass
