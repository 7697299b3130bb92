# type: ignore
"""SIGTERM ends a command as Ctrl-C does: with its words, and with what was answered by then."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

import iconoscope as ico
from iconoscope import cli
from iconoscope.demo.photographs import keep_photographs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM of that kind")

COMMON = ("--network", "cars", "--device", "cpu")


def temporary(folder):
    """Give the folder of temporary files of what runs in a folder; its name is short, since that of a socket in it must be."""
    return Path(tempfile.gettempdir()) / f"ico-{zlib.crc32(str(folder).encode()):08x}"


def start(folder, *arguments):
    environment = {**os.environ, "TMPDIR": str(temporary(folder)), "OMP_NUM_THREADS": "1"}
    temporary(folder).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "iconoscope", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    )


def wait_until(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def photographs(tmp_path):
    keep_photographs(ico.demo_images(300, backgrounds="neutral", seed=3), tmp_path)
    return tmp_path / "photographs"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_recording_keeps_its_shards_and_goes_on(tmp_path, photographs, workers):
    settings = {"k": 5, "batch": 4, "shard": 8, "workers": workers}
    options = [word for name, number in settings.items() for word in (f"--{name}", number)]
    command = ("record", "--images", photographs, *COMMON, "--store", tmp_path / "run", *options)
    process = start(tmp_path, *command)
    wait_until(lambda: len(list((tmp_path / "run").glob("record/*/*.parquet"))) > 3, process)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "error: Interrupted.\nhint: A command with --store goes on" in words and "Traceback" not in words
    assert not list(temporary(tmp_path).iterdir())
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("record/*/*.parquet")}
    assert files
    again = start(tmp_path, *command)
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert sum(path.exists() and path.stat().st_mtime_ns == since for path, since in files.items()) >= 3
    straight = ico.record(
        ico.load_network("cars", device="cpu"), ico.load_images(photographs), store=tmp_path / "straight", **settings
    )
    resumed = ico.load_recording(tmp_path / "run")
    assert resumed.ids == straight.ids and np.array_equal(resumed.responses, straight.responses)


COUNTING = """
from pathlib import Path
from torch import nn

class Counting(nn.Sequential):
    preprocessing = {"size": 24, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    classes = ("first", "second")
    passes = 0

    def forward(self, pixels):
        Counting.passes += 1
        if Counting.passes == 60:
            Path("begun").touch()
        return super().forward(pixels)

def make():
    return Counting(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
"""


@pytest.mark.slow
def test_a_picture_is_given_as_far_as_it_is(tmp_path):
    (tmp_path / "counting.py").write_text(COUNTING)
    named = ("--network", "counting.py:make", "--device", "cpu")
    process = start(tmp_path, "optimize", "logit:0", *named, "--steps", 100_000, "--out", "picture.png")
    try:
        wait_until((tmp_path / "begun").exists, process)
        process.send_signal(signal.SIGTERM)
        answer, words = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert "note: Interrupted: 1 of 1 pictures" in words and "error: Interrupted." in words and "Traceback" not in words
    assert (tmp_path / "picture.png").is_file() and answer


@pytest.mark.slow
def test_pictures_that_were_made_are_kept_and_the_others_are_made_as_if_nothing_had_been(tmp_path):
    settings = {"steps": 30, "count": 2, "seed": 5, "memory": "40MB"}
    options = [word for name, setting in settings.items() for word in (f"--{name}", setting)]
    command = ("optimize", "conv3:0-11", *COMMON, "--store", tmp_path / "run", *options)
    process = start(tmp_path, *command)
    wait_until(lambda: list((tmp_path / "run").glob("optimize/[0-9a-f]*/result.json")), process)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 143 and "error: Interrupted." in words
    since = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("optimize/[0-9a-f]*/result.json")}
    assert 0 < len(since) < 12
    again = start(tmp_path, *command)
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert all(path.stat().st_mtime_ns == written for path, written in since.items())
    network = ico.load_network("cars", device="cpu")
    straight = ico.optimize(network, "conv3:0-11", **settings)
    resumed = ico.optimize(network, "conv3:0-11", **settings, store=tmp_path / "run")
    arrays = {name: array for name, array in vars(straight).items() if isinstance(array, np.ndarray)}
    assert len(arrays) > 3
    for name, array in arrays.items():
        if name.endswith("activation"):  # asked of as many finished pictures at once as there are
            np.testing.assert_allclose(array, getattr(resumed, name), rtol=1e-5, atol=1e-6, err_msg=name)
        else:
            assert np.array_equal(array, getattr(resumed, name), equal_nan=array.dtype.kind == "f"), name


def of_a_command(monkeypatch, answer):
    monkeypatch.setattr(cli, "_answer", answer)
    return cli.main([])


def terminate(_):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    return 0


def test_the_status_and_the_words(monkeypatch, capsys):
    assert of_a_command(monkeypatch, terminate) == 143
    terminated = capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def interrupt(_):
        raise KeyboardInterrupt

    assert of_a_command(monkeypatch, interrupt) == 130
    assert capsys.readouterr().err == terminated != ""


def test_what_took_the_interrupt_for_an_end_of_its_own_is_ended_by_it_all_the_same(monkeypatch, capsys):
    def take(_):
        with pytest.raises(KeyboardInterrupt):
            terminate(_)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # a second one ends the process at once
        return 0

    assert of_a_command(monkeypatch, take) == 143
    assert "Interrupted." in capsys.readouterr().err


def test_a_forked_process_has_nothing_to_say(monkeypatch, capfd):
    def fork(_):
        ready, say = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(say, b"x")
            time.sleep(20)
            os._exit(0)
        os.read(ready, 1)
        os.close(ready)
        os.close(say)
        os.kill(child, signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
        return 0

    assert of_a_command(monkeypatch, fork) == 0
    assert capfd.readouterr().err == ""


def test_a_program_around_it_keeps_its_own_handler(monkeypatch):
    def handler(*_):
        pass

    handlers = []

    def look(_):
        handlers.append(signal.getsignal(signal.SIGTERM))
        return 0

    before = signal.signal(signal.SIGTERM, handler)
    try:
        assert of_a_command(monkeypatch, look) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    thread = threading.Thread(target=of_a_command, args=(monkeypatch, look))
    thread.start()
    thread.join()
    assert handlers == [handler, signal.SIG_DFL]
