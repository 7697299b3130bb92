"""Numbers of all units of a layer at once, against the same one by one."""

import numpy as np
import pytest

from iconoscope.exemplars import roc_area
from iconoscope.exemplars.roc_area import areas, areas_by_class
from iconoscope.explorer import unit_table
from iconoscope.explorer.unit_table import correlations


@pytest.fixture
def answers():
    """Of seven units to forty images; one always answers the same, some answers are equal."""
    generator = np.random.default_rng(0)
    answers = generator.normal(size=(40, 7)).round(1).astype(np.float32)
    answers[:, 3] = 2
    return answers


@pytest.mark.parametrize("chunk", [1, 100, 10**7])
def test_areas_of_every_class_are_those_of_its_images_against_all_others(answers, chunk, monkeypatch):
    monkeypatch.setattr(roc_area, "_CHUNK", chunk)
    targets = np.random.default_rng(1).integers(-1, 4, 40)
    targets[targets == 3] = 0  # no image of the last class
    together = areas_by_class(answers, targets, 4)
    for target in range(3):
        expected = areas(answers[targets == target], answers[(targets >= 0) & (targets != target)])
        np.testing.assert_allclose(together[target], expected, atol=1e-6)
    assert np.isnan(together[3]).all()


def test_without_a_label_there_are_no_areas(answers):
    assert np.isnan(areas_by_class(answers, np.full(40, -1), 2)).all()


@pytest.mark.parametrize("chunk", [1, 100, 10**7])
def test_correlations_are_numpys(answers, chunk, monkeypatch):
    monkeypatch.setattr(unit_table, "_CHUNK", chunk)
    likeness = correlations(answers, 2)
    moving = [unit for unit in range(7) if unit != 3]
    np.testing.assert_allclose(likeness[moving], np.corrcoef(answers[:, moving].T)[moving.index(2)], atol=1e-6)
    assert likeness[3] == 0
    assert not correlations(answers, 3).any()
