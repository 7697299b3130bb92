"""Styles beside each other, and what a second network says of their pictures."""

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.results import StyleComparison


@pytest.fixture(scope="module")
def network():
    return ico.load_network("cars-honest", device="cpu")


def test_the_judge_says_what_it_says_of_the_pictures_themselves(network, tmp_path):
    judge = ico.load_network("cars", device="cpu")
    compared = ico.compare_styles(network, "logit:lynx", ["none", "blur"], judge=judge, count=2, steps=3)
    for asked, named in ((network, "own_probability"), (judge, "judge_probability")):
        for made in compared.results:
            alone = ico.predict(asked, (made.images * 255).round().astype(np.uint8))[:, asked.class_index("lynx")]
            assert np.allclose(getattr(made, named), alone, atol=0.02)  # pictures are not rounded to 8 bits
    assert "judge cars" in compared.summary() and compared.to_json()["judge"] == "cars"
    again = StyleComparison.load(compared.save(tmp_path / "kept"))
    assert again.names == compared.names == ["none", "blur"]
    assert again.to_json() == compared.to_json()
    assert compared.save(tmp_path / "styles.png").stat().st_size > 1000


def test_pictures_along_a_prior_are_one_of_the_styles():
    network = ico.load_network("cifar10", device="cpu")
    compared = ico.compare_styles(network, "logit:deer", ["none", "prior"], prior="cifar10", steps=2)
    assert compared["prior"].prior and not compared["none"].prior
    titles = [axes.get_title() for axes in compared.plot()]
    assert "gaussian prior" in titles[1] and "plain pixels" in titles[0]


def test_a_unit_without_a_class_has_no_probability(network):
    compared = ico.compare_styles(network, "conv3:1", ["none"], steps=1)
    assert compared["none"].own_probability is None and "moved about" in compared.summary()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"styles": ["blurr"]}, "blur"),
        ({"styles": ["prior"]}, "prior="),
        ({"styles": ["none"], "prior": "cifar10"}, "Add"),
        ({"judge": "cifar10"}, "no class 'lynx'"),
        ({"unit": "conv3:1", "judge": "cars"}, "logit:truck"),
        ({"unit": "conv3:0-1"}, "2 units"),
        ({"out": "styles.gif"}, "png"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_made(network, settings, message):
    with pytest.raises(ico.IconoscopeError) as caught:
        ico.compare_styles(network, settings.pop("unit", "logit:lynx"), steps=10**6, **settings)
    assert message in f"{caught.value.message} {caught.value.hint}"
    with pytest.raises(ico.errors.QuestionError, match="bulr"):
        ico.compare_styles(network, "logit:lynx", ["none"], steps=1)["bulr"]


def test_styles_of_plain_pixels_are_for_every_number_of_channels():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    grey = ico.load_network(
        module, classes=["a", "b"], preprocessing={"size": 8, "mean": (0.5,), "std": (0.25,)}, device="cpu"
    )
    compared = ico.compare_styles(grey, "logit:a", steps=1)
    assert {made.images.shape for made in compared.results} == {(1, 8, 8, 1)} and len(compared.names) == 6


def test_no_style_is_no_comparison(network):
    with pytest.raises(ico.errors.QuestionError, match="No style was named"):
        ico.compare_styles(network, "logit:lynx", [])
    assert "in 1 style, by" in ico.compare_styles(network, "logit:lynx", ["none"], steps=1).summary()
