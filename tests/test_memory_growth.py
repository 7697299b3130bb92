"""What is asked again and again takes no more memory than once: resident set, objects, finalisers."""

import gc
import weakref
from itertools import count
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.occlusion.incremental import exact as exact_engine

STATM = Path("/proc/self/statm")
IMAGES = 150
REGISTRY = vars(weakref.finalize)["_registry"]  # private to Python


def make_network(channels=4):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(channels, 8, 3), nn.ReLU()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    preprocessing = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(module, classes=["a", "b"], preprocessing=preprocessing, device="cpu")


@pytest.fixture
def network():
    return make_network()


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 16, 16, 3), dtype=np.uint8)


def resident():
    return int(STATM.read_text().split()[1]) * 4096 if STATM.exists() else 0


def state():
    gc.collect()
    return len(gc.get_objects()), len(REGISTRY), resident()


def assert_flat(ask, times, *, first=3, objects=100, megabytes=8.0):
    """Ask some times first, at least a tenth as often, since much is imported and prepared once."""
    numbers = count()
    for _ in range(max(first, times // 10)):
        ask(next(numbers))
    before = state()
    for _ in range(times):
        ask(next(numbers))
    after = state()
    grown = [now - then for now, then in zip(after, before, strict=True)]
    assert grown[0] <= objects and grown[1] <= 0 and grown[2] <= megabytes * 2**20, grown


@pytest.mark.parametrize("unit", ["prob:a", "3:2"])
@pytest.mark.parametrize("method", ["dense", "exact", "fast"])
def test_images_one_by_one(network, pictures, method, unit):
    """A plan is not worth it here, so that all take the plain way."""
    assert_flat(lambda n: ico.occlude(network, pictures[n % IMAGES], unit, patch=8, stride=8, method=method), IMAGES)


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_a_set_of_images_with_a_plan(network, pictures, method, monkeypatch):
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0)
    images = ico.load_images(list(pictures))

    def ask(number):
        for occlusion in ico.occlude_each(network, images, "prob:a", patch=8, stride=8, method=method):
            assert occlusion.plan.startswith(method)

    assert_flat(ask, 1)


def test_grids_and_networks_with_a_plan(network, pictures, monkeypatch):
    """Plans go with the call that made them, and of captured networks the last few are kept."""
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0)
    assert_flat(lambda n: ico.occlude(network, pictures[n], patch=3 + n % 7, stride=3 + n % 5), 60)

    def ask_another(number):
        ico.occlude(make_network(4 + number), pictures[0], patch=8, stride=8)

    for number in range(4):
        ask_another(number)
    assert len(exact_engine._recent_graphs) <= exact_engine.RECENT_GRAPHS


def test_a_mean_over_images(network, pictures):
    images = ico.load_images(list(pictures))
    assert_flat(lambda n: ico.occlude(network, images, patch=8, stride=8, mean=True), 1)


def test_predictions(network, pictures):
    images = ico.load_images(list(pictures))
    assert_flat(lambda n: ico.predict(network, images), 5)


@pytest.mark.filterwarnings("ignore:The map of .* is 0 everywhere")
@pytest.mark.parametrize("method", ["IntegratedGradients", "GuidedBackprop", "DeepLift", "GuidedGradCam", "SmoothGrad"])
def test_gradients(network, pictures, method):
    pytest.importorskip("captum")
    steps: dict[str, Any] = {"steps": 4} if method in ("IntegratedGradients", "SmoothGrad") else {}
    assert_flat(lambda n: ico.attribute(network, pictures[n], "logit:a", method=f"captum:{method}", **steps), 100)


def test_faithfulness(network, pictures):
    assert_flat(lambda n: ico.faithfulness(network, pictures[n], unit="prob:a", patch=8, stride=8, steps=3), 100)


def test_pictures_that_are_made(network):
    assert_flat(lambda n: ico.optimize(network, "3:1", steps=1, size=16, seed=n), 60)


def test_networks_that_are_loaded(tmp_path):
    assert_flat(lambda n: make_network(), 100)
    network = make_network()
    torch.save(network.module.state_dict(), tmp_path / "weights.pth")
    code = (
        "from torch import nn\n"
        "def make(): return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3),"
        " nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))\n"
    )
    (tmp_path / "factory.py").write_text(code)
    preprocessing = network.preprocessing.to_json()

    def load(number):
        factory = f"{tmp_path / 'factory.py'}:make"
        weights = tmp_path / "weights.pth"
        ico.load_network(factory, checkpoint=weights, classes=["a", "b"], preprocessing=preprocessing, device="cpu")

    assert_flat(load, 50)


def test_recordings(network, pictures, tmp_path):
    images = ico.load_images(list(pictures[:50]))
    assert_flat(lambda n: ico.record(network, images, store=tmp_path / str(n)), 20)


def test_a_store_that_answers_and_keeps(network, pictures, tmp_path):
    def ask(number):
        ico.occlude(network, pictures[number % 100], "prob:a", patch=8, stride=8, store=tmp_path)

    assert_flat(ask, 200)


def test_figures(network, pictures, tmp_path):
    def ask(number):
        occlusion = ico.occlude(network, pictures[number], "prob:a", patch=8, stride=8, out=tmp_path / "map.png")
        assert not plt.get_fignums()
        plt.close(occlusion.plot().figure)

    assert_flat(ask, 10, first=10)
