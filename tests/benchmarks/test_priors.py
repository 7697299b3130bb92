"""The judgements of pictures along priors, on numbers whose answer is known."""

import numpy as np
import pytest

from benchmarks.priors import Row, _within, frechet, table


def test_the_distance_of_normal_distributions_is_the_closed_form():
    draw = np.random.default_rng(0)
    values = draw.standard_normal((200_000, 2)) * [1.0, 3.0] + [1.0, 0.0]
    assert frechet(values, np.array([1.0, 0.0]), np.diag([1.0, 9.0])) == pytest.approx(0, abs=0.01)
    assert frechet(values, np.array([3.0, 0.0]), np.diag([1.0, 9.0])) == pytest.approx(4, rel=0.02)
    assert frechet(values, np.array([1.0, 0.0]), np.diag([4.0, 9.0])) == pytest.approx((2 - 1) ** 2, rel=0.05)


def test_diversity_is_within_classes():
    features = np.array([[0.0], [2.0], [100.0], [104.0]])
    assert _within(features, np.array([0, 0, 1, 1])) == pytest.approx(3)


def test_the_table_holds_each_against_what_it_must_be_held_against():
    base = {"recognised": 1.0, "diversity": 0.7, "trucks": None, "asked_more": None, "seconds": 0.5}
    rows = [
        Row(name="real images", last=0.4, early=0.1, **base),
        Row(name="no prior", last=40.0, early=2.0, **base),
        Row(name="no prior, capped", last=8.0, early=4.0, **base),
        Row(name="gaussian, capped", last=4.0, early=1.0, **base),
    ]
    last = table(rows)[-1]
    assert "0.10 (4.0); goal at most 0.3" in last and "0.25 (1.000); goal at most 0.75" in last
    assert last.count("|") == table(rows)[0].count("|")
