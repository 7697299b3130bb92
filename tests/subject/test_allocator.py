"""Memory is kept between steps, and given back."""

import ctypes
import resource
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


def test_nothing_is_done_by_itself(monkeypatch):
    """The thresholds are those of the whole process, which is the user's."""
    monkeypatch.delenv(allocator.SWITCH, raising=False)
    monkeypatch.setattr(allocator, "_allocator", lambda: pytest.fail("the C library was asked"))
    with keeping_memory():
        pass
