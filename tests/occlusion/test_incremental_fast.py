"""The approximate engine: it states its own error, and takes longer windows where short ones err too much."""

import re

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.occlusion.dense import scan_dense
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental import PlanCache, fast, scan_fast
from iconoscope.occlusion.incremental import exact as exact_engine


@pytest.fixture(autouse=True)
def _always_planned(monkeypatch):
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0)


@pytest.fixture
def question(resnet20, data):
    pictures = [each.pixels for each in ico.load_images(data / "cifar10" / "test.parquet", limit=2)]
    images = resnet20.preprocessing.normalise(np.stack([resnet20.preprocessing.fit(each) for each in pictures]))
    with resnet20.questioned(), torch.inference_mode():
        yield resnet20, images, make_grid((32, 32), patch=8, stride=2), resnet20.resolve("prob:0")


def told(plan):
    mean, most = re.findall(r"off by (\S+) on average and (\S+) at most", plan)[0]
    return float(mean), float(most)


def test_it_states_the_error_that_it_makes(question):
    network, images, grid, unit = question
    cover = Cover(torch.zeros_like(images[0]))
    found = scan_fast(network, images[0], cover, grid, unit, plans=PlanCache(10**6))
    true = scan_dense(network, images[0], cover, grid, unit)
    off = np.abs(found.occluded - true.occluded)[..., unit.index]
    mean, most = told(found.plan)
    assert off.mean() < 0.02 and most <= off.max() + 1e-6
    assert mean > 0 or off.mean() < 1e-4


def test_windows_get_longer_only_where_short_ones_err_and_stay_so(question, monkeypatch):
    network, images, grid, unit = question
    cover = Cover(torch.zeros_like(images[0]))
    made = []

    def way(*question):
        made.append(question[3])
        return plain(*question)

    plain = fast._make_fast_plan
    monkeypatch.setattr(fast, "_make_fast_plan", way)
    monkeypatch.setattr(fast, "TOLERABLE", 0.0)
    cache = PlanCache(10**6)
    plans = [scan_fast(network, image, cover, grid, unit, plans=cache).plan for image in images]
    assert made == [0.7, 0.85, 1.0]  # the second image begins where the first one ended
    assert not any("windows up to" in plan for plan in plans)
    monkeypatch.setattr(fast, "TOLERABLE", 1.0)
    made.clear()
    cache = PlanCache(10**6)
    plans = [scan_fast(network, image, cover, grid, unit, plans=cache).plan for image in images]
    assert made == [0.7]
    assert all("windows up to 70% of a map" in plan for plan in plans)


def test_what_is_answered_plainly_by_the_exact_engine_is_by_this_one_too(question, monkeypatch):
    network, images, grid, unit = question
    monkeypatch.setattr(exact_engine, "LEAST_GAIN", 100)
    cover = Cover(torch.zeros_like(images[0]))
    found = scan_fast(network, images[0], cover, grid, unit)
    assert found.plan.startswith("dense") and "nothing to gain" in found.plan
    assert np.array_equal(found.occluded, scan_dense(network, images[0], cover, grid, unit).occluded)
