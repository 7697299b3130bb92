"""What is found in a picture, against what was drawn."""

import dataclasses

import numpy as np
import pytest

from benchmarks.shortcuts import SHORTCUTS, draw_planted
from iconoscope.auditing.segmentation import take_apart


def apart(pixels, masks=None):
    sizes = np.full((len(pixels), 2), pixels.shape[1:3])
    return take_apart(pixels, list(masks) if masks is not None else [None] * len(pixels), sizes)


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_the_car_is_found_before_a_wall(shortcut):
    drawn = draw_planted(24, shortcut, seed=5)
    found = apart(drawn.pixels)
    covered = np.array([(a & b).sum() / b.sum() for a, b in zip(found.object, drawn.masks, strict=True)])
    overlap = np.array([(a & b).sum() / (a | b).sum() for a, b in zip(found.object, drawn.masks, strict=True)])
    # What is found reaches two pixels farther than the car, which is half as much again.
    assert np.median(covered) > 0.95 and np.median(overlap) > 0.55
    assert found.object_known.mean() > 0.7  # half are needed, for something to be said of objects


def test_a_mask_that_is_given_is_taken_as_it_is():
    drawn = draw_planted(6, "border", seed=1)
    found = apart(drawn.pixels, drawn.masks)
    assert np.array_equal(found.object, drawn.masks) and found.object_known.all()


def test_noise_has_no_object_that_is_known():
    noise = np.random.default_rng(0).integers(0, 256, (6, 48, 48, 3), dtype=np.uint8)
    assert not apart(noise).object_known.any()


def test_a_picture_of_one_colour_is_no_mistake():
    for value in (0, 128, 255):
        found = apart(np.full((2, 32, 40, 3), value, np.uint8))
        assert not found.object.any() and not found.object_known.any()
        assert np.allclose(found.ground, value / 255, atol=1e-5)


def test_the_light_is_the_one_that_was_put_there():
    rows, columns = np.mgrid[0:64, 0:64] / 63
    light = (60 + 80 * columns + 40 * rows**2)[..., None].repeat(3, -1)
    picture = light.copy()
    picture[24:40, 20:44] = (200, 30, 30)
    found = apart(picture.round().astype(np.uint8)[None])
    assert np.abs(found.smooth[0] - light / 255).max() < 0.01
    assert np.abs(found.ground[0] - light / 255).max() < 0.02
    assert found.object[0, 24:40, 20:44].all() and found.object.sum() < 1.5 * 16 * 24


def test_rows_are_chosen_together():
    found = apart(draw_planted(5, "paint", seed=1).pixels)
    some = found[np.array([3, 1])]
    assert len(some) == 2
    assert np.array_equal(some.boxes, found.boxes[[3, 1]]) and np.array_equal(some.ground[0], found.ground[3])


def test_what_is_worked_out_of_a_picture_is_kept_for_every_choice_of_it():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    pictures = take_apart(pixels, [None] * 5, np.full((5, 2), 32))
    counts: list[int] = []

    def brightest(chosen):
        counts.append(len(chosen))
        return chosen.pixels.max((1, 2))

    expected = pictures.pixels.max((1, 2))
    chosen = pictures[np.array([3, 1, 3])][np.array([True, False, True])][::-1]
    assert np.array_equal(chosen.of_each(brightest), expected[[3, 3]]) and set(counts) == {1}
    counts.clear()
    assert np.array_equal(pictures.of_each(brightest), expected) and counts == [4]
    assert np.array_equal(pictures[2:].of_each(brightest), expected[2:]) and counts == [4]
    assert pictures[:0].of_each(brightest).shape == (0, 3) and counts == [4]
    soft = pictures[np.array([4])].soft
    assert np.array_equal(soft, pictures.soft[4:]) and np.array_equal(soft, dataclasses.replace(pictures).soft[4:])
