"""Ids, labels and classes of very many images are mapped from a file that is made of the shards."""

from pathlib import Path

import numpy as np
import pytest

from iconoscope.errors import DamagedRecordError, StoreError
from iconoscope.results import Question
from iconoscope.store import Recording, image_columns
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.store.recording_writer import BINS, RecordingWriter

SHARDS, EACH = 20, 3
COUNT = SHARDS * EACH


@pytest.fixture
def writer(tmp_path: Path) -> RecordingWriter:
    """A recording of twenty shards of three images, which was ended."""
    layer = RecordedLayer("relu", 1, 4, 4, None)
    question = Question(technique="record", network="n", weights="w", subject="60 images", pixels="p")
    writer = RecordingWriter(tmp_path / "run", [layer], ["relu:0", "logit:a"], k=1)
    writer.begin(question, shards=SHARDS, classes=["a"], penultimate="pool", source="memory")
    kinds = {"row": np.int64, "value": np.float32, "position": np.int32}
    units = {f"{side}_{of}": np.zeros((2, 1), kind) for side in ("most", "least") for of, kind in kinds.items()}
    units |= {name: np.zeros(2) for name in ("count", "total", "square", "lowest")}
    units |= {"histogram": np.zeros((2, BINS), np.int64)}
    for shard in range(SHARDS):
        write(writer, shard, units)
    writer.end(units)
    return writer


def write(writer: RecordingWriter, shard: int, units: dict[str, np.ndarray], name: str = "image") -> None:
    rows = np.arange(shard * EACH, (shard + 1) * EACH)
    columns = {
        "row": 2 * rows,
        "id": [f"{name}-{row}" for row in rows],
        "label": [None if row % 7 == 0 else f"label {row % 2}" for row in rows],
        "target": rows % 5 - 1,
        "prediction": rows % 3,
        **{of: np.zeros((EACH, 1), np.float32) for of in ("probabilities", "logits", "penultimate")},
    }
    zeros = np.zeros((EACH, 1), np.float32)
    writer.write_shard(shard, columns, units, maximum=zeros, mean=zeros, failed={})


def check(recording: Recording) -> None:
    rows = np.arange(COUNT)
    assert len(recording) == COUNT and recording.ids == [f"image-{row}" for row in rows]
    assert recording.labels == [None if row % 7 == 0 else f"label {row % 2}" for row in rows]
    assert (recording.numbers == 2 * rows).all() and (recording.predictions == rows % 3).all()
    assert (recording.targets == rows % 5 - 1).all()


@pytest.mark.parametrize("rows", [5, 12, 2**20])
def test_the_second_question_reads_what_the_first_has_written(
    writer: RecordingWriter, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_columns, "_ROWS", rows)
    check(Recording.open(writer.folder))
    assert (writer.folder / image_columns.FILE).is_file()

    def refuse(*_: object) -> None:
        raise AssertionError("The shards are read again.")

    monkeypatch.setattr(image_columns, "read_table", refuse)
    check(Recording.open(writer.folder))


def test_of_few_shards_nothing_is_written(writer: RecordingWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_columns, "_FEW_SHARDS", SHARDS)
    check(Recording.open(writer.folder))
    assert not (writer.folder / image_columns.FILE).exists()


@pytest.mark.parametrize("at", [100, -200])
def test_a_damaged_file_is_made_again(writer: RecordingWriter, at: int) -> None:
    check(Recording.open(writer.folder))
    path = writer.folder / image_columns.FILE
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[at] ^= 1
    for content in (bytes(damaged), whole[:-50], b""):
        path.unlink()  # what is mapped by the first recording stays what it was
        path.write_bytes(content)
        check(Recording.open(writer.folder))
        assert path.read_bytes() == whole
    path.with_suffix(".crc").write_text("")
    check(Recording.open(writer.folder))
    path.with_suffix(".crc").unlink()
    check(Recording.open(writer.folder))


def test_where_nothing_can_be_written_it_is_read_all_the_same(
    writer: RecordingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("There is no room.")

    monkeypatch.setattr(image_columns, "_write", full)
    check(Recording.open(writer.folder))


def test_it_goes_where_a_shard_is_replaced(writer: RecordingWriter) -> None:
    check(Recording.open(writer.folder))
    units = writer.read_tally(3)
    writer.discard(3)
    assert not list(writer.folder.glob("images.*"))
    write(writer, 3, units, name="other")
    writer.end(units)
    assert Recording.open(writer.folder).ids[8:13] == ("image-8", "other-9", "other-10", "other-11", "image-12")


def test_a_damaged_shard_is_named(writer: RecordingWriter) -> None:
    path = writer.folder / "rows-00007.parquet"
    content = bytearray(path.read_bytes())
    content[content.index(b"image-21")] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedRecordError, match="rows-00007"):
        len(Recording.open(writer.folder))
    assert not list(writer.folder.glob("images.*"))
