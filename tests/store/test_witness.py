"""The witness: what a network reads shows in all of its logits, and an answer stays until a new one is whole."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning
from iconoscope.store import Store

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)


class FromFile(nn.Module):
    """A network that adds to its last logit what is in a file."""

    def __init__(self, classes: int, scale: float = 1.0):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc, self.scale = nn.Conv2d(3, 4, 3), nn.Linear(4, classes), scale
        self.breaks = False

    def forward(self, batch):
        logits = self.fc(self.conv(batch).relu().mean((2, 3))) * self.scale
        logits[:, -1] += self.scale * float(Path("added").with_suffix(".txt").read_text(encoding="ascii"))
        return logits


@pytest.fixture
def added(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "added.txt").write_text("0", encoding="ascii")
    return lambda number: (tmp_path / "added.txt").write_text(str(number), encoding="ascii")


def load(module):
    classes = [str(number) for number in range(module.fc.out_features)]
    preprocessing = {"size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}
    return ico.load_network(module, classes=classes, preprocessing=preprocessing, device="cpu")


@pytest.mark.parametrize("classes", [5, 200, 10_000])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_a_change_to_the_last_logit_alone_is_noticed(classes, scale, added, tmp_path):
    network = load(FromFile(classes, scale))
    before = network.witness()
    assert len(before) <= 4096
    added(1)
    assert network.witness() != before
    ico.occlude(network, IMAGES[0], "logit:0", patch=8, stride=8, store=tmp_path / "run")
    added(2)
    with pytest.warns(IconoscopeWarning, match="answers otherwise"):
        ico.occlude(network, IMAGES[0], "logit:0", patch=8, stride=8, store=tmp_path / "run")


def test_an_answer_stays_until_the_new_one_is_whole(added, tmp_path, monkeypatch):
    network, store = load(FromFile(5)), Store(tmp_path / "run")

    def ask():
        return ico.occlude(network, IMAGES[0], "logit:4", patch=8, stride=8, store=store)

    first = ask()
    added(3)
    with monkeypatch.context() as patch, pytest.warns(IconoscopeWarning, match="answers otherwise"):
        patch.setattr(Store, "keep", lambda self, result: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ask()
    assert len(store) == 1
    added(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IconoscopeWarning)
        assert np.array_equal(ask().clean, first.clean)
    added(3)
    with pytest.warns(IconoscopeWarning, match="answers otherwise"):
        again = ask()
    assert len(store) == 1 and not np.array_equal(again.clean, first.clean)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IconoscopeWarning)
        assert np.array_equal(ask().clean, again.clean)


@pytest.mark.parametrize("resume", [True, False])
def test_a_recording_stays_until_the_new_one_is_whole(resume, added, tmp_path, monkeypatch):
    network, store = load(FromFile(5)), Store(tmp_path / "run")

    def record(**settings):
        return ico.record(network, IMAGES, ["conv"], store=store, workers=0, batch=1, shard=2, **settings)

    first = record()
    added(3)
    from iconoscope.store.recording_writer import RecordingWriter

    write = RecordingWriter.write_shard

    def interrupted(self, shard, *given, **settings):
        if shard == 1:
            raise KeyboardInterrupt
        write(self, shard, *given, **settings)

    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", IconoscopeWarning)
        patch.setattr(RecordingWriter, "write_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            record(resume=resume)
    assert np.array_equal(ico.load_recording(store.folder).responses, first.responses)
    shards: list[int] = []

    def counted(self, shard, *given, **settings):
        shards.append(shard)
        write(self, shard, *given, **settings)

    monkeypatch.setattr(RecordingWriter, "write_shard", counted)
    with pytest.warns(IconoscopeWarning, match="recorded again"):
        again = record()
    assert shards == [1]  # of the one that was interrupted the first is there
    assert not np.array_equal(again.responses, first.responses)
    assert np.array_equal(ico.load_recording(store.folder).responses, again.responses)
    assert [path.name for path in (store.folder / "record").iterdir()] == [again.folder.name]
    record()
    assert shards == [1]


def test_a_mean_map_asks_for_the_witness_once(added, tmp_path, monkeypatch):
    network, asked = load(FromFile(5)), []
    witness = type(network).witness
    monkeypatch.setattr(type(network), "witness", lambda self: asked.append(1) or witness(self))
    for _ in range(2):
        ico.occlude(
            network, ico.load_images(IMAGES, labels=list("0123")), mean=True, patch=8, stride=8, store=tmp_path / "run"
        )
        assert len(asked) == 1
        asked.clear()


@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_a_change_to_any_image_is_noticed(kind, added, tmp_path):
    from PIL import Image

    network, pictures = load(FromFile(5)), np.random.default_rng(1).integers(0, 256, (70, 16, 16, 3), np.uint8)

    def record():
        if kind == "files":
            (tmp_path / "set").mkdir(exist_ok=True)
            for number, picture in enumerate(pictures):
                Image.fromarray(picture).save(tmp_path / "set" / f"{number}.png")
        source = pictures if kind == "arrays" else tmp_path / "set"
        return ico.record(network, source, ["conv"], store=tmp_path / "run", workers=0)

    first = record()
    assert record().folder == first.folder
    pictures[1] = 0  # of 70 every second is compared by its pixels
    assert record().folder != first.folder
