"""What noise leaves off begins at a pattern: whatever is asked for, however many at once, and whatever else is told."""

import gc
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.optimization import Pixels, Style, synthesis, waking

ASLEEP, AWAKE = "flatten:47", "flatten:0"  # of cars-honest, by the noise of seed 0


@pytest.fixture(scope="module")
def network():
    return ico.load_network("cars-honest", device="cpu")


def small(module):
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(module, preprocessing=preprocessing, classes=list("abcd"), device="cpu")


class Brighter(nn.Module):
    """Behind the mean of a ReLU there is no gradient where the picture is darker than grey."""

    def forward(self, x):
        lit = x.mean((1, 2, 3), keepdim=True).relu().expand(-1, 4, 2, 2)
        return lit.mean((2, 3))


def test_images_to_compare_with_leave_no_picture_grey(network):
    """Real images that turn a unit on say that it is not dead, and nothing about the noise that leaves it off."""
    images = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    alone = ico.optimize(network, ASLEEP, steps=4)
    beside = ico.optimize(network, ASLEEP, steps=4, compare=images)
    bright = ico.optimize(small(Brighter()), "logit:a", steps=4, seed=1, compare=[np.full((8, 8, 3), 255, np.uint8)])
    assert np.allclose(alone.images, beside.images, atol=1e-5) and beside.activation[0] > 0
    assert bright.activation[0] > 0


@pytest.mark.parametrize(
    "asked",
    [
        lambda answers: answers["flatten"][47],
        ico.unit(ASLEEP) - ico.unit("flatten:8"),
        [ASLEEP, lambda answers: 2 * answers["flatten"][47]],
    ],
)
def test_what_is_made_of_units_that_noise_leaves_off_begins_at_a_pattern_too(network, asked):
    found = ico.optimize(network, asked, steps=4)
    assert (found.activation > 0).all() and not found.dead.any()


@pytest.mark.parametrize("inplace", [False, True])
def test_a_maximum_pooling_behind_a_relu_is_asked_as_it_answers(inplace):
    """The loop has the ReLU done after the pooling, within one function: nothing lies before it there that has a gradient."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 4))
    with torch.no_grad():
        module[0].bias.copy_(torch.linspace(-1, 1, 6))  # pyright: ignore[reportArgumentType, reportCallIssue]
    found = ico.optimize(small(module), "2:*", steps=8)
    assert (found.activation > 0).all() and not found.dead.any()
    assert (found.activation > found.objective[:, 0]).all()


def test_what_a_picture_begins_at_does_not_hang_on_what_is_made_with_it(network, monkeypatch):
    together = ico.optimize(network, ASLEEP, steps=2, count=3)
    monkeypatch.setattr(synthesis, "MOST", 1)
    apart = ico.optimize(network, ASLEEP, steps=2, count=3)
    assert np.allclose(together.images, apart.images, atol=5e-3)
    assert abs(apart.images[0] - apart.images[1]).max() > 0.1


def test_a_default_of_64_bits_changes_no_pattern(network):
    expected = ico.optimize(network, ASLEEP, steps=2)
    torch.set_default_dtype(torch.float64)
    try:
        found = ico.optimize(network, ASLEEP, steps=2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.allclose(found.images, expected.images, atol=1e-5)


def test_no_more_patterns_are_held_than_go_through_the_network_together(network, monkeypatch):
    """All of 768 pixels take half a gigabyte."""
    sides, held = (200, 200), []

    def counting(pictures, size, **how):
        if next(calls) % 16 == 15:  # to look at all that there is takes its time
            tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor and thing.shape[2:] == sides]
            held.append(sum(len(pattern) for pattern in tensors))
        return plain(pictures, size, **how)

    plain, calls = waking.interpolate, itertools.count()
    monkeypatch.setattr(waking, "interpolate", counting)
    assert not ico.optimize(network, ASLEEP, steps=1, size=sides).dead.any()
    assert 0 < max(held) <= 4 * waking.TOGETHER < waking.CANDIDATES


def test_a_unit_that_can_answer_no_more_is_not_dead():
    class Hard(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.head = nn.Linear(192, 4)
            self.act = nn.Hardsigmoid()

        def forward(self, x):
            return self.act(20 * self.head(x.flatten(1)))

    found = ico.optimize(small(Hard()), "act:*", steps=24)
    assert (found.activation == 1).all() and not found.last_gradient.any() and not found.dead.any()


def test_a_unit_that_one_noise_turns_on_is_not_dead_in_whatever_batch(monkeypatch):
    monkeypatch.setattr(waking, "waking_pictures", lambda network, objectives, *_: [None] * len(objectives))
    style = Style(parameterization=Pixels(), transforms=None)
    for most in (64, 1):
        monkeypatch.setattr(synthesis, "MOST", most)
        found = ico.optimize(small(Brighter()), "logit:a", steps=2, count=6, style=style)
        assert (found.activation == 0).any() and (found.activation > 0).any(), "both kinds of noise are tried"
        assert not found.dead.any()


def test_who_ends_the_search_for_a_pattern_is_told_of_no_dead_unit(network, monkeypatch):
    def ended(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(waking, "waking_pictures", ended)
    with pytest.warns(ico.IconoscopeWarning, match="Interrupted"):
        found = ico.optimize(network, ASLEEP, steps=2)
    assert not found.dead.any()
