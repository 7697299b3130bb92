"""What torch was told around a call does not change its answer; and what libraries do when they are imported is undone."""

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensorMode

import iconoscope as ico
from iconoscope.errors import NetworkError, QuestionError
from iconoscope.occlusion.incremental import exact as exact_engine

PREPROCESSING = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


def load(module: nn.Module) -> Any:
    return ico.load_network(module, preprocessing=PREPROCESSING, classes=list("abc"), device="cpu")


@contextmanager
def told(tell, answer, usual):
    tell(answer)
    try:
        yield
    finally:
        tell(usual)


MODES = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default type": lambda: told(torch.set_default_dtype, torch.float64, torch.float32),
    "default device": lambda: told(torch.set_default_device, "meta", None),
    "device block": lambda: torch.device("meta"),
    "deterministic": lambda: told(torch.use_deterministic_algorithms, True, False),
}


def optimized(network, folder, **settings):
    return ico.optimize(network, "4:1", steps=2, seed=1, **settings).images


def fitted():
    return ico.fit_prior(np.tile(IMAGES, (3, 1, 1, 1)))


QUESTIONS = {
    "predict": lambda network, folder: ico.predict(network, IMAGES),
    "exact": lambda network, folder: ico.occlude(network, IMAGES[0], "prob:b", patch=5, stride=4).occluded,
    "dense": lambda network, folder: ico.occlude(network, IMAGES[0], "4:3", patch=5, stride=4, method="dense").occluded,
    "Saliency": lambda network, folder: ico.attribute(network, IMAGES[0], "logit:b", method="captum:Saliency").values,
    "IntegratedGradients": lambda network, folder: ico.attribute(network, IMAGES[0], "logit:b", steps=5).values,
    **{
        name: lambda network, folder, name=name: (
            ico.attribute(network, IMAGES[0], "logit:b", method=f"captum:{name}", steps=3).values
        )
        for name in ("SmoothGrad", "VarGrad", "GradientShap")
    },
    "faithfulness": lambda network, folder: (
        ico.faithfulness(network, IMAGES[0], np.arange(256.0).reshape(16, 16), unit="prob:b", steps=5).results[0].deletion
    ),
    "optimize": optimized,
    "optimize, robust": lambda network, folder: optimized(network, folder, style="robust"),
    "optimize, compared": lambda network, folder: optimized(network, folder, compare=IMAGES[:4], cap=1.2),
    "optimize, along a prior": lambda network, folder: optimized(network, folder, prior=fitted()),
    "dream": lambda network, folder: ico.dream(network, IMAGES[0], "4", octaves=2, steps=2, size=64).images,
    "fit_prior": lambda network, folder: fitted().sample(2),
    "find": lambda network, folder: (
        ico.find_units(ico.record(network, IMAGES, store=folder, workers=0), np.arange(12) < 6, name="first").auc
    ),
    "map": lambda network, folder: (
        ico.map_images(ico.record(network, IMAGES, store=folder, workers=0), method="som").points
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    network = load(layers())
    return network, {name: ask(network, tmp_path_factory.mktemp("plain")) for name, ask in QUESTIONS.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_is_the_same_in_every_mode(name, mode, answers, tmp_path):
    network, plain = answers
    with MODES[mode]():
        answer = QUESTIONS[name](network, tmp_path)
    assert answer.dtype == plain[name].dtype and np.array_equal(answer, plain[name])


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_a_plan_is_the_same_in_another_default_type(method, monkeypatch):
    """Here with a pooling that divides by less at the border, which is made good by a factor."""
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.LEAST_WORK", 0)
    pooling = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    head = nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    torch.manual_seed(0)
    network = load(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), pooling, *head))
    with told(torch.set_default_dtype, torch.float64, torch.float32):
        answer = ico.occlude(network, IMAGES[0], "prob:b", patch=3, stride=3, method=method)
    assert answer.plan.startswith(method)
    exact_engine._recent_graphs.clear()
    plain = ico.occlude(network, IMAGES[0], "prob:b", patch=3, stride=3, method=method)
    assert answer.plan == plain.plan and np.array_equal(answer.occluded, plain.occluded)


@pytest.mark.parametrize("mode", ["inference_mode", "autocast", "deterministic"])
def test_a_network_may_be_loaded_in_a_mode(mode):
    plain = ico.optimize(ico.load_network("cars", device="cpu"), "logit:lynx", steps=2).images
    with MODES[mode]():
        network = ico.load_network("cars", device="cpu")
        assert np.array_equal(ico.optimize(network, "logit:lynx", steps=2).images, plain)


@pytest.mark.parametrize("mode", [FakeTensorMode, FunctionalTensorMode])
def test_where_tensors_have_no_values_nothing_is_asked(mode, answers, tmp_path):
    network, _ = answers
    for name, ask in QUESTIONS.items():
        with mode(), pytest.raises(QuestionError, match=f"inside torch's {mode.__name__}"):
            ask(network, tmp_path / name)


def test_a_module_made_in_inference_mode_is_refused_where_gradients_are_wanted():
    with torch.inference_mode():
        network = load(layers())
    assert ico.predict(network, IMAGES).shape == (12, 3)
    with pytest.raises(NetworkError) as caught:
        ico.optimize(network, "4:1", steps=1)
    assert "outside" in caught.value.hint


IMPORTED = """
import os, random, sys
before, state = dict(os.environ), random.getstate()
import torch
from iconoscope.optimization.loop import adam
from iconoscope.subject.ledger import Ledger
with Ledger() as ledger:
    numbers = torch.zeros(3, requires_grad=True)
numbers.grad = torch.ones(3)
adam(0.1)([numbers])()
assert "torch._dynamo" not in sys.modules and ledger.held == 12  # a second to import
from iconoscope.extras import imported
for name in ("openTSNE", "torch._dynamo"):
    imported(name)
with Ledger() as ledger:
    numbers = torch.zeros(3)
assert ledger.held == 12
assert dict(os.environ) == before, set(os.environ) ^ set(before)
assert random.getstate() == state
"""


def test_imports_leave_the_environment_as_it_was():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KMP", "TORCHINDUCTOR"))}
    subprocess.run([sys.executable, "-c", IMPORTED], env=environment, check=True)
