import json
from dataclasses import replace

import numpy as np
import pytest

from iconoscope.results import CONDITIONS
from iconoscope.results.look import EVIDENCE
from iconoscope.results.rendering import outlined
from specimens import looked


def test_the_numbers_are_those_of_the_images_that_count():
    found = looked()
    assert found.overall.judged == 79 and found.overall.standings == {"wrong": 1, "judged": 79}
    # Image 0 is wrong, 1 and 2 stay as they are: 77 of 79 change.
    assert found.overall.evidence["object excess"].value == pytest.approx(77 / 79)
    assert found.findings["y"].evidence["object excess"].value == pytest.approx(39 / 40)
    assert found.overall.evidence["share"].value == pytest.approx(found.share[1:].mean())
    hidden = found.overall.probabilities["object hidden"]
    assert hidden.value == pytest.approx(found.probabilities[1:, list(CONDITIONS).index("object hidden")].mean())
    assert hidden.low < hidden.value < hidden.high
    assert [verdict.word for verdict in found.verdicts[:4]] == ["undecided", "undecided", "undecided", "object"]
    assert (found.verdict, looked(alone=True).verdict) == ("object", "object")


def test_everything_is_plain_json():
    for found in (looked(), looked(alone=True), looked(count=4)):
        told = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert told["verdict"] == told["all"]["verdict"] == found.verdict
        assert [each["group"] for each in told["classes"]] == ["x", "y"]
        assert len(told["images"]) == len(found.ids)
        assert set(told["all"]["evidence"]) == set(EVIDENCE if found.conditions else list(EVIDENCE)[:5])


def test_the_sentence_says_what_counts():
    told = looked().summary()
    assert told.startswith("planted looks at the object. Of the answers, another class's object changes 97% (")
    assert told.endswith(
        "79 of 80 images count, answered rightly with a probability of 0.5 or more (1 answered wrongly)."
    )
    assert "Of 4 images only 3" in looked(count=4).reason


def test_classes_of_one_name_are_told_apart():
    assert list(replace(looked(), classes=("x", "x")).findings) == ["x [0]", "x [1]"]


def test_the_figure_draws_every_interval():
    pairs = (looked(), ("object excess", "background excess")), (looked(alone=True), ("share", "beside", "area"))
    for found, names in pairs:
        axes = found._drawn().axes[0]
        assert len(axes.collections) == len(names)
        for line, name in zip(axes.lines, names, strict=True):
            expected = [row.evidence[name].value for row in (found.overall, *found.findings.values())]
            assert sorted(np.asarray(line.get_xdata())) == pytest.approx(sorted(expected))
        assert "all (79): object" in [label.get_text() for label in axes.get_yticklabels()]


def test_the_outline_is_beside_the_object_and_hides_none_of_it():
    found = looked()
    laid, mask = found.outline(0), found.objects_shown[0]
    assert np.array_equal(laid[mask], found.pictures_shown[0][mask])
    changed = (laid != found.pictures_shown[0]).any(2)
    assert changed[4].all() and changed.sum() == 12
    assert np.array_equal(outlined(laid, np.zeros_like(mask)), laid)
