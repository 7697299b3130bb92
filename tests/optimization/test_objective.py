"""Objectives: how they are written, and what they read."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from iconoscope.optimization.objective import objectives, read_objective
from iconoscope.optimization.scores import Scores
from iconoscope.subject.probe import probe


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


@pytest.fixture
def network():
    torch.manual_seed(0)
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(Two(), preprocessing=preprocessing, classes=["bird", "truck", "great tit"], device="cpu")


@pytest.mark.parametrize(
    "text",
    [
        "logit:bird",
        "2*logit:bird - logit:truck",
        "-layer1.0.conv1:17@5,3",
        "logit:great tit + 0.5*prob:bird - 3*conv:2@center",
    ],
)
def test_texts_are_read_and_written_alike(text):
    assert str(read_objective(text)) == text


def test_objectives_add_subtract_and_scale():
    bird, truck = ico.unit("logit:bird"), ico.unit("logit:truck")
    assert str(2 * bird - truck) == "2*logit:bird - logit:truck"
    assert str(-(bird - 0.5 * truck)) == "-logit:bird + 0.5*logit:truck"
    assert str(0 + bird + truck) == "logit:bird + logit:truck"
    assert str(bird + "conv:1") == "logit:bird + conv:1"
    assert [str(each) for each in ico.interpolate(bird, truck, 3)][1] == "0.5*logit:bird + 0.5*logit:truck"


@pytest.mark.parametrize("text", ["", "  ", "logit:bird truck + ", "2*", "a b:3", "logit:bird + - x y:1"])
def test_what_is_no_objective_is_refused(network, text):
    with pytest.raises(ico.errors.UnitError):
        objectives(network, text)


def test_many_units_are_written_as_one(network):
    assert [str(each) for each in objectives(network, "conv:1-2")] == ["conv:1", "conv:2"]
    assert [str(each) for each in objectives(network, ["conv:*", "logit:1"])][3:] == ["conv:3", "logit:truck"]
    with pytest.raises(ico.errors.UnitError, match="channels are 0 to 3"):
        objectives(network, "conv:2-4")
    with pytest.raises(ico.errors.UnitError, match="has no class"):
        objectives(network, "logit:brid")


def test_every_picture_of_a_batch_answers_its_own_objective(network):
    batch = torch.randn(9, 3, 8, 8)
    vector = np.array([1.0, -2.0, 0.5, 0.0])
    asked = [
        "logit:bird",
        "conv:2",
        "conv:1@2,3",
        "conv",
        "prob:truck",
        ico.region("conv:0", (1, 3), (0, 5)),
        ico.direction("conv", vector),
        ico.direction("conv", vector, cosine=2),
        "2*conv:3 - 0.5*logit:great tit",
    ]
    scores = Scores([each for one in asked for each in objectives(network, one)], network)
    with torch.no_grad(), probe(network, scores.layers) as read:
        found = scores(read(batch))
        maps = network.module.conv(batch)
        logits = network.module(batch)

    def channel(values):
        return torch.where(values > 0, values, 0.1 * values).mean()

    direction = torch.from_numpy(vector).float()
    dot = torch.einsum("c,chw->hw", direction, maps[7])
    cosine = (dot / (maps[7].norm(dim=0) * direction.norm())).clamp_min(0.1)
    by_hand = [
        logits[0, 0],
        channel(maps[1, 2]),
        maps[2, 1, 2, 3],
        maps[3].square().mean(),
        logits[4].log_softmax(0)[1],
        channel(maps[5, 0, 1:4, 0:6]),
        torch.einsum("c,chw->hw", direction, maps[6]).mean(),
        (dot * cosine**2).mean(),
        2 * channel(maps[8, 3]) - 0.5 * logits[8, 2],
    ]
    assert torch.allclose(found, torch.stack(by_hand), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("conv:7", "no channel 7"),
        ("conv:1@9,0", "no position 9,0"),
        ("head:1@0,0", "vector"),
        (ico.region("conv:1", (0, 9), (0, 1)), "outside"),
        (ico.direction("conv", [1.0, 2.0]), "4 channels"),
    ],
)
def test_what_a_layer_does_not_have_is_said_when_it_answers(network, asked, message):
    with pytest.raises(ico.errors.UnitError, match=message):
        ico.optimize(network, asked, steps=1)


def test_directions_and_regions_that_make_no_sense():
    for vector in ([], [0.0, 0.0], [float("nan")], [[1.0]]):
        with pytest.raises(ico.errors.QuestionError):
            ico.direction("conv", vector)
    with pytest.raises(ico.errors.QuestionError):
        ico.direction("conv:1", [1.0])
    with pytest.raises(ico.errors.QuestionError):
        ico.region("conv", (0, 1), (0, 1))
    with pytest.raises(ico.errors.QuestionError):
        ico.interpolate("conv:1", "conv:2", 1)


def test_a_layer_is_read_before_its_relu_only_if_wished(network):
    class Rectified(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 2, 1), nn.ReLU(inplace=True)

        def forward(self, x):
            return F.max_pool2d(self.relu(self.conv(x)), 2).flatten(1)

    module = Rectified()
    subject = ico.load_network(
        module,
        preprocessing={"size": 4, "mean": (0.5,) * 3, "std": (0.25,) * 3},
        classes=list("abcdefgh"),
        device="cpu",
    )
    batch = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        before = module.conv(batch)
        with probe(subject, ["relu"], before_relu=True) as read:
            assert torch.equal(read(batch)["relu"], before)
        with probe(subject, ["relu", "conv"]) as read:
            found = read(batch)
        assert torch.equal(found["relu"], before.relu()) and torch.equal(found["conv"], before)
    assert not module.relu._forward_hooks


def test_a_function_scores_as_the_unit_that_it_writes_out(network):
    """The mean of a channel's map where below zero counts a tenth, of the sum of two answers: as `Scores` has units."""
    asked = [
        *objectives(network, lambda answers: F.leaky_relu(answers["conv"][2], 0.1).mean() - 2 * answers["logits"][1]),
        *objectives(network, "conv:2 - 2*logit:truck"),
        *objectives(network, 3 * ico.unit(lambda answers: answers["head"][0]) - "logit:bird"),
        *objectives(network, "2*logit:bird"),
    ]
    scores = Scores(asked, network)
    assert set(scores.layers) == {"conv", "head", ""}
    with probe(network, scores.layers) as read:
        function, unit, mixed, scaled = scores(read(torch.rand(1, 3, 8, 8).repeat(4, 1, 1, 1))).tolist()
    assert function == pytest.approx(unit, abs=1e-6) and mixed == pytest.approx(scaled, abs=1e-6)
    assert [str(each) for each in asked[::2]] == ["lambda(conv, logits)", "3*lambda(head) - logit:bird"]


READS = itertools.count(1)


def changing(answers):
    return answers["conv" if next(READS) == 1 else "head"].mean()


def differentiated(answers):
    answers["conv"].square().mean().backward()
    return answers["conv"].square().mean()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 1, "cannot be called with one argument"),
        (lambda answers, scale: answers["conv"].mean(), "missing a required argument: .scale"),
        (lambda answers: answers["logits"], r"shape \(3,\).*one number"),
        (lambda answers: answers["logits"][0].item(), "one number, as a tensor"),
        (lambda answers: answers["logits"].argmax(), "int64"),
        (lambda answers: (answers["logits"].amax() > 0).float(), "no gradient"),
        (lambda answers: torch.zeros(()), "reads no layer"),
        (lambda answers: answers["conv"][7].mean(), "lambda fails: IndexError"),
        (lambda answers: 1 / 0, r"fails: ZeroDivisionError.*test_objective.py, line"),
        (lambda answers: answers["conv:1"].mean(), "'conv:1' is not the name of a layer"),
        (lambda answers: answers[0], "0 is not the name of a layer"),
        (changing, "reads 'head', which it did not"),
        (differentiated, "takes its gradient itself"),
    ],
)
def test_a_function_that_cannot_be_asked_says_why(network, function, message):
    with pytest.raises(ico.errors.QuestionError, match=message):
        ico.optimize(network, function, steps=2)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda answers: (answers["logits"][0] * 0).log(),
            "What was asked for is NaN or infinity at step 1 of 3, and the",
        ),
        (lambda answers: (answers["logits"][0] * 0).sqrt(), "The gradient of what was asked for is NaN"),
    ],
)
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.filterwarnings("error")
def test_a_function_that_is_not_finite_is_not_laid_to_the_network(network, function, message, steps):
    with pytest.raises(ico.errors.NonFiniteError, match=message.replace("3", str(steps))):
        ico.optimize(network, function, steps=steps)


def test_a_layer_that_a_function_misnames_is_answered_with_the_nearest(network):
    with pytest.raises(ico.errors.UnitError, match="conv"):
        ico.optimize(network, lambda answers: answers["con"].mean())


def test_pictures_of_a_function_are_those_of_its_unit(network):
    """From the same start, as random numbers come of the name: the same steps on the same objective."""

    def neuron(answers):
        return answers["conv"][1, 4, 4]

    settings = {"steps": 8, "start": np.full((8, 8, 3), 0.4, np.float32), "style": "none"}
    function, unit = (ico.optimize(network, asked, **settings) for asked in (neuron, "conv:1@4,4"))
    assert function.units == ("neuron(conv)",) and not function.dead.any()
    np.testing.assert_allclose(function.images, unit.images, atol=1e-5)
    np.testing.assert_allclose(function.objective, unit.objective, atol=1e-5)


def test_a_function_is_kept_by_all_that_it_reads(network, tmp_path):
    gain = [1.0]

    def margin(answers):
        return gain[0] * answers["logits"][0]

    asked = [ico.optimize(network, margin, steps=2, store=tmp_path) for _ in range(2)]
    gain[0] = 2.0
    asked.append(ico.optimize(network, margin, steps=2, store=tmp_path))
    keys = [one.question.key for one in asked]
    assert keys[0] == keys[1] != keys[2] and len(list(tmp_path.glob("optimize/*"))) == 2
    assert (
        ico.load_result(ico.Store(tmp_path).folder_of(asked[0].question)).to_json()["pictures"][0]["unit"]
        == "margin(logits)"
    )


def test_a_function_of_which_not_all_is_seen_is_not_kept(network, tmp_path):
    lines = (1.0 for _ in range(100))  # what a generator will give cannot be seen

    with pytest.warns(ico.IconoscopeWarning, match="cannot be compared"):
        ico.optimize(network, lambda answers: next(lines) * answers["logits"][0], steps=2, store=tmp_path)
    assert not list(tmp_path.glob("optimize/*"))
