"""The approximate engine: it states its own error, and takes longer windows where short ones err too much."""

import re

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.occlusion.dense import scan_dense
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental import PlanCache, fast, plan, scan_fast
from iconoscope.occlusion.incremental import exact as exact_engine
from iconoscope.subject.captured.receptive_field import AxisField, Interval
from iconoscope.vocabulary.unit import ClassUnit


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
    assert np.allclose(found.occluded, scan_dense(network, images[0], cover, grid, unit).occluded, atol=1e-5)


def test_a_cut_is_around_the_middle_of_the_patch_on_the_map():
    """A map half as long as the image: the patch at 40 to 60 has its middle at 25 there, and a fifth of the map is 10."""
    interval = plan._shortened(
        np.array([40]), 20, 100, 50, AxisField(), Interval(np.array([0]), np.array([50])), share=0.2
    )
    assert (interval.start.tolist(), interval.stop.tolist()) == ([20], [30])


def test_small_grids_are_sampled_enough_and_the_maximum_is_called_sampled(question):
    network, images, _, unit = question
    cover = Cover(torch.zeros_like(images[0]))
    told = scan_fast(network, images[0], cover, make_grid((32, 32), patch=8, stride=4), unit).plan
    assert "on 25 positions" in told and "a sampled maximum" in told


@pytest.mark.parametrize("kind", ["prob", "logit"])
def test_the_largest_error_is_estimated_by_the_sample(kind):
    """Probabilities that saturate nearly everywhere: the sample sees next to no error, one position has a large one."""
    exact = np.full((6, 6), -14.0)
    exact[3, 3] = 0.0
    nearly = exact + 0.25 * (-1.0) ** np.add.outer(np.arange(6), np.arange(6))
    if kind == "prob":
        exact, nearly = (1 / (1 + np.exp(-np.maximum(values, -12))) for values in (exact, nearly))
    else:
        exact, nearly = exact.clip(-1, 1), nearly.clip(-1, 1) + 0.1
    unit = ClassUnit(kind, "a", 0)
    exact, nearly = exact.astype(np.float32), nearly.astype(np.float32)
    sampled = np.ix_([0, 1, 3], [1, 3, 5])
    largest = fast._largest_error(nearly, nearly[sampled], exact[sampled], unit)
    off = np.abs(nearly - exact)
    assert off.max() <= largest <= 4 * off.max()


def test_the_largest_error_of_all_positions_is_about_as_estimated(question):
    network, images, grid, unit = question
    for image in images:
        cover = Cover(torch.zeros_like(image))
        scan = scan_fast(network, image, cover, grid, unit, plans=PlanCache(10**6))
        true = scan_dense(network, image, cover, grid, unit)
        off = np.abs(scan.occluded - true.occluded)[..., unit.index]
        estimated = float(re.findall(r"estimated (\S+) at most on all", scan.plan)[0])
        assert off.max() <= 1.5 * estimated + 1e-6


def test_what_16_bits_change_of_the_clean_answer_is_taken_off(question, monkeypatch):
    """A patch that changes nothing must answer as nothing covered does, to the precision of 32 bits."""
    network, images, grid, _ = question
    unit = network.resolve("logit:0")
    monkeypatch.setattr(fast, "multiplies_bfloat16", lambda device: True)
    scan = scan_fast(network, images[0], Cover(images[0]), grid, unit)
    assert scan.plan.startswith("fast") and "bfloat16" in scan.plan
    clean = scan_dense(network, images[0], Cover(images[0]), grid, unit).occluded
    assert np.abs(scan.occluded - clean).max() < 2e-4
