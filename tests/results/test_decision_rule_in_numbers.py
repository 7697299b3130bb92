"""The audit's rule at its thresholds, and its statistics counted image by image."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from iconoscope.results.decision_rule import (
    IMAGE_PARTS,
    Conclusion,
    ConflictAccuracy,
    Effect,
    Examined,
    conclude,
    conflict_accuracy,
    conflicting_images,
    effect_on,
    examine,
    order_names,
    shares_by_image,
)
from iconoscope.results.decision_rule import _failed as failed_conditions
from iconoscope.results.decision_rule import _least_areas as least_areas
from iconoscope.results.rank_area import predictive_area

UNCONTESTED = ConflictAccuracy(math.nan, math.nan, 0)


def effect(lost, gained=None, error=0.01, change=0.1):
    return Effect(lost, lost if gained is None else gained, lost, 0.0, error, change)


@pytest.mark.parametrize(
    ("name", "lost", "gained", "error", "area", "accuracy", "failed"),
    [
        ("hue", 0.5, 0.5, 0.01, 0.9, UNCONTESTED, ()),
        ("hue", 0.115, 0.115, 0.01, 0.9, UNCONTESTED, ()),  # what is as large as the least is enough
        ("hue", 0.1149, 0.1149, 0.01, 0.9, UNCONTESTED, ("effect",)),
        ("paint", 0.5, 0.5, 0.01, 0.919, UNCONTESTED, ("scan",)),
        ("paint", 0.5, 0.5, 0.01, 0.92, UNCONTESTED, ()),
        ("position", 0.26, 0.0, 0.01, 0.96, UNCONTESTED, ()),
        ("position", 0.26, 0.0, 0.01, 0.959, UNCONTESTED, ("one way",)),
        ("position", 0.149, 0.07, 0.01, 0.96, UNCONTESTED, ("effect", "one way")),
        ("hue", 0.3, 0.3, 0.1, 0.9, UNCONTESTED, ("chance",)),  # three standard errors must be passed
        ("hue", 0.301, 0.301, 0.1, 0.9, UNCONTESTED, ()),
        ("hue", 0.4, 0.0749, 0.01, 0.9, UNCONTESTED, ("one way",)),
        ("hue", 0.0749, 0.4, 0.01, 0.9, UNCONTESTED, ("one way",)),
        ("hue", 0.4, 0.075, 0.01, 0.9, UNCONTESTED, ()),
        ("hue", 0.5, 0.5, 0.01, 0.6799, UNCONTESTED, ("scan",)),
        ("hue", 0.5, 0.5, 0.01, 0.68, UNCONTESTED, ()),
        ("hue", 0.5, 0.5, 0.01, 0.9, ConflictAccuracy(0.5, 0.3801, 15), ("conflict",)),
        ("hue", 0.5, 0.5, 0.01, 0.9, ConflictAccuracy(0.5, 0.3801, 14), ()),  # too few to speak
        ("hue", 0.5, 0.5, 0.01, 0.9, ConflictAccuracy(0.5, 0.3799, 99), ()),
        ("background", 0.2, 0.2, 0.01, math.nan, UNCONTESTED, ()),
        ("background", 0.199, 0.199, 0.01, math.nan, UNCONTESTED, ("effect",)),
        ("background", 0.4, 0.099, 0.01, math.nan, UNCONTESTED, ("one way",)),
        ("background", 0.4, 0.1, 0.01, math.nan, UNCONTESTED, ()),
        ("object", 0.25, 0.25, 0.01, math.nan, UNCONTESTED, ()),
        ("object", 0.249, 0.249, 0.01, math.nan, UNCONTESTED, ("effect",)),
        ("object", 0.6, 0.075, 0.01, math.nan, UNCONTESTED, ()),
        ("hue", math.nan, math.nan, math.nan, 0.9, UNCONTESTED, ("effect", "chance", "one way")),
    ],
)
def test_every_condition_at_its_threshold(name, lost, gained, error, area, accuracy, failed):
    told = effect(lost, gained, error)
    assert failed_conditions(name, told, area, accuracy, least_areas({name: told})[name]) == failed
    single = Examined(name, "donor", effect(lost, gained, error), area, accuracy, failed)
    assert single.relied_on == (name not in IMAGE_PARTS and not failed)


def test_a_tone_that_does_no_more_than_the_paint_of_the_object_is_held_to_its_area():
    effects = {"paint": effect(0.3), "saturation": effect(0.3), "colour cast": effect(0.31), "hue": effect(0.1)}
    assert least_areas(effects) == {"paint": 0.92, "saturation": 0.92, "colour cast": 0.68, "hue": 0.68}
    del effects["paint"]
    assert set(least_areas(effects).values()) == {0.68}


def test_the_error_of_an_excess_by_hand():
    before, donor = np.array([0, 0, 0, 0, 1, 1]), np.array([1, 1, 1, 1, 0, 0])
    answers = np.array([[1, 1, 0, 0, 0, 1], [0, 1, 0, 0, 1, 1]])
    found = effect_on(0, before, donor, answers, 0.3)
    # Lost: 1, 0, 0, 0, of variance 3/16; gained: 1, 0, of variance 1/4. And 1/n, so that few that agree are not sure.
    error = math.sqrt((3 / 16 + 1 / 4) / 4 + (1 / 4 + 1 / 2) / 2) / 2
    assert found == pytest.approx((0.25, 0.5, 0.5, 0.25, error, 0.3))
    assert found.excess == pytest.approx(0.375)
    sure = effect_on(0, before, donor, np.stack([1 - before, before]), 0.3)
    assert sure.error == pytest.approx(math.sqrt(1 / 4 / 4 + 1 / 2 / 2) / 2)
    # Of other images those alone that were lent the class's property.
    third = effect_on(0, np.array([0, 1, 2]), np.array([1, 0, 1]), np.array([[1, 0, 2], [0, 1, 2]]), 0.3)
    assert third.gained == 1 and third.lost == 1


def test_shares_are_of_images_however_often_they_were_asked():
    rows = np.array([7, 3, 7, 3, 7, 5])
    counted = np.array([True, True, True, True, True, False])
    happened = np.array([[1, 0, 0, 1, 0, 1], [0, 0, 1, 0, 1, 1]], bool)
    other, own = shares_by_image(counted, happened, rows)
    assert other.tolist() == [0.5, pytest.approx(1 / 3)] and own.tolist() == [0, pytest.approx(2 / 3)]


def test_a_number_that_is_missing_ranks_as_the_largest():
    generator = np.random.default_rng(5)
    values, yes = generator.normal(size=(40, 2)), generator.random(40) < 0.5
    values[:12, 1] = np.nan
    areas = [roc_auc_score(yes, column) for column in np.where(np.isnan(values), 1e9, values).T]
    best = int(np.argmax(np.abs(np.array(areas) - 0.5)))
    area, column, sign = predictive_area(values, yes)
    assert (column, sign) == (best, 1 if areas[best] >= 0.5 else -1)
    assert area == pytest.approx(max(areas[best], 1 - areas[best]))


def test_images_that_keep_and_break_a_rule_one_by_one():
    #                  class 0 has large numbers              others small ones                 no label
    values = np.array([9, 8, 7, 6, 1, 0, 9, 9, 5, 5.0, 1, 2, 3, 2, 2, 8, 9, 1, 0, 2, 9, 1])[:, None]
    target = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1]).astype(int)
    predicted = np.where(values[:, 0] >= 5, 0, 1)
    predicted[5] = 0
    agreeing, conflicting = conflicting_images(values, predicted, target, 0)
    high, low = np.median(values[predicted == 0]), np.median(values[predicted == 1])
    for image in range(len(target)):
        number = values[image, 0]
        keeps = number >= high if target[image] == 0 else number <= low
        breaks = number <= low if target[image] == 0 else number >= high
        labelled = target[image] >= 0
        assert agreeing[image] == (labelled and keeps) and conflicting[image] == (labelled and breaks and not keeps)
    turned, against = conflicting_images(-values, predicted, target, 0)
    assert np.array_equal(turned, agreeing) and np.array_equal(against, conflicting)


def test_both_sides_weigh_alike_and_both_must_be_there():
    def accuracy(inside, outside, right_inside, right_outside):
        """So many images of either side that break the rule, of which so many are answered right; the rest keeps it."""
        kept = 400
        target = np.repeat([0, 1, 0, 1], [kept, kept, inside, outside])
        side = np.repeat([0, 1, 1, 0], [kept, kept, inside, outside])
        right = np.concatenate(
            [np.ones(2 * kept, bool), np.arange(inside) < right_inside, np.arange(outside) < right_outside]
        )
        predicted = np.where(right, target, 1 - target)
        return conflict_accuracy(side[:, None].astype(float), predicted, target, 0)

    found = accuracy(10, 40, 5, 10)
    assert found == pytest.approx((1.0, (5 / 10 + 10 / 40) / 2, 10 + 15))  # of the other no more than 15, or as many
    assert found.loss == pytest.approx(1 - 0.375)
    assert accuracy(20, 40, 5, 10).images == 40 and accuracy(20, 12, 5, 10).images == 32
    assert accuracy(5, 5, 5, 5).images == 10
    for few in (accuracy(4, 40, 4, 40), accuracy(40, 4, 40, 4)):
        assert few.images == 0 and math.isnan(few.conflicting) and few.agreeing == 1


def test_of_two_sources_the_one_that_does_more_and_the_strongest_first():
    before, target = np.repeat([0, 1], 40), np.repeat([0, 1], 40)
    flipped, half = 1 - before, np.where(np.arange(80) % 2, before, 1 - before)
    values = {"hue": before[:, None].astype(float), "light": np.zeros((80, 1))}
    found = examine(
        0,
        predicted=before,
        target=target,
        values=values,
        trials=[
            ("light", "donor", np.stack([before, before]), 0.2),
            ("hue", "donor", np.stack([half, before]), 0.1),
            ("hue", "mean", np.stack([flipped, before]), 0.3),
            ("object", "donor", np.stack([half, before]), 0.4),
        ],
        rows=np.arange(80),
        donor=1 - before,
    )
    assert [(single.name, single.source) for single in found] == [
        ("hue", "mean"),
        ("object", "donor"),
        ("light", "donor"),
    ]
    assert [single.effect.excess for single in found] == [1.0, 0.5, 0.0]
    assert [single.effect.pixel_change for single in found] == [0.3, 0.4, 0.2]
    assert found[0].area == 1 and math.isnan(found[1].area) and found[2].area == 0.5
    assert found[0].failed == () and found[2].failed == ("effect", "chance", "one way", "scan")


def made(name, excess, change=0.1, failed=()):
    return Examined(name, "donor", effect(excess, change=change), 0.9, UNCONTESTED, failed)


def test_conclusions_at_their_thresholds():
    def said(*examined, images=30, others=30, known=0.5):
        return conclude(list(examined), images=images, others=others, objects_known=known, within={})

    hue, thing, ground = made("hue", 0.4), made("object", 0.6), made("background", 0.6)
    no_thing, no_ground = replace(thing, failed=("effect",)), replace(ground, failed=("effect",))
    assert said(hue, thing, no_ground) == Conclusion("mixed", ("hue",))
    assert said(hue, thing, no_ground, images=29) == Conclusion("undecided", reason="too few images")
    assert said(hue, thing, no_ground, others=29) == Conclusion("undecided", reason="too few others")
    assert said(hue, thing, no_ground, known=0.49) == Conclusion("shortcut", ("hue",))
    assert said(made("hue", 0.5), thing, no_ground) == Conclusion("shortcut", ("hue",))
    assert said(hue, ground) == Conclusion("shortcut", ("hue",))
    assert said(thing, ground) == Conclusion("unnamed", ("background",))
    assert said(thing, no_ground) == Conclusion("object")
    assert said(no_thing, no_ground, known=0.5) == Conclusion("nothing")
    assert said(thing, no_ground, known=0.49) == Conclusion("nothing")
    assert said(replace(hue, failed=("scan",)), no_thing, no_ground).word == "nothing"


def test_what_is_named_first_does_nearly_as_much_and_changes_least():
    strong, near, far = made("a", 0.5, change=0.3), made("b", 0.4, change=0.2), made("c", 0.399, change=0.1)
    assert order_names([strong, near, far], {}) == ("b", "a", "c")  # four fifths of 0.5 are 0.4
    assert order_names([far, near, strong], {"b": "a"}) == ("b", "a", "c")
    assert order_names([strong, near, far], {"a": "b"}) == ("a", "b", "c")
    assert order_names([strong], {"a": "whole"}) == ("a",)


def test_a_class_that_nothing_is_answered_with_has_no_rule_to_break():
    values, target = np.arange(40.0)[:, None], np.arange(40) % 2
    agreeing, conflicting = conflicting_images(values, np.ones(40, int), target, 0)
    assert agreeing.dtype == conflicting.dtype == bool and len(agreeing) == 40
    assert not agreeing.any() and not conflicting.any()


def test_without_either_side_there_is_no_area_and_the_first_number_as_it_is():
    values = np.arange(8.0).reshape(4, 2)
    for answered in (np.zeros(4, bool), np.ones(4, bool)):
        area, column, sign = predictive_area(values, answered)
        assert math.isnan(area) and (column, sign) == (0, 1)
