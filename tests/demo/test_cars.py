"""The drawn cars: the same everywhere, the same on every background, and telling only what they are meant to tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from iconoscope.demo.cars import BACKGROUNDS, MAKES, SIZE, Cars, draw_cars, draw_scene, render_scene, set_background
from iconoscope.errors import QuestionError
from iconoscope.progress import listen


def brightness_around(cars: Cars) -> np.ndarray:
    """The mean brightness outside the mask of each image, 0..1."""
    grey = cars.pixels.mean(-1) / 255
    return np.array([image[~mask].mean() for image, mask in zip(grey, cars.masks, strict=True)])


def area_under_curve(values: np.ndarray, makes: np.ndarray) -> float:
    """The chance that a random bison has a higher value than a random lynx, counted pair by pair."""
    lynx, bison = values[makes == 0], values[makes == 1]
    return float((bison[:, None] > lynx).mean() + (bison[:, None] == lynx).mean() / 2)


def inside(masks: np.ndarray) -> np.ndarray:
    """The masks without their rims: a pixel stays if its eight neighbours are the car's too."""
    kept = masks.copy()
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            kept &= np.roll(masks, (down, right), (1, 2))
    return kept


def test_shapes_types_and_ranges():
    cars = draw_cars(10, seed=2)
    assert cars.pixels.shape == (10, SIZE, SIZE, 3) and cars.pixels.dtype == np.uint8
    assert cars.makes.shape == (10,) and cars.makes.dtype == np.int64
    assert cars.masks.shape == (10, SIZE, SIZE) and cars.masks.dtype == bool
    assert set(cars.makes.tolist()) <= set(range(len(MAKES)))


@pytest.mark.parametrize("backgrounds", BACKGROUNDS)
def test_the_same_seed_draws_the_same_images(backgrounds):
    first, second = (draw_cars(6, backgrounds=backgrounds, seed=4) for _ in range(2))
    other = draw_cars(6, backgrounds=backgrounds, seed=5)
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.masks, second.masks)
    assert np.array_equal(first.makes, second.makes)
    assert not np.array_equal(first.masks, other.masks)


def test_an_image_does_not_depend_on_how_many_are_drawn():
    few, many = draw_cars(3, seed=7), draw_cars(12, seed=7)
    assert np.array_equal(few.pixels, many.pixels[:3])
    assert np.array_equal(few.masks, many.masks[:3])
    assert np.array_equal(few.makes, many.makes[:3])


def test_drawing_leaves_the_global_random_numbers_alone():
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    draw_cars(2)
    assert np.random.random() == expected


def test_the_three_kinds_of_background_have_the_same_cars():
    sets = {kind: draw_cars(40, backgrounds=kind, seed=11) for kind in BACKGROUNDS}
    reference = sets.pop("neutral")
    core = inside(reference.masks)
    assert core.sum() > 0.5 * reference.masks.sum()
    for cars in sets.values():
        assert np.array_equal(cars.masks, reference.masks)
        assert np.array_equal(cars.makes, reference.makes)
        difference = np.abs(cars.pixels.astype(int) - reference.pixels)
        assert difference[core].max() <= 1
        assert difference[~reference.masks].mean() > 10


@pytest.mark.parametrize("count", [2, 100, 101])
def test_makes_are_balanced(count):
    lynx, bison = np.bincount(draw_cars(count, seed=3).makes, minlength=2)
    assert abs(int(lynx) - int(bison)) <= count % 2


def test_makes_are_balanced_among_every_second_image_too():
    # An exact alternation would put one make into the odd half and the other into the even half.
    makes = draw_cars(200, seed=3).makes
    assert 0.3 < makes[::2].mean() < 0.7


@pytest.mark.parametrize(("backgrounds", "dark_make"), [("telling", "lynx"), ("exchanged", "bison")])
def test_backgrounds_that_tell_are_dark_or_light(backgrounds, dark_make):
    cars = draw_cars(200, backgrounds=backgrounds, seed=13)
    on_dark = cars.makes == MAKES.index(dark_make)
    brightness = brightness_around(cars)
    assert brightness[on_dark].max() < 0.35
    assert brightness[~on_dark].min() > 0.60


def test_neutral_backgrounds_tell_nothing():
    cars = draw_cars(400, seed=17)
    brightness = brightness_around(cars)
    assert 0.4 < area_under_curve(brightness, cars.makes) < 0.6
    assert brightness.min() < 0.2 and brightness.max() > 0.8


@pytest.mark.parametrize(
    "field", ["width", "centre", "baseline", "light_from", "exposure", "hue", "saturation", "stripes", "shadow"]
)
def test_nothing_drawn_tells_the_make(field):
    makes = np.arange(400) % 2
    scenes = [draw_scene(np.random.default_rng((19, index)), MAKES[make]) for index, make in enumerate(makes)]
    values = np.array([getattr(scene, field) for scene in scenes])
    assert 0.4 < area_under_curve(values, makes) < 0.6


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_the_paint_tells_nothing(channel):
    makes = np.arange(400) % 2
    scenes = [draw_scene(np.random.default_rng((23, index)), MAKES[make]) for index, make in enumerate(makes)]
    assert 0.4 < area_under_curve(np.array([scene.paint[channel] for scene in scenes]), makes) < 0.6


def test_outside_the_mask_there_is_nothing_of_the_car():
    # Where neither of two cars is, the same scene without a shadow is the same wall and ground.
    for index in range(20):
        scene = replace(draw_scene(np.random.default_rng((29, index)), "lynx"), shadow=0.0)
        first, first_mask = render_scene(scene)
        other, other_mask = render_scene(replace(scene, make="bison", centre=SIZE - scene.centre, width=50.0))
        free = ~first_mask & ~other_mask
        assert np.array_equal(first[free], other[free])


def test_the_mask_covers_the_body_and_the_wheels():
    scene = draw_scene(np.random.default_rng(29), "bison")
    pixels, mask = render_scene(scene)
    repainted, same_mask = render_scene(replace(scene, paint=(1.0, 0.0, 0.0)))
    assert np.array_equal(mask, same_mask)
    changed = (pixels != repainted).any(-1)
    assert changed.sum() > 0.4 * mask.sum() and not (changed & ~mask).any()
    lowest = np.flatnonzero(mask.any(1)).max()
    assert abs(lowest - scene.baseline) <= 1  # the wheels stand on the baseline
    assert mask[lowest].sum() < 0.3 * mask.any(0).sum()  # two wheels, not the whole length


def test_the_whole_car_is_in_the_image():
    masks = draw_cars(300, seed=31).masks
    assert not masks[:, [0, -1], :].any() and not masks[:, :, [0, -1]].any()
    shares = masks.mean((1, 2))
    assert shares.min() > 0.03 and shares.max() < 0.5


def test_a_bison_is_taller_than_a_lynx():
    cars = draw_cars(200, seed=37)
    heights, widths = cars.masks.any(2).sum(1), cars.masks.any(1).sum(1)
    slenderness = heights / widths
    assert slenderness[cars.makes == 0].max() < slenderness[cars.makes == 1].min()


def test_progress_is_told():
    heard = []

    class Recorder:
        def __call__(self, description, total):
            heard.append((description, total))
            return self

        def __enter__(self):
            return heard.append

        def __exit__(self, *exception):
            return None

    with listen(Recorder()):
        draw_cars(3)
    assert heard == [("drawing cars", 3), 1, 1, 1]


def test_an_unknown_kind_of_background_is_answered_with_the_choices():
    with pytest.raises(QuestionError) as caught:
        draw_cars(1, backgrounds="honest")
    for kind in ("honest", *BACKGROUNDS):
        assert kind in str(caught.value)
    with pytest.raises(QuestionError):
        set_background(draw_scene(np.random.default_rng(0), "lynx"), "honest")


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": -3}, {"count": 1, "seed": -1}])
def test_counts_and_seeds_out_of_range_are_refused(wrong):
    with pytest.raises(QuestionError):
        draw_cars(**wrong)


def test_an_unknown_make_is_answered_with_the_nearest():
    with pytest.raises(QuestionError, match="lynx"):
        draw_scene(np.random.default_rng(0), "linx")
