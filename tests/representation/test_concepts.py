"""Concepts: planted factors come back, what the logit loses has a closed form, nothing removed is the clean logit."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import ImagesError, QuestionError, UnitError
from iconoscope.representation.class_maps import read_class_maps
from iconoscope.representation.factors import amounts, cosines_to, factorize

SIDE = 12
COLOURS = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
DIRECTIONS = np.array([[3, 0, 0, 4, 0], [0, 1, 0, 0, 0], [0, 0, 0.6, 0, 0.8]]) / np.array([[5], [1], [1]])


class Coloured(nn.Module):
    """Answers at every place a sum of three directions, of which each colour is one; the head is linear."""

    preprocessing = {"size": SIDE, "mean": (0, 0, 0), "std": (1, 1, 1), "crop": "none"}  # noqa: RUF012
    classes = ("flag", "other")

    def __init__(self):
        super().__init__()
        self.mixing = nn.Conv2d(3, 5, 1, bias=False)
        self.rectified = nn.ReLU()
        self.signed = nn.Conv2d(5, 5, 1)
        self.head = nn.Linear(5, 2)
        with torch.no_grad():
            self.mixing.weight.copy_(torch.tensor(DIRECTIONS.T[..., None, None]))

    def forward(self, x):
        maps = self.rectified(self.mixing(x))
        self.signed(maps)  # somebody's second branch, of which nothing becomes
        return self.head(maps.mean((2, 3)))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ico.load_network(Coloured(), device="cpu")


@pytest.fixture(scope="module")
def images():
    """Stripes of the three colours, one at a place, as bright as it comes."""
    draws = np.random.default_rng(1)
    colours = COLOURS[draws.integers(0, 3, (30, SIDE, SIDE))] * draws.integers(40, 256, (30, SIDE, SIDE, 1))
    return ico.load_images(colours.astype(np.uint8), labels=["flag"] * 24 + ["other"] * 6)


@pytest.fixture(scope="module")
def asked(network, images):
    return ico.concepts(network, images, "rectified", "flag", count=3, resamples=3, steps=2)


def test_planted_factors_come_back(asked):
    np.testing.assert_allclose(cosines_to(DIRECTIONS.astype(np.float32), asked.directions), 1, atol=1e-3)
    assert asked.explained > 0.999 and len(asked.ids) == 24
    np.testing.assert_allclose(asked.stability, 1, atol=1e-3)


def test_the_loss_is_what_a_linear_head_makes_of_the_part(network, images, asked):
    pixels = np.stack([image.pixels for image in images.where(label="flag")]) / 255
    weight = network.module.get_parameter("head.weight")[0].detach().numpy().astype(np.float64)
    for number, direction in enumerate(asked.directions):
        colour = int((DIRECTIONS @ direction).argmax())
        expected = pixels[..., colour].mean((1, 2)) * (DIRECTIONS[colour] @ weight)
        np.testing.assert_allclose(asked.losses[:, number], expected, atol=2e-3)
    assert (np.diff(asked.loss) <= 0).all()


def test_each_share_is_what_is_lost_without_it(network, images, asked):
    maps = read_class_maps(network, images[:24], "rectified", 0, "refuse").maps.reshape(-1, 5)
    weights = amounts(maps, asked.directions)
    total = ((maps - maps.mean(0)) ** 2).sum()
    for number in range(3):
        rest = maps - np.delete(weights, number, 1) @ np.delete(asked.directions, number, 0)
        assert asked.explained_without[number] == pytest.approx(1 - (rest**2).sum() / total, abs=1e-4)


def test_with_nothing_removed_the_logit_is_the_clean_one(squeezenet, data):
    photographs = ico.load_images(data / "imagenet" / "images")[:2]
    maps = read_class_maps(squeezenet, photographs, "features.9", 7, "refuse")
    assert (maps.logits_without(np.zeros_like(maps.maps)) == maps.logits).all()
    # And with all of it removed, that of a network whose layer is silent.
    silent = squeezenet.module.get_submodule("features.9").register_forward_hook(
        lambda module, inputs, output: output * 0
    )
    try:
        again = read_class_maps(squeezenet, photographs, "features.12", 7, "refuse").logits
    finally:
        silent.remove()
    np.testing.assert_allclose(maps.logits_without(maps.maps), again, atol=1e-5)


def test_exemplars_are_the_strongest_places(asked, images):
    pixels = np.stack([image.pixels for image in images.where(label="flag")]) / 255
    for number, direction in enumerate(asked.directions):
        strongest = pixels[..., int((DIRECTIONS @ direction).argmax())].reshape(24, -1).max(1)
        np.testing.assert_allclose(asked.values[number], np.sort(strongest)[::-1][:6], atol=2e-3)
        rows = asked.shown[asked.exemplars[number]]
        np.testing.assert_allclose(strongest[rows], asked.values[number], atol=2e-3)
        for exemplar, (top, left, bottom, right) in enumerate(asked.fields[number].tolist()):
            assert (bottom - top, right - left) == (1, 1)  # a place of a 1x1 convolution sees one pixel
            seen = pixels[rows[exemplar], top, left]
            assert seen.max() == pytest.approx(asked.values[number, exemplar], abs=2e-3)
            assert (asked.cell(number, exemplar) / 255 == seen).all()


def test_factors_are_those_of_scikit_learn():
    from sklearn.decomposition import NMF

    vectors = np.random.default_rng(0).gamma(0.5, size=(300, 8)).astype(np.float32)
    count: Any = 4  # of which the stubs know texts alone
    theirs = NMF(count, init="nndsvda", random_state=0, max_iter=1000).fit(vectors).components_
    lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(factorize(vectors, 4, seed=0), theirs / lengths, atol=1e-5)


def test_amounts_are_the_non_negative_least_squares():
    from scipy.optimize import nnls

    draws = np.random.default_rng(0)
    vectors, directions = draws.gamma(0.5, size=(40, 8)).astype(np.float32), draws.random((4, 8)).astype(np.float32)
    expected = [nnls(directions.T, vector)[0] for vector in vectors]
    np.testing.assert_allclose(amounts(vectors, directions), expected, atol=2e-3)


def test_tokens_without_a_relu_are_cut_and_the_token_of_the_class_stays():
    class Tokens(nn.Module):
        preprocessing = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}  # noqa: RUF012
        classes = ("a", "b")

        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 6, 4, 4)
            self.mix = nn.Linear(6, 6)
            self.head = nn.Linear(6, 2)

        def forward(self, x):
            patches = self.patches(x).flatten(2).transpose(1, 2)
            tokens = self.mix(torch.cat([patches.mean(1, keepdim=True) + 1, patches], 1))
            return self.head(tokens[:, 0] + tokens[:, 1:].mean(1))

    torch.manual_seed(0)
    module = Tokens()
    network = ico.load_network(module, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    with pytest.raises(UnitError, match="less than zero") as refused:
        ico.concepts(network, pixels, "mix", "a", count=2, over="all")
    assert "negative" in refused.value.hint
    settings = {"count": 2, "over": "all", "negative": "cut", "resamples": 0, "steps": 0}
    concepts = ico.concepts(network, pixels, "mix", "a", **settings)
    assert (concepts.rows, concepts.columns) == (4, 4) and np.isnan(concepts.stability).all()
    maps = read_class_maps(network, ico.load_images(pixels), "mix", 0, "cut")
    everything = maps.logits - maps.logits_without(maps.maps)  # of the patches: the class's own token stays
    expected = maps.maps.mean(1) @ module.head.weight[0].detach().numpy()
    np.testing.assert_allclose(everything, expected, atol=1e-5)


def test_a_result_comes_back_from_disk_and_from_a_store(network, images, asked, tmp_path):
    again = ico.load_result(asked.save(tmp_path / "concepts"))
    assert isinstance(again, ico.Concepts) and again.summary() == asked.summary()
    assert (again.maps == asked.maps).all() and again.to_json() == asked.to_json()
    again.save(tmp_path / "concepts.png")
    settings = {"count": 2, "resamples": 0, "steps": 0, "store": tmp_path / "run"}
    first = ico.concepts(network, images, "rectified", "flag", **settings)
    assert len(ico.Store(tmp_path / "run")) == 1
    assert (ico.concepts(network, images, "rectified", "flag", **settings).losses == first.losses).all()
    assert "2 concepts of rectified" in ico.report(tmp_path / "run", tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("layer", "cls", "settings", "error", "match", "hint"),
    [
        ("signed", "flag", {}, UnitError, "less than zero", "rectified"),
        ("rectified", "flga", {}, UnitError, "no class", "flag"),
        ("rectified:1", "flag", {}, QuestionError, "is a unit", "rectified"),
        ("rectified", "flag", {"count": 6}, QuestionError, "5 channels", "5 or fewer"),
        ("rectified", "flag", {"count": 0}, QuestionError, "count", ""),
        ("rectified", "flag", {"over": "labels"}, QuestionError, "over='labels'", "class"),
        ("rectified", "flag", {"resamples": -1}, QuestionError, "^resamples=-1 must be 0 to 1,000.$", ""),
        ("rectified", "flag", {"steps": -1}, QuestionError, "^steps=-1 must be 0 to 1,000,000.$", ""),
        ("logit:flag", "flag", {}, QuestionError, "is a unit", "name of a layer"),
    ],
)
def test_what_makes_no_sense_is_refused(network, images, layer, cls, settings, error, match, hint):
    with pytest.raises(error, match=match) as caught:
        ico.concepts(network, images, layer, cls, **settings)
    assert hint in (caught.value.hint or "")


@pytest.mark.filterwarnings("ignore:Concepts of one image alone")
def test_a_layer_that_answers_the_same_everywhere_is_refused():
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU(), nn.Linear(3, 2))
    net = ico.load_network(module, classes=("a", "b"), preprocessing={"size": 8, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    picture = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    for images in (picture, picture.repeat(3, 0)):
        with pytest.raises(QuestionError, match="nothing varies"):
            ico.concepts(net, images, "2", "a", count=1, over="all", resamples=0, steps=0)


def test_a_class_without_images_is_refused(network, images):
    with pytest.raises(ImagesError, match="labelled flag") as caught:
        ico.concepts(network, images[24:], "rectified", "flag")
    assert "other 6" in caught.value.hint and "over='all'" in caught.value.hint


def test_concepts_of_one_image_are_told_to_be_of_that_picture(network, images):
    with pytest.warns(ico.errors.IconoscopeWarning, match="Concepts of one image alone"):
        alone = ico.concepts(network, images[:1], "rectified", "flag", count=2, resamples=2, steps=0, over="all")
    assert np.isnan(alone.stability).all() and np.isnan(alone.loss_error).all()
