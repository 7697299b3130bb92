"""What an audit concludes on its network from its classes, each case made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.audit_evidence import AuditedImages, Donors, Interventions
from iconoscope.results.decision_rule import Conclusion, ConflictAccuracy, Effect, Examined
from iconoscope.results.estimate import estimate_mean

PREDICTED = np.array([1, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0, 4, 4])


def audited_images(predicted=PREDICTED, known=None):
    count = len(predicted)
    return AuditedImages(
        class_names=tuple("abcde"),
        ids=np.array([str(number) for number in range(count)]),
        target=np.full(count, -1),
        predicted=predicted,
        object_known=np.ones(count, bool) if known is None else known,
        object_given=np.zeros(count, bool),
        set_size=count,
        confusion=np.array([[-1, 0, count]]),
        preprocessing="",
        preprocessing_assumed=False,
        date="2026-11-29",
    )


def interventions(predicted=PREDICTED, seed=0):
    draw = np.random.default_rng(seed)
    count = len(predicted)
    rows = np.repeat(np.arange(count), 3)
    sizes = np.array([2, 3])
    return Interventions(
        nuisances=("hue", "light"),
        within=("", "hue"),
        skipped=(),
        statistic_sizes=sizes,
        statistics=draw.normal(size=(count, 5)).astype(np.float32),
        trials=("hue", "object", "background"),
        sources=("donor", "donor", "donor"),
        pixel_change=np.array([0.1, 0.2, 0.3], np.float32),
        donors=Donors(rows, other := draw.integers(0, count, len(rows)), rows, predicted[other]),
        answers=draw.integers(0, 5, (3, 2, len(rows))),
        answers_without=np.full((count, 2), -1),
    )


def concluded(by_class, excess=None):
    """Conclusions whose classes are stated."""
    conclusions = Conclusions(audited_images(), interventions())
    vars(conclusions)["by_class"] = by_class
    effects = {name: Effect(size, size, size, 0, 0, 0) for name, size in (excess or {}).items()}
    single = [Examined(name, "donor", effect, 1, ConflictAccuracy(1, 1, 0), ()) for name, effect in effects.items()]
    vars(conclusions)["examined"] = dict.fromkeys(by_class, single)
    return conclusions


def test_classes_are_those_that_are_answered_the_most_frequent_first():
    assert Conclusions(audited_images(), interventions()).answered == [0, 1, 2, 4]
    assert Conclusions(audited_images(np.array([3, 3, 1, 1, 0])), interventions()).answered == [1, 3, 0]


def test_the_gravest_word_and_what_weighs_most():
    excess = {"hue": 0.5, "light": 0.4, "tag": 0.3}
    found = concluded(
        {
            0: Conclusion("mixed", ("light",)),
            1: Conclusion("shortcut", ("light", "tag")),
            2: Conclusion("shortcut", ("hue", "light")),
            3: Conclusion("object"),
        },
        excess,
    )
    # light: twice the first; hue once; tag only further down, which weighs next to nothing.
    assert found.overall == Conclusion("shortcut", ("light", "hue", "tag"))
    assert found.accused == [0, 1, 2] and found.relied_on == ["light", "hue"]
    # What is never first weighs a thousandth: 0.5 / 1000 twice is less than 0.3 once.
    later = concluded({0: Conclusion("unnamed", ("tag", "hue")), 1: Conclusion("mixed", ("tag", "hue"))}, excess)
    assert later.overall == Conclusion("unnamed", ("tag", "hue"))
    near = concluded({0: Conclusion("mixed", ("hue", "tag")), 1: Conclusion("mixed", ("light",))}, excess)
    assert near.overall == Conclusion("mixed", ("hue", "light", "tag"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([("object", ""), ("undecided", "near chance")], Conclusion("object")),
        ([("object", "")], Conclusion("object")),
        (
            [
                ("object", ""),
                ("undecided", "near chance"),
                ("undecided", "too few others"),
                ("undecided", "too few others"),
            ],
            Conclusion("undecided", reason="too few others"),
        ),
        (
            [("object", ""), ("object", ""), ("undecided", "too few others"), ("undecided", "too few others")],
            Conclusion("object"),
        ),
        (
            [("undecided", "near chance"), ("undecided", "too few others"), ("undecided", "near chance")],
            Conclusion("undecided", reason="near chance"),
        ),
        ([], Conclusion("undecided", reason="too few images")),
    ],
)
def test_half_of_the_classes_are_enough_for_the_object(words, said):
    by_class = {number: Conclusion(word, reason=reason) for number, (word, reason) in enumerate(words)}
    assert concluded(by_class).overall == said


@pytest.mark.parametrize(("known", "said"), [(7, True), (6, False)])
def test_objects_are_spoken_of_where_half_of_them_are_known(known, said):
    found = Conclusions(audited_images(known=np.arange(14) < known), interventions())
    assert found.share_known == pytest.approx(known / 14) and found.objects_known is said
    assert bool(found.swaps(1)) is said
    nothing = Conclusions(audited_images(np.zeros(0, int)), interventions())
    assert nothing.share_known == 0.0 and not nothing.objects_known


def test_swaps_image_by_image():
    given = interventions()
    found = Conclusions(audited_images(), given).swaps(1)
    assert list(found) == ["background", "object"]
    for part, trial in (("object", 1), ("background", 2)):
        left = given.answers[trial] != 1
        by_image = np.array([left[:, given.donors.rows == image].mean(1) for image in np.flatnonzero(PREDICTED == 1)])
        expected = (by_image[:, 0], by_image[:, 1], by_image[:, 0] - by_image[:, 1])
        assert tuple(found[part]) == tuple(estimate_mean(values) for values in expected)
    assert Conclusions(audited_images(), given).swaps(3) == {}


def test_the_number_of_a_nuisance_that_tells_an_answer_best():
    given = interventions()
    statistics = np.zeros_like(given.statistics)
    statistics[:, 4] = PREDICTED == 2  # the third of the second nuisance
    statistics[:, 1] = PREDICTED >= 2
    found = Conclusions(audited_images(), replace(given, statistics=statistics))
    assert (found.best_number("hue"), found.best_number("light")) == (1, 2)
    assert np.array_equal(found.best_values("light"), statistics[:, 4])
    assert np.array_equal(found.best_values("hue"), statistics[:, 1])
    alone = Conclusions(audited_images(np.zeros(14, int)), given)  # one answer: nothing tells it from others
    assert alone.best_number("light") == 0


def test_every_class_is_concluded_on_with_its_own_numbers(monkeypatch):
    given, told = interventions(), {}

    def conclude(examined, **settings):
        told[len(told)] = examined, settings
        return Conclusion("object")

    monkeypatch.setattr("iconoscope.results.audit_conclusions.conclude", conclude)
    known = np.arange(14) < 4
    found = Conclusions(audited_images(known=known), given)
    assert list(found.by_class) == [0, 1, 2, 4]
    for number, (index, images) in enumerate([(0, 5), (1, 4), (2, 3), (4, 2)]):
        examined, settings = told[number]
        assert examined is found.examined[index]
        assert settings == {
            "images": images, "others": 14 - images, "objects_known": 4 / 14, "within": {"hue": "", "light": "hue"},
            "hypotheses": {},
        }  # fmt: skip
        names = {single.name: single.effect.pixel_change for single in examined}
        assert names == pytest.approx({"hue": 0.1, "object": 0.2, "background": 0.3})
