"""What real images answer, the cap that is made of it, and the numbers that a network is asked in."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.optimization import Pixels, Style, synthesis
from iconoscope.optimization.objective import objectives
from iconoscope.optimization.reference_activations import BATCH, ReferenceAnswers, read_reference

PLAIN = Style(parameterization=Pixels(), transforms=None, colours=np.eye(3))
PREPROCESSING = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}


class Layers(nn.Module):
    """A convolution behind a ReLU and a head, which counts how many pictures it was shown."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2)
        self.told = SimpleNamespace(shown=0)

    def forward(self, x):
        self.told.shown += len(x)
        return self.head(self.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture
def network():
    return ico.load_network(Layers(), preprocessing=PREPROCESSING, classes=["a", "b"], device="cpu")


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH * 2 + 3, 8, 8, 3), dtype=np.uint8)
    return ico.load_images(pixels, labels=["a" if place % 3 else "b" for place in range(len(pixels))])


def logits(network, images):
    with torch.inference_mode():
        return network.module(network.preprocessing.normalise(np.stack([each.pixels for each in images])))


def test_all_objectives_are_asked_in_one_pass_of_each_kind(network, images):
    natural = read_reference(network, images)
    asked = [objectives(network, text)[0] for text in ("conv:0", "relu:1", "logit:a", "logit:a", "2*logit:a - logit:b")]
    network.module.told.shown = 0
    found = natural.answers(network, asked)
    assert network.module.told.shown == 2 * len(images) and len(found) == 4
    answers = logits(network, images)
    assert np.allclose(found[asked[2]].behind, answers[:, 0], atol=1e-5)
    assert np.allclose(found[asked[4]].behind, 2 * answers[:, 0] - answers[:, 1], atol=1e-5)
    with torch.inference_mode():
        shown = network.preprocessing.normalise(np.stack([each.pixels for each in images]))
        maps = network.module.conv(shown)[:, 1]
    assert np.allclose(found[asked[1]].behind, maps.relu().mean((1, 2)), atol=1e-5)
    below = torch.where(maps > 0, maps, 0.1 * maps).mean((1, 2))
    assert np.allclose(found[asked[1]].before, below, atol=1e-5)


def test_a_class_is_measured_by_its_own_images(network, images):
    natural = read_reference(network, images)
    asked, other, minus = (objectives(network, text)[0] for text in ("logit:b", "conv:0", "-logit:b"))
    found = natural.answers(network, [asked, other, minus])
    own = logits(network, images)[::3, 1].numpy()
    assert np.allclose(found[asked].before, own, atol=1e-5)
    assert len(found[other].before) == len(found[minus].before) == len(images)
    assert np.isclose(found[asked].strongest, float(logits(network, images)[:, 1].max()), atol=1e-5)


@pytest.mark.parametrize(
    ("answers", "times", "cap"), [([2.0, 2.0], 1.5, 3.0), ([-2.0, -2.0], 1.5, -1.0), ([0.0], 2, 0)]
)
def test_a_cap_lies_above_strong_answers_also_where_they_are_below_zero(answers, times, cap):
    both = np.array(answers, np.float32)
    assert ReferenceAnswers(behind=both, before=both).cap(times) == pytest.approx(cap)


def test_a_cap_is_a_multiple_of_the_answers_of_real_images(network, images):
    (own,) = read_reference(network, images).answers(network, [objectives(network, "logit:a")[0]]).values()
    cap = own.cap(3.0)
    free = ico.optimize(network, "logit:a", steps=150, style=PLAIN, compare=images)
    held = ico.optimize(network, "logit:a", steps=150, style=PLAIN, compare=images, cap=3.0)
    # Adam goes on for a while by its momentum, and nothing calls it back.
    assert 0 < cap <= held.activation[0] < 0.5 * (cap + free.activation[0])
    assert not held.dead[0] and "capped at 3 times" in held.style
    assert held.question.key != free.question.key


def test_labels_are_part_of_the_question(network, images):
    pixels = np.stack([each.pixels for each in images])
    keys = {
        ico.optimize(network, "logit:a", steps=1, compare=each, cap=2.0).question.key
        for each in (images, pixels, ico.load_images(pixels, labels=["b"] * len(pixels)))
    }
    assert len(keys) == 3


def test_bfloat16_makes_nearly_the_same_picture_and_says_so(network):
    exact = ico.optimize(network, "conv:1", steps=20, style=PLAIN)
    try:
        half = ico.optimize(network, "conv:1", steps=20, style=PLAIN, precision="bfloat16")
    except ico.errors.QuestionError as refused:
        assert "processor" in refused.message
        pytest.skip("a processor without bfloat16")
    assert half.images.dtype == np.float32 and not np.array_equal(half.images, exact.images)
    assert np.abs(half.images - exact.images).mean() < 0.02
    assert "bfloat16" in half.style and "bfloat16" not in exact.style
    assert half.question.key != exact.question.key
    assert {each.dtype for each in network.module.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cap": 1.4}, "compare=FOLDER"),
        ({"cap": 0}, "cap=0"),
        ({"cap": float("nan")}, "cap is NaN"),
        ({"precision": "bfloat61"}, "bfloat16"),
        ({"steps": 2.5}, "steps=2.5"),
        ({"count": 1.5}, "count=1.5"),
        ({"size": (8, 8, 8)}, r"(8, 8, 8)"),
        ({"diversity": float("nan"), "count": 2}, "diversity is NaN"),
    ],
)
def test_bad_settings_say_what_would_work(network, settings, message):
    with pytest.raises(ico.errors.QuestionError) as caught:
        ico.optimize(network, "logit:a", **settings)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_weights_that_differ_little_are_two_questions(network):
    keys = {
        ico.optimize(network, weight * ico.unit("logit:a"), steps=1).question.key for weight in (1 / 3, 0.3333333, 0.33)
    }
    assert len(keys) == 3


class Grating:
    """Costs nothing, and says nothing of itself."""

    def __call__(self, pictures):
        return 0 * pictures.sum((1, 2, 3))


def test_a_store_wants_to_know_what_a_style_is_made_of(network, tmp_path):
    style = Style(regularizers=(Grating(),))
    with pytest.raises(ico.errors.QuestionError, match="Grating does not say its settings"):
        ico.optimize(network, "logit:a", steps=1, style=style, store=tmp_path / "run")
    assert len(ico.optimize(network, "logit:a", steps=1, style=style)) == 1


def test_ctrl_c_while_pictures_are_judged_loses_nothing(network, monkeypatch, tmp_path):
    whole = ico.optimize(network, "conv:0", steps=5)

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(synthesis.Synthesis, "_held_out_answers", interrupted)
    with pytest.warns(ico.IconoscopeWarning, match="Interrupted: 1 of 1 pictures"):
        found = ico.optimize(network, "conv:0", steps=5, store=tmp_path / "run")
    assert np.array_equal(found.images, whole.images) and np.array_equal(found.objective, whole.objective)
    assert np.isnan(found.activation[0]) and not found.dead[0]
    assert len(ico.Store(tmp_path / "run")) == 0


def test_nan_at_the_first_step_is_said_of_all_steps():
    module = Layers()
    module.conv.weight.data[0] = float("nan")
    network = ico.load_network(module, preprocessing=PREPROCESSING, classes=["a", "b"], device="cpu")
    with pytest.raises(ico.errors.NonFiniteError, match="step 1 of 7"):
        ico.optimize(network, "conv:0", steps=7)
