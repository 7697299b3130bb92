"""Every family: its statistic tells what was planted, its edit gives it, and leaves alone what is not its own."""

import dataclasses

import numpy as np
import pytest

from benchmarks.shortcuts import SHORTCUTS, draw_planted
from iconoscope.auditing.image_quality import set_original_size
from iconoscope.auditing.nuisances import NUISANCES
from iconoscope.auditing.object_properties import set_aspect, set_position
from iconoscope.auditing.overlays import give_background, give_object
from iconoscope.auditing.segmentation import Pictures, take_apart
from iconoscope.results.rank_area import predictive_area

COUNT = 48
PLANTED = {shortcut.family: name for name, shortcut in SHORTCUTS.items()}


@pytest.fixture(scope="module")
def drawn():
    """Pictures of every shortcut, taken apart, with the side of each."""
    made = {}
    for name in SHORTCUTS:
        cars = draw_planted(COUNT, name, correlation=0.5, seed=9)
        made[name] = take_apart(cars.pixels, list(cars.masks), np.full((COUNT, 2), 64)), cars.sides
    return made


def measured(family, pixels, pictures):
    """The statistic of edited pixels, the objects being where they were."""
    again = take_apart((pixels * 255).round().astype(np.uint8), list(pictures.object), pictures.sizes)
    return family.statistic(again)


@pytest.mark.parametrize("name", PLANTED)
def test_the_statistic_tells_what_was_planted(drawn, name):
    pictures, sides = drawn[PLANTED[name]]
    values = NUISANCES[name].statistic(pictures)
    assert values.shape[0] == COUNT and values.ndim == 2 and np.isfinite(values).all()
    assert predictive_area(values, sides == 1)[0] > 0.9


@pytest.mark.parametrize("name", PLANTED)
def test_no_other_shortcut_tells_it(drawn, name):
    """A statistic that everything tells would name nothing."""
    told = [
        predictive_area(NUISANCES[name].statistic(pictures), sides == 1)[0]
        for shortcut, (pictures, sides) in drawn.items()
        if shortcut != PLANTED[name]
    ]
    assert np.median(told) < 0.75


@pytest.mark.parametrize("name", [name for name in PLANTED if name not in ("position", "object size")])
def test_the_edit_gives_what_the_other_side_has(drawn, name):
    pictures, sides = drawn[PLANTED[name]]
    family = NUISANCES[name]
    first, second = np.flatnonzero(sides == 0)[:12], np.flatnonzero(sides == 1)[:12]
    for own, other in ((first, second), (second, first)):
        given = pictures[other] if family.by == "donor" else family.statistic(pictures[other])
        edited = family.edit(pictures[own], given)
        assert edited.shape == pictures[own].pixels.shape and edited.min() >= 0 and edited.max() <= 1
        _, column, _ = predictive_area(family.statistic(pictures), sides == 1)
        before, wanted = (family.statistic(pictures[some])[:, column] for some in (own, other))
        after = measured(family, edited, pictures[own])[:, column]
        # On the mean the edit goes most of the way; JPEG's blocks alone cannot be taken away wholly.
        way = (after.mean() - before.mean()) / (wanted.mean() - before.mean())
        assert (0.25 if name == "JPEG quality" else 0.55) < way < 1.5


@pytest.mark.parametrize("name", [name for name, family in NUISANCES.items() if family.by == "value"])
def test_the_own_value_changes_nothing(drawn, name):
    pictures = drawn["paint"][0][np.arange(8)]
    family = NUISANCES[name]
    edited = family.edit(pictures, family.statistic(pictures))
    # Scaling and moving about by nothing paints the object's soft edge anew.
    assert np.abs(edited - pictures.pixels).mean() < (0.01 if family.needs == "object" else 2e-3)


@pytest.mark.parametrize("name", [name for name, family in NUISANCES.items() if family.by == "donor"])
def test_the_own_picture_as_donor_changes_nothing(drawn, name):
    pictures = drawn["corner tag"][0][np.arange(8)]
    assert np.abs(NUISANCES[name].edit(pictures, pictures) - pictures.pixels).mean() < 2e-3


@pytest.mark.parametrize(
    "name", ["background brightness", "background hue", "background texture", "corner tag", "border"]
)
def test_edits_around_the_object_leave_the_object(drawn, name):
    pictures, _ = drawn["object size"]
    family = NUISANCES[name]
    donors = pictures[np.arange(COUNT)[::-1]]
    edited = family.edit(pictures, donors if family.by == "donor" else family.statistic(donors))
    inside = pictures.soft[..., 0] > 0.99
    assert inside.sum() > 5000
    assert np.abs(edited - pictures.pixels)[inside].max() < 0.02


def test_paint_leaves_the_background(drawn):
    pictures, _ = drawn["paint"]
    edited = NUISANCES["paint"].edit(pictures, NUISANCES["paint"].statistic(pictures[np.arange(COUNT)[::-1]]))
    outside = pictures.soft[..., 0] < 0.01
    assert np.abs(edited - pictures.pixels)[outside].max() < 0.02


def test_the_object_is_moved_to_where_it_is_wanted(drawn):
    pictures, sides = drawn["position"]
    left = pictures[np.flatnonzero(sides == 0)[:6]]
    wanted = NUISANCES["position"].statistic(left)
    wanted[:, 0] = 0.2
    edited = set_position(left, wanted)
    found = take_apart((edited * 255).round().astype(np.uint8), [None] * 6, left.sizes)
    assert np.abs(NUISANCES["position"].statistic(found)[:, 0] - 0.2).max() < 0.2


def test_the_object_is_made_as_large_as_is_wanted(drawn):
    pictures, sides = drawn["object size"]
    family = NUISANCES["object size"]
    small = pictures[np.flatnonzero(sides == 0)[:8]]
    values = family.statistic(small)
    edited = family.edit(small, values + np.log(1.4))
    found = take_apart((edited * 255).round().astype(np.uint8), [None] * 8, small.sizes)
    blind = take_apart((small.pixels * 255).round().astype(np.uint8), [None] * 8, small.sizes)
    grown = np.exp(family.statistic(found) - family.statistic(blind))
    assert abs(float(np.median(grown)) - 1.4) < 0.12
    # It stands on the same spot.
    assert np.abs(found.boxes[:, 1] - blind.boxes[:, 1]).max() <= 3


def test_the_whole_background_and_the_whole_object(drawn):
    pictures, _ = drawn["paint"]
    donors = pictures[np.arange(COUNT)[::-1]]
    grounds, objects = give_background(pictures, donors), give_object(pictures, donors)
    inside, outside = pictures.soft[..., 0] > 0.99, pictures.soft[..., 0] < 0.01
    assert np.abs(grounds - pictures.pixels)[inside].max() < 0.02
    assert np.abs(grounds - donors.ground)[outside].max() < 0.02
    far = outside & np.stack([mask < 0.01 for mask in _landed(pictures, donors)])
    assert np.abs(objects - pictures.ground)[far].max() < 0.01


def _landed(pictures: Pictures, donors: Pictures):
    from iconoscope.auditing.overlays import shifted

    for row, (own, given) in enumerate(zip(pictures.boxes, donors.boxes, strict=True)):
        yield shifted(donors.soft[row], round(float(own[1] - given[1])), round(float(own[0] - given[0])))[..., 0]


def test_the_size_that_an_image_had(drawn):
    pictures = drawn["paint"][0][np.arange(4)]
    large = dataclasses.replace(pictures, sizes=np.full((4, 2), 256))
    coarse = set_original_size(large, np.full((4, 1), np.log(16), np.float32))
    fine = np.abs(np.diff(coarse, axis=2)).mean() / np.abs(np.diff(pictures.pixels, axis=2)).mean()
    assert fine < 0.8
    assert np.array_equal(set_original_size(large, np.full((4, 1), np.log(400), np.float32)), pictures.pixels)
    squeezed = set_aspect(large, np.full((4, 1), 0.4, np.float32))
    assert squeezed.shape == pictures.pixels.shape and np.abs(squeezed - pictures.pixels).mean() > 0.005
