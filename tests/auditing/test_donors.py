"""Which images are edited and whose property they get; and that an honest network's mistakes are not held against it."""

import numpy as np
import pytest

from iconoscope.auditing.donors import class_members, draw_donors, edited_rows
from iconoscope.results.decision_rule import effect_on


def answered(things, grounds):
    """Answer two classes by the sum of what speaks for the second in the thing and in the ground."""
    return (things + grounds > 0).astype(np.int64)


def photographs(ground_of_class, count=1200, seed=0):
    """Things that are hard to tell apart before grounds that come with the class as much as is said."""
    generator = np.random.default_rng(seed)
    target = np.arange(count) % 2
    sides = 2 * target - 1
    things = 0.6 * sides + generator.normal(size=count)
    grounds = ground_of_class * sides + 0.8 * generator.normal(size=count)
    return target, things, grounds


def excess_of_grounds(target, things, grounds, known):
    """The excess of another class's ground for class 0, with the labels known or not."""
    predicted = answered(things, grounds)
    donors = draw_donors(predicted, target if known else None, seed=0)
    given = np.stack([answered(things[donors.rows], grounds[whose]) for whose in (donors.other, donors.same)])
    return effect_on(0, predicted[donors.rows], donors.other_class, given, 0.0, donors.rows).excess


@pytest.mark.parametrize("seed", range(3))
def test_the_mistakes_of_an_honest_network_do_not_make_a_shortcut(seed):
    """Its grounds say nothing of the class, but an image that is answered wrongly has a ground that helped to it."""
    of_it = photographs(0.0, seed=seed)
    predicted = answered(*of_it[1:])
    assert 0.6 < (predicted == of_it[0]).mean() < 0.8
    assert excess_of_grounds(*of_it, known=False) > 0.15
    assert abs(excess_of_grounds(*of_it, known=True)) < 0.06
    assert excess_of_grounds(*photographs(1.0, seed=seed), known=True) > 0.3


def test_by_label_all_images_of_a_class_give_and_those_that_are_rightly_answered_take():
    generator = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], 80)
    predicted = np.where(generator.random(240) < 0.7, target, generator.integers(0, 3, 240))
    drawn = draw_donors(predicted, target, repeats=2, seed=1)
    assert set(drawn.rows.tolist()) == set(np.flatnonzero(predicted == target).tolist())
    assert np.array_equal(target[drawn.other], drawn.other_class) and (drawn.other_class != predicted[drawn.rows]).all()
    assert np.array_equal(target[drawn.same], predicted[drawn.rows]) and (drawn.same != drawn.rows).all()
    assert (predicted[drawn.other] != target[drawn.other]).any()


def test_labels_that_are_not_of_the_networks_classes_are_not_gone_by():
    target = np.repeat([0, 1], 50)
    members = class_members(1 - target, target)
    assert np.array_equal(members[0], np.arange(50, 100)) and np.array_equal(members[1], np.arange(50))


def test_too_few_labels_are_not_gone_by():
    predicted = np.repeat([0, 1], 50)
    few = np.where(np.arange(100) % 5 == 0, predicted, -1)  # ten labels a class
    members = class_members(predicted, few)
    assert np.array_equal(members[0], np.arange(50)) and np.array_equal(members[1], np.arange(50, 100))


def test_a_class_with_too_few_right_answers_is_edited_whole():
    predicted = np.repeat([0, 1], [100, 100])
    target = predicted.copy()
    target[20:100] = 1
    target[180:] = 0
    edited = edited_rows(predicted, target)
    assert edited[:100].all() and np.array_equal(edited[100:], np.arange(100) < 80)
    assert edited_rows(predicted, np.full(200, -1)).all()


def test_images_without_a_label_are_edited_as_well():
    predicted = np.repeat([0, 1], 60)
    target = np.where(np.arange(120) % 2 == 0, predicted, -1)
    target[0] = 1
    assert np.array_equal(np.flatnonzero(~edited_rows(predicted, target)), [0])


def test_small_samples_are_edited_more_than_once():
    predicted = np.repeat([0, 1], 50)
    target = predicted.copy()
    target[:10] = 1
    assert np.bincount(draw_donors(predicted, target, seed=0).rows, minlength=100).tolist() == [0] * 10 + [3] * 90
