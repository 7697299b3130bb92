"""Recording by the captured network: the same as by the module but for rounding, whoever asks about which shards."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.exemplars import captured_summary as capturing
from iconoscope.exemplars import record, recording_pass
from iconoscope.exemplars.captured_summary import CapturedSummary
from iconoscope.exemplars.recordable_layers import choose_layers
from iconoscope.subject.captured.capture import CaptureError, capture
from iconoscope.subject.captured.operators import Convolution, Linear

SIDE = 12
PREPROCESSING: dict[str, Any] = {"size": SIDE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
SETTINGS: dict[str, Any] = {"k": 7, "batch": 4, "shard": 64, "workers": 0}  # four at once go through the module


class Block(nn.Module):
    """Convolution, norm and a ReLU that works in place, beside a shortcut."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.norm(self.conv(x)) + x)


class Residual(nn.Module):
    """Two blocks, of which the second is used twice, and a linear layer over the mean."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.first, self.second = Block(8), Block(8)
        self.drop, self.head = nn.Dropout(inplace=True), nn.Linear(8, 3)

    def before(self, x):
        return x

    def forward(self, x):
        maps = self.second(self.second(self.first(self.stem(self.before(x)))))
        return self.head(self.drop(maps.mean((2, 3), keepdim=True).flatten(1)))


class Standardised(Residual):
    """Every image is divided by its deviation: of one colour, it is no number, which a ReLU may hide."""

    def before(self, x):
        return (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)


class Normed(Residual):
    """The same by a norm that adds nothing to the deviation."""

    def before(self, x):
        return nn.functional.layer_norm(x, x.shape[1:], eps=0.0)


class Brightening(Residual):
    """Where a picture is bright it computes something else, which no operation shows: another thread looks at the picture."""

    def before(self, x):
        bright = []
        thread = threading.Thread(target=lambda: bright.append(bool(x.min() > 1.2)))
        thread.start()
        thread.join()
        return x * 2 - 1 if bright[0] else x


def network_of(kind):
    torch.manual_seed(0)
    module = kind().eval()
    for name, statistic in module.named_buffers():
        if name.endswith(("mean", "var")):
            nn.init.uniform_(statistic, *((-0.5, 0.5) if name.endswith("mean") else (0.5, 2)))
    return ico.load_network(module, device="cpu", classes=["ant", "bee", "cat"], preprocessing=PREPROCESSING)


def pictures(count, *, bright=range(0)):
    """Pictures of all colours, but for some that are bright everywhere."""
    pixels = np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    pixels[list(bright)] = 210 + pixels[list(bright)] // 6
    return ico.load_images(pixels)


@pytest.fixture
def captured_passes(monkeypatch):
    """The passes that go through captured networks: of each, the number of images."""
    passes, ask = [], CapturedSummary.__call__
    monkeypatch.setattr(
        CapturedSummary, "__call__", lambda self, batch, *rest: passes.append(len(batch)) or ask(self, batch, *rest)
    )
    return passes


def plainly(monkeypatch, *question, **settings):
    """Record by the module alone."""
    with monkeypatch.context() as patch:
        patch.setattr(recording_pass, "captured_summary", lambda *_: None)
        return record(*question, **settings)


def assert_near(recording, plain):
    """All that is kept of every image, to 1e-5 of the largest."""
    for name in ("maximum", "mean:first", "logits", "penultimate"):
        ours, module = (
            np.asarray(each.responses if name == "maximum" else each.vectors(name)) for each in (recording, plain)
        )
        assert np.abs(ours - module).max() <= 1e-5 * np.abs(module).max(), name


def test_what_the_captured_network_answers_is_kept_where_the_module_answers_the_same(
    tmp_path, monkeypatch, captured_passes
):
    """Also of layers inside what is folded elsewhere, of one that another writes over, and of one that is used twice."""
    layers = ["stem.0", "stem.1", "stem", "first", "first.conv", "first.norm", "first.relu", "second", "second.norm"]
    network, images = network_of(Residual), pictures(150)
    recording = record(network, images, layers, store=tmp_path / "captured", **SETTINGS)
    assert captured_passes == [4] * 32  # the third shard is too small
    plain = plainly(monkeypatch, network, images, layers, store=tmp_path / "plain", **SETTINGS)
    assert_near(recording, plain)
    assert not np.array_equal(recording.responses, plain.responses)  # so it was another way
    same = recording.rankings["most_position"] == plain.rankings["most_position"]
    assert same.mean() > 0.99
    for name in ("count", "histogram"):
        assert np.abs(recording.rankings[name] - plain.rankings[name]).sum() <= 2e-3 * plain.rankings["count"].sum()


def test_the_layers_of_a_module_whose_answer_is_looked_up_are_found(tmp_path, monkeypatch, captured_passes):
    class Answering(Residual):
        def forward(self, x):
            return {"logits": super().forward(x)}

    network, images = network_of(Answering), pictures(64)
    recording = record(network, images, ["first", "second"], store=tmp_path / "captured", **SETTINGS)
    assert captured_passes
    assert_near(recording, plainly(monkeypatch, network, images, ["first", "second"], store=tmp_path / "p", **SETTINGS))


def test_one_shard_may_be_refused_and_parts_come_to_the_same_to_the_last_bit(tmp_path, monkeypatch, captured_passes):
    network, images = network_of(Brightening), pictures(192, bright=range(64, 128))
    recording = record(network, images, ["first", "second"], store=tmp_path / "run", **SETTINGS)
    assert captured_passes == [4] * (16 + 1 + 16)
    plain = plainly(monkeypatch, network, images, ["first", "second"], store=tmp_path / "plain", **SETTINGS)
    assert_near(recording, plain)
    assert np.array_equal(recording.responses[64:128], plain.responses[64:128])
    assert not np.array_equal(recording.responses[:64], plain.responses[:64])
    assert not np.array_equal(recording.responses[128:], plain.responses[128:])
    for part in ("2/3", "3/3", "1/3"):
        parts = record(network, images, ["first", "second"], store=tmp_path / "parts", part=part, **SETTINGS)
    assert parts.ended and np.array_equal(parts.responses, recording.responses)
    for name in ("mean:first", "logits", "penultimate"):
        assert np.array_equal(parts.vectors(name), recording.vectors(name)), name
    for name, values in recording.rankings.items():
        assert np.array_equal(parts.rankings[name], values), name


def test_a_recording_that_the_module_began_is_ended_by_the_captured_network(tmp_path, monkeypatch, captured_passes):
    network, images = network_of(Residual), pictures(128)
    plain = plainly(monkeypatch, network, images, ["first", "second"], store=tmp_path / "run", **SETTINGS)
    before = np.array(plain.responses)
    for name in ("units.parquet", "rows-00001.parquet", "tally-00001.parquet", "responses.npy"):
        (plain.folder / name).unlink()
    recording = record(network, images, ["first", "second"], store=tmp_path / "run", **SETTINGS)
    assert recording.folder == plain.folder and len(captured_passes) == 16
    assert np.array_equal(recording.responses[:64], before[:64])
    assert not np.array_equal(recording.responses[64:], before[64:])
    assert np.allclose(recording.responses, before, atol=1e-5)


@pytest.mark.parametrize("before", [False, True])
def test_a_layer_that_hooks_of_the_user_change_is_read_after_them(tmp_path, monkeypatch, captured_passes, before):
    """Also where they change nothing of the first images, which are all that is compared."""
    network = network_of(Residual)
    module: Any = network.module
    pixels = np.random.default_rng(1).integers(0, 2, (64, SIDE, SIDE, 3), np.uint8) * 255
    pixels[:20] = 120
    if before:
        module.head.register_forward_pre_hook(lambda _, inputs: (inputs[0].clamp(max=0.8),))
    else:
        module.first.register_forward_hook(lambda _, inputs, answer: answer.clamp(max=6))
    images = ico.load_images(pixels)
    recording = record(network, images, ["first", "second"], store=tmp_path / "captured", **SETTINGS)
    assert len(captured_passes) == 16
    assert_near(
        recording, plainly(monkeypatch, network, images, ["first", "second"], store=tmp_path / "plain", **SETTINGS)
    )
    values = recording.vectors("penultimate") if before else recording.responses
    assert np.isclose(values, 0.8 if before else 6).any()


@pytest.mark.parametrize("kind", [Standardised, Normed])
def test_an_image_to_which_the_module_answers_no_number_has_none(tmp_path, captured_passes, kind):
    pixels = np.random.default_rng(1).integers(0, 255, (64, SIDE, SIDE, 3), dtype=np.uint8)
    pixels[40] = 7
    with pytest.warns(ico.IconoscopeWarning, match="NaN"):
        recording = record(network_of(kind), ico.load_images(pixels), ["first"], store=tmp_path / "run", **SETTINGS)
    assert len(captured_passes) == 16
    assert len(recording) == 63 and len(recording.failed) == 1


def test_the_module_is_asked_where_nothing_can_be_gained_or_seen(monkeypatch):
    def captured(network):
        with network.questioned(), torch.inference_mode():
            return capturing.captured_summary(network, *choose_layers(network, ["first"]))

    class Reading(Residual):
        def before(self, x):
            return x if x.max().item() > -100 else -x

    class Drawing(Residual):
        def before(self, x):
            return x + 1e-6 * torch.randn(3, 1, 1)

    class Filling(Residual):
        def before(self, x):
            return x + torch.empty(3, 1, 1).uniform_(0, 1e-6)

    class DroppingNoWeights(Residual):
        def before(self, x):
            return x + nn.functional.dropout(self.head.bias, training=False)[:, None, None]

    class Linears(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.head = nn.Linear(3 * SIDE * SIDE, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.first(x.flatten(1)).relu())

    summary = captured(network_of(Residual))
    assert summary is not None
    # Which product is faster is measured, and a measurement may come out otherwise in another process.
    assert [step.operator.packed for step in summary.graph.steps if isinstance(step.operator, Linear)] == [False]
    assert captured(network_of(Reading)) is None
    assert captured(network_of(Linears)) is None
    assert captured(network_of(Drawing)) is captured(network_of(Filling)) is None
    assert captured(network_of(DroppingNoWeights)) is not None
    monkeypatch.setattr(capturing, "LARGEST_WEIGHTS", 1000)
    assert captured(network_of(Residual)) is None


def test_what_is_folded_hangs_on_what_is_read():
    module, image = network_of(Residual).module, torch.zeros(3, SIDE, SIDE)
    folded = capture(module, image, export=False, outputs=["first"])
    apart = capture(module, image, export=False, outputs=["first.conv", "first.norm"], inputs=["head"])
    convolutions, others = (
        [sum(isinstance(step.operator, Convolution) is kind for step in graph.steps) for graph in (folded, apart)]
        for kind in (True, False)
    )
    assert convolutions == [4, 4]  # none is computed twice
    assert others[1] == others[0] + 1  # the norm is a step of its own
    assert isinstance(apart.by_name[apart.layer_outputs["first.conv"]].operator, Convolution)
    assert apart.layer_inputs["head"] in apart.by_name
    with pytest.raises(CaptureError, match="missing"):
        capture(module, image, export=False, outputs=["missing"])
