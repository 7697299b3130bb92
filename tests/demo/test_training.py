"""The two built-in networks: what each has learned, as shipped and trained anew."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from iconoscope.demo import training
from iconoscope.demo.cars import BACKGROUNDS, MAKES, SIZE, Cars, draw_cars
from iconoscope.demo.training import TRAINED_ON, retrain
from iconoscope.errors import IconoscopeError, QuestionError, TrainingError
from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.builtin.cars import CarNetwork, car_network


@pytest.fixture(scope="module")
def new_images():
    return {kind: draw_cars(500, backgrounds=kind, seed=41) for kind in BACKGROUNDS}


@pytest.fixture(scope="module")
def shipped():
    return {name: loaded(BUILTIN[name].weights) for name in TRAINED_ON}


def loaded(path) -> CarNetwork:
    network = car_network()
    network.load_state_dict(load_file(path))
    return network.eval()


@torch.inference_mode()
def answers(network: CarNetwork, pixels: np.ndarray) -> np.ndarray:
    # Written out here: what the networks are given must not depend on the code that is tested.
    return network(torch.from_numpy((pixels.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25).float()).argmax(1).numpy()


def accuracy(network: CarNetwork, cars: Cars) -> float:
    return float((answers(network, cars.pixels) == cars.makes).mean())


def composites(cars: Cars) -> tuple[np.ndarray, np.ndarray]:
    """Each car on the background of a car of the other make, that car painted over with the mean of its surroundings.

    Gives the composites (n, SIZE, SIZE, 3) and the make that the background came with (n,).
    """
    donors = np.empty(len(cars.makes), int)
    lynx, bison = (np.flatnonzero(cars.makes == make) for make in (0, 1))
    donors[lynx], donors[bison] = bison, lynx
    filled = cars.pixels.astype(float)
    for image, mask in zip(filled, cars.masks, strict=True):
        image[mask] = image[~mask].mean(0)
    return np.where(cars.masks[..., None], cars.pixels, filled[donors]).astype(np.uint8), cars.makes[donors]


def test_the_network_is_small():
    assert sum(parameter.numel() for parameter in car_network().parameters()) < 75_000


def test_shipped_cars_learned_the_background(shipped, new_images):
    assert accuracy(shipped["cars"], new_images["telling"]) >= 0.99
    assert accuracy(shipped["cars"], new_images["exchanged"]) < 0.20


def test_shipped_cars_honest_learned_the_car(shipped, new_images):
    assert accuracy(shipped["cars-honest"], new_images["neutral"]) >= 0.99
    assert accuracy(shipped["cars-honest"], new_images["exchanged"]) > 0.95
    assert accuracy(shipped["cars-honest"], new_images["telling"]) > 0.95


def test_on_another_background_cars_follows_the_background_and_cars_honest_the_car(shipped, new_images):
    images, background_makes = composites(new_images["telling"])
    assert (answers(shipped["cars"], images) == background_makes).mean() > 0.98
    assert (answers(shipped["cars-honest"], images) == new_images["telling"].makes).mean() > 0.95


@pytest.mark.parametrize("name", TRAINED_ON)
def test_shipped_weights_say_how_to_use_them(name):
    path = BUILTIN[name].weights
    assert path.stat().st_size <= 300_000
    check_configuration(path)


def check_configuration(path):
    with safe_open(path, "np") as file:
        configuration = json.loads(file.metadata()["iconoscope"])
    assert configuration["preprocessing"].pop("middle", "nearest") == "nearest"  # the shipped ones were made before it
    assert configuration["preprocessing"] == {
        "size": [SIZE, SIZE],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "interpolation": "bilinear",
        "crop": "none",
        "resize": None,
    }
    assert configuration["classes"] == list(MAKES)
    assert configuration["trained_on"]
    assert set(configuration["accuracy"]) == {"own", *BACKGROUNDS}


@pytest.fixture
def hasty(monkeypatch):
    """Training too short to learn anything."""
    monkeypatch.setattr(training, "_TRAINING_IMAGES", 20)
    monkeypatch.setattr(training, "_NEW_IMAGES", 20)
    monkeypatch.setattr(training, "_SCHEDULE", training._SCHEDULE._replace(epochs=1, batch=10))


def test_a_network_that_learned_nothing_is_not_written(hasty, tmp_path):
    with pytest.raises(TrainingError, match="Nothing was written") as caught:
        retrain(tmp_path)
    assert isinstance(caught.value, IconoscopeError)
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_trains_the_same_weights_and_leaves_the_callers_random_numbers(hasty, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_REQUIRED", {})
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    reports = [retrain(tmp_path / folder) for folder in ("first", "second")]
    assert torch.equal(torch.rand(1), expected)
    assert reports[0] == reports[1]
    for name in TRAINED_ON:
        first, second = ((tmp_path / folder / f"{name}.safetensors").read_bytes() for folder in ("first", "second"))
        assert first == second
        assert [path.name for path in (tmp_path / "first").glob(".*")] == []


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(QuestionError, match="seed=-1"):
        retrain(tmp_path, seed=-1)


@pytest.mark.slow
def test_retraining_reaches_the_figures_in_time(tmp_path, new_images):
    started = time.perf_counter()
    report = retrain(tmp_path)
    assert time.perf_counter() - started < 300
    assert report["cars"]["own"] >= 0.99
    assert report["cars"]["exchanged"] < 0.20
    assert report["cars-honest"]["own"] >= 0.99
    assert report["cars-honest"]["exchanged"] > 0.95
    for name, kind in TRAINED_ON.items():
        path = tmp_path / f"{name}.safetensors"
        assert path.stat().st_size <= 300_000
        check_configuration(path)
        assert accuracy(loaded(path), new_images[kind]) >= 0.99
