"""Means with intervals against planted truths: how often an interval holds the truth."""

import math

import numpy as np
import pytest

from iconoscope.results.estimate import estimate_mean


@pytest.mark.parametrize("count", [10, 30, 100])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.98])
def test_intervals_of_shares_hold_the_truth_as_often_as_they_say(share, count):
    """Exactly: over all numbers of yes that are possible, by how likely each is."""
    held = 0.0
    for yes in range(count + 1):
        estimate = estimate_mean(np.repeat([1.0, 0.0], [yes, count - yes]))
        held += (
            math.comb(count, yes) * share**yes * (1 - share) ** (count - yes) * (estimate.low <= share <= estimate.high)
        )
    assert 0.9 < held <= 1 + 1e-9  # a share is in steps, so not 95% exactly


def coverage(draw, truth, trials):
    """How often the interval of what is drawn holds the truth."""
    estimates = [estimate_mean(draw().astype(float)) for _ in range(trials)]
    return np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])


def means(generator, count):
    """Samples with their true means, from kind ones to those where most images agree."""
    return {
        "skewed": (lambda: generator.beta(0.5, 5, count), 1 / 11),
        "beta": (lambda: generator.beta(2, 5, count), 2 / 7),
        "normal": (lambda: generator.normal(5, 2, count), 5.0),
        "differences": (lambda: (generator.random(count) < 0.4) * 1.0 - (generator.random(count) < 0.2), 0.2),
    }


@pytest.mark.parametrize("count", [30, 100])
def test_intervals_of_means_hold_the_truth_as_often_as_they_say(count):
    generator = np.random.default_rng(count)
    held = {name: coverage(draw, truth, 300) for name, (draw, truth) in means(generator, count).items()}
    assert min(held.values()) > 0.9 and max(held.values()) < 0.99, held  # three standard errors of the trial are 3.8%


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, 20, 30, 60, 200])
def test_coverage_in_many_trials(count):
    generator = np.random.default_rng(count)
    held = {name: coverage(draw, truth, 5000) for name, (draw, truth) in means(generator, count).items()}
    assert min(held.values()) > (0.87 if count < 20 else 0.91) and max(held.values()) < 0.97, held


@pytest.mark.parametrize(("agreed", "low", "high"), [(0.0, 0, 0.1135), (1.0, 0.8865, 1)])
def test_where_all_images_agree_the_interval_has_wilsons_width(agreed, low, high):
    estimate = estimate_mean(np.full(30, agreed))
    assert estimate.value == agreed and (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-3)


def test_where_all_means_agree_as_many_others_may_differ_as_could_be_missed():
    estimate = estimate_mean(np.full(30, 0.25))
    missed = 1 - 0.025 ** (1 / 30)  # so many of all images leave thirty untouched once in forty times
    assert (1 - missed) ** 30 == pytest.approx(0.025)
    assert (estimate.low, estimate.high) == pytest.approx((0.25 * (1 - missed), 0.25 + 0.75 * missed))
    assert estimate_mean(np.full(30, -0.25)).low == pytest.approx(-0.25 - 0.75 * missed)
    assert estimate_mean(np.full(30, 7.0))[1:] == (-math.inf, math.inf)


def test_shares_are_wilsons_by_hand():
    """(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)."""
    share, count, z = 7 / 40, 40, 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    estimate = estimate_mean(np.repeat([1.0, 0.0], [7, 33]))
    assert estimate == pytest.approx((share, middle - reach, middle + reach), abs=1e-6)


def test_the_interval_of_a_normal_mean_is_the_textbooks():
    values = np.random.default_rng(1).normal(5, 2, 400)
    estimate = estimate_mean(values)
    error = float(values.std(ddof=1)) / math.sqrt(400)
    assert estimate.value == pytest.approx(float(values.mean()))
    quantile = 1.96593  # of Student's distribution with 399 degrees of freedom
    assert estimate.low == pytest.approx(estimate.value - quantile * error, rel=1e-5)
    assert estimate.high == pytest.approx(estimate.value + quantile * error, rel=1e-5)


def test_missing_values_are_left_out():
    estimate = estimate_mean(np.array([1.0, 0.0, np.nan]))
    assert estimate.value == 0.5 and 0 <= estimate.low <= estimate.high <= 1
    assert math.isnan(estimate_mean(np.full(3, np.nan)).value)
    assert math.isnan(estimate_mean(np.array([])).low)


def test_numbers_that_differ_by_more_than_rounding_are_not_all_the_same():
    """A millionth of a millionth of the mean is rounding: what is more has Student's interval, which is as narrow."""
    for difference, narrow in ((1.5e-12, True), (0.5e-12, False)):
        estimate = estimate_mean(0.5 * (1 + difference * np.array([-1.0, 1.0])))
        assert (estimate.high - estimate.low < 1e-9) is narrow
