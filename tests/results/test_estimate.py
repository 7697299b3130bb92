"""Means with intervals against planted truths: how often an interval holds the truth."""

import math

import numpy as np
import pytest

from iconoscope.results.estimate import estimate_mean


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(0)
    held = np.zeros(2)
    for trial in range(200):
        for index, (values, truth) in enumerate(
            [(generator.random(60) < 0.3, 0.3), (generator.beta(2, 5, 60), 2 / 7)],
        ):
            estimate = estimate_mean(values.astype(float), seed=trial)
            held[index] += estimate.low <= truth <= estimate.high
    # 95%, and a little less for so few images; three standard errors of the trial are 4.6%.
    assert ((held / 200 > 0.89) & (held / 200 < 0.996)).all(), held / 200


def test_the_interval_of_a_normal_mean_is_the_textbooks():
    values = np.random.default_rng(1).normal(5, 2, 400)
    estimate = estimate_mean(values)
    error = float(values.std(ddof=1)) / math.sqrt(400)
    assert estimate.value == pytest.approx(float(values.mean()))
    assert estimate.low == pytest.approx(estimate.value - 1.96 * error, abs=0.15 * error)
    assert estimate.high == pytest.approx(estimate.value + 1.96 * error, abs=0.15 * error)


def test_missing_values_are_left_out():
    estimate = estimate_mean(np.array([1.0, 0.0, np.nan]))
    assert estimate.value == 0.5 and 0 <= estimate.low <= estimate.high <= 1
    assert math.isnan(estimate_mean(np.full(3, np.nan)).value)
    assert math.isnan(estimate_mean(np.array([])).low)
