"""Statistics against planted truths: how often chance is taken for something, how often an interval holds the truth."""

import math

import numpy as np
import pytest

from iconoscope.results.verdict import (
    ALPHA,
    EXCESS,
    MIN_IMAGES,
    VERDICTS,
    Estimate,
    bootstrap,
    by_exchange,
    by_maps,
    image_by_exchange,
    pooled,
)


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(0)
    held = np.zeros(2)
    for trial in range(400):
        values = np.stack([generator.random(60) < 0.3, generator.beta(2, 5, 60)], 1).astype(float)
        found = bootstrap(values, resamples=400, seed=trial)
        held += [each.low <= truth <= each.high for each, truth in zip(found, (0.3, 2 / 7), strict=True)]
    # 95%, and a little less for so few images; three standard errors of the trial are 3.3%.
    assert ((held / 400 > 0.905) & (held / 400 < 0.985)).all(), held / 400


def test_the_interval_of_a_normal_mean_is_the_textbooks():
    values = np.random.default_rng(1).normal(5, 2, (400, 1))
    (found,) = bootstrap(values, resamples=4000, seed=0)
    error = float(values.std(ddof=1)) / math.sqrt(400)
    assert found.value == pytest.approx(float(values.mean()))
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.15 * error)


def test_missing_values_are_left_out_and_nothing_is_nan():
    values = np.array([[1.0, np.nan], [0.0, np.nan], [np.nan, np.nan]])
    first, second = bootstrap(values, resamples=50, seed=0)
    assert first.value == 0.5 and 0 <= first.low <= first.high <= 1
    assert all(math.isnan(number) for number in second)
    assert math.isnan(bootstrap(values[:0], resamples=50, seed=0)[0].low)


def test_more_images_than_are_resampled_at_once():
    values = np.random.default_rng(0).random((1_500_000, 1))
    (found,) = bootstrap(values, resamples=3, seed=0)
    assert found.value == pytest.approx(float(values.mean()))
    assert abs(found.low - found.value) < 0.001 and 0 < found.high - found.low < 0.002


@pytest.mark.parametrize("images", [1, 5, 30, 200])
def test_the_pooled_test_is_wrong_as_seldom_as_it_says(images):
    generator = np.random.default_rng(images)
    p = np.array([pooled(generator.random(images)) for _ in range(20_000)])
    for level in (0.05, ALPHA):
        assert (p < level).mean() <= level + 3 * math.sqrt(level / 20_000)
    assert images == 1 or (p < 0.05).mean() > 0.035
    # Ranks that are mostly a half (there are few places that differ) make it only more careful.
    coarse = np.array([pooled(generator.choice([0.25, 0.5, 0.75], images)) for _ in range(4000)])
    assert (coarse < ALPHA).mean() <= ALPHA + 3 * math.sqrt(ALPHA / 4000)


def test_every_pair_of_intervals_has_one_verdict():
    """The rule written down once more, as a table: does the part matter (yes, no, open)?"""
    yes, no, unclear = Estimate(0.6, 0.5, 0.7), Estimate(0.01, 0.0, 0.03), Estimate(0.12, 0.05, 0.2)
    table = {
        (yes, no): "object", (yes, yes): "spread", (yes, unclear): "undecided",
        (no, yes): "context", (no, no): "undecided", (no, unclear): "undecided",
        (unclear, yes): "context", (unclear, no): "undecided", (unclear, unclear): "undecided",
    }  # fmt: skip
    assert len(table) == 9
    for (thing, ground), word in table.items():
        verdict = by_exchange(thing, ground)
        assert verdict.word == word and word in VERDICTS
        assert str(thing) in verdict.reason and str(ground) in verdict.reason


def test_a_background_that_outweighs_the_object_is_the_context_but_never_the_other_way_round():
    strong, some = Estimate(0.9, 0.85, 0.95), Estimate(0.2, 0.15, 0.25)
    assert by_exchange(some, strong).word == "context"
    assert by_exchange(strong, some).word == "spread"
    assert by_exchange(Estimate(0.4, 0.3, 0.5), strong).word == "spread"


def test_the_bound_and_the_number_of_images_fit_together():
    """What never happens in `MIN_IMAGES` images happens, with 95% confidence, in fewer than `EXCESS` of all."""
    assert (1 - EXCESS) ** MIN_IMAGES < 0.05


def test_maps_judge_only_where_patches_matter():
    half = Estimate(0.5, 0.5, 0.5)
    told = {"share": half, "area": Estimate(0.2, 0.2, 0.2), "beside": Estimate(0.1, 0.05, 0.2), "room": half}
    assert by_maps(images=100, matter=90, **told, p_object=1e-6, p_context=1).word == "object"
    crowded = by_maps(images=100, matter=90, **told | {"room": Estimate(0.05, 0.0, 0.2)}, p_object=1e-6, p_context=1)
    assert crowded.word == "undecided" and "smaller patch" in crowded.reason
    few = by_maps(images=100, matter=50, **told, p_object=1e-6, p_context=1)
    assert few.word == "undecided" and "only an exchange" in few.reason
    assert by_maps(images=100, matter=90, **told, p_object=0.02, p_context=0.98).word == "spread"
    far = told | {"beside": Estimate(0.8, 0.7, 0.9)}
    assert by_maps(images=100, matter=90, **far, p_object=1, p_context=1e-6).word == "context"
    assert by_maps(images=100, matter=90, **far, p_object=1e-6, p_context=1).word == "spread"


def test_one_image_is_judged_by_its_four_answers():
    words = {
        (1, 0, 0, 0): "object", (0, 1, 0, 0): "context", (1, 1, 0, 0): "spread", (0, 0, 0, 0): "undecided",
        (1, 0, 1, 0): "undecided", (1, 1, 1, 0): "context", (1, 1, 0, 1): "object", (1, 1, 1, 1): "undecided",
    }  # fmt: skip
    for changed, word in words.items():
        assert image_by_exchange([bool(each) for each in changed]).word == word
