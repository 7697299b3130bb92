"""Images at addresses against the same files in a folder: on a server of S3 (moto's), and on one of http that can fail."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

import iconoscope as ico
from iconoscope.errors import ImageFileError, ImagesError, QuestionError

fsspec = pytest.importorskip("fsspec")
# aiohttp and botocore leave sockets to the collector when their servers go.
pytestmark = pytest.mark.filterwarnings("ignore")
COUNT = 40


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (96, 96, 3), np.uint8)
    PillowImage.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images, the same as parquet in two shards, as tar in two shards, and as a table."""
    import pyarrow
    import pyarrow.parquet

    root = tmp_path_factory.mktemp("here")
    content = {f"{number:02d}": jpeg(number) for number in range(COUNT)}
    labels = ["lynx" if number % 2 else "bison" for number in range(COUNT)]
    for name, data in content.items():
        path = root / "folder" / labels[int(name)] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / "parquet").mkdir()
    (root / "tar").mkdir()
    for shard in range(2):
        names = list(content)[shard * 20 : shard * 20 + 20]
        cells = [{"bytes": content[name], "path": f"{name}.jpg"} for name in names]
        rows = pyarrow.table({"image": cells, "label": [labels[int(name)] for name in names]})
        pyarrow.parquet.write_table(rows, root / "parquet" / f"train-{shard:05d}.parquet", row_group_size=5)
        with tarfile.open(root / "tar" / f"shard-{shard:06d}.tar", "w") as archive:
            for name in names:
                for kind, data in (("jpg", content[name]), ("cls", labels[int(name)].encode())):
                    member = tarfile.TarInfo(f"{name}.{kind}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    lines = "\n".join(f"{label}/{name}.jpg,{label}" for name, label in zip(content, labels, strict=True))
    (root / "folder" / "list.csv").write_text(f"path,label\n{lines}\n")
    return root


@pytest.fixture(scope="module")
def s3(folder: Path) -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    pytest.importorskip("s3fs")
    server.start()
    host, port = server.get_host_and_port()
    before = fsspec.config.conf.get("s3")
    options = {"endpoint_url": f"http://{host}:{port}", "key": "test", "secret": "test", "skip_instance_cache": False}
    fsspec.config.conf["s3"] = options
    try:
        system = fsspec.filesystem("s3")
        system.mkdir("bucket")
        system.put(f"{folder}/", "bucket/set/", recursive=True)
        yield "s3://bucket/set"
    finally:
        fsspec.config.conf.pop("s3")
        if before is not None:
            fsspec.config.conf["s3"] = before
        server.stop()


class Web(ThreadingHTTPServer):
    """A server of files with ranges, which can be told to fail."""

    daemon_threads = True
    root: Path
    sent = 0
    fault = ""
    healthy = 0  # requests that it answers before
    piece, pause = 2**30, 0.0  # bytes that come at once, and seconds between them

    def __init__(self, root: Path) -> None:
        self.root, self.released = root, threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.server.root / self.path.lstrip("/")
        fault = ""
        if self.server.fault and body:
            self.server.healthy -= 1
            fault = self.server.fault if self.server.healthy < 0 else ""
        if fault == "killed":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "forbidden":
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = path.read_bytes()
        total, first, last = len(data), 0, len(data) - 1
        ranged = self.headers.get("Range", "")
        if ranged:
            start, _, end = ranged.removeprefix("bytes=").partition("-")
            first, last = (int(start), min(int(end or last), last)) if start else (total - int(end), last)
        self.send_response(206 if ranged else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if ranged:
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.end_headers()
        if fault:  # half of it comes
            self.wfile.write(data[first : (first + last) // 2])
            self.close_connection = True
            if fault == "stalled":
                self.server.released.wait(20)
        elif body:
            self.server.sent += last - first + 1
            for place in range(first, last + 1, self.server.piece):
                self.wfile.write(data[place : min(place + self.server.piece, last + 1)])
                time.sleep(self.server.pause)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def web(folder: Path) -> Iterator[Web]:
    pytest.importorskip("aiohttp")
    server = Web(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()


def address_of(server: Web) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


FORMS = ("folder", "parquet", "parquet/train-*.parquet", "parquet/train-00001.parquet", "tar",
         "tar/shard-{000000..000001}.tar", "folder/list.csv")  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_bucket_is_as_a_folder(folder: Path, s3: str, form: str) -> None:
    images, plain = ico.load_images(f"{s3}/{form}"), ico.load_images(folder / form)
    assert images.ids == plain.ids and images.labels == plain.labels and images.label_names == plain.label_names
    assert [image.digest for image in images[::7]] == [image.digest for image in plain[::7]]


def test_what_is_not_in_a_bucket_is_said(s3: str) -> None:
    with pytest.raises(ImagesError, match=r"1 of 3 shards are not there: shard-000002.tar"):
        ico.load_images(f"{s3}/tar/shard-{{000000..000002}}.tar")
    with pytest.raises(ImagesError, match="No file is named"):
        ico.load_images(f"{s3}/parquet/test-*.parquet")
    with pytest.raises(
        ImagesError, match=r"There are no images in s3://nowhere/x: nothing|cannot be listed|no such place"
    ):
        ico.load_images("s3://nowhere/x")


@pytest.mark.parametrize("form", ["parquet/train-00001.parquet", "tar/shard-000001.tar", "folder/list.csv"])
def test_the_web_is_as_a_folder(folder: Path, web: Web, form: str) -> None:
    images, plain = ico.load_images(f"{address_of(web)}/{form}"), ico.load_images(folder / form)
    assert images.ids == plain.ids and images.labels == plain.labels
    assert [image.digest for image in images[::7]] == [image.digest for image in plain[::7]]


def test_of_parquet_a_row_group_is_fetched_and_of_tar_an_image(folder: Path, web: Web) -> None:
    for form, share in (("parquet/train-00000.parquet", 0.35), ("tar/shard-000000.tar", 0.1)):
        images = ico.load_images(f"{address_of(web)}/{form}")
        _ = images[3].pixels  # with the end of the file, where parquet says what is in it
        web.sent = 0
        _ = images[7].pixels
        assert 0 < web.sent < share * (folder / form).stat().st_size


@pytest.mark.parametrize(
    ("fault", "said", "workers"),
    [
        ("killed", "Disconnected|Connection|Payload", 0),
        ("forbidden", "403|Forbidden", 2),
        ("cut", "Payload", 0),
        ("stalled", "nothing came in time", 2),
    ],
)
def test_what_cuts_a_recording_off_is_said_and_nothing_is_lost(
    folder: Path, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str, workers: int
) -> None:
    """No image is left out because its server was: the recording ends, and goes on when it is asked again."""
    # A busy machine is silent for half a second as well.
    monkeypatch.setenv("ICONOSCOPE_TIMEOUT", "0.5" if fault == "stalled" else "60")
    network = ico.load_network("cars", device="cpu")
    images = ico.load_images(f"{address_of(web)}/folder/list.csv")
    settings: dict[str, Any] = {"k": 3, "batch": 4, "shard": 4, "workers": workers}
    web.fault, web.healthy = fault, 75
    with pytest.raises(ImagesError, match=f"cannot be read: .*({said})") as caught:
        ico.record(network, images, store=tmp_path / "run", **settings)
    assert "goes on" in caught.value.hint and ("ICONOSCOPE_TIMEOUT" in caught.value.hint) == (fault == "stalled")
    kept = len(list((tmp_path / "run").glob("record/*/rows-*.parquet")))
    assert 0 < kept < 10
    web.fault = ""
    monkeypatch.setenv("ICONOSCOPE_TIMEOUT", "60")
    recording = ico.record(network, images, store=tmp_path / "run", **settings)
    straight = ico.record(network, ico.load_images(folder / "folder/list.csv"), store=tmp_path / "straight", **settings)
    assert not recording.failed and np.array_equal(recording.responses, straight.responses)


@pytest.mark.parametrize("fault", ["cut", "stalled"])
@pytest.mark.parametrize("form", ["parquet/train-00001.parquet", "tar/shard-000001.tar"])
def test_half_of_an_answer_is_not_taken_for_a_damaged_file(
    web: Web, monkeypatch: pytest.MonkeyPatch, form: str, fault: str
) -> None:
    monkeypatch.setenv("ICONOSCOPE_TIMEOUT", "0.5" if fault == "stalled" else "60")
    images = ico.load_images(f"{address_of(web)}/{form}")
    web.fault = fault
    with pytest.raises(ImagesError, match="cannot be read: ") as caught:
        _ = images[3].pixels
    assert not isinstance(caught.value, ImageFileError)  # which a recording would leave out
    web.fault = ""
    assert images[3].pixels.shape == (96, 96, 3)


def test_a_slow_server_is_waited_for_as_long_as_bytes_come(
    folder: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICONOSCOPE_TIMEOUT", "1")
    images = ico.load_images(f"{address_of(web)}/folder/list.csv")
    web.piece, web.pause = 1000, 0.3
    began = time.monotonic()
    assert images[0].digest == ico.load_images(folder / "folder/list.csv")[0].digest
    assert time.monotonic() - began > 1.2


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_said(web: Web, monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("ICONOSCOPE_TIMEOUT", seconds)
    with pytest.raises(QuestionError, match=f"ICONOSCOPE_TIMEOUT is '{seconds}' and no number of seconds"):
        ico.load_images(f"{address_of(web)}/folder/list.csv")


def test_a_bucket_of_several_splits_asks_which(folder: Path, s3: str) -> None:
    system = fsspec.filesystem("s3")
    for split in ("train", "test"):
        system.put(str(folder / "parquet" / "train-00000.parquet"), f"bucket/both/{split}-00000.parquet")
    with pytest.raises(QuestionError, match="holds the splits") as caught:
        ico.load_images("s3://bucket/both")
    assert "s3://bucket/both/test-00000.parquet" in caught.value.hint
