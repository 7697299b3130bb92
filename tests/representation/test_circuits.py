"""What feeds a unit: contributions add up to its value, equal what occlusion takes away, and name every branch."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from iconoscope.errors import QuestionError, UnitError
from iconoscope.representation.circuits import dataflow, feeders
from iconoscope.subject.response import activations

feeds: Any = ico.feeds  # what may be missing in an answer is there in these
PREPROCESSING = {"size": 12, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}


class Branched(nn.Module):
    """A block with a shortcut of weights, groups and a stride; two branches side by side; maps that are flattened."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv1, self.bn1 = nn.Conv2d(8, 8, 3, 2, padding=1, groups=2, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 6, 3, padding=2, dilation=2), nn.BatchNorm2d(6)
        self.downsample = nn.Sequential(nn.Conv2d(8, 6, 1, 2, bias=False), nn.BatchNorm2d(6))
        self.relu = nn.ReLU(inplace=True)
        self.left, self.right = nn.Conv2d(6, 2, 1), nn.Conv2d(6, 3, 3, padding=1)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(5 * 9, 4)
        for norm in (self.bn1, self.bn2, self.downsample[1]):
            assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)

    def forward(self, x):
        stem = F.relu(self.stem(x))
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(stem)))))
        out += self.downsample(stem)
        out = self.relu(out)
        joined = F.relu(torch.cat([self.left(out), self.right(out)], 1))
        return self.head(self.pool(joined).flatten(1))


@pytest.fixture(scope="module")
def network():
    return ico.load_network(Branched(), preprocessing=PREPROCESSING, classes=list("abcd"), device="cpu")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (1, 12, 12, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("unit", "sources", "by"),
    [
        ("stem:2", {"input"}, {"stem"}),
        ("bn1:5", {"stem"}, {"conv1"}),
        ("conv2:1@2,3", {"relu"}, {"conv2"}),
        ("bn2:1", {"relu"}, {"conv2"}),
        ("right:2@center", {"relu"}, {"right"}),
        ("logit:c", {"pool"}, {"head"}),
    ],
)
def test_contributions_add_up_and_are_what_occlusion_takes_away(network, image, unit, sources, by):
    circuit = feeds(network, unit, image, steps=0, k=100)
    assert {name.partition(":")[0] for name in circuit.inputs} == sources and set(circuit.by) == by
    assert circuit.contributions.sum() + circuit.constant == pytest.approx(circuit.value, abs=1e-5)
    np.testing.assert_allclose(circuit.occluded, circuit.contributions[circuit.order], atol=1e-5)
    assert (np.diff(np.abs(circuit.contributions[circuit.order])) <= 0).all()


def test_the_value_is_the_units_own(network, image):
    batch = network.preprocessing.normalise(image)
    with network.questioned(), torch.inference_mode():
        maps = activations(network, batch, "bn2")[0, 1]
        logits = network.logits(batch)[0]
    assert feeds(network, "bn2:1", image, steps=0).value == pytest.approx(float(maps.mean()), abs=1e-6)
    assert feeds(network, "bn2:1@2,3", image, steps=0).value == pytest.approx(float(maps[2, 3]), abs=1e-6)
    assert feeds(network, "logit:b", image, steps=0).value == pytest.approx(float(logits[1]), abs=1e-6)


def test_weights_are_those_of_the_convolution_with_its_norm(network):
    circuit = feeds(network, "bn1:5", steps=0)
    conv: Any = network.module.get_submodule("conv1")
    norm: Any = network.module.get_submodule("bn1")
    scale = norm.weight[5] / torch.sqrt(norm.running_var[5] + norm.eps)
    expected = np.zeros((8, 3, 3))
    expected[4:] = (conv.weight[5] * scale).detach().numpy()  # the second group reads its own four channels
    np.testing.assert_allclose(circuit.kernels, expected, rtol=1e-5)
    np.testing.assert_allclose(circuit.weights, expected.sum((1, 2)), rtol=1e-5, atol=1e-7)
    assert circuit.contributions is None and circuit.value is None


def test_without_an_image_it_is_kept_and_read_again(network, tmp_path):
    asked = feeds(network, "bn1:5", steps=0, store=tmp_path / "run")
    again = feeds(network, "bn1:5", steps=0, store=tmp_path / "run")
    assert again.value is None and again.summary() == asked.summary()
    np.testing.assert_array_equal(again.kernels, asked.kernels)
    assert ico.load_result(asked.save(tmp_path / "folder")).to_json() == asked.to_json()


def test_an_empty_selection_is_no_question_of_weights_alone(network, image):
    with pytest.raises(ico.errors.ImagesError, match="no images"):
        feeds(network, "bn1:5", ico.load_images(image)[:0], steps=0)


class Residual(nn.Module):
    """Two blocks: a shortcut that is added as it is, and one that no sum of weights makes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.first, self.second = Stem(), Block(4), Block(4, gate=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.second(self.first(self.stem(x))).mean((2, 3)))


class Stem(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU())


class Block(nn.Module):
    def __init__(self, channels, *, gate=False):
        super().__init__()
        self.conv, self.gate = nn.Conv2d(channels, channels, 3, padding=1), gate

    def forward(self, x):
        return F.relu(0.5 * self.conv(x) + (x * torch.sigmoid(x) if self.gate else x) + 0.25)


@pytest.fixture(scope="module")
def residual():
    return ico.load_network(Residual(), preprocessing=PREPROCESSING, classes=["a", "b"], device="cpu")


def test_every_branch_is_named_and_what_cannot_be_taken_apart_is_said(residual, image):
    first = feeds(residual, "first:3", image, steps=0)
    assert [branch[:3] for branch in first.branches()] == [("first.conv", "weights", 4), ("stem", "as it is", 1)]
    assert first.inputs[-1] == "stem:3" and first.weights[-1] == 1
    assert first.constant == pytest.approx(0.5 * residual.module.get_parameter("first.conv.bias")[3].item() + 0.25)
    second = feeds(residual, "second:3", image, steps=0)
    assert [branch[:3] for branch in second.branches()] == [("second.conv", "weights", 4), ("mul", "unknown", 1)]
    assert "mul cannot be taken apart" in second.summary()
    for circuit in (first, second):
        assert circuit.contributions.sum() + circuit.constant == pytest.approx(circuit.value, abs=1e-5)


def test_both_branches_of_a_block_arrive_with_their_weights(torchvision_models):
    torch.manual_seed(0)
    network = ico.load_network(
        torchvision_models.resnet18(num_classes=3).eval(),
        preprocessing={**PREPROCESSING, "size": 48},
        classes=list("abc"),
    )
    photograph = np.random.default_rng(1).integers(0, 256, (1, 48, 48, 3), dtype=np.uint8)
    circuit = feeds(network, "layer2.0:7", photograph, steps=0)
    assert [branch[:3] for branch in circuit.branches()] == [
        ("layer2.0.conv2", "weights", 128),
        ("layer2.0.downsample.0", "weights", 64),
    ]
    assert circuit.contributions.sum() + circuit.constant == pytest.approx(circuit.value, abs=1e-5)
    np.testing.assert_allclose(circuit.occluded, circuit.contributions[circuit.order], atol=1e-5)


def test_a_layer_that_joins_is_asked_by_the_branch_of_the_channel(squeezenet, data):
    photograph = ico.load_images(data / "imagenet" / "images")[:1]
    for channel, by in ((5, "features.12.expand1x1"), (256 + 5, "features.12.expand3x3")):
        circuit = feeds(squeezenet, f"features.12:{channel}", photograph, steps=0, k=3)
        assert {name.rpartition(".")[0] for name in circuit.by} <= {by.rpartition(".")[0]} and set(circuit.by) == {by}
        assert circuit.contributions.sum() + circuit.constant == pytest.approx(circuit.value, rel=1e-4)
        np.testing.assert_allclose(circuit.occluded, circuit.contributions[circuit.order], atol=1e-4)


def test_tokens_of_a_linear_layer():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(2)
            self.patches, self.norm, self.mix = nn.Conv2d(3, 6, 4, 4), nn.LayerNorm(6), nn.Linear(6, 5)
            self.head = nn.Linear(5, 2)

        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            return self.head(F.gelu(self.mix(self.norm(tokens))).mean(1))

    network = ico.load_network(Tokens(), preprocessing=PREPROCESSING, classes=["a", "b"], device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 12, 12, 3), dtype=np.uint8)
    for unit in ("mix:3", "mix:3@1,2"):
        circuit = feeds(network, unit, pixels, steps=0)
        assert circuit.inputs == tuple(f"norm:{number}" for number in range(6))
        assert circuit.contributions.sum() + circuit.constant == pytest.approx(circuit.value, abs=1e-5)
        np.testing.assert_allclose(circuit.occluded, circuit.contributions[circuit.order], atol=1e-5)


def test_pictures_stand_for_units_and_grey_for_pixels(network, image, tmp_path):
    circuit = feeds(network, "stem:2", image, steps=1, store=tmp_path / "run", out=tmp_path / "feeds.png")
    assert circuit.made.shape == (4, 12, 12, 3) and (circuit.made[1:] == 160).all()
    again: Any = ico.load_result(circuit.save(tmp_path / "circuit"))
    assert again.summary() == circuit.summary() and again.to_json() == circuit.to_json()
    assert (tmp_path / "feeds.png").stat().st_size > 10_000 and len(ico.Store(tmp_path / "run")) == 1
    assert "stem:2" in ico.report(tmp_path / "run", tmp_path / "page.html").read_text("utf-8")


class Reused(nn.Module):
    """One ReLU that is used twice, a layer that hands on what it is given, and a block of layers."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(channels, 4, 3, padding=1) for channels in (3, 4, 4))
        self.relu, self.passed = nn.ReLU(inplace=True), nn.Identity()
        self.block = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.relu(self.second(self.relu(self.first(x))))
        return self.head(self.block(self.third(self.passed(x))).mean((2, 3)))


@pytest.mark.parametrize(
    ("unit", "source"),
    [
        ("second:1", "relu"),
        ("third:1", "second"),  # whoever asks relu asks its first answer
        ("logit:1", "block"),  # and not the activation in it
    ],
)
def test_an_input_is_named_as_it_can_be_asked(unit, source):
    torch.manual_seed(0)
    how = {"size": 8, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    network = ico.load_network(Reused().eval(), classes=["a", "b"], device="cpu", preprocessing=how)
    circuit = ico.feeds(network, unit, steps=0)
    assert {name.partition(":")[0] for name in circuit.inputs} == {source}
    shown = {layer.name for layer in ico.layers(network)}
    assert source in shown and ico.feeds(network, "passed:1", steps=0).inputs[0] == "relu:0"


def test_feeders_of_a_class_are_the_last_layers_weights_with_their_signs(residual):
    flow = dataflow(residual)
    driving = feeders(residual, flow, residual.resolve("logit:b"))
    expected = residual.module.get_parameter("head.weight")[1].tolist()
    assert [(feeder.layers[0], feeder.channel) for feeder in driving] == [("second", number) for number in range(4)]
    np.testing.assert_allclose([feeder.weight for feeder in driving], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("unit", "settings", "error", "match", "hint"),
    [
        ("pool:1", {}, UnitError, "comes out of", "convolution"),
        ("prob:a", {}, UnitError, "no sum", "logit:a"),
        ("conv1", {}, UnitError, "whole layer", "conv1:0"),
        ("conv1:8", {}, UnitError, "no channel 8", ""),
        ("conv1:1@9,9", {"image": np.zeros((1, 12, 12, 3), np.uint8)}, UnitError, "no position 9,9", ""),
        ("conv1:1", {"k": 0}, QuestionError, "k=0", ""),
        ("conv1:1", {"steps": -1}, QuestionError, "steps=-1", ""),
    ],
)
def test_what_makes_no_sense_is_refused(network, unit, settings, error, match, hint):
    with pytest.raises(error, match=match) as caught:
        feeds(network, unit, **{"steps": 0, **settings})
    assert hint in (caught.value.hint or "")


def test_of_one_output_for_two_classes_the_channel_is_named():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    net = ico.load_network(module, classes=("a", "b"), preprocessing={"size": 8, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    with pytest.raises(UnitError, match="one number for each class") as caught:
        feeds(net, "logit:b", steps=0)
    assert "4:0" in caught.value.hint
    assert feeds(net, "4:0", steps=0).inputs[0] == "3:0"


def test_the_module_comes_back_as_it_was(network, image):
    before = network.digest()
    feeds(network, "bn2:1", image, steps=0)
    assert network.digest() == before and not any(module._forward_hooks for module in network.module.modules())


def test_a_unit_behind_its_activation_says_both_its_value_and_what_it_answers(network, image):
    batch = network.preprocessing.normalise(image)
    with network.questioned(), torch.inference_mode():
        maps = activations(network, batch, "relu")[0]
    channel = int(maps.mean((1, 2)).argmin())
    circuit = feeds(network, f"relu:{channel}", image, steps=0)
    assert circuit.answer == pytest.approx(float(maps[channel].mean()), abs=1e-6)
    assert circuit.value < circuit.answer and "before its activation, behind which it answers" in circuit.summary()
    own = feeds(network, "logit:b", image, steps=0)
    assert own.answer == own.value and "activation" not in own.summary()


def test_of_several_images_it_says_which_is_asked(network, image):
    with pytest.warns(ico.errors.IconoscopeWarning, match=r"of 2 \S+ is asked"):
        feeds(network, "bn2:1", np.concatenate([image, image]), steps=0)
