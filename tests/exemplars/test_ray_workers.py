"""Recordings by workers of Ray against those of one process, to the last bit, whatever dies meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import iconoscope as ico
from iconoscope.demo.photographs import keep_photographs
from iconoscope.errors import QuestionError

ray = pytest.importorskip("ray")

IMAGES, SHARD = 400, 2
SETTINGS: dict[str, Any] = {"k": 7, "batch": SHARD, "shard": SHARD, "workers": 0}
# Ray leaves files and sockets to the collector, and says what it will do otherwise one day.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Enough shards that something can die while they are asked about."""
    folder = tmp_path_factory.mktemp("images")
    keep_photographs(ico.demo_images(IMAGES, backgrounds="neutral", seed=3), folder)
    return folder / "photographs"


@pytest.fixture(scope="module")
def straight(images, tmp_path_factory):
    network = ico.load_network("cars", device="cpu")
    return ico.record(network, images, store=tmp_path_factory.mktemp("straight") / "run", **SETTINGS)


def assert_same(recording, straight):
    names = {path.name for path in straight.folder.iterdir() if path.suffix in (".parquet", ".json")}
    assert {path.name for path in recording.folder.iterdir() if path.suffix in (".parquet", ".json")} == names
    for name in names:
        if not name.startswith("tally-"):  # in which parts keep more: what they are merged to is the same
            assert (recording.folder / name).read_bytes() == (straight.folder / name).read_bytes(), name
    assert not list(recording.folder.glob(".*"))


def shards_in(store: Path) -> int:
    return len(list(store.glob("record/*/rows-*.parquet")))


def wait_for(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def worker_processes() -> list[int]:
    """The processes of Ray's workers that hold our network."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::ShardRecorder"):
                pids.append(int(entry.name))
    return pids


def test_workers_on_this_machine_come_to_the_same(images, straight, tmp_path):
    network = ico.load_network("cars", device="cpu")
    assert_same(ico.record(network, images, store=tmp_path / "run", engine="ray", **SETTINGS), straight)
    assert not ray.is_initialized()
    assert not worker_processes()


def test_a_machine_that_goes_and_a_worker_that_is_killed_change_nothing(images, straight, tmp_path):
    """Three machines of one processor each; one is removed, and a worker of another is killed with -9."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    others = [cluster.add_node(num_cpus=1) for _ in range(2)]
    network = ico.load_network("cars", device="cpu")
    done: dict[str, Any] = {}

    def record():
        try:
            done["recording"] = ico.record(
                network, images, store=tmp_path / "run", engine="ray", address=cluster.address, **SETTINGS
            )
        except Exception as error:  # noqa: BLE001 -- it is raised in the thread of the test
            done["error"] = error

    recording = threading.Thread(target=record)
    try:
        recording.start()
        wait_for(lambda: shards_in(tmp_path / "run") >= 3)
        before = worker_processes()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: shards_in(tmp_path / "run") >= 8)
        cluster.remove_node(others[0], allow_graceful=False)
        assert shards_in(tmp_path / "run") < IMAGES // SHARD, "it was done before the machine went"
        recording.join(240)
        assert not recording.is_alive()
    finally:
        ray.shutdown()
        cluster.shutdown()
    if "error" in done:
        raise done["error"]
    assert_same(done["recording"], straight)


def test_an_interrupt_ends_workers_and_keeps_what_was_asked(images, straight, tmp_path):
    command = [sys.executable, "-m", "iconoscope", "record", "--network", "cars", "--device", "cpu"]
    command += ["--images", str(images), "--store", str(tmp_path / "run"), "--k", "7"]
    command += ["--batch", str(SHARD), "--shard", str(SHARD), "--workers", "0"]
    running = subprocess.Popen([*command, "--engine", "ray"], stderr=subprocess.PIPE, text=True, process_group=0)
    wait_for(lambda: shards_in(tmp_path / "run") >= 3)
    assert shards_in(tmp_path / "run") < IMAGES // SHARD, "it was done before it was interrupted"
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Interrupted" in said and "Traceback" not in said
    assert shards_in(tmp_path / "run") >= 3
    wait_for(lambda: not worker_processes())
    subprocess.run(command, check=True, capture_output=True)
    assert_same(ico.load_recording(tmp_path / "run"), straight)


def test_what_cannot_travel_or_is_not_there_is_said(images, tmp_path):
    network = ico.load_network("cars", device="cpu")
    module = ico.load_network(network.module, classes=network.classes, preprocessing=network.preprocessing)
    with pytest.raises(QuestionError, match="given as a module"):
        ico.record(module, images, store=tmp_path / "run", engine="ray")
    with pytest.raises(QuestionError, match=r"no cluster of Ray at 127\.0\.0\.1:1"):
        ico.record(network, images, store=tmp_path / "run", engine="ray", address="127.0.0.1:1", **SETTINGS)
    next(network.module.parameters()).data.add_(1e-3)
    with pytest.raises(ico.errors.NetworkError, match="is not the network that is asked here"):
        ico.record(network, images, store=tmp_path / "other", engine="ray", **SETTINGS)
