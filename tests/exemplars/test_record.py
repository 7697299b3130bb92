"""The recording pass against plain sorting, and against being killed."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.demo.photographs import keep_photographs
from iconoscope.errors import IconoscopeWarning, ImagesError, StoreError
from iconoscope.exemplars import loader, record
from iconoscope.exemplars.shard import ActivationStatistics
from iconoscope.store import Recording
from iconoscope.store.recording_writer import bin_edges


@pytest.fixture(scope="module")
def recording(network, images, tmp_path_factory):
    return record(network, images, store=tmp_path_factory.mktemp("a") / "run", k=7, batch=16, shard=50)


def test_ranks_are_those_of_sorting_and_positions_those_of_the_maps(network, images, recording):
    shown = network.preprocessing.normalise(np.stack([network.preprocessing.fit(image.pixels) for image in images]))
    with network.questioned(), torch.inference_mode():
        answered = {}
        handle = network.module.relu3.register_forward_hook(lambda m, i, o: answered.setdefault("maps", o.clone()))
        logits = network.logits(shown).numpy()
        handle.remove()
    maps = answered["maps"].flatten(2)
    first = recording.first_of("relu3")
    own = recording.responses[:, first : first + maps.shape[1]]
    assert np.allclose(own, maps.amax(2).numpy(), atol=1e-5)
    assert np.allclose(recording.responses[:, -2:], logits, atol=1e-4)
    assert np.allclose(recording.vectors("mean:relu3"), maps.mean(2).numpy(), atol=1e-5)
    rows = np.arange(len(images))
    for unit in range(len(recording.units)):
        values = recording.responses[:, unit]
        for side, sign in (("most", -1), ("least", 1)):
            assert (recording.rankings[f"{side}_row"][unit] == np.lexsort((rows, sign * values))[:7]).all()
    for channel in range(maps.shape[1]):
        for row, place in zip(
            recording.rankings["most_row"][first + channel],
            recording.rankings["most_position"][first + channel],
            strict=True,
        ):
            assert maps[row, channel, place] == pytest.approx(float(maps[row, channel].max()), abs=1e-4)


def test_the_place_of_every_ranked_maximum_is_known_however_few_images_were_seen(network, images, tmp_path):
    """Among as many images as are ranked, the least of the strongest is below the greatest of the weakest."""
    recording = record(network, images[32:80], store=tmp_path / "run", k=7, batch=8, shard=16, workers=0)
    channels = len(recording.units) - len(recording.classes)
    for side in ("most", "least"):
        assert (recording.rankings[f"{side}_position"][:channels] >= 0).all()


def test_what_was_killed_between_shards_comes_to_the_same(network, images, recording, tmp_path):
    again = record(network, images, store=tmp_path / "run", k=7, batch=16, shard=50)
    for name in ("units.parquet", "rows-00001.parquet", "tally-00002.parquet"):
        (again.folder / name).unlink()
    with pytest.raises(StoreError, match="was not ended"):
        Recording.open(again.folder)
    resumed = record(network, images, store=tmp_path / "run", k=7, batch=16, shard=50)
    assert np.array_equal(resumed.responses, recording.responses)
    for name, values in recording.rankings.items():
        assert np.array_equal(resumed.rankings[name], values), name


def test_a_damaged_shard_is_named_and_asked_again(network, images, recording, tmp_path):
    again = record(network, images, store=tmp_path / "run", k=7, batch=16, shard=50)
    path = again.folder / "rows-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    (again.folder / "units.parquet").unlink()
    with pytest.warns(IconoscopeWarning, match=r"rows-00001.parquet is damaged"):
        resumed = record(network, images, store=tmp_path / "run", k=7, batch=16, shard=50)
    assert np.array_equal(resumed.responses, recording.responses)


def test_fields_are_those_of_the_arithmetic(recording):
    field = next(layer.field for layer in recording.layers if layer.name == "relu3")
    assert field is not None and (field.size, field.stride, field.start) == ((17, 17), (8, 8), (-8, -8))


def test_bins_hold_what_falls_between_their_edges(recording):
    edges = bin_edges()
    assert (np.diff(edges) > 0).all()
    assert (recording.rankings["histogram"].sum(1) == recording.rankings["count"]).all()


_RECORDER = """
import sys
import iconoscope as ico
network = ico.load_network("cars", device="cpu")
images = ico.demo_images(400, backgrounds="neutral", seed=3)
print("begins", flush=True)
ico.record(network, images, store=sys.argv[1], k=7, batch=8, shard=16, workers=0)
print("ends", flush=True)
"""


@pytest.mark.slow
def test_a_process_killed_at_any_moment_and_started_again_gives_the_same_to_the_last_bit(network, tmp_path):
    """SIGKILL, again and again at other moments, until the recording is whole."""
    straight = ico.record(
        network, ico.demo_images(400, backgrounds="neutral", seed=3), store=tmp_path / "a", k=7, batch=8, shard=16
    )
    rng = np.random.default_rng(0)
    killed = 0
    for _ in range(60):
        running = subprocess.Popen(
            [sys.executable, "-c", _RECORDER, str(tmp_path / "b")], stdout=subprocess.PIPE, text=True
        )
        assert running.stdout is not None
        assert running.stdout.readline() == "begins\n"
        time.sleep(rng.uniform(0.02, 0.6))
        running.send_signal(signal.SIGKILL)
        rest = running.communicate()[0]
        if rest == "ends\n":
            break
        killed += 1
    assert killed >= 3
    resumed = ico.record(
        network, ico.demo_images(400, backgrounds="neutral", seed=3), store=tmp_path / "b", k=7, batch=8, shard=16
    )
    assert resumed.folder.name == straight.folder.name
    assert np.array_equal(resumed.responses, straight.responses)
    for name, values in straight.rankings.items():
        assert np.array_equal(resumed.rankings[name], values), name
    for path in sorted(straight.folder.glob("*.parquet")):
        assert (resumed.folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert not [path for path in resumed.folder.iterdir() if path.name.endswith(".tmp")]


_FULL = """
import resource, signal, sys
import iconoscope as ico
network = ico.load_network("cars", device="cpu")
images = ico.demo_images(100, backgrounds="neutral", seed=3)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # as a disk without room: writing more fails
try:
    ico.record(network, images, store=sys.argv[1], k=7, batch=16, shard=50, workers=0)
except ico.errors.StoreError as error:
    print(error)
"""


def test_a_full_disk_is_named_and_nothing_is_lost(network, tmp_path):
    images = ico.demo_images(100, backgrounds="neutral", seed=3)
    said = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path / "run")], capture_output=True, text=True, check=True
    ).stdout
    assert "rows-00000.parquet cannot be written" in said
    assert "Is there space" in said
    with pytest.raises(StoreError, match=r"was not ended|no recording"):
        ico.load_recording(tmp_path / "run")
    whole = ico.record(network, images, store=tmp_path / "run", k=7, batch=16, shard=50, workers=0)
    straight = ico.record(network, images, store=tmp_path / "other", k=7, batch=16, shard=50, workers=0)
    assert np.array_equal(whole.responses, straight.responses)
    assert not list(whole.folder.glob(".*"))


def test_other_readers_read_the_shards(recording):
    """Pandas, DuckDB and Hugging Face datasets, each by itself."""
    import datasets
    import duckdb
    import pandas as pd

    pattern = str(recording.folder / "rows-*.parquet")
    files = sorted(recording.folder.glob("rows-*.parquet"))
    table = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    assert table["id"].tolist() == list(recording.ids)
    assert np.allclose(np.stack(table["penultimate"].to_list()), recording.vectors())
    first = recording.first_of("relu3")
    table = duckdb.sql(f"select id, \"max:relu3\"[6] as value from '{pattern}' order by value desc limit 3")
    assert table is not None
    answer = table.fetchall()
    best = recording.rankings["most_row"][first + 5, :3]
    assert [row[0] for row in answer] == [recording.ids[row] for row in best]
    loaded = datasets.Dataset.from_parquet(
        [str(path) for path in files], cache_dir=str(recording.folder.parent / "cache")
    )
    assert len(loaded) == len(recording)
    assert np.allclose(np.asarray(loaded[17]["logits"]), recording.vectors("logits")[17])
    units = pd.read_parquet(recording.folder / "units.parquet")
    assert units["unit"].tolist() == list(recording.units)


class Viewing(torch.nn.Module):
    """A network that takes its maps for rows: channels last they would be others."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.relu = torch.nn.ReLU()
        self.head = torch.nn.Linear(8 * 96 * 96, 2)

    def forward(self, batch):
        maps = self.relu(self.conv(batch))
        return self.head(maps.view(len(batch), -1))


def test_maps_lie_as_the_network_wants_them(network, images, tmp_path):
    torch.manual_seed(0)
    viewing = ico.load_network(Viewing(), device="cpu", classes=["lynx", "bison"], preprocessing=network.preprocessing)
    recording = record(viewing, images[:20], store=tmp_path / "run", k=3)
    assert recording.question.settings["channels_last"] is False
    shown = network.preprocessing.normalise(np.stack([image.pixels for image in images[:20]]))
    assert np.allclose(recording.vectors("logits"), viewing.logits(shown).detach().numpy(), atol=1e-5)
    before = network.module.conv1.weight.stride()
    again = record(network, images[:20], store=tmp_path / "run", k=3)
    assert again.question.settings["channels_last"] is True
    assert network.module.conv1.weight.stride() == before


def test_activations_fall_into_the_bins_that_numpy_puts_them_into():
    generator = np.random.default_rng(0)
    signs = generator.choice([-1, 1], (3, 4, 500))
    values = (signs * 2.0 ** generator.uniform(-20, 15.9, (3, 4, 500))).astype(np.float32)
    values[0, :, :40] = [0.0, 1.0, -1.0, 1.25, -1.25, 65000.0, -65000.0, 1e-9] * 5
    counted = ActivationStatistics.of(values)
    edges = bin_edges()
    for unit in range(4):
        own = values[:, unit].ravel().astype(float)
        plain = np.histogram(own[own > 0], edges)[0] + np.histogram(-own[own < 0], edges)[0][::-1]
        plain[128] += (own == 0).sum()
        assert np.array_equal(counted.histogram[unit], plain)
        assert counted.lowest[unit] == own.min() and counted.count[unit] == 1500
        assert counted.total[unit] == pytest.approx(own.sum()) and counted.square[unit] == pytest.approx((own**2).sum())


def refuse_files():
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("fault", ["shared memory", "descriptors", "memory", "end"])
def test_processes_that_cannot_hand_over_what_they_read_end_with_an_error(network, tmp_path, monkeypatch, fault):
    """The loader itself would wait for ever for what its process could not send."""
    keep_photographs(ico.demo_images(12, seed=1), tmp_path)
    photographs = ico.load_images(tmp_path / "photographs")
    errors = {"descriptors": OSError(24, "Too many open files"), "memory": MemoryError()}
    undo = refuse_files() if fault == "shared memory" else lambda: None
    if fault in errors:

        def fail(batch):
            raise errors[fault]

        monkeypatch.setattr(loader, "ForkingPickler", SimpleNamespace(dumps=fail))
    if fault == "end":
        monkeypatch.setattr(loader._Batches, "_read", lambda self, index: os._exit(1))
    try:
        with pytest.raises(ImagesError, match=r"The processes that read images cannot go on: .*[\w)]\.\n.*workers=0"):
            list(loader.feed(photographs, network.preprocessing, range(12), batch=6, workers=2, shard=12))
    finally:
        undo()
    monkeypatch.undo()
    for workers in (0, 2):
        batches = list(loader.feed(photographs, network.preprocessing, range(12), batch=6, workers=workers, shard=12))
        assert [batch.rows.tolist() for batch in batches] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
        shown = [network.preprocessing.shown(photographs[row]) for row in range(12)]
        assert np.array_equal(np.concatenate([batch.pixels for batch in batches]), shown)
