"""The tables of a recording, without a network."""

import numpy as np
import pytest

from iconoscope.errors import DamagedRecordError, StoreError
from iconoscope.results import Question
from iconoscope.store import Recording
from iconoscope.store.parquet_tables import write_table
from iconoscope.store.recorded_layer import ReceptiveField, RecordedLayer
from iconoscope.store.recording_writer import BINS, RecordingWriter

LAYER = RecordedLayer("relu", 2, 4, 4, ReceptiveField((3, 3), (1, 1), (-1, -1)))
QUESTION = Question(technique="record", network="n", weights="w", subject="3 images", pixels="p")


@pytest.fixture
def writer(tmp_path):
    writer = RecordingWriter(tmp_path / "run", [LAYER], ["relu:0", "relu:1", "logit:a"], k=2)
    writer.begin(QUESTION, shards=1, classes=["a"], penultimate="pool", source="memory")
    return writer


def units(k=2):
    rankings = {f"{side}_row": np.zeros((3, k), np.int64) for side in ("most", "least")}
    rankings |= {f"{side}_value": np.ones((3, k), np.float32) for side in ("most", "least")}
    rankings |= {f"{side}_position": np.zeros((3, k), np.int32) for side in ("most", "least")}
    sums = {name: np.zeros(3) for name in ("count", "total", "square", "lowest")}
    return {**rankings, **sums, "histogram": np.zeros((3, BINS), np.int64)}


def write(writer):
    images = {
        "row": np.arange(3),
        "id": ["x", "y", "z"],
        "label": ["a", None, "a"],
        "target": np.array([0, -1, 0]),
        "prediction": np.zeros(3, np.int64),
        "probabilities": np.ones((3, 1), np.float32),
        "logits": np.ones((3, 1), np.float32),
        "penultimate": np.zeros((3, 5), np.float32),
    }
    maximum = np.arange(6, dtype=np.float32).reshape(3, 2)
    writer.write_shard(0, images, units(), maximum=maximum, mean=maximum / 2, failed={"w": "torn"})
    return maximum


def test_what_is_written_is_read(writer):
    assert not writer.is_stored(0)
    maximum = write(writer)
    with pytest.raises(StoreError, match="1 of its 1 shards"):
        Recording.open(writer.folder)
    assert writer.is_stored(0)
    writer.end(writer.read_tally(0))
    recording = Recording.open(writer.folder)
    assert recording.layers == (LAYER,) and recording.labels == ("a", None, "a") and recording.failed == {"w": "torn"}
    assert np.array_equal(recording.vectors("max:relu"), maximum)
    assert np.array_equal(recording.responses, np.hstack([maximum, np.ones((3, 1))]))


def test_tables_of_other_units_are_refused(writer):
    write(writer)
    path = writer.folder / "tally-00000.parquet"
    table = units()
    write_table(path, {"unit": ["a", "b", "c"], **{name: table[name] for name in table if name != "square"}})
    with pytest.raises(DamagedRecordError, match="no column 'square'"):
        writer.is_stored(0)
    write_table(path, {"unit": ["a", "b", "c"], **units(k=1)})
    with pytest.raises(StoreError, match=r"not \(3, 2\)"):
        writer.is_stored(0)
