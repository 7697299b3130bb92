"""The recording pass against plain sorting, and against being killed."""

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, StoreError
from iconoscope.exemplars import record
from iconoscope.results.recording import Recording, bin_edges


@pytest.fixture(scope="module")
def network():
    return ico.load_network("cars", device="cpu")


@pytest.fixture(scope="module")
def images():
    return ico.demo_images(150, backgrounds="neutral", seed=3)


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
