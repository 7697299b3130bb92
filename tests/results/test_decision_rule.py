"""The rule of the audit, on evidence of which the truth is known."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from iconoscope.results.audit_text import AuditText
from iconoscope.results.decision_rule import (
    LEAST_IMAGES,
    Conclusion,
    ConflictAccuracy,
    Effect,
    Examined,
    conclude,
    conflict_accuracy,
    effect_on,
    examine_hypothesis,
    order_names,
)
from iconoscope.results.decision_rule import examine as hold_against
from iconoscope.results.hypothesis_rule import HypothesisTest, SplitTest
from iconoscope.results.rank_area import predictive_area


def made(name, excess, *, change=0.1, failed=(), area=0.9):
    effect = Effect(excess, excess, excess + 0.01, 0.01, 0.01, change)
    return Examined(name, "donor", effect, area, ConflictAccuracy(math.nan, math.nan, 0), failed)


def test_the_area_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    for _ in range(20):
        values = generator.integers(0, 9, (60, 3)).astype(float)
        yes = generator.random(60) < 0.4
        areas = [roc_auc_score(yes, column) for column in values.T]
        area, place, sign = predictive_area(values, yes)
        assert area == pytest.approx(max(max(each, 1 - each) for each in areas))
        assert sign == (1 if areas[place] >= 0.5 else -1)
    assert math.isnan(predictive_area(np.zeros((60, 1)), np.zeros(60, bool))[0])


def test_an_effect_is_what_exceeds_the_control():
    before = np.repeat([0, 1], 100)
    donor = 1 - before
    answers = np.stack([before, before])
    answers[0, :80] = 1  # 80 of class 0 leave it with the other's property
    answers[1, :10] = 1  # 10 leave it under the control
    answers[0, 100:150] = 0  # half of class 1 become 0
    found = effect_on(0, before, donor, answers, 0.2)
    assert (found.lost, found.gained) == (pytest.approx(0.7), pytest.approx(0.5))
    assert (found.raw, found.control) == (0.8, 0.1)
    assert found.excess == pytest.approx(0.6)
    # For two classes what is taken from the one is given to the other.
    other = effect_on(1, before, donor, answers, 0.2)
    assert (other.lost, other.gained) == (pytest.approx(found.gained), pytest.approx(found.lost))


def test_the_error_is_that_of_resampling():
    generator = np.random.default_rng(1)
    before = np.repeat([0, 1], 150)
    estimates, errors = [], []
    for _ in range(400):
        answers = np.stack([before, before])
        flips = generator.random((2, 300)) < np.array([[0.3], [0.1]])
        answers = np.where(flips, 1 - answers, answers)
        found = effect_on(0, before, 1 - before, answers, 0.1)
        estimates.append(found.excess)
        errors.append(found.error)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.1)


def test_asking_an_image_again_makes_no_two_of_it():
    generator = np.random.default_rng(4)
    before = np.repeat([0, 1], 40)
    answers = np.where(generator.random((2, 80)) < 0.3, 1 - before, before)
    once = effect_on(0, before, 1 - before, answers, 0.1)
    again = np.tile(np.arange(80), 5)
    five = effect_on(0, before[again], 1 - before[again], answers[:, again], 0.1, again)
    assert five == once


def test_without_images_of_the_class_there_is_no_effect():
    found = effect_on(2, np.array([0, 1]), np.array([1, 0]), np.zeros((2, 2), np.int64), 0.1)
    assert math.isnan(found.excess)


def test_agreement_is_of_images_that_keep_and_break_the_rule():
    generator = np.random.default_rng(2)
    target = np.repeat([0, 1], 200)
    side = np.where(generator.random(400) < 0.8, target, 1 - target)
    values = (side + 0.1 * generator.random(400))[:, None]
    follows = conflict_accuracy(values, side, target, 0)  # answers by the property alone
    assert follows.agreeing == 1 and follows.conflicting == 0 and follows.images > 30
    honest = conflict_accuracy(values, target, target, 0)
    assert honest.loss == 0
    assert conflict_accuracy(values, target, np.full(400, -1), 0).images == 0


def evidence(relies, count=300, correlation=1.0, seed=0):
    """A network that goes by a number with this weight, and by the object otherwise."""
    generator = np.random.default_rng(seed)
    target = np.arange(count) % 2
    side = np.where(generator.random(count) < correlation, target, 1 - target)
    value = side + 0.2 * generator.standard_normal(count)
    goes = generator.random(count) < relies
    predicted = np.where(goes, (value > 0.5).astype(int), target)
    rows = np.arange(count)
    other = np.array([generator.choice(np.flatnonzero(predicted != each)) for each in predicted])
    same = np.array([generator.choice(np.flatnonzero(predicted == each)) for each in predicted])
    answers = np.stack([np.where(goes, (value[donor] > 0.5).astype(int), target) for donor in (other, same)])
    return {
        "predicted": predicted,
        "target": target,
        "values": {"number": value[:, None]},
        "trials": [("number", "donor", answers, 0.1), ("background", "donor", answers, 0.3)],
        "rows": rows,
        "donor": predicted[other],
    }


@pytest.mark.parametrize(
    ("relies", "word"), [(1.0, "shortcut"), (0.6, "shortcut"), (0.25, "shortcut"), (0.0, "nothing")]
)
def test_what_is_relied_on_is_found(relies, word):
    for of_class in (0, 1):
        found = hold_against(of_class, **evidence(relies))
        concluded = conclude(found, images=150, others=150, objects_known=1.0, within={})
        assert concluded.word == word
        assert concluded.names[:1] == (("number",) if relies else ())


def test_images_that_break_the_rule_and_are_right_acquit():
    """The edit flips answers, yet images that carry the other side's number by nature are answered as well: it misled."""
    given = evidence(0.0, correlation=0.7)
    flipped = 1 - given["predicted"][given["rows"]]
    given["trials"] = [("number", "donor", np.stack([flipped, 1 - flipped]), 0.1)]
    found = hold_against(0, **given)[0]
    assert found.effect.excess == 1 and "conflict" in found.failed


def test_what_comes_with_no_class_is_not_named():
    given = evidence(0.5)
    given["values"] = {"number": np.random.default_rng(3).random((300, 1))}
    assert "scan" in hold_against(0, **given)[0].failed


def fails_of(name, *, lost, gained, overlap):
    """What fails for a property of this name whose number tells two classes but for an overlap, and that flips such shares."""
    count = 400
    target = np.arange(count) % 2
    generator = np.random.default_rng(5)
    values = np.where(generator.random(count) < overlap, 1 - target, target) + 0.01 * generator.random(count)
    flipped = generator.random(count) < np.where(target == 0, lost, gained)
    trials = [(name, "donor", np.stack([np.where(flipped, 1 - target, target), target]), 0.1)]
    rows = np.arange(count)
    found = hold_against(
        0,
        predicted=target,
        target=np.full(count, -1),
        values={name: values[:, None]},
        trials=trials,
        rows=rows,
        donor=1 - target,
    )
    return found[0].area, found[0].failed


def test_the_colour_of_an_object_has_to_tell_nearly_every_answer():
    for name, failed in (("paint", ("scan",)), ("background hue", ())):
        area, fails = fails_of(name, lost=0.5, gained=0.5, overlap=0.12)
        assert 0.8 < area < 0.92 and fails == failed
    area, fails = fails_of("paint", lost=0.5, gained=0.5, overlap=0.01)
    assert area > 0.92 and fails == ()


def test_a_property_of_the_object_that_tells_the_answer_may_do_it_one_way():
    for name, overlap, failed in (
        ("object size", 0.01, ()),
        ("object size", 0.1, ("one way",)),
        ("sharpness", 0.01, ("one way",)),
    ):
        assert fails_of(name, lost=0.5, gained=0.0, overlap=overlap)[1] == failed


def test_few_images_decide_nothing():
    found = [made("number", 0.9), made("object", 0.1, failed=("effect",)), made("background", 0.9)]
    for images, others, reason in (
        (LEAST_IMAGES - 1, 500, "too few images"),
        (500, LEAST_IMAGES - 1, "too few others"),
    ):
        concluded = conclude(found, images=images, others=others, objects_known=1.0, within={})
        assert (concluded.word, concluded.reason) == ("undecided", reason)


def test_the_words():
    def said(*found, known=1.0):
        return conclude(list(found), images=100, others=100, objects_known=known, within={})

    thing, ground = made("object", 0.6), made("background", 0.6)
    no_thing, no_ground = (made(name, 0.0, failed=("effect",)) for name in ("object", "background"))
    weak = made("number", 0.3)
    assert said(weak, thing, no_ground, known=1.0).word == "mixed"
    assert said(weak, no_thing, no_ground, known=1.0).word == "shortcut"
    assert said(made("number", 0.7), thing, no_ground, known=1.0).word == "shortcut"
    assert said(thing, no_ground, known=1.0).word == "object"
    assert said(no_thing, ground, known=1.0).word == "unnamed"
    assert said(no_thing, no_ground, known=1.0) == Conclusion("nothing")
    # Where it is not known where the objects are, their exchange says nothing.
    assert said(thing, ground, known=0.2) == said(thing, no_ground, known=0.2) == Conclusion("nothing")
    assert said(weak, thing, ground, known=0.2).word == "shortcut"


def test_the_smallest_change_that_explains_it_is_named():
    whole, part = made("brightness", 0.9, change=0.2), made("background brightness", 0.8, change=0.3)
    assert order_names([whole, part], {}) == ("brightness", "background brightness")
    assert order_names([whole, part], {"background brightness": "brightness"})[0] == "background brightness"
    # A part that does much less does not explain the whole.
    assert (
        order_names([whole, made("background brightness", 0.5)], {"background brightness": "brightness"})[0]
        == "brightness"
    )


@pytest.mark.parametrize(
    ("splits", "named"),
    [
        ({"tone": (0.97, 0.6, 0.5), "pixels": (0.97, 0.5, 0.2)}, "tone"),
        ({"tone": (0.95, 0.3, 0.3), "pixels": (0.97, 0.5, 0.4)}, "pixels"),
        ({"spectrum": (0.99, 0.3, 0.1), "pixels": (0.97, 0.7, 0.6)}, "pixels"),
        ({"spectrum": (0.99, 0.6, 0.5), "thing": (0.8, 0.4, 0.3)}, "thing"),
        ({"spectrum": (0.99, 0.9, 0.9), "layout": (0.86, 0.3, 0.3)}, "spectrum"),
        ({"spectrum": (0.99, 0.6, 0.5), "layout": (0.95, 0.3, 0.3)}, "layout"),
        ({"spectrum": (0.98, 0.9, 0.9), "tone": (0.97, 0.6, 0.1)}, "spectrum"),
        ({"spectrum": (0.93, 0.5, 0.5), "tone": (0.96, 0.7, 0.6)}, "tone"),
    ],
)
def test_of_hypotheses_the_most_local_that_does_much_of_the_strongest_is_named(splits, named):
    tests = {
        kind: HypothesisTest(kind, 10, (SplitTest(area, taken, given, 0.0, 0.03),) * 3)
        for kind, (area, taken, given) in splits.items()
    }
    conclusion = conclude(
        [examine_hypothesis(test) for test in tests.values()],
        images=80,
        others=720,
        objects_known=0.0,
        within={},
        hypotheses=tests,
    )
    assert conclusion.names[0] == named and set(conclusion.names) == set(splits)


def concluded_of(test, *properties):
    return conclude(
        [examine_hypothesis(test), *properties],
        images=80,
        others=720,
        objects_known=0.0,
        within={},
        hypotheses={test.kind: test},
    )


@pytest.mark.parametrize(
    ("excess", "area", "named"), [(0.3, 0.9, "sharpness"), (0.2, 0.95, "spectrum"), (0.3, 0.85, "spectrum")]
)
def test_a_property_gives_its_name_if_it_does_and_tells_nearly_as_much(excess, area, named):
    test = HypothesisTest("spectrum", 10, (SplitTest(0.98, 0.5, 0.5, 0.0, 0.03),) * 3)
    conclusion = concluded_of(test, made("sharpness", excess, area=area))
    assert conclusion.names[0] == named and conclusion.word == "shortcut"


@pytest.mark.parametrize(("area", "margin", "reason"), [(0.98, 0.95, "tells alone"), (0.98, 0.6, ""), (0.96, 0.95, "")])
def test_what_a_property_of_the_whole_picture_tells_nearly_alone_is_not_acquitted(area, margin, reason):
    test = HypothesisTest("spectrum", 10, (SplitTest(area, 0.0, 0.0, 0.0, 0.01, margin),))
    assert concluded_of(test) == (Conclusion("undecided", reason=reason) if reason else Conclusion("nothing"))


def test_what_may_be_the_objects_own_accuses_by_no_name_either():
    tests = [SplitTest(0.96, 0.5, 0.5, 0.0, 0.03, margin) for margin in (0.6, 0.95)]
    tint = made("colour cast", 0.5, area=0.95)
    words = [concluded_of(HypothesisTest("tone", 10, (test,) * 3), tint) for test in tests]
    assert words[0] == Conclusion("undecided", reason="perhaps the object's")
    assert (words[1].word, words[1].names[0]) == ("shortcut", "colour cast")


def test_a_headline_names_the_classes_that_something_else_decides():
    by_class = {
        0: Conclusion("shortcut", ("colour cast",)),
        1: Conclusion("shortcut", ("border",)),
        2: Conclusion("object"),
    }
    images = SimpleNamespace(class_names=("frog", "truck", "owl"))
    conclusions: Any = SimpleNamespace(by_class=by_class, images=images, accused=[0, 1])
    sentence = AuditText("en").in_classes("shortcut: colour cast", [0], conclusions)
    assert sentence == "shortcut: colour cast, in 1 of 3 classes: frog; in truck something else decides"
    assert AuditText("es").in_classes("x", [0], conclusions).endswith("en truck decide otra cosa")
    del by_class[1], conclusions.accused[1]
    assert AuditText("en").in_classes("x", [0], conclusions) == "x, in 1 of 2 classes: frog"


def test_what_tells_alone_beside_an_object_that_decides_leaves_it_the_verdict():
    """Backgrounds that come with a class are no reason to doubt a network that does not go by them."""
    tells = HypothesisTest("tone", 2, (SplitTest(1.0, 0.0, 0.0, 0.0, 0.01),))
    for thing, word in ((made("object", 0.6), "object"), (made("object", 0.0, failed=("effect",)), "undecided")):
        conclusion = conclude(
            [examine_hypothesis(tells), thing, made("background", 0.0, failed=("effect",))],
            images=80,
            others=80,
            objects_known=1.0,
            within={},
            hypotheses={"tone": tells},
        )
        assert conclusion.word == word
