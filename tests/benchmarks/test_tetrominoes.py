"""The measures of tetrominoes on maps whose score is known, and the data against its definition."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance_nd

from benchmarks.tetrominoes import BACKGROUNDS, PLACES, SHAPES, SHARES, SIDE, closeness, draw, precision


@pytest.fixture(scope="module")
def truth():
    return draw("linear", "white", 2, seed=0).truth[0]


def test_the_truth_itself_reaches_one(truth):
    assert precision(truth * -2.0, truth) == 1
    assert closeness(truth * -2.0, truth) == pytest.approx(1)


def test_a_random_map_is_near_chance(truth):
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((200, SIDE, SIDE))
    assert np.mean([precision(each, truth) for each in drawn]) == pytest.approx(truth.mean(), abs=0.03)


def test_a_map_of_zeros_is_nowhere(truth):
    assert precision(np.zeros((SIDE, SIDE)), truth) == 0
    assert closeness(np.zeros((SIDE, SIDE)), truth) == 0


def test_one_pixel_that_is_moved_costs_its_way():
    truth = np.zeros((SIDE, SIDE), bool)
    truth[1, 2] = True
    assert closeness(np.roll(truth, (3, 4), (0, 1)) * 1.0, truth) == pytest.approx(1 - 5 / np.hypot(SIDE, SIDE))


def test_the_distance_is_that_of_scipy(truth):
    values = np.random.default_rng(1).random((SIDE, SIDE))
    pixels = np.argwhere(np.ones((SIDE, SIDE)))
    theirs = wasserstein_distance_nd(pixels, pixels, values.ravel(), truth.ravel().astype(float))
    assert closeness(values, truth) == pytest.approx(1 - theirs / np.hypot(SIDE, SIDE), abs=1e-6)


@pytest.mark.parametrize("scenario", SHARES)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_pictures_are_of_both_classes_and_within_bounds(scenario, background):
    drawn = draw(scenario, background, 400, seed=3)
    assert np.bincount(drawn.classes).tolist() == [200, 200]
    assert np.abs(drawn.values).max() == pytest.approx(1)
    assert drawn.pictures.shape == (400, SIDE, SIDE, 3)
    assert set(drawn.truth.sum((1, 2))) == {4 if scenario == "translations and rotations" else 8}


def test_a_class_differs_in_its_tetromino_alone():
    drawn = draw("linear", "white", 4000, seed=4)
    means = [drawn.values[drawn.classes == cls].mean(0) for cls in (0, 1)]
    for cls, (shape, (row, column)) in enumerate(zip(SHAPES, PLACES, strict=True)):
        where = np.zeros((SIDE, SIDE), bool)
        where[row : row + shape.shape[0], column : column + shape.shape[1]] = shape
        assert (means[cls] - means[1 - cls])[where].min() > 0.05
    outside = ~drawn.truth[0]
    assert np.abs(means[0] - means[1])[outside].max() < 0.05


def test_exclusive_or_tells_nothing_by_one_tetromino():
    drawn = draw("exclusive or", "white", 4000, seed=5)
    assert np.abs(drawn.values[drawn.classes == 0].mean(0) - drawn.values[drawn.classes == 1].mean(0)).max() < 0.05
    first, second = ((drawn.values * _at(index)).sum((1, 2)) for index in (0, 1))
    assert np.corrcoef(np.sign(first * second), drawn.classes)[0, 1] < -0.5


def _at(index):
    picture = np.zeros((SIDE, SIDE))
    row, column = PLACES[index]
    shape = SHAPES[index]
    picture[row : row + shape.shape[0], column : column + shape.shape[1]] = shape
    return picture
