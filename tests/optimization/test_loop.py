"""The loop step by step, and what becomes of runs that end early."""

import threading
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.optimization import Pixels, Style, TotalVariation, Transforms, synthesis
from iconoscope.optimization.canvas import begin_canvas
from iconoscope.optimization.loop import Loss, adam, ascend, normalised
from iconoscope.optimization.objective import objectives
from iconoscope.optimization.scores import Scores
from iconoscope.optimization.spectator import watched_by
from iconoscope.optimization.waking import waking_pictures
from iconoscope.subject.ledger import Ledger
from iconoscope.subject.network.steadiness import Steadiness

PLAIN = Style(parameterization=Pixels(), transforms=None, colours=np.eye(3))


class Linear(nn.Module):
    """Counts its passes, and does at a pass what it is told to."""

    def __init__(self, at=None, event=None, scale=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3 * 64, 4, bias=False)
        self.head.weight.data *= scale
        # Numbers of a thread, which are no part of what a network is.
        # The pass before the first step, in which the loop looks how layers follow each other, does not count.
        self.told = threading.local()
        self.told.at, self.told.event, self.told.passes = at, event, -1

    def forward(self, x):
        self.told.passes += 1
        answer = self.head(x.flatten(1))
        return self.told.event(answer) if self.told.passes == self.told.at else answer


def network_of(module) -> Any:
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    network = ico.load_network(module, preprocessing=preprocessing, classes=list("abcd"), device="cpu")
    network.notice_changes()
    network._measured.append(Steadiness())  # as if it had been asked before: passes are counted here
    return network


def interrupt(answer):
    raise KeyboardInterrupt


def climb(network, texts, steps, stepper, *, frames=3, **charges):
    asked = [objectives(network, text)[0] for text in texts]
    draws = [torch.Generator().manual_seed(place) for place in range(len(asked))]
    grey = torch.full((len(asked), 3, 8, 8), 0.5)
    canvas = begin_canvas(Pixels(), (len(asked), 3, 8, 8), draws, grey, root=np.eye(3), limits="penalty")
    with network.questioned():
        return ascend(
            network,
            Scores(asked, network),
            canvas,
            loss=Loss(**charges),
            transforms=None,
            draws=draws,
            stepper=stepper,
            steps=steps,
            frames=frames,
        )


def test_the_first_step_goes_along_the_gradient():
    network = network_of(Linear())
    weights = network.module.head.weight.detach().view(4, 3, 8, 8)
    by_adam = climb(network, ["logit:a", "-logit:b"], 1, adam(0.02))
    signed = torch.stack([weights[0], -weights[1]])
    assert torch.allclose(by_adam.pictures - 0.5, 0.02 * signed.sign(), atol=1e-4)
    assert torch.allclose(by_adam.gradient, signed / 0.25, atol=1e-5)
    by_length = climb(network, ["logit:a", "-logit:b"], 1, normalised(0.02))
    along = signed / signed.abs().mean((1, 2, 3), keepdim=True)
    assert torch.allclose(by_length.pictures - 0.5, 0.02 * along, atol=1e-5)


def test_scores_are_those_of_the_pictures_before_each_step():
    network = network_of(Linear())
    found = climb(network, ["logit:a"], 4, normalised(0.01), frames=5)
    with torch.no_grad():
        by_hand = network.module(((found.frames[0] - 0.5) / 0.25).flatten(1))[:, 0]
    assert found.ended and torch.equal(found.frames[:, -1], found.pictures)
    assert torch.allclose(found.scores[0], by_hand[:4], atol=1e-5)
    assert bool((by_hand.diff() > 0).all())


@pytest.mark.parametrize(("steps", "frames", "kept"), [(1, 9, 2), (4, 9, 5), (100, 9, 9), (100, 1, 2)])
def test_the_first_and_the_last_frame_are_always_kept(steps, frames, kept):
    found = climb(network_of(Linear()), ["logit:a"], steps, normalised(1e-4), frames=frames)
    assert found.frames.shape[1] == kept
    assert torch.equal(found.frames[0, 0], torch.full((3, 8, 8), 0.5)) and not torch.equal(
        found.frames[0, -1], found.frames[0, 0]
    )


def test_beyond_the_cap_nothing_is_asked_for():
    found = climb(network_of(Linear()), ["logit:a", "logit:b"], 60, normalised(0.02), cap=torch.tensor([2.0, 2.0]))
    reached = found.scores.amax(1)
    step = found.scores.diff(dim=1).amax(1)
    assert bool((reached >= 2.0).all()) and bool((reached <= 2.0 + step).all())
    assert torch.equal(found.scores[:, -1], found.scores[:, -2])
    assert found.loss_gradient is not None and not found.loss_gradient.any()


@pytest.mark.parametrize("charge", ["regularizers", "diversity", "cap"])
def test_the_gradient_is_the_objectives_whatever_else_is_charged(charge):
    network = network_of(Linear())
    brightness = {"regularizers": [lambda pictures: 7 * pictures.sum((1, 2, 3))]}
    charges = {**brightness, "diversity": 5.0, "cap": torch.tensor([-9.0, -9.0])}
    found = climb(network, ["logit:a", "logit:a"], 2, adam(0.02), **{charge: charges[charge]})
    objective = network.module.head.weight.detach()[0].view(3, 8, 8).expand(2, -1, -1, -1) / 0.25
    assert torch.allclose(found.gradient, objective, atol=1e-5)
    assert found.loss_gradient is not None
    whole = {"regularizers": 7 - objective, "cap": torch.zeros_like(objective)}
    if charge in whole:
        assert torch.allclose(found.loss_gradient, whole[charge], atol=1e-5)
    else:  # two pictures alike cost most: what they are charged is another direction than the objective's
        assert found.loss_gradient.isfinite().all()
    free = climb(network, ["logit:a", "logit:a"], 2, adam(0.02))
    assert free.loss_gradient is None and torch.allclose(free.gradient, objective, atol=1e-5)


def test_a_network_that_does_not_see_the_picture_has_no_gradient_of_the_objective():
    module = Linear()
    module.told.at, module.told.event = 1, torch.Tensor.detach
    found = climb(network_of(module), ["logit:a"], 1, adam(0.02), regularizers=[lambda p: p.sum((1, 2, 3))])
    assert not found.gradient.any() and found.loss_gradient is not None and bool((found.loss_gradient == 1).all())


def test_what_charges_cost_is_no_part_of_the_scores():
    network = network_of(Linear())
    charged = climb(network, ["logit:a"], 1, adam(0.02), regularizers=[lambda pictures: 1e3 * pictures.mean((1, 2, 3))])
    assert torch.equal(charged.scores, climb(network, ["logit:a"], 1, adam(0.02)).scores)
    assert bool((charged.pictures < 0.5).all())


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_an_answer_that_is_not_finite_is_an_error_that_names_the_step(wrong):
    module = Linear(at=4, event=lambda answer: answer + wrong)
    with pytest.raises(ico.errors.NonFiniteError, match="Linear answers NaN or infinity at step 4 of 9"):
        climb(network_of(module), ["logit:a"], 9, adam(0.02))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    assert not any(each._forward_hooks for each in module.modules())


def test_one_picture_that_is_not_finite_is_not_hidden_by_the_others():
    def spoil(answer):
        return answer * torch.tensor([[1.0], [float("nan")], [1.0]])

    with pytest.raises(ico.errors.NonFiniteError, match="step 2 of 3"):
        climb(network_of(Linear(at=2, event=spoil)), ["logit:a", "logit:b", "logit:c"], 3, adam(0.02))


def test_ctrl_c_in_a_pass_keeps_the_steps_before_it():
    module = Linear(at=6, event=interrupt)
    found = climb(network_of(module), ["logit:a"], 50, normalised(0.01))
    assert not found.ended and found.scores.shape == (1, 5)
    whole = climb(network_of(Linear()), ["logit:a"], 5, normalised(0.01))
    assert torch.allclose(found.pictures, whole.pictures, atol=1e-6)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    assert not any(each._forward_hooks for each in module.modules())


def test_ctrl_c_before_anything_is_reached_ends_it_all(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        climb(network_of(Linear(at=1, event=interrupt)), ["logit:a"], 5, adam(0.02))

    def late(answer):
        answer.register_hook(interrupt)  # on the way back, when the first score is there
        return answer

    with pytest.raises(KeyboardInterrupt):
        ico.optimize(network_of(Linear(at=1, event=late)), "logit:a", steps=5, store=tmp_path / "run")
    assert len(ico.Store(tmp_path / "run")) == 0


LOGITS = [f"logit:{name}" for name in "abcd"]


def asked_in_batches(network, store):
    """Four units, one after another."""
    return ico.optimize(network, LOGITS, steps=6, style=PLAIN, store=store)


@pytest.fixture
def one_by_one(monkeypatch):
    monkeypatch.setattr(synthesis, "MOST", 1)


def test_ctrl_c_keeps_the_units_that_are_finished_and_no_other(one_by_one, tmp_path):
    whole = Linear()
    complete = asked_in_batches(network_of(whole), None)
    each = whole.told.passes // 4  # the steps of a unit, the looks at what was made; a step more to measure
    module = Linear(at=whole.told.passes - each - each // 2, event=interrupt)
    with pytest.warns(ico.IconoscopeWarning, match=r"Interrupted: \d of 4 pictures") as told:
        found = asked_in_batches(network_of(module), tmp_path / "run")
    kept = len(ico.Store(tmp_path / "run"))
    assert 1 <= kept < 4 and kept <= len(found) <= kept + 1
    assert f"{len(found)} of 4" in str(told[0].message)
    assert np.array_equal(found.images[:kept], complete.images[:kept])
    again = asked_in_batches(network_of(module), tmp_path / "run")
    assert np.array_equal(again.images, complete.images) and len(ico.Store(tmp_path / "run")) == 4


def test_a_run_that_was_killed_goes_on(one_by_one, tmp_path):
    class KilledError(BaseException):
        pass

    def kill(answer):
        raise KilledError

    whole = Linear()
    complete = asked_in_batches(network_of(whole), None)
    module = Linear(at=whole.told.passes - 3, event=kill)
    with pytest.raises(ico.errors.NetworkError, match="KilledError"):
        asked_in_batches(network_of(module), tmp_path / "run")
    assert len(ico.Store(tmp_path / "run")) == 3
    before = module.told.passes
    again = asked_in_batches(network_of(module), tmp_path / "run")
    assert module.told.passes - before < 0.6 * whole.told.passes
    assert np.array_equal(again.images, complete.images) and again.units == complete.units
    before = module.told.passes
    asked_in_batches(network_of(module), tmp_path / "run")
    part = ico.optimize(network_of(module), ["logit:d", "logit:b"], steps=6, style=PLAIN, store=tmp_path / "run")
    assert module.told.passes <= before + 2  # one picture for each, by which the network is known again
    assert np.array_equal(part.images, complete.images[[3, 1]])


@pytest.mark.parametrize("style", ["default", Style(transforms=Transforms(noise=0.2))], ids=["plain", "noise"])
def test_all_that_is_said_of_a_picture_is_the_same_alone_and_among_others(style):
    network = network_of(Linear())
    many = ico.optimize(network, "head:*", steps=12, style=style)
    alone = ico.optimize(network, "head:2", steps=12, style=style)
    for name in ("images", "objective", "activation", "moved_activation"):
        assert np.allclose(getattr(many, name)[2], getattr(alone, name)[0], rtol=1e-3, atol=2e-3), name
    moved = many.moved_activation - many.activation
    assert np.unique(moved.round(6)).size == 4


def test_a_network_that_is_certain_is_not_dead():
    found = ico.optimize(network_of(Linear(scale=40.0)), ["prob:a", "logit:a"], steps=40, style=PLAIN)
    assert found.activation[0] == 0  # the logarithm of one
    assert not found.dead.any() and "dead" not in found.summary()


def test_a_unit_without_weights_is_dead_though_its_bias_answers():
    module = Linear()
    module.head = nn.Linear(3 * 64, 4)
    nn.init.zeros_(module.head.weight[1:2].data)
    found = ico.optimize(network_of(module), ["logit:a", "logit:b"], steps=4)
    assert found.dead.tolist() == [False, True]
    assert "1 of 2 dead" in found.summary() and "logit:b" in found.summary().partition("dead")[2]


@pytest.mark.parametrize("charge", ["regularizers", "diversity", "cap"])
def test_a_charge_hides_no_dead_unit(charge):
    module = Linear()
    module.head = nn.Linear(3 * 64, 4)
    nn.init.zeros_(module.head.weight[1:2].data)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    style = Style(parameterization=Pixels(), transforms=None, regularizers=(TotalVariation(2),))
    settings = {
        "regularizers": {"style": style},
        "diversity": {"count": 2, "diversity": 5},
        "cap": {"compare": images, "cap": 3.0},
    }
    found = ico.optimize(network_of(module), ["logit:a", "logit:b"], steps=4, seed=1, **settings[charge])
    assert found.dead.tolist() == [unit == "logit:b" for unit in found.units]
    assert found.loss_gradient is not None and found.loss_gradient.shape == found.images.shape
    plain = ico.optimize(network_of(module), ["logit:a", "logit:b"], steps=4, seed=1)
    assert plain.loss_gradient is None and plain.dead.tolist() == [False, True]


def test_a_dead_unit_beyond_every_picture():
    class Off(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 2, 1), nn.ReLU()
            nn.init.constant_(self.conv.get_parameter("bias"), -1e3)
            self.conv.get_parameter("bias").data[1] = 0

        def forward(self, x):
            return self.relu(self.conv(x)).mean((2, 3)).repeat(1, 2)

    found = ico.optimize(network_of(Off()), "relu:*", steps=8)
    assert found.dead.tolist() == [True, False] and found.activation[0] == 0
    assert found.last_gradient[0].any()  # it says what it lacks all the same


def test_what_is_compared_with_must_be_there():
    for wrong in ("/no/such/folder", "noise"):
        with pytest.raises(ico.errors.QuestionError, match=f"compare='{wrong}' does not exist"):
            ico.optimize(network_of(Linear()), "logit:a", steps=1, compare=wrong)


def test_styles_are_compared_by_name_or_by_what_they_are_made_of():
    network = network_of(Linear())
    found = ico.compare_styles(network, "logit:a", steps=2)
    assert found.names == ["none", "blur", "frequency", "robust", "preconditioned", "all"]
    assert len({each.question.key for each in found.results}) == 6
    assert np.array_equal(found["none"].images, ico.optimize(network, "logit:a", steps=2, style="none").images)
    assert ico.compare_styles(network, "logit:a", [PLAIN], steps=2).names == ["Pixels; not moved"]


def test_every_start_is_taken_as_often_as_asked():
    network = network_of(Linear())
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    found = ico.optimize(network, ["logit:a", "logit:b"], start=images, count=2, steps=2)
    assert found.units == ("logit:a",) * 4 + ("logit:b",) * 4 and found.start == "2 images"
    first = found.frames[:, 0].astype(int)
    assert np.abs(first - np.concatenate([images] * 4)).max() <= 1


@pytest.mark.parametrize("size", [16, (12, 20), 5, (1, 9)])
def test_pictures_have_the_size_that_was_asked_for(size):
    found = ico.optimize(network_of(Linear()), "logit:a", size=size, steps=3)
    sides = (size, size) if isinstance(size, int) else size
    assert found.images.shape == (1, *sides, 3) == found.last_gradient.shape
    assert found.frames.shape[2:] == (*sides, 3) and np.isfinite(found.images).all()


def test_the_home_of_nobody_is_refused_in_our_own_words():
    network = ico.load_network("cars-honest")
    with pytest.raises(ico.errors.QuestionError, match="start='~nobody-here/x' begins with the home of a user"):
        ico.optimize(network, "logit:lynx", steps=1, start="~nobody-here/x")
    with pytest.raises(ico.errors.QuestionError, match="compare='~nobody-here/x' begins with the home of a user"):
        ico.optimize(network, "logit:lynx", steps=1, compare="~nobody-here/x")


@pytest.mark.parametrize("diversity", [0.0, 2.0])
def test_a_unit_behind_a_relu_that_noise_leaves_off_is_turned_on_by_a_pattern(diversity):
    """There is no gradient where the pooled map is zero, so nothing would say where up is: these were called dead."""
    network = ico.load_network("cars-honest", device="cpu")
    settings = {"count": 2, "diversity": diversity} if diversity else {}
    units = ["flatten:47", "flatten:0", "pool:8"]
    pooled = ico.optimize(network, units, steps=32, **settings)
    assert not pooled.dead.any() and "dead" not in pooled.summary()
    if diversity:  # charges are free to turn a picture off again
        return
    before = ico.optimize(network, ["relu4:47", "relu4:0", "relu4:8"], steps=32)
    assert (pooled.activation > 0.6 * before.activation).all()
    alone = ico.optimize(network, "flatten:0", steps=32)  # which noise turns on, whatever is made with it
    assert np.allclose(pooled.images[pooled.units.index("flatten:0")], alone.images[0], atol=2e-3)


def test_patterns_are_drawn_a_few_at_a_time_and_none_is_kept():
    """All of them take as much as a batch of 64 pictures, which nobody counts, and every size had its own for ever."""
    network = network_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4)))
    (objective,) = objectives(network, "logit:a")
    with network.questioned(), Ledger() as ledger:
        (picture,) = waking_pictures(network, [objective], [0], [-1e9], (96, 96))
    assert picture is not None and ledger.peak < 32 * picture.nbytes


def test_where_the_start_is_chosen_a_unit_that_a_pattern_turns_on_is_not_dead_either():
    network = ico.load_network("cars-honest", device="cpu")
    grey = ico.optimize(network, "flatten:47", steps=4, start="grey")
    assert grey.activation[0] == 0 and not grey.dead.any() and grey.start == "grey"


def test_a_unit_that_real_images_turn_on_is_not_dead():
    """A spot of one pixel's size, that no noise and none of the patterns has."""

    class Spot(nn.Module):
        def forward(self, x):
            x = x / 4 + 0.5
            lit = (x[:, :1, 4:5, 4:5] - 200 * x[:, 1:].square().mean((1, 2, 3), keepdim=True)).relu().mean((2, 3))
            return torch.cat([lit] * 4, 1)

    image = np.zeros((8, 8, 3), np.uint8)
    image[4, 4, 0] = 255
    style = Style(parameterization=Pixels(), transforms=None)
    network = network_of(Spot())
    assert ico.optimize(network, "logit:a", steps=2, style=style).dead.all()
    assert not ico.optimize(network, "logit:a", steps=2, style=style, compare=[image]).dead.any()


def test_a_picture_that_is_stopped_while_it_grows_from_a_pattern_is_what_it_had_come_to():
    """The first time from noise, all steps; then some from the pattern."""

    class Stopping:
        steps: ClassVar[list[int]] = []

        def wants(self, step):
            self.steps.append(step)
            if len(self.steps) > 12:
                raise KeyboardInterrupt
            return False

        def see(self, growing):
            raise AssertionError

    network = ico.load_network("cars-honest", device="cpu")
    with watched_by(Stopping()), pytest.warns(ico.IconoscopeWarning, match="Interrupted: 1 of 1"):
        stopped = ico.optimize(network, "flatten:47", steps=8)
    assert Stopping.steps == [*range(7), *range(6)]  # nothing follows the last step
    assert stopped.objective.shape[1] < 8 and stopped.objective[0, -1] > 0
