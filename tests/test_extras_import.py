"""Imports that Ctrl-C must not leave half done."""

import signal
import sys
import threading

import pytest

from iconoscope.extras import imported

HALF_WAY = """
import os, signal
os.kill(os.getpid(), signal.{signal})
for _ in range(1000):
    pass
whole = True
"""


@pytest.fixture(autouse=True)
def ctrl_c():
    """As in a terminal: a process that a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, sent="SIGINT"):
        (tmp_path / f"{name}.py").write_text(HALF_WAY.format(signal=sent), encoding="utf-8")
        return name

    yield make
    for name in ("interrupted_once", "interrupted_by_system", "interrupted_elsewhere", "interrupted_twice"):
        sys.modules.pop(name, None)


def test_ctrl_c_waits_until_a_module_is_whole(package):
    before = signal.getsignal(signal.SIGINT)
    name = package("interrupted_once")
    with pytest.raises(KeyboardInterrupt):
        imported(name)
    assert sys.modules[name].whole and imported(name).whole
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_waits_as_well_where_python_handles_it(package):
    calls = []
    before = signal.signal(signal.SIGTERM, lambda *signalled: calls.append(sys.modules["interrupted_by_system"].whole))
    try:
        assert imported(package("interrupted_by_system", "SIGTERM")).whole and calls == [True]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_each_kind_of_signal_that_waited_is_handled(package, tmp_path):
    calls = []
    name = package("interrupted_twice")
    with (tmp_path / f"{name}.py").open("a", encoding="utf-8") as module:
        module.write("os.kill(os.getpid(), signal.SIGTERM)\n")
    before = signal.signal(signal.SIGTERM, lambda number, _: calls.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            imported(name)
        assert calls == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_imports_and_changes_no_handler(package, tmp_path):
    (tmp_path / "interrupted_elsewhere.py").write_text("whole = True\n", encoding="utf-8")
    before, whole = signal.getsignal(signal.SIGINT), []
    worker = threading.Thread(target=lambda: whole.append(imported("interrupted_elsewhere").whole))
    worker.start()
    worker.join()
    assert whole == [True] and signal.getsignal(signal.SIGINT) is before
