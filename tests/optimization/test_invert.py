"""Codes inverted: layers whose inverse is known, layers that forget, and what is said of how near a code came."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.optimization import Pixels, Style, code_distance, loop
from iconoscope.results import Inversion

PLAIN = Style(parameterization=Pixels(), transforms=None, colours=np.eye(3), rate=0.1, fade=0.01)


class Mixing(nn.Module):
    """`mixed` holds all of the picture, `pooled` the means of quarters, `positive` what is over zero."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mixed = nn.Conv2d(3, 3, 1)
        self.mixed.weight.data = torch.linalg.qr(torch.randn(3, 3))[0][:, :, None, None]
        nn.init.constant_(self.mixed.get_parameter("bias"), 4.0)  # so that no ReLU is off, where there is no way back
        self.positive, self.pooled, self.head = nn.ReLU(), nn.AvgPool2d(4), nn.Linear(12, 2)

    def forward(self, x):
        return self.head(self.pooled(self.positive(self.mixed(x))).flatten(1))


def network_of(module):
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(module, preprocessing=preprocessing, classes=("a", "b"), device="cpu")


@pytest.fixture
def network():
    return network_of(Mixing())


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(40, 216, (8, 8, 3), dtype=np.uint8)


def test_a_layer_that_holds_all_gives_the_photograph_back(network, image):
    found = ico.invert(network, image, "mixed", count=2, style=PLAIN, steps=300)
    assert np.abs(found.images - found.photograph).max() < 0.01 and found.distance.max() < 1e-4
    assert found.spread()[0] < 0.01 and found.agreement().tolist() == [1.0]
    assert found.other_distance[0] > 100 * found.distance.max()


def test_what_a_layer_forgets_differs_from_one_inversion_to_another(network, image):
    found = ico.invert(network, image, ["mixed", "pooled"], count=3, style=PLAIN, steps=300)
    assert found.distance.max() < 1e-3  # the code is reached in both
    whole, pooled = found.spread()
    assert pooled > 5 * whole

    def quarters(pictures):
        shown = (torch.from_numpy(pictures).permute(0, 3, 1, 2) - 0.5) / 0.25
        return F.avg_pool2d(network.module.get_submodule("mixed")(shown).relu(), 4).detach().numpy()

    assert np.allclose(quarters(found.images[1]), quarters(found.photograph[None]), atol=0.05)


@pytest.mark.parametrize("layer", ["relu1", "relu3", "logits"])
def test_distances_are_those_of_what_the_layer_answers(layer):
    """Behind its ReLU, although the loop reads units before it and moves ReLUs behind poolings."""
    network = ico.load_network("cars-honest", device="cpu")
    photograph = ico.demo_images(2, seed=1)[0]
    found = ico.invert(network, photograph, [layer], steps=3, style="none")
    answers: list[torch.Tensor] = []
    module = network.module if layer == "logits" else network.module.get_submodule(layer)
    with torch.inference_mode():
        handle = module.register_forward_hook(lambda module, inputs, output: answers.append(output.clone()))
        for picture in (found.photograph, found.images[0, 0]):
            network.module((torch.from_numpy(picture).permute(2, 0, 1)[None] - 0.5) / 0.25)
        handle.remove()
    asked, reached = answers
    assert found.distance[0, 0] == pytest.approx(
        float((reached - asked).square().sum() / asked.square().sum()), rel=1e-3
    )
    assert (np.diff(found.objective[0, 0]) > 0).all()


def test_all_blocks_and_the_logits_are_inverted_where_none_is_named(tmp_path):
    network = ico.load_network("cars-honest", device="cpu")
    photograph = ico.demo_images(2, seed=1)[0]
    found = ico.invert(network, photograph, steps=1, count=2, store=tmp_path / "run", out=tmp_path / "strip.png")
    assert found.layers == ("relu1", "relu2", "relu3", "relu4", "logits")
    assert found.images.shape == (5, 2, 96, 96, 3) and (tmp_path / "strip.png").stat().st_size > 1000
    again = ico.load_result(next((tmp_path / "run" / "invert").iterdir()))
    assert isinstance(again, Inversion) and np.array_equal(again.images, found.images)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [row["layer"] for row in told["layers"]] == list(found.layers)
    assert ico.report(tmp_path / "run", tmp_path / "page.html").read_text(encoding="utf-8").count("<img") == 1


def test_with_a_prior_pictures_are_those_of_the_prior():
    network = ico.load_network("cifar10", device="cpu")
    image = np.random.default_rng(0).integers(40, 216, (32, 32, 3), dtype=np.uint8)
    found = ico.invert(network, image, "block3", prior="cifar10", steps=2)
    assert found.prior.startswith("gaussian prior cifar10") and found.measure == "32 other images"
    with pytest.raises(ico.errors.QuestionError, match="another size"):
        cars = ico.load_network("cars-honest", device="cpu")
        ico.invert(cars, ico.demo_images(2, seed=1)[0], "relu1", prior="cifar10")


def test_ctrl_c_gives_the_layers_that_were_done_and_keeps_nothing(network, image, monkeypatch, tmp_path):
    plain, calls = loop.ascend, []

    def interrupted(*arguments, **settings):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(*arguments, **settings)

    monkeypatch.setattr(loop, "ascend", interrupted)
    with pytest.warns(ico.IconoscopeWarning, match="1 of 2 layers"):
        found = ico.invert(network, image, ["mixed", "pooled"], steps=2, store=tmp_path / "run")
    assert found.layers == ("mixed",) and len(ico.Store(tmp_path / "run")) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": "mixed:1"}, "whole layer"),
        ({"layers": "logit:a"}, "whole layer"),
        ({"layers": "mixd"}, "mixed"),
        ({"layers": []}, "No layer"),
        ({"image": "noise"}, "no photograph"),
        ({"image": np.zeros((2, 8, 8, 3), np.uint8)}, "2 images"),
        ({"image": np.zeros((0, 8, 8, 3), np.uint8)}, ""),
        ({"count": 0}, "count"),
        ({"steps": True}, "steps"),
        ({"style": "blurr"}, "blur"),
        ({"out": "strip.gif"}, "png"),
    ],
)
def test_what_cannot_be_inverted_is_said(network, image, settings, message):
    arguments = {"image": image, "layers": "mixed", **settings}
    with pytest.raises(ico.IconoscopeError) as caught:
        ico.invert(network, **arguments)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_a_picture_of_one_colour_is_compared_with_others_or_not_at_all(network, image):
    flat = np.full((*network.preprocessing.size, 3), 128, np.uint8)
    with pytest.raises(QuestionError, match="has one colour") as caught:
        ico.invert(network, flat, ["logits"], steps=1)
    assert "compare" in caught.value.hint
    inversion = ico.invert(network, flat, ["logits"], steps=1, compare=[image])
    assert np.isfinite(inversion.distance).all() and inversion.other_distance[0] > 0


def test_a_layer_that_answers_nothing_has_no_code():
    with pytest.raises(ico.errors.QuestionError, match="relu answers nothing"):
        code_distance.CodeDistance("relu", torch.zeros(1, 4), "relu")
