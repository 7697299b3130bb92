"""Pictures along a prior: they stay where images may be, and say how they stand among them."""

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.optimization import Fourier, Style
from iconoscope.optimization.latent_parameterization import LatentParameterization, real_images, style_with_prior
from iconoscope.optimization.objective import objectives
from iconoscope.priors import fit_prior

SIZE = 12
PREPROCESSING = {"size": SIZE, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}


class Corner(nn.Module):
    """One logit for the pixels at the left and one for those at the right."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * SIZE * SIZE, 2, bias=False)
        weight = torch.zeros(2, 3, SIZE, SIZE)
        weight[0, :, :, :4], weight[1, :, :, 8:] = 0.05, 0.05
        self.head.weight.data = weight.flatten(1)

    def forward(self, x):
        return self.head(x.flatten(1))


@pytest.fixture
def network():
    return ico.load_network(Corner(), preprocessing=PREPROCESSING, classes=["high", "low"], device="cpu")


def planted(count=300, seed=0):
    """Images whose brightness varies, of two classes, and a gradient from top to bottom; they never vary across."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    down = np.linspace(-1, 1, SIZE)[None, :, None, None]
    bright = (draw.standard_normal(count) * 0.05 + np.where(labels, 0.08, -0.08))[:, None, None, None]
    pixels = 0.5 + bright + down * 0.05 * draw.standard_normal(count)[:, None, None, None]
    whole = np.broadcast_to(pixels, (count, SIZE, SIZE, 3))
    return ico.load_images((whole * 255).round().astype(np.uint8), labels=["High" if one else "low" for one in labels])


@pytest.fixture(scope="module")
def prior():
    return fit_prior(planted(), name="planted")


def test_only_what_images_may_be_is_changed(network, prior):
    free = ico.optimize(network, "logit:high", steps=30)
    along = ico.optimize(network, "logit:high", steps=30, prior=prior, cap=float("inf"))
    across = np.abs(along.images - along.images.mean(2, keepdims=True)).max()
    assert across < 0.02 < np.abs(free.images - free.images.mean(2, keepdims=True)).max()
    assert along.images.mean() > 0.55  # it is brighter for all that
    assert "planted" in along.prior and free.prior == "" and free.likelihood is None


def test_the_less_likely_a_picture_is_the_more_it_costs(network, prior):
    def reached(weight):
        style = Style(
            parameterization=LatentParameterization(prior, weight=weight, limits=0), transforms=None, rate=0.2
        )
        return ico.optimize(network, "logit:high", steps=80, prior=prior, style=style, cap=float("inf"))

    light, heavy = reached(0.01), reached(10.0)
    assert light.activation[0] > heavy.activation[0]
    assert light.likelihood is not None and heavy.likelihood is not None
    assert light.likelier_than is not None and heavy.likelier_than is not None
    assert light.likelihood[0] < heavy.likelihood[0]
    assert light.likelier_than[0] < 0.02 < heavy.likelier_than[0]


def test_asked_for_what_real_images_answer_if_nothing_else_is_said(network, prior):
    held = ico.optimize(network, "logit:high", prior=prior, count=3)
    natural = real_images(prior, network)
    assert natural is not None
    (answers,) = natural.answers(network, [objectives(network, "logit:high")[0]]).values()
    assert len(answers.before) == 150 and "capped at 1.2 times" in held.style
    assert held.objective.shape[1] == 100
    free = ico.optimize(network, "logit:high", prior=prior, count=3, cap=float("inf"))
    assert "capped" not in free.style and free.activation.min() > held.activation.max()
    assert held.natural_activation[0] == pytest.approx(answers.strongest)


def test_each_picture_is_of_the_class_that_is_asked_for(network, prior):
    asked = [objectives(network, text)[0] for text in ("logit:high", "logit:low", "-logit:low", "prob:low", "head")]
    way = LatentParameterization(prior).labelled(network.classes, asked)
    assert way.labels == (0, 1, -1, 1, -1)
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    field = LatentParameterization(prior, labels=(0, 1), spread=0).begin((2, 3, SIZE, SIZE), draws, None)
    high, low = field.raw().mean((1, 2, 3)).tolist()
    assert high > low + 0.1
    assert field.cost is not None and field.cost().abs().max() < 1e-6
    other = LatentParameterization(prior, labels=(1, 0)).begin((2, 3, SIZE, SIZE), draws, field.raw())
    assert other.cost is not None and other.cost().min() > 0.3


def test_what_a_latent_does_not_say_of_a_picture_stays(network, prior):
    stripes = np.full((1, SIZE, SIZE, 3), 100, np.uint8)
    stripes[:, :, ::2] = 160
    found = ico.optimize(network, "logit:high", start=stripes, prior=prior, steps=20)
    assert np.array_equal(found.frames[0, 0], stripes[0])
    change = found.images[0] - stripes[0] / 255
    assert change.mean() > 0.01 and np.abs(change - change.mean(1, keepdims=True)).max() < 0.02


def test_a_copy_is_caught(prior):
    real = prior.reference.pixels[7:9]
    pictures = torch.from_numpy(real).movedim(-1, 1).float() / 255
    pictures = torch.cat([pictures, pictures.flip(3), 1 - pictures])
    found = prior.comparison.compare(pictures, prior.encode(pictures), [0, 0, 0, 0, -1, -1])
    assert found.neighbours[:4, 0].tolist() == [7, 8, 7, 8]
    assert (found.distance[:4] == 0).all() and (found.distance[4:] > 0.5).all()
    assert prior.comparison.typical > 0


def test_the_spread_of_pictures_is_held_against_that_of_real_images(network, prior):
    found = ico.optimize(network, ["logit:high", "logit:low"], count=4, prior=prior, steps=5)
    diversity = found.diversity()
    assert set(diversity) == {"logit:high", "logit:low"} and all(0.2 < each < 3 for each in diversity.values())
    same = ico.optimize(
        network,
        "logit:high",
        count=2,
        prior=prior,
        steps=1,
        style=Style(parameterization=LatentParameterization(prior, spread=0)),
    )
    assert same.diversity()["logit:high"] < 0.05
    assert ico.optimize(network, "logit:high", steps=1, prior=prior).diversity() == {}


def test_a_result_says_what_it_was_made_along_and_how_it_stands(network, prior, tmp_path):
    path = prior.save(tmp_path / "planted.safetensors")
    found = ico.optimize(network, ["logit:high", "logit:low"], prior=path, steps=3, store=tmp_path / "run")
    again = ico.optimize(network, ["logit:high", "logit:low"], prior=prior, steps=3, store=tmp_path / "run")
    assert again.neighbours is not None and found.neighbours is not None and found.neighbour_names is not None
    assert len(ico.Store(tmp_path / "run")) == 2 and np.array_equal(again.neighbours, found.neighbours)
    assert found.neighbours.shape == (2, 3, SIZE, SIZE, 3) and found.neighbour_names.shape == (2, 3)
    told = found.to_json()["pictures"][0]
    assert {"likelihood", "likelier_than", "neighbour", "neighbour_distance"} <= told.keys()
    summary = ico.optimize(network, "logit:high", prior=prior, steps=3).summary()
    assert "of real images are less likely" in summary and "nearest" in summary
    other = fit_prior(planted(seed=1), name="planted")
    assert ico.optimize(network, "logit:high", prior=other, steps=3).question.key != (
        ico.optimize(network, "logit:high", prior=prior, steps=3).question.key
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"style": "none"}, "so does a prior"),
        ({"size": 20}, "Leave size out"),
        ({"cap": -1.0}, "cap=-1.0"),
    ],
)
def test_what_does_not_go_with_a_prior(network, prior, settings, message):
    with pytest.raises(ico.errors.QuestionError) as caught:
        ico.optimize(network, "logit:high", prior=prior, steps=1, **settings)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_a_style_keeps_all_but_how_pictures_are_written_down(network, prior):
    along = Style(parameterization=LatentParameterization(prior), fade=0.1)
    one = ico.optimize(network, "logit:high", steps=2, style=along)
    other = ico.optimize(network, "logit:high", steps=2, prior=prior)
    assert np.array_equal(one.images, other.images) and one.prior == other.prior
    style = style_with_prior(prior, Style(parameterization=Fourier(), rate=0.2, fade=0.5, transforms=None))
    assert isinstance(style.parameterization, LatentParameterization) and style.parameterization.prior is prior
    assert (style.rate, style.fade, style.transforms, style.limits) == (0.2, 0.5, None, "penalty")
    with pytest.raises(ico.errors.QuestionError, match="weight=-1"):
        LatentParameterization(prior, weight=-1)


def test_a_prior_of_the_shipped_kind_makes_pictures_of_the_built_in_network():
    network = ico.load_network("cifar10", device="cpu")
    found = ico.optimize(network, "logit:truck", prior="cifar10", steps=25, count=2)
    assert found.images.shape == (2, 32, 32, 3) and found.activation.min() > 5
    assert found.neighbour_distance is not None and found.neighbour_distance.min() > 0.3
