"""Taking pictures apart, step by step, against what was planted and against loops that are written out."""

import numpy as np
import pytest
from scipy import ndimage

from iconoscope.auditing import segmentation
from iconoscope.auditing.segmentation import take_apart


def quadratic(height, width, coefficients):
    down, across = np.mgrid[0:height, 0:width]
    v, u = (2 * down + 1) / height - 1, (2 * across + 1) / width - 1
    return np.stack([np.ones_like(u), u, v, u * v, u * u, v * v], -1) @ coefficients


COEFFICIENTS = np.array([
    [0.5, 0.45, 0.4], [0.08, 0.0, -0.05], [-0.04, 0.1, 0.02], [0.05, -0.06, 0.0], [-0.07, 0.03, 0.05], [0.02, -0.05, 0.08],
])  # fmt: skip


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 90), (120, 70)])
def test_a_light_of_second_degree_is_fitted_whole_though_a_fifth_of_the_ring_is_covered(height, width):
    light = quadratic(height, width, COEFFICIENTS)
    assert light.min() > 0.05 and light.max() < 0.95
    picture = light.copy()
    picture[: height // 3, : width // 6] = (1, 0, 0)  # something in a corner
    fitted, plain = segmentation._Light((height, width)).fit(picture.astype(np.float32), None)
    assert np.abs(fitted - light).max() < 5e-3 and plain


def test_with_a_mask_the_light_is_fitted_to_all_that_is_not_covered():
    light = quadratic(64, 64, COEFFICIENTS)
    mask = np.zeros((64, 64), bool)
    mask[:, :40] = True
    picture = np.where(mask[..., None], 0.0, light)
    fitted, _ = segmentation._Light((64, 64)).fit(picture.astype(np.float32), mask)
    assert np.abs(fitted - light).max() < 0.03
    # Where nearly all is covered the ring tells, whatever lies there.
    mask[:, :62] = True
    covered, _ = segmentation._Light((64, 64)).fit(light.astype(np.float32), mask)
    assert np.abs(covered - light).max() < 5e-3


def test_the_ring_lies_inside_the_frame():
    light = segmentation._Light((100, 140))
    rows, columns = np.divmod(light.ring, 140)
    depth = np.minimum.reduce([rows, 99 - rows, columns, 139 - columns])
    assert depth.min() == 5 and depth.max() == 15  # a twentieth and 0.16 of 100
    assert len(light.ring) > 1000 and len(np.unique(light.ring)) == len(light.ring)
    inner = np.divmod(light.all, 140)
    assert np.minimum.reduce([inner[0], 99 - inner[0], inner[1], 139 - inner[1]]).min() == 5
    assert light.beside.tolist() == [*range(5, 16), *range(124, 135)]
    assert light.centre[0, 0] == pytest.approx(np.hypot(1 - 1 / 100, 1 - 1 / 140), abs=1e-5)
    small = segmentation._Light((20, 30))
    assert small.beside.tolist() == [2, 27] and small.frame[1].all() and not small.frame[2, 2]


@pytest.mark.parametrize(
    ("noise", "far", "plain"), [(0.04, 0, True), (0.06, 0, False), (0.01, 0.19, True), (0.01, 0.3, False)]
)
def test_a_background_is_plain_if_most_of_it_is_near_a_smooth_light(noise, far, plain):
    """By the median of the ring and by four fifths of it, in shares of the whole range."""
    generator = np.random.default_rng(0)
    picture = np.full((64, 64, 3), 0.5)
    signs = np.where(generator.random((64, 64, 1)) < 0.5, -1, 1)
    picture += noise * signs
    picture = np.where(generator.random((64, 64, 1)) < far, 0.5 + 0.3 * signs, picture)
    assert segmentation._Light((64, 64)).fit(picture.astype(np.float32), None)[1] == plain


def test_holes_are_filled_from_the_first_place_that_is_background():
    generator = np.random.default_rng(1)
    count, height, width = 2, 24, 32
    pixels = generator.random((count, height, width, 3)).astype(np.float32) * 0.2 + 0.4
    smooth = np.broadcast_to(np.linspace(0.4, 0.6, width, dtype=np.float32)[None, None, :, None], pixels.shape).copy()
    objects = np.zeros((count, height, width), bool)
    objects[0, 6:18, 5:27] = True
    objects[1, 3:21, 3:20] = True
    foreign = objects.copy()
    foreign[0, 3:6, 20:25] = True
    filled = segmentation._filled(pixels, objects, foreign, smooth)
    frame = np.ones((height, width), bool)
    frame[2:-2, 2:-2] = False
    plain = pixels.copy()
    fallen_back = 0
    for picture in range(count):
        for row in range(height):
            for column in range(width):
                if not objects[picture, row, column]:
                    continue
                sources = [
                    (row, width - 1 - column), (row, (column - 12) % width), (row, (column + 12) % width),
                    (height - 1 - row, column), (height - 1 - row, width - 1 - column), ((row - 9) % height, column),
                ]  # fmt: skip
                usable = [source for source in sources if not (foreign[picture] | frame)[source]]
                plain[picture, row, column] = smooth[picture, row, column]
                if usable:
                    plain[picture, row, column] += pixels[picture][usable[0]] - smooth[picture][usable[0]]
                fallen_back += not usable
    assert np.allclose(filled, plain, atol=1e-6) and fallen_back > 5


def test_parts_are_numbered_and_counted():
    mask = np.zeros((6, 8), bool)
    mask[0, :3] = mask[2:5, 4:6] = True
    mask[5, 0] = True
    numbered, sizes = segmentation._parts(mask)
    assert sizes.tolist() == [0, 3, 6, 1] and (numbered > 0).sum() == 10 and numbered[3, 5] == 2


def test_a_shadow_is_no_part_of_the_object_and_a_hole_is():
    part = np.zeros((20, 20), bool)
    part[3:17, 3:17] = True
    away = np.where(part, 0.1, 0.0)
    away[5:12, 5:12] = 0.5
    away[8, 8] = 0.0  # a window
    thing = np.zeros_like(part)
    thing[5:12, 5:12] = True
    assert np.array_equal(segmentation._trimmed(part, away, 1), thing)
    away[5:12, 5:12], away[part & ~thing] = 0.5, 0.18  # more than 0.35 of it
    assert np.array_equal(segmentation._trimmed(part, away, 1), part)


def drawn(count=1, side=64, square=(24, 40, 20, 44), colour=(200, 30, 30), second=None):
    light = quadratic(side, side, COEFFICIENTS)[None].repeat(count, 0) * 255
    light[:, square[0] : square[1], square[2] : square[3]] = colour
    if second is not None:
        light[:, second[0] : second[1], second[2] : second[3]] = colour
    return light.round().astype(np.uint8)


def test_an_object_is_found_within_two_pixels_and_the_nearest_to_the_middle_is_it():
    found = take_apart(drawn(second=(10, 18, 8, 14)), [None], np.array([[64, 64]]))
    thing = np.zeros((64, 64), bool)
    thing[24:40, 20:44] = True
    grown = np.asarray(ndimage.binary_dilation(thing, iterations=4), bool)
    assert (found.object[0] & thing).sum() == thing.sum() and not (found.object[0] & ~grown).any()
    tag = np.zeros_like(thing)
    tag[10:18, 8:14] = True
    assert (found.foreign[0] & tag).sum() == tag.sum() and not (found.object[0] & tag).any()
    assert found.foreign[0, 24:40, 20:44].all() and found.object_known[0]
    elsewhere = ~np.asarray(ndimage.binary_dilation(thing | tag, iterations=6), bool)
    assert not found.foreign[0][elsewhere].any()
    # A larger picture has all of it larger.
    double = np.kron(drawn()[0], np.ones((2, 2, 1), np.uint8))[None]
    large = take_apart(double, [None], np.array([[128, 128]])).object[0]
    assert large[48:80, 40:88].all() and not (large & ~np.kron(grown, np.ones((2, 2))).astype(bool)).any()


def test_an_object_that_is_too_small_or_too_large_or_not_alone_is_not_sure():
    def known(**changes):
        return bool(take_apart(drawn(**changes), [None], np.array([[64, 64]])).object_known[0])

    assert known() and known(square=(22, 42, 20, 44))
    assert not known(square=(16, 50, 14, 30), second=(16, 50, 36, 50))  # two things
    tiny = take_apart(drawn(square=(32, 33, 32, 33)), [None], np.array([[64, 64]]))
    assert not tiny.object_known[0]


def test_a_mask_that_is_given_is_foreign_with_a_rim():
    mask = np.zeros((64, 64), bool)
    mask[30:40, 30:44] = True
    found = take_apart(drawn(square=(30, 40, 30, 44)), [mask], np.array([[64, 64]]))
    assert np.array_equal(found.object[0], mask) and found.object_known[0]
    rim = ndimage.binary_dilation(mask, iterations=2)
    assert (found.foreign[0] & rim).sum() == rim.sum()


def test_what_a_whole_row_differs_by_is_no_object():
    pixels = drawn()
    pixels[:, 50:53] = 250  # a stripe
    found = take_apart(pixels, [None], np.array([[64, 64]]))
    assert not found.object[0, 46:].any() and found.object[0, 24:40, 20:44].all()


def test_what_is_found_but_takes_next_to_nothing_is_not_sure():
    for side, sure in ((2, False), (3, False), (12, True)):
        begin = 32 - side // 2
        pixels = drawn(square=(begin, begin + side, begin, begin + side))
        found = take_apart(pixels, [None], np.array([[64, 64]]))
        share = float(found.object[0].mean())
        assert share > 0 and (share >= 0.015) is sure and bool(found.object_known[0]) is sure, (side, share)
