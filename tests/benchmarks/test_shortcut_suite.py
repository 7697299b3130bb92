"""Cars with a planted shortcut: what is exchanged, and what is not."""

import numpy as np
import pytest

from benchmarks.shortcut_suite import CORRELATIONS, Case, honest_cases, planted_cases
from benchmarks.shortcuts import KEPT_BACK, SHORTCUTS, draw_planted
from iconoscope.errors import QuestionError

OVER = ("corner tag", "border", "lamp")  # what lies over the picture and leaves the rest


@pytest.mark.parametrize("name", SHORTCUTS | KEPT_BACK)
def test_the_other_side_is_the_same_car(name):
    one, other = (draw_planted(16, name, seed=4, exchanged=exchanged) for exchanged in (False, True))
    assert np.array_equal(one.makes, other.makes) and np.array_equal(one.sides, 1 - other.sides)
    assert np.array_equal(one.sides, one.makes)
    assert (one.pixels != other.pixels).any((1, 2, 3)).all()
    if name not in ("position", "object size"):
        assert np.array_equal(one.masks, other.masks)
    if name in OVER:
        assert (one.pixels == other.pixels).all(-1).mean() > 0.75


def test_the_correlation_is_what_was_asked():
    drawn = draw_planted(2000, "border", correlation=0.8, seed=1)
    assert abs((drawn.sides == drawn.makes).mean() - 0.8) < 0.03
    assert abs(drawn.makes.mean() - 0.5) < 0.01
    assert np.array_equal(draw_planted(2000, "border", correlation=0.8, seed=1).pixels, drawn.pixels)


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(QuestionError, match="No shortcut is called 'corner tga'") as caught:
        draw_planted(4, "corner tga")
    assert "corner tag" in caught.value.hint
    with pytest.raises(QuestionError, match="must be"):
        draw_planted(4, "border", correlation=1.2)
    with pytest.raises(QuestionError, match="must be"):
        draw_planted(4, "border", seed=-1)
    with pytest.raises(QuestionError, match="must be"):
        draw_planted(0, "border")


def test_the_sets_of_a_case_never_meet():
    cases = [*planted_cases(range(100, 103)), *honest_cases(range(100, 103))]
    assert len({case.name for case in cases}) == len(cases) == 12 * 3 * 3 + 12 * 3
    case = Case("paint", 1.0, 1.0, 5)
    drawn = [case.draw(purpose, 6, correlation=1.0).pixels for purpose in ("training", "truth", "audit")]
    assert not any(np.array_equal(a, b) for a, b in ((drawn[0], drawn[1]), (drawn[0], drawn[2]), (drawn[1], drawn[2])))


def test_half_of_the_honest_are_judged_on_confounded_images():
    cases = honest_cases(range(16))
    confounded = [case for case in cases if case.audited in CORRELATIONS]
    assert len(confounded) == len(cases) / 2 and all(case.honest for case in cases)
    assert {(case.shortcut, case.audited) for case in confounded} == {(a, b) for a in SHORTCUTS for b in CORRELATIONS}
