"""Captum's maps against closed forms, gradients taken by hand, and what each method promises."""

import copy
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import iconoscope as ico
from iconoscope.errors import (
    IconoscopeWarning,
    MissingExtraError,
    NetworkError,
    NonFiniteError,
    QuestionError,
    StoreError,
    UnitError,
)
from iconoscope.occlusion import rectifiers
from iconoscope.occlusion.attribute import METHODS
from iconoscope.occlusion.gradients import ASK, maps_of_their_own

pytest.importorskip("captum.attr")

CARS = {"size": 16, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"}


def curves(*arguments: Any, **settings: Any) -> Any:
    """Score one map of every image: the only curves of each result."""
    answers = ico.faithfulness(*arguments, **settings)
    return [one.results[0] for one in answers] if isinstance(answers, list) else answers.results[0]


@pytest.fixture(scope="module")
def honest():
    return ico.load_network("cars-honest", device="cpu")


@pytest.fixture(scope="module")
def cars():
    return ico.demo_images(4, seed=1)


def normalised(picture):
    return (picture / 255 - 0.5) / 0.25


def in_closed_form(picture):
    """What each value adds to the planted network's logit of `seen`: 3/64 of its red, where it looks (24, 24, 3)."""
    adds = np.zeros((24, 24, 3))
    adds[4:12, 8:16, 0] = 3 / 64 * normalised(picture)[4:12, 8:16, 0]
    return adds


@pytest.mark.parametrize("method", ["IntegratedGradients", "InputXGradient", "DeepLift", "GradientShap"])
def test_shares_in_closed_form(planted, bright, method):
    """The planted network is linear where the picture is bright: a value's share is its weight times itself."""
    found = ico.attribute(planted, bright, "logit:seen", method=f"captum:{method}")
    adds = in_closed_form(bright)
    assert found.signed and found.values.dtype == np.float32
    assert np.allclose(found.values, adds, atol=1e-5)
    assert np.allclose(found.map, adds.sum(2), atol=1e-5)
    assert found.clean[found.target] == pytest.approx(adds.sum(), abs=1e-4)


def test_a_baseline_shifts_the_shares(planted, bright):
    """Black is -2 after normalisation, where red is cut off: a path from it has (x + 2) steps, of which x count."""
    found = ico.attribute(planted, bright, "logit:seen", baseline="black", steps=400)
    x = normalised(bright)[..., 0]
    looked = np.zeros((24, 24))
    looked[4:12, 8:16] = 1
    assert np.allclose(found.map, 3 / 64 * x * looked, atol=2e-3)
    assert found.baseline == "black" and found.baseline_answer == 0
    half = ico.attribute(planted, bright, "logit:seen", baseline=np.full((24, 24, 3), 160, np.uint8))
    assert np.allclose(half.map, 3 / 64 * (x - normalised(160)) * looked, atol=1e-5)


def test_completeness(resnet20, data):
    image = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0]
    coarse, fine = (ico.attribute(resnet20, image, "logit:cat", steps=steps) for steps in (4, 300))
    assert fine.completeness is not None and coarse.completeness is not None
    assert abs(fine.completeness) < 0.05 < abs(coarse.completeness)
    assert fine.completeness == pytest.approx(fine.convergence, abs=1e-4)
    total = fine.clean[fine.target] - fine.baseline_answer
    assert fine.values.sum() == pytest.approx(total, abs=0.05)
    lifted = ico.attribute(resnet20, image, "logit:cat", method="captum:DeepLift")
    # Exact only if every ReLU was found, and this network applies them as functions.
    assert lifted.completeness == pytest.approx(0, abs=1e-4)
    assert ico.attribute(resnet20, image, method="captum:Saliency").completeness is None


@pytest.mark.parametrize("unit", ["prob:cat", "logit:cat", "layer2.0.conv1:3", "layer3.0:37@2,2", "layer2"])
def test_the_gradient_by_hand(resnet20, data, unit):
    image = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0]
    found = ico.attribute(resnet20, image, unit, method="captum:Saliency")
    batch = resnet20.preprocessing.normalise(image.pixels[None]).requires_grad_()
    kept = []
    layer = unit.partition(":")[0]
    read = resnet20.module.get_submodule(layer if "layer" in unit else "layer1")
    handle = read.register_forward_hook(lambda *of: kept.append(of[2]))
    with resnet20.questioned():
        logits = resnet20.module(batch)
    handle.remove()
    answers = {
        "prob:cat": lambda: logits.softmax(1)[0, 3],
        "logit:cat": lambda: logits[0, 3],
        "layer2.0.conv1:3": lambda: kept[0][0][3].mean(),  # noqa: PLW0108
        "layer3.0:37@2,2": lambda: kept[0][0, 37, 2, 2],
        "layer2": lambda: kept[0][0].square().mean(),
    }
    (gradient,) = torch.autograd.grad(answers[unit](), batch)
    by_hand = gradient[0].permute(1, 2, 0).numpy()
    assert np.allclose(found.values, by_hand, atol=1e-5 * np.abs(by_hand).max())
    assert np.allclose(found.map, np.abs(by_hand).sum(2), atol=1e-5 * np.abs(by_hand).max()) and not found.signed


def rectified_by_hand(network, batch, guided):
    """The gradient of the first logit of two linear layers with a ReLU between, whose backward has another rule."""
    first, last = network.module.first.weight.detach(), network.module.last.weight.detach()
    inner = batch.flatten() @ first.T
    back = last[0]
    back = back.clamp(min=0) * (inner > 0) if guided else back.clamp(min=0)
    return (back @ first).reshape(3, 4, 4).permute(1, 2, 0).numpy()


class Functional(nn.Module):
    """Its ReLU is a function, in place, as many networks have it."""

    preprocessing = {**CARS, "size": 4}  # noqa: RUF012
    classes = ("a", "b")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(48, 9, bias=False), nn.Linear(9, 2, bias=False)

    def forward(self, x):
        return self.last(F.relu(self.first(x.flatten(1)), inplace=True))


@pytest.mark.parametrize("method", ["GuidedBackprop", "Deconvolution"])
def test_rules_for_relu_reach_those_that_are_functions(method):
    network = ico.load_network(Functional(), device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    found = ico.attribute(network, picture, "logit:a", method=f"captum:{method}")
    batch = network.preprocessing.normalise(picture[None])
    expected = rectified_by_hand(network, batch, guided=method == "GuidedBackprop")
    assert np.allclose(found.values, expected, atol=1e-6)
    plain = ico.attribute(network, picture, "logit:a", method="captum:Saliency")
    assert not np.allclose(found.values, plain.values, atol=1e-4)


class Reusing(nn.Module):
    """One ReLU, in place, and one maximum pooling, each used twice; what is added goes in place too."""

    preprocessing = CARS
    classes = ("a", "b")

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.last = nn.Linear(6 * 16, 2)

    def forward(self, x):
        x = self.pool(self.relu(self.first(x)))
        inner = self.second(x)
        inner += x
        return self.last(self.pool(self.relu(inner)).flatten(1))


def test_modules_that_are_used_twice():
    network = ico.load_network(Reusing(), device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    found = ico.attribute(network, picture, "logit:a", method="captum:DeepLift", baseline="black")
    assert found.completeness == pytest.approx(0, abs=1e-4)


def test_the_maps_of_a_layer_by_hand():
    """GradCAM reads a layer's own answer, although what follows writes over it."""
    network = ico.load_network(Reusing(), device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    found = ico.attribute(network, picture, "logit:a", method="captum:LayerGradCam", layer="second")
    module: Any = network.module
    with network.questioned():
        pooled = module.pool(F.relu(module.first(network.preprocessing.normalise(picture[None]))))
        maps = module.second(pooled).detach().requires_grad_()
        logit = module.last(module.pool(F.relu(maps + pooled)).flatten(1))[0, 0]
        (gradient,) = torch.autograd.grad(logit, maps)
    expected = (gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)
    expected = F.interpolate(expected, (16, 16), mode="bilinear")[0, 0].detach().numpy()
    assert found.layer == "second" and found.values.shape == (16, 16, 1)
    assert np.allclose(found.map, expected, atol=1e-5)


def test_the_layer_is_the_last_with_maps(resnet20, honest, cars, data):
    image = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0]
    for unit, layer in ((None, "layer3"), ("layer3.1:2", "layer3.0"), ("layer2", "layer1")):
        assert ico.attribute(resnet20, image, unit, method="captum:LayerGradCam").layer == layer
    with pytest.raises(QuestionError, match=r"no layer with maps before conv1"):
        ico.attribute(resnet20, image, "conv1:2", method="captum:LayerGradCam")


def test_every_method_before_a_trained_network_and_an_untrained_one(honest, cars):
    assert list(METHODS) == list(ASK)
    torch.manual_seed(3)
    module = copy.deepcopy(honest.module)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
    random = ico.load_network(module, preprocessing=honest.preprocessing, classes=honest.classes, device="cpu")
    for method, wants in METHODS.items():
        settings: Any = {"method": method, "steps": 8 if wants.steps else None}
        one, other = (ico.attribute(network, cars[0], **settings) for network in (honest, random))
        assert one.map.shape == (96, 96) and np.isfinite(one.map).all() and one.map.std() > 0
        assert (one.map >= 0).all() or one.signed
        assert bool(one.baseline) == bool(wants.baseline) == (one.baseline_answer is not None)
        assert bool(one.layer) == wants.layer and bool(one.steps) == bool(wants.steps)
        assert abs(np.corrcoef(one.map.ravel(), other.map.ravel())[0, 1]) < 0.9, method


def drawn_from():
    held: Any = np.random.get_state()
    return held[1].copy()


def state(module):
    return {
        name: (value.detach().clone(), value.grad, value.requires_grad, value.dtype)
        for name, value in module.named_parameters()
    }


@pytest.mark.parametrize("method", list(METHODS))
def test_the_module_is_left_as_it_was(planted, bright, method):
    module = planted.module
    module.train()
    module.relu.eval()
    module.features.weight.requires_grad_(False)
    before, children = state(module), dict(module.named_modules())
    torch_state, numpy_state = torch.get_rng_state(), drawn_from()
    ico.attribute(planted, bright, "prob:seen", method=method, steps=3 if METHODS[method].steps else None)
    for name, (value, gradient, needed, kind) in state(module).items():
        assert torch.equal(value, before[name][0])
        assert gradient is None and (needed, kind) == before[name][2:]
    assert dict(module.named_modules()) == children and module.relu.inplace
    assert module.training and not module.relu.training
    for child in module.modules():
        assert not (child._forward_hooks or child._forward_pre_hooks or child._backward_hooks)
        assert not {"input", "output", "input_ref"} & set(vars(child))
    assert torch.equal(torch.get_rng_state(), torch_state) and np.array_equal(drawn_from(), numpy_state)


@pytest.mark.parametrize("method", ["captum:GradientShap", "captum:SmoothGrad", "captum:VarGrad"])
def test_what_is_drawn_is_drawn_from_the_seed(honest, cars, method):
    one, same, other = (ico.attribute(honest, cars[0], method=method, steps=4, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.values, same.values) and not np.allclose(one.values, other.values)
    assert one.question.key == same.question.key != other.question.key
    plain = [ico.attribute(honest, cars[0], method="captum:Saliency", seed=seed) for seed in (0, 1)]
    assert plain[0].question.key == plain[1].question.key


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_type(bright, planted, kind):
    network = ico.load_network(type(planted.module)().to(kind), device="cpu")
    for method in METHODS.keys() - {"captum:VarGrad"}:  # the gradient of what is linear does not vary
        found = ico.attribute(network, bright, "logit:seen", method=method)
        alike = ico.attribute(planted, bright, "logit:seen", method=method)
        assert np.allclose(found.values, alike.values, atol=1e-3), method
    assert next(network.module.parameters()).dtype == kind


def test_its_curve_is_better_than_that_of_random_numbers(honest, cars):
    """On cars, in the mean, by deletion: integrated gradients find what the answer hangs on."""
    right = [place for place, found in enumerate(ico.predict(honest, cars)) if found.max() > 0.6]
    cars = cars[right]
    maps = ico.attribute(honest, cars)
    generator = np.random.default_rng(0)
    settings = {"steps": 12, "fill": "mean"}
    scored = curves(honest, cars, maps, **settings)
    chance = curves(honest, cars, generator.random((len(cars), 96, 96)), **settings)
    assert np.mean([one.insertion_area for one in scored]) > np.mean([one.insertion_area for one in chance])
    assert np.mean([one.deletion_area for one in scored]) < np.mean([one.deletion_area for one in chance])


def test_curves_take_it_as_they_take_an_occlusion(planted, bright):
    found = ico.attribute(planted, bright, "logit:seen", method="captum:InputXGradient")
    given = curves(planted, bright, found, fill="zero", start="zero", steps=9)
    named = curves(planted, bright, "captum:InputXGradient", "logit:seen", fill="zero", start="zero", steps=9)
    numbers = curves(planted, bright, found.map, "logit:seen", fill="zero", start="zero", steps=9)
    assert given.ranked_by == named.ranked_by == "captum:InputXGradient"
    assert given.question.unit == "logit:seen" and given.question.key == named.question.key != numbers.question.key
    for other in (named, numbers):
        assert np.array_equal(given.deletion, other.deletion) and np.array_equal(given.attribution, other.attribution)
    # The true order: no other has a smaller area.
    assert given.deletion_area < given.null_deletion_areas.min()
    with pytest.raises(QuestionError, match="no map of"):
        curves(planted, bright[::-1].copy(), found)


def test_compared(planted, bright, tmp_path):
    maps = ["occlusion", "captum:InputXGradient", "captum:Saliency"]
    found = ico.faithfulness(planted, bright, maps, "prob:seen", patch=6, stride=2, steps=6)
    assert found.names == ["occlusion", "InputXGradient", "Saliency"]
    for name, result in zip((None, *maps[1:]), found.results, strict=True):
        alone = curves(planted, bright, name, "prob:seen", patch=6, stride=2 if name is None else None, steps=6)
        assert np.array_equal(alone.deletion, result.deletion) and alone.question.key == result.question.key
    areas = [result.deletion_area for result in found.results]
    assert f"{found.names[int(np.argmin(areas))]} has the smallest deletion area ({min(areas):.3f})" in found.summary()
    assert found.deletion_areas.tolist() == areas
    read = ico.Faithfulness.load(found.save(tmp_path / "kept"))
    assert read.names == found.names and read.to_json() == found.to_json()
    assert found.save(tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert len(ico.faithfulness(planted, [bright], maps[1:], "prob:seen", steps=2)) == 1
    for names in (["occlusion", "occlusion"], ["captum:Salience"], "saliency"):
        with pytest.raises(QuestionError, match="maps="):
            ico.faithfulness(planted, bright, names)
    other = curves(planted, bright, "captum:Saliency", "logit:seen", steps=2)
    with pytest.raises(QuestionError, match="differ in the unit"):
        ico.Faithfulness((found.results[0], other))
    with pytest.raises(QuestionError, match="no map to score"):
        ico.Faithfulness(())


def test_names_results_and_numbers_side_by_side(planted, bright, tmp_path):
    """A list with a name or a file in it is of several maps, whatever else is in it."""
    made = ico.attribute(planted, bright, "prob:seen", method="captum:InputXGradient")
    np.save(tmp_path / "own.npy", made.map)
    found = ico.faithfulness(planted, bright, ["captum:Saliency", made, tmp_path / "own.npy"], "prob:seen", steps=4)
    assert found.names == ["Saliency", "InputXGradient", "a map from own.npy"]
    assert np.array_equal(found.results[1].deletion, found.results[2].deletion)


def test_one_in_one_out_and_a_set_in_a_list_out(planted, bright):
    images = ico.load_images([bright, bright], labels=["unseen", None])
    with pytest.warns(IconoscopeWarning, match="0 everywhere.*the logit"):
        assert isinstance(ico.attribute(planted, bright, "logit:third class"), ico.Attribution)
    with pytest.warns(IconoscopeWarning, match="1 of 2 images have no label"):
        labelled, unlabelled = ico.attribute(planted, images, method="captum:Saliency")
    assert (labelled.target_origin, labelled.names[labelled.target]) == ("label", "unseen")
    assert (unlabelled.target_origin, unlabelled.names[unlabelled.target]) == ("prediction", "seen")
    # More of what one class sees is less of the other.
    assert np.allclose(unlabelled.values[4:12, 8:16, 0] > 0, True) and (labelled.values[4:12, 8:16, 0] < 0).all()


def test_it_is_kept_shown_and_read_without_torch(planted, bright, tmp_path, monkeypatch):
    import subprocess

    first = ico.attribute(planted, bright, "logit:seen", store=tmp_path / "run")
    monkeypatch.setattr("iconoscope.occlusion.gradients.ask_captum", lambda *_: pytest.fail("asked"))
    second = ico.attribute(planted, bright, "logit:seen", store=tmp_path / "run")
    assert np.array_equal(first.values, second.values) and first.question == second.question
    folder = first.save(tmp_path / "kept")
    code = (
        f"import sys, iconoscope as ico; found = ico.load_result({str(folder)!r}); "
        "print(found.completeness, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert float(said[0]) == pytest.approx(first.completeness) and said[1] == "False"
    assert "it differs by" in first.summary() and first._repr_html_().startswith("<figure")
    assert repr(first).startswith("<Attribution: ")
    assert first.save(tmp_path / "figure.svg").is_file()
    laid = first.overlaid().astype(int)
    assert (laid[4:12, 8:16, 0] > laid[4:12, 8:16, 2]).all() and np.ptp(laid[0, 0]) == 0
    assert first.to_json()["highest"]["value"] == pytest.approx(first.map.max())
    (folder / "arrays.npz").unlink()
    with pytest.raises(StoreError):
        ico.load_result(folder)


def test_bad_questions(planted, bright):
    with pytest.raises(QuestionError, match="method='captum:Salience'") as caught:
        ico.attribute(planted, bright, method="captum:Salience")
    assert "captum:Saliency" in caught.value.hint
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"baseline": "zero"}, "Saliency has no baseline"),
        ({"steps": 3}, "Saliency has no steps"),
        ({"layer": "features"}, "Saliency has no layer"),
        ({"seed": -1}, "seed=-1"),
    ]
    for settings, told in wrong:
        with pytest.raises(QuestionError, match=told):
            ico.attribute(planted, bright, method="captum:Saliency", **settings)
    with pytest.raises(QuestionError, match="steps=0"):
        ico.attribute(planted, bright, steps=0)
    with pytest.raises(QuestionError, match="fill='zzero'"):
        ico.attribute(planted, bright, baseline="zzero")
    with pytest.raises(QuestionError, match="no patch"):
        ico.attribute(planted, bright, baseline="patch-mean")
    with pytest.raises(QuestionError, match="is no layer"):
        ico.attribute(planted, bright, method="captum:LayerGradCam", layer="features:1")
    with pytest.raises(UnitError, match="no layer"):
        ico.attribute(planted, bright, method="captum:LayerGradCam", layer="nowhere")
    with pytest.raises(UnitError, match="no class"):
        ico.attribute(planted, bright, "prob:sean")


def test_without_captum(planted, bright, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "captum"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(MissingExtraError, match="not installed") as caught:
        ico.attribute(planted, bright)
    assert "pip install 'iconoscope[captum]'" in caught.value.hint


class Strange(nn.Module):
    """Cuts its gradients, overflows them, draws numbers, or cannot be copied."""

    preprocessing = CARS
    classes = ("a", "b")

    def __init__(self, kind):
        super().__init__()
        self.kind, self.linear = kind, nn.Linear(3, 2)
        self.held = torch.ones(2, requires_grad=True) * 2 if kind == "uncopied" else None

    def forward(self, x):
        if self.kind == "cut":
            x = x.detach()
        values = self.linear(x.mean((2, 3)))
        if self.kind == "overflow":
            values = values + torch.sqrt((x - x).sum((1, 2, 3)))[:, None]
        if self.kind == "random":
            values = values + torch.rand(1) * 100
        return values


def test_networks_that_cannot_be_asked(bright):
    def ask(kind, method="captum:IntegratedGradients"):
        return ico.attribute(
            ico.load_network(Strange(kind), device="cpu"), bright[:16, :16].copy(), "logit:a", method=method
        )

    with pytest.raises(NetworkError, match="IntegratedGradients fails on") as caught:
        ask("cut")
    assert "cut them" in caught.value.hint
    with pytest.raises(NonFiniteError, match="holds NaN"):
        ask("overflow", "captum:Saliency")
    with pytest.raises(NetworkError, match="has no one answer to an image"):
        ask("random")
    with pytest.raises(NetworkError, match="cannot be copied"):
        ask("uncopied")


def test_a_relu_that_is_out_of_reach_is_said(monkeypatch):
    """As if torch had one more way to call it: the counting of what is computed finds out."""
    network = ico.load_network(Functional(), device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    monkeypatch.setattr(rectifiers, "_relu_turn", lambda *_: None)
    with pytest.raises(QuestionError, match="a rule of its own for ReLU") as caught:
        ico.attribute(network, picture, method="captum:GuidedBackprop")
    assert "IntegratedGradients" in caught.value.hint
    assert ico.attribute(network, picture).values.any()


@pytest.mark.parametrize(
    "pooling",
    [
        (3, 2, 1),
        (3, 2, 0),
        (3, 1, 1),
        (2, 2, 0),
        (3, 2, 0, 1, True),
        (2, 2, 1, 1, True),
        (2, 1, 0, 2),
        ((3, 2), (2, 3)),
    ],
)
def test_shares_add_up_behind_every_pooling(pooling):
    """Also where windows share pixels, which Captum's own rule loses; and from a baseline that is no constant."""
    torch.manual_seed(2)
    kernel, stride, padding, dilation, up = (*pooling, *(0, 1, False)[len(pooling) - 2 :])
    module = nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.ReLU(),
        nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=bool(up)),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 2),
    )
    network = ico.load_network(module, preprocessing={**CARS, "size": 17}, classes=("a", "b"), device="cpu")
    picture, other = np.random.default_rng(0).integers(0, 256, (2, 17, 17, 3), dtype=np.uint8)
    for baseline in ("zero", other):
        found = ico.attribute(network, picture, "logit:a", method="captum:DeepLift", baseline=baseline)
        assert found.completeness == pytest.approx(0, abs=1e-5) and found.values.any()


class Heads(nn.Module):
    """Two heads, each with maps of its own; the second runs last."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers
        self.stem, self.main, self.aux = (nn.Conv2d(channels, 8, 3) for channels in (3, 8, 8))
        self.last, self.aux_last = nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x):
        maps = F.relu(self.stem(x))
        main = self.last(F.relu(self.main(maps)).mean((2, 3)))
        aux = self.aux_last(F.relu(self.aux(maps)).mean((2, 3)))
        return {"tuple": (main, aux), "dict": {"logits": main, "aux": aux}, "joined": torch.cat([main, aux], 1)}[
            self.answers
        ]


@pytest.mark.parametrize("method", ["captum:LayerGradCam", "captum:GuidedGradCam"])
@pytest.mark.parametrize("answers", ["tuple", "dict", "joined"])
@pytest.mark.filterwarnings("ignore:The map of 000000 is 0 everywhere")
def test_the_layer_is_the_last_that_the_unit_depends_on(answers, method):
    torch.manual_seed(0)
    classes = list("abcd" if answers == "joined" else "ab")
    preprocessing = {"size": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop": "none"}
    network = ico.load_network(Heads(answers), classes=classes, preprocessing=preprocessing, device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    layers = {"logit:a": "main", "main:1": "stem"} | ({"logit:c": "aux"} if answers == "joined" else {"aux:1": "stem"})
    for unit, layer in layers.items():
        found = ico.attribute(network, picture, unit, method=method)
        assert found.layer == layer
        same = ico.attribute(network, picture, unit, method=method, layer=layer)
        assert np.array_equal(found.values, same.values)
    if answers != "joined":
        with pytest.raises(NetworkError, match="not have been used") as caught:
            ico.attribute(network, picture, "logit:a", method=method, layer="aux")
        assert "depend on the layer" in caught.value.hint


class ChannelsLast(nn.Module):
    """Maps whose channels are the last axis, as in Swin and ConvNeXt."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.last = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.mix(self.embed(x).permute(0, 2, 3, 1))).mean((1, 2)))


def test_maps_with_the_channels_last_by_hand():
    torch.manual_seed(0)
    preprocessing = {"size": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop": "none"}
    module = ChannelsLast()
    network = ico.load_network(module, classes=["a", "b"], preprocessing=preprocessing, device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    found = ico.attribute(network, picture, "logit:a", method="captum:LayerGradCam")
    x = network.preprocessing.normalise(picture[None])
    maps = module.mix(module.embed(x).permute(0, 2, 3, 1)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(module.last(torch.tanh(maps).mean((1, 2)))[0, 0], maps)
    expected = (gradient.mean((1, 2), keepdim=True) * maps).sum(3)[:, None]
    expected = F.interpolate(expected, (16, 16), mode="bilinear")[0, 0].detach().numpy()
    assert found.layer == "mix" and np.allclose(found.map, expected, atol=1e-6)


def test_a_layer_of_two_names_is_watched_under_both():
    module: Any = nn.Module()
    module.first = module.second = nn.Conv2d(3, 2, 1)
    answers: Any = SimpleNamespace(module=module)
    image = torch.randn(1, 3, 4, 4)
    plain = module.first
    with maps_of_their_own(answers, "first", image) as maps:
        seen = []
        maps.register_forward_hook(lambda layer, inputs, answer: seen.append(answer))
        assert torch.equal(module.second(image), plain(image)) and torch.equal(seen[0], plain(image))
    assert module.first is module.second is plain
