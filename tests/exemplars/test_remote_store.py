"""A recording at an address against one in a folder: in memory, and on a server of S3 (moto's)."""

import io
import uuid
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

import iconoscope as ico
from iconoscope.errors import IconoscopeError, IconoscopeWarning, StoreError
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


@pytest.fixture(params=["memory", "s3"])
def address(request, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "memory":
        yield f"memory://{uuid.uuid4().hex}/run"
        return
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "test", "secret": "test"}
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    try:
        bucket = uuid.uuid4().hex  # moto's servers of one process share theirs
        fsspec.filesystem("s3").mkdir(bucket)
        yield f"s3://{bucket}/run"
    finally:
        server.stop()


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
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        ico.record(network, images, store="s3://no-such-bucket/run", **SETTINGS)
    assert "is kept" not in caught.value.hint and "AWS" in caught.value.hint
