"""Pictures against what is known in closed form, and what must come back as it was."""

import threading
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from iconoscope.optimization import Alignment, Fourier, Pixels, Style, Transforms, loop, synthesis

PREPROCESSING = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
PLAIN = Style(parameterization=Pixels(), transforms=None, colours=np.eye(3))


def network_of(module, classes=("a", "b"), size=8):
    return ico.load_network(module, preprocessing={**PREPROCESSING, "size": size}, classes=classes, device="cpu")


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 64, 2, bias=False)

    def forward(self, x):
        return self.head(x.flatten(1))


class Layers(nn.Module):
    """Counts how often its later part is asked."""

    def __init__(self, in_place=False):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=in_place)
        self.conv2 = nn.Conv2d(4, 5, 3, padding=1)
        self.head = nn.Linear(5, 2)
        self.counts = threading.local()  # numbers of a thread, which are no part of what a network is
        self.counts.later = 0

    def forward(self, x):
        x = self.relu1(self.conv1(x))
        self.counts.later += 1
        return self.head(F.relu(self.conv2(x)).mean((2, 3)))


class Fire(nn.Module):
    """Two ReLUs that are joined; both convolutions answer far below zero."""

    def __init__(self, bias=-5.0):
        super().__init__()
        self.one, self.three = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 3, padding=1)
        self.rectify = nn.ReLU(inplace=True)
        for each in (self.one, self.three):
            nn.init.constant_(each.get_parameter("bias"), bias)

    def forward(self, x):
        return torch.cat([self.rectify(self.one(x)), self.rectify(self.three(x))], 1)


class Burning(nn.Module):
    def __init__(self, bias=-5.0):
        super().__init__()
        self.fire, self.head = Fire(bias), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.fire(x).mean((2, 3)))


def test_the_best_picture_of_a_linear_unit_is_the_sign_of_its_weights():
    module = Linear()
    network = network_of(module)
    found = ico.optimize(network, "logit:a", style=PLAIN, steps=300)
    weights = module.head.weight.detach()[0].view(3, 8, 8).permute(1, 2, 0).numpy()
    clear = np.abs(weights) > 0.005
    assert ((found.images[0] > 0.9) == (weights > 0))[clear].mean() > 0.99
    best = float(np.abs(weights).sum()) * 2  # (1 - 0.5) / 0.25 times the sum of the weights' sizes
    assert 0.9 * best < found.activation[0] <= best
    # With respect to the picture of 0..1, which is divided by 0.25 before the network sees it.
    assert np.allclose(found.last_gradient[0], weights / 0.25, atol=1e-5)
    assert np.all(np.diff(found.objective[0]) > -1e-3)


def test_each_picture_of_a_gabor_bank_is_most_like_its_own_filter():
    rows, columns = torch.meshgrid(torch.arange(7) - 3.0, torch.arange(7) - 3.0, indexing="ij")
    filters = []
    for angle in torch.arange(4) * torch.pi / 4:
        wave = torch.cos(2 * torch.pi * (columns * angle.cos() + rows * angle.sin()) / 4)
        filters.append((wave - wave.mean()) * torch.exp(-(rows**2 + columns**2) / 8))
    bank = torch.stack(filters)[:, None].expand(-1, 3, -1, -1)

    class Bank(nn.Module):
        def __init__(self):
            super().__init__()
            self.gabor = nn.Conv2d(3, 4, 7, bias=False)
            self.gabor.weight.data = bank.clone()

        def forward(self, x):
            return self.gabor(x).mean((2, 3))

    network = network_of(Bank(), classes=list("abcd"), size=7)
    found = ico.optimize(network, "gabor:*", style=PLAIN, steps=120)
    pictures = torch.from_numpy(found.images).permute(0, 3, 1, 2) - 0.5
    alike = F.normalize(pictures.flatten(1), dim=1) @ F.normalize(bank.flatten(1), dim=1).T
    assert alike.argmax(1).tolist() == [0, 1, 2, 3]
    flat = bank.flatten(1)  # the best picture is the filter's sign, whose cosine with the filter is
    assert torch.allclose(alike.diagonal(), flat.abs().sum(1) / (flat.norm(dim=1) * flat.shape[1] ** 0.5), atol=0.02)


def test_the_pass_ends_at_the_deepest_layer_and_the_module_comes_back_as_it_was():
    module = Layers().train()
    module.conv2.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = network_of(module)
    ico.predict(network, np.zeros((1, 8, 8, 3), np.uint8))  # whether it has one answer to an image is asked once
    module.counts.later = 0
    ico.optimize(network, ["conv1:0", "relu1:1"], steps=3)
    assert module.counts.later == 0
    ico.optimize(network, "conv2:0", steps=3)
    assert module.counts.later > 0
    assert module.training and not module.conv2.weight.requires_grad and module.conv1.weight.requires_grad
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(not each._forward_hooks for each in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_relu_in_place_does_not_change_what_was_read():
    torch.manual_seed(0)
    plain = Layers()
    in_place = Layers(in_place=True)
    in_place.load_state_dict(plain.state_dict())
    first, second = (ico.optimize(network_of(each), "conv1:2", steps=8) for each in (plain, in_place))
    assert np.array_equal(first.images, second.images) and np.array_equal(first.objective, second.objective)


@pytest.mark.parametrize("unit", ["fire:0", "fire:3", "fire.rectify:1"])
def test_a_unit_that_is_off_at_the_start_is_read_before_its_relu(unit):
    torch.manual_seed(0)
    module = Burning()
    nn.init.constant_(module.fire.one.weight, 2.0)
    nn.init.constant_(module.fire.three.weight, 2.0)
    found = ico.optimize(network_of(module), unit, steps=150, style=PLAIN)
    assert found.objective[0, 0] < 0 < found.objective[0, -1]
    assert found.activation[0] > 0 and not found.dead[0]


def test_a_unit_that_nothing_turns_on_is_dead_in_words():
    found = ico.optimize(network_of(Burning(bias=-1000.0)), ["fire:0", "-fire:1"], steps=5)
    assert found.dead.tolist() == [True, False]  # to silence it is what the second was asked for
    assert "1 of 2 dead" in found.summary() and "fire:0" in found.summary()


def test_nan_is_reported_with_its_step():
    class Breaking(Linear):
        calls = 0

        def forward(self, x):
            Breaking.calls += 1
            return super().forward(x) * (float("nan") if Breaking.calls > 4 else 1)

    with pytest.raises(ico.errors.NonFiniteError, match=r"at step \d of 9"):
        ico.optimize(network_of(Breaking()), "logit:a", steps=9)


class Interrupting(Linear):
    after = 10**9

    def forward(self, x):
        Interrupting.after -= 1
        if Interrupting.after < 0:
            raise KeyboardInterrupt
        return super().forward(x)


def test_ctrl_c_gives_what_has_been_reached_and_keeps_nothing_unfinished(tmp_path, monkeypatch):
    network = network_of(Interrupting())
    measured, plain = synthesis.Synthesis.batch_size, loop.score

    def batch_size(*question):
        size = measured(*question)
        Interrupting.after = 12  # passes from here on, in the midst of the loop
        return size

    def score(*question):
        Interrupting.after = 10**9
        return plain(*question)

    monkeypatch.setattr(synthesis.Synthesis, "batch_size", batch_size)
    monkeypatch.setattr(loop, "score", score)
    with pytest.warns(ico.IconoscopeWarning, match="1 of 1 pictures"):
        found = ico.optimize(network, "logit:a", steps=50, store=tmp_path / "run")
    assert 1 < found.objective.shape[1] < 50
    assert len(ico.Store(tmp_path / "run")) == 0
    assert not any(found.dead)


def test_a_seed_gives_the_same_pictures_alone_or_among_others():
    network = network_of(Layers(), size=16)
    one = ico.optimize(network, "conv2:1", steps=6, seed=3)
    assert np.array_equal(one.images, ico.optimize(network, "conv2:1", steps=6, seed=3).images)
    many = ico.optimize(network, "conv2:*", steps=6, seed=3)
    assert many.units == tuple(f"conv2:{channel}" for channel in range(5))
    assert np.allclose(many.images[1], one.images[0], atol=2e-3)
    assert not np.allclose(ico.optimize(network, "conv2:1", steps=6, seed=4).images, one.images, atol=0.01)
    several = ico.optimize(network, "conv2:1", steps=6, seed=3, count=3)
    assert np.allclose(several.images[0], one.images[0], atol=2e-3)
    assert not np.allclose(several.images[1], several.images[0], atol=0.01)


def test_a_bound_on_memory_makes_batches_and_the_same_pictures():
    network = network_of(Layers(), size=16)
    whole = ico.optimize(network, "conv2:*", steps=4)
    parts = ico.optimize(network, "conv2:*", steps=4, memory="200KB")
    assert np.allclose(parts.images, whole.images, atol=2e-3)
    with pytest.raises(ico.errors.QuestionError, match="too little"):
        ico.optimize(network, "conv2:*", steps=4, memory="1KB")


def test_what_is_in_the_store_is_not_asked_again(tmp_path):
    module = Layers()
    network = network_of(module)
    first = ico.optimize(network, "conv2:0-1", steps=4, store=tmp_path / "run")
    asked = module.counts.later
    again = ico.optimize(network, "conv2:0-1", steps=4, store=tmp_path / "run")
    # To count the channels, and to know the network again: once if it is steady, by one picture with the store.
    assert module.counts.later - asked <= 2
    assert np.array_equal(again.images, first.images) and again.units == first.units
    more = ico.optimize(network, "conv2:*", steps=4, store=tmp_path / "run")
    assert np.array_equal(more.images[:2], first.images) and len(ico.Store(tmp_path / "run")) == 5
    record = ico.Store(tmp_path / "run").folder_of(
        ico.optimize(network, "conv2:0", steps=4, store=tmp_path / "run").question
    )
    next(record.glob("*.npz")).write_bytes(b"broken")
    with pytest.warns(ico.IconoscopeWarning, match="asked again"):
        mended = ico.optimize(network, "conv2:0", steps=4, store=tmp_path / "run")
    assert np.allclose(mended.images[0], first.images[0], atol=2e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ico.optimize(network, "conv2:0", steps=4, store=tmp_path / "run")


def test_every_setting_is_part_of_the_question():
    network = network_of(Layers())
    base: dict[str, Any] = {"steps": 2}
    others: list[dict[str, Any]] = [
        {"steps": 3},
        {"steps": 2, "seed": 1},
        {"steps": 2, "count": 2},
        {"steps": 2, "size": 9},
        {"steps": 2, "start": "grey"},
        {"steps": 2, "count": 2, "diversity": 1.0},
        {"steps": 2, "style": "none"},
        {"steps": 2, "style": Style(parameterization=Fourier(decay=0.5))},
        {"steps": 2, "style": Style(transforms=Transforms(jitter=1))},
        {"steps": 2, "style": Style(colours=2 * np.eye(3))},
    ]
    ask = partial(ico.optimize, network, "conv1:0")
    keys = {ask(**settings).question.key for settings in (base, *others)}
    assert len(keys) == 1 + len(others)


def test_pictures_of_one_unit_are_less_alike_with_diversity():
    torch.manual_seed(1)
    module = Layers()
    network = network_of(module, size=16)

    def likeness(diversity):
        found = ico.optimize(network, "conv2:1", steps=60, count=4, diversity=diversity, style=Style(transforms=None))
        with torch.no_grad():
            shown = (torch.from_numpy(found.images).permute(0, 3, 1, 2) - 0.5) / 0.25
            maps = module.conv2(F.relu(module.conv1(shown))).flatten(2)
        grams = F.normalize(torch.bmm(maps, maps.transpose(1, 2)).flatten(1), dim=1)
        return float((grams @ grams.T).mean())

    assert likeness(50.0) < likeness(0.0) - 0.01


def test_alignment_keeps_the_pictures_of_a_path_together():
    network = network_of(Layers(), size=16)
    path = ico.interpolate("conv2:0", "conv2:3", 4)

    def apart(style):
        return np.square(np.diff(ico.optimize(network, path, steps=40, style=style).images, axis=0)).mean()

    assert apart(Style(regularizers=(Alignment(100.0),))) < 0.5 * apart(Style())


def test_pictures_begin_at_each_image_in_turn():
    network = network_of(Layers(), size=16)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    found = ico.optimize(network, "conv2:0", start=images, steps=2)
    assert len(found) == 2 and np.abs(found.frames[:, 0].astype(int) - images).max() <= 1
    grey = ico.optimize(network, "conv2:0", start="#ff8000", steps=2)
    assert np.abs(grey.frames[0, 0].astype(int) - np.array([255, 128, 0])).max() <= 1
    with pytest.raises(ico.errors.QuestionError, match="neither noise"):
        ico.optimize(network, "conv2:0", start="no-such-file.png")


def test_an_answer_is_stated_beside_that_to_natural_images():
    module = Linear()
    network = network_of(module)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    found = ico.optimize(network, ["logit:a", "logit:b"], steps=3, compare=images)
    with torch.inference_mode():
        answers = module(network.preprocessing.normalise(images)).amax(0).numpy()
    assert np.allclose(found.natural_activation, answers, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count=0"),
        ({"steps": 0}, "steps=0"),
        ({"seed": -1}, "seed=-1"),
        ({"diversity": 1.0}, "count=2"),
        ({"style": "defualt"}, "default"),
        ({"size": 0}, "size=0"),
    ],
)
def test_bad_settings_say_what_would_work(settings, message):
    with pytest.raises(ico.errors.QuestionError) as caught:
        ico.optimize(network_of(Linear()), "logit:a", **settings)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_a_dream_grows_what_a_layer_sees_at_every_size():
    network = network_of(Layers(), size=80)
    photograph = np.random.default_rng(0).integers(100, 156, (80, 80, 3), dtype=np.uint8)
    found = ico.dream(network, photograph, "conv2", octaves=2, steps=5)
    assert found.frames.shape[:2] == (1, 3) and found.objective.shape == (1, 10)
    assert found.objective[0, 4] > found.objective[0, 0] and found.objective[0, 9] > found.objective[0, 5]
    with pytest.raises(ico.errors.QuestionError, match="photograph"):
        ico.dream(network, "noise", "conv2")


def test_one_channel_and_four(tmp_path):
    class Grey(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv = nn.Conv2d(channels, 3, 3)

        def forward(self, x):
            return self.conv(x).mean((2, 3))

    for channels in (1, 4):
        network = network_of(Grey(3), classes=list("abc"))
        object.__setattr__(network.preprocessing, "mean", (0.5,) * channels)
        object.__setattr__(network.preprocessing, "std", (0.25,) * channels)
        network.module.conv = nn.Conv2d(channels, 3, 3)
        found = ico.optimize(network, "conv:*", steps=3)
        assert found.images.shape == (3, 8, 8, channels)
        assert found.save(tmp_path / f"{channels}.png").stat().st_size > 0


def test_a_photograph_stands_beside_what_became_of_it_with_the_probabilities_of_both(tmp_path):
    torch.manual_seed(0)
    network = network_of(Linear())
    images = np.random.default_rng(0).integers(100, 156, (2, 8, 8, 3), dtype=np.uint8)
    found = ico.optimize(network, "logit:b", start=images, style=PLAIN, steps=40, store=tmp_path / "run")
    assert found.start_images is not None and np.array_equal((found.start_images * 255).round(), images)
    assert found.start_probabilities is not None and found.probabilities is not None
    assert np.allclose(found.start_probabilities, ico.predict(network, images), atol=1e-5)
    assert (found.probabilities[:, 1] > 0.99).all() and (found.asked_class == 1).all()
    assert found.classes == ("a", "b")
    again = ico.load_result(next((tmp_path / "run" / "optimize").iterdir()))
    assert isinstance(again, ico.Visualization) and again.start_images is not None and again.classes == ("a", "b")
    for start in ("noise", "grey"):
        without = ico.optimize(network, "logit:b", start=start, steps=1)
        assert without.start_images is None and without.probabilities is None


def test_a_photograph_is_changed_by_a_layer_of_what_is_no_classifier():
    class Maps(Layers):
        def forward(self, x):
            return self.conv1(x)

    network = network_of(Maps())
    image = np.random.default_rng(0).integers(100, 156, (8, 8, 3), dtype=np.uint8)
    found = ico.optimize(network, "conv1:0", start=image, steps=2)
    assert found.start_images is not None and found.probabilities is None
    assert found.asked_class is not None and found.asked_class.tolist() == [-1]
