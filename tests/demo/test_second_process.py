"""The process that is asked about the second network: what it leaves, what is said of it, and how it ends."""

import json
import os
import sys
import time

import pytest
import torch

import iconoscope as ico
from iconoscope.demo import second_process as ahead
from iconoscope.demo.journey import _in_turn
from iconoscope.demo.questions import Questions
from iconoscope.errors import IconoscopeWarning


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def starting(tmp_path, **settings):
    asked = {"count": 4, "seed": 0, "device": "cpu", "checkpoint": None}
    return ahead.second_process("cars-honest", tmp_path, **asked | settings)


def test_where_there_is_one_thread_or_an_accelerator_there_is_no_other_process(tmp_path, two_threads, monkeypatch):
    monkeypatch.setattr(ahead.subprocess, "Popen", lambda *_, **__: pytest.fail("no process was wanted"))
    with starting(tmp_path, device="cuda") as other:
        assert not other.has("covered")
    torch.set_num_threads(1)
    with starting(tmp_path) as other:
        assert not other.has("covered")


def test_what_it_says_is_heard_in_its_order_and_its_end_is_no_step(tmp_path, two_threads, monkeypatch):
    said = 'import json; print("a library prints"); print(3); '
    said += 'print(json.dumps({"warning": "a note"})); print(json.dumps({"step": "covered"}))'
    popen = ahead.subprocess.Popen
    monkeypatch.setattr(
        ahead.subprocess, "Popen", lambda command, **settings: popen([sys.executable, "-c", said], **settings)
    )
    with starting(tmp_path) as other:
        assert torch.get_num_threads() == 1
        with pytest.warns(IconoscopeWarning, match="a note"):
            assert other.has("covered")
        assert not other.has("mapped") and other.has("covered")
    assert torch.get_num_threads() == 2


def test_it_ends_when_whoever_started_it_is_interrupted_or_gone(tmp_path, two_threads, monkeypatch):
    processes = []
    popen = ahead.subprocess.Popen
    waiting = "import threading, time; from iconoscope.demo import second_process as a; "
    waiting += "threading.Thread(target=a._end_with_the_other, daemon=True).start(); time.sleep(60)"
    codes = ["import time; time.sleep(60)", waiting]

    def start(command, **settings):
        processes.append(popen([sys.executable, "-c", codes[len(processes)]], **settings))
        return processes[-1]

    monkeypatch.setattr(ahead.subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt), starting(tmp_path):
        raise KeyboardInterrupt
    assert processes[0].poll() is not None
    with starting(tmp_path):
        processes[1].stdin.close()  # as where the process that has the other end is killed
        assert processes[1].wait(60) == 1


def test_answers_of_the_second_network_come_after_those_of_the_first_whoever_wrote_them(tmp_path):
    photographs = ico.demo_images(4, seed=0)
    asked = [
        Questions.about(name, photographs, tmp_path, seed=0, device="cpu", checkpoint=None)
        for name in ("cars", "cars-honest")
    ]
    for questions in reversed(asked):  # the second network's answers are there first
        ico.occlude(questions.network, photographs[:2], patch=[24, 48], stride=48, store=questions.store)
    written = [(result.question.network, result.question.key) for result in asked[0].store]
    assert [name for name, _ in written] == ["cars-honest"] * 4 + ["cars"] * 4

    other = ahead.SecondProcess(None)
    other._said.add("covered")
    for _ in _in_turn(asked, other, "covered"):
        pass
    ordered = [(result.question.network, result.question.key) for result in asked[0].store]
    assert ordered == written[4:] + written[:4]
    assert all(folder.stat().st_mtime <= time.time() + 1 for folder in asked[0].store.folders())


def test_the_command_of_the_process_answers_and_leaves_what_is_asked_again(tmp_path, two_threads, monkeypatch, capsys):
    """In this process, and with its long steps left out: the whole of it is a test of the demo."""
    ended = []
    monkeypatch.setattr(ahead, "_end_with_the_other", lambda: ended.append(os.getpid()))
    monkeypatch.setattr(ahead, "draw_recorded", lambda out, seed: None)
    monkeypatch.setattr("iconoscope.demo.questions.PATCHES", [48])
    monkeypatch.setattr("iconoscope.demo.questions.STRIDE", 48)
    monkeypatch.setattr(Questions, "mapped", lambda self: None)
    monkeypatch.setattr(Questions, "audited", lambda self: None)
    asked = {"name": "cars-honest", "out": str(tmp_path), "count": 4, "seed": 0, "checkpoint": None}
    monkeypatch.setattr(sys, "argv", ["-c", json.dumps(asked)])
    monkeypatch.setattr(ahead.warnings, "showwarning", ahead.warnings.showwarning)
    with ahead.warnings.catch_warnings():
        ahead.answer()
    steps = [line.split('"')[3] for line in capsys.readouterr().out.splitlines()]
    assert steps == ["covered", "drawn", "mapped", "audited"]
    photographs = ico.demo_images(4, backgrounds="telling", seed=0)
    monkeypatch.setattr("iconoscope.occlusion.sliding_patch.PatchQuestion._scan", lambda *_: pytest.fail("asked again"))
    again = Questions.about("cars-honest", photographs, tmp_path, seed=0, device="cpu", checkpoint=None)
    assert len(again.covered()) == 4
