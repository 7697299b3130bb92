"""Statistics and edits of the audit against numbers computed by hand, or plainly in double precision."""

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from iconoscope.auditing import illumination, image_quality, interventions, object_properties, overlays
from iconoscope.auditing.donors import class_members
from iconoscope.auditing.segmentation import Pictures, luminance
from iconoscope.results.audit_evidence import Donors

HEIGHT, WIDTH = 40, 56
GREY = np.array((0.299, 0.587, 0.114))


def drawn(count=3, seed=0, box=(12, 30, 20, 34), sizes=(100, 150)):
    """Smooth, slightly noisy pictures with an object in a box (top, bottom, left, right)."""
    generator = np.random.default_rng(seed)
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH] / (HEIGHT, WIDTH)[0]
    smooth = np.stack([0.3 + 0.2 * down + 0.1 * shift * across for shift in range(count)])[..., None] * (1.0, 0.9, 0.7)
    ground = smooth + generator.normal(0, 0.01, smooth.shape)
    mask = np.zeros((count, HEIGHT, WIDTH), bool)
    mask[:, box[0] : box[1], box[2] : box[3]] = True
    pixels = np.where(mask[..., None], np.array((0.7, 0.3, 0.2)) + generator.normal(0, 0.02, smooth.shape), ground)
    foreign = mask.copy()
    foreign[:, 3:7, 40:46] = True
    return Pictures(
        pixels.astype(np.float32), mask, foreign, smooth.astype(np.float32), ground.astype(np.float32),
        np.ones(count, bool), np.tile(sizes, (count, 1)),
    )  # fmt: skip


def own(pictures):
    return {name: vars(pictures)[name] for name in Pictures.__dataclass_fields__}


def changed(pictures, **changes):
    return Pictures(**{**own(pictures), **changes})


def test_what_a_picture_is_taken_apart_into_is_counted_over_the_right_pixels():
    pictures = drawn()
    frame = np.ones((HEIGHT, WIDTH), bool)
    frame[2:-2, 2:-2] = False  # a twentieth of 40 pixels
    assert np.array_equal(pictures.frame, frame) and pictures.shape == (HEIGHT, WIDTH) and len(pictures) == 3
    assert pictures.boxes.tolist() == [[27, 30, 14, 18]] * 3
    for row, picture in enumerate(pictures.pixels.astype(float)):
        outside = ~pictures.foreign[row] & ~frame
        assert np.allclose(pictures.background_colour[row], picture[outside].mean(0), atol=1e-6)
        assert np.allclose(pictures.object_colour[row], picture[pictures.object[row]].mean(0), atol=1e-6)
        assert np.allclose(pictures.colour[row], picture.mean((0, 1)), atol=1e-6)
        for soft, mask in ((pictures.soft, pictures.object), (pictures.soft_foreign, pictures.foreign)):
            sigma = 0.7  # 40 / 64 is less
            assert np.allclose(soft[row, ..., 0], ndimage.gaussian_filter(mask[row].astype(float), sigma), atol=1e-5)
    without = changed(pictures, object=np.zeros_like(pictures.object))
    assert np.allclose(without.object_colour, without.colour)
    assert without.boxes.tolist() == [[28, 32, 28, 20]] * 3
    tall = changed(pictures[np.array([0])], object=np.ones((1, HEIGHT, WIDTH), bool))
    assert np.allclose(tall.object_colour, tall.colour, atol=1e-5)


def test_soft_edges_grow_with_the_picture():
    mask = np.zeros((1, 192, 256), bool)
    mask[:, 50:100, 60:120] = True
    large = Pictures(*(np.zeros((1, 192, 256, 3), np.float32), mask, mask, mask, mask, mask, mask))
    assert np.allclose(large.soft[0, ..., 0], ndimage.gaussian_filter(mask[0].astype(float), 3), atol=1e-5)


def test_light_in_numbers():
    pictures = drawn()
    pixels = pictures.pixels.astype(float)
    light = pixels @ GREY
    frameless = ~pictures.foreign & ~pictures.frame
    behind = np.stack([picture[mask].mean(0) for picture, mask in zip(pixels, frameless, strict=True)])
    assert np.allclose(illumination.brightness(pictures)[:, 0], light.mean((1, 2)), atol=1e-6)
    assert np.allclose(illumination.background_brightness(pictures)[:, 0], behind @ GREY, atol=1e-6)
    assert np.allclose(illumination.contrast(pictures)[:, 0], np.log(light.std((1, 2)) + 0.02), atol=1e-4)
    away = np.abs(pixels - light[..., None]).mean((1, 2, 3))
    assert np.allclose(illumination.saturation(pictures)[:, 0], away, atol=1e-6)
    red, green, blue = np.log(behind + 0.02).T
    tints = np.stack([red - green, blue - (red + green) / 2], 1)
    assert np.allclose(illumination.background_hue(pictures), tints, atol=1e-4)
    assert np.allclose(illumination.cast(pictures), illumination.tints(pixels.mean((1, 2))), atol=1e-4)
    assert np.allclose(illumination.tints(np.array([[0.38, 0.18, 0.58]])), [[np.log(2), np.log(0.6 / 0.08**0.5)]])


def test_the_gradient_of_a_plane_is_its_slope():
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    u, v = (2 * across + 1) / WIDTH - 1, (2 * down + 1) / HEIGHT - 1
    plane = (0.5 + 0.2 * u - 0.1 * v)[None, ..., None].repeat(3, -1).astype(np.float32)
    pictures = changed(drawn(1), smooth=plane, pixels=plane)
    assert np.allclose(
        illumination.gradient(pictures), [[0.2, -0.1]], atol=1e-3
    )  # slope: twice the mean of u * u / 3 is 2/3
    steeper = illumination.set_gradient(pictures, np.array([[0.3, 0.1]]))
    goal = 0.5 + 0.3 * u + 0.1 * v
    assert np.abs(steeper[0, ..., 1] - goal).max() < 2e-3
    assert abs(steeper.mean() - plane.mean()) < 1e-4


@pytest.mark.parametrize("name", ["brightness", "background_brightness", "saturation", "cast", "background_hue"])
@pytest.mark.parametrize("direction", [-1, 1])
def test_light_is_set_to_what_was_asked_for(name, direction):
    pictures = drawn()
    statistic, edit = getattr(illumination, name), getattr(illumination, f"set_{name}")
    before = statistic(pictures)
    step = {"brightness": 0.15, "background_brightness": 0.1, "saturation": 0.03}.get(name, 0.25)
    goal = before + direction * step * np.ones_like(before)
    edited = edit(pictures, goal)
    after = statistic(changed(pictures, pixels=edited.astype(np.float32)))
    assert np.abs(after - goal).max() < 0.1 * step  # something is clipped, or soft
    assert edited.min() >= 0 and edited.max() <= 1


def test_contrast_is_stretched_about_the_mean_colour():
    pictures = drawn()
    mean = pictures.pixels.astype(float).mean((1, 2), keepdims=True)
    for change, factor in ((0.3, np.exp(0.3)), (-0.4, np.exp(-0.4)), (-9, np.exp(-1.5)), (9, np.exp(1.5))):
        edited = illumination.set_contrast(pictures, illumination.contrast(pictures) + change)
        assert np.abs(edited - (mean + (pictures.pixels - mean) * factor).clip(0, 1)).max() < 1e-5


def test_a_tint_in_numbers():
    pixels = np.full((1, 2, 2, 3), 0.4, np.float32)
    surface = np.array([[0.4, 0.4, 0.4]])
    gains = np.exp([0.3 / 2 - 0.6 / 3, -0.3 / 2 - 0.6 / 3, 2 * 0.6 / 3])
    gains *= (0.4 + 0.02) / ((0.4 * gains) @ GREY + 0.02)
    assert np.allclose(illumination.tinted(pixels, surface, np.array([[0.3, 0.6]])), 0.4 * gains, atol=1e-5)
    far = illumination.tinted(pixels, surface, np.array([[9.0, -9.0]]))
    assert np.allclose(far, illumination.tinted(pixels, surface, np.array([[2.5, -2.5]])))


def test_background_edits_are_blended_by_the_soft_edge():
    pictures = drawn()
    goal = illumination.background_brightness(pictures) + 0.1
    edited = illumination.set_background_brightness(pictures, goal)
    assert np.allclose(edited, pictures.pixels + 0.1 * (1 - pictures.soft), atol=1e-5)


def test_traces_of_the_camera_in_numbers():
    pictures = drawn(seed=3)
    light = pictures.pixels.astype(float) @ GREY
    for row, plane in enumerate(light):
        corner: Any = (-1, -1)  # an origin for each axis, which SciPy takes and its types do not know
        diagonal = ndimage.correlate(plane, [[1, -1], [-1, 1]], origin=corner)[: HEIGHT - 1, : WIDTH - 1] / 2
        noise = np.median(np.abs(diagonal)) / 0.6745
        assert np.isclose(image_quality.noise(pictures)[row, 0], np.log(noise + 2e-3), atol=1e-3)
        fine = -ndimage.laplace(plane)[1:-1, 1:-1][2:-2, 2:-2]  # a rim of 6% of 38 pixels
        coarse = (plane[4:, 2:-2] - plane[:-4, 2:-2])[2:-2]
        sharpness = np.log(((fine**2).mean() + 1e-5) / ((coarse**2).mean() + 2e-4))
        assert np.isclose(image_quality.sharpness(pictures)[row, 0], sharpness, atol=1e-3)
        at, within = [], []
        for axis in (0, 1):
            steps = np.abs(np.diff(plane, axis=axis)).clip(0, 0.1).mean(1 - axis)
            at += [np.mean([step for place, step in enumerate(steps) if (place + 1) % 8 == 0])]
            within += [np.mean([step for place, step in enumerate(steps) if (place + 1) % 8])]
        blocks = np.log((np.mean(at) + 1e-3) / (np.mean(within) + 1e-3))
        assert np.isclose(image_quality.blocks(pictures)[row, 0], blocks, atol=1e-3)
    assert np.allclose(image_quality.original_size(pictures), np.log(100))
    assert np.allclose(object_properties.aspect(pictures), np.log(1.5))


def test_a_planted_noise_is_measured_and_set():
    flat = np.full((2, 64, 64, 3), 0.5) + np.random.default_rng(1).normal(0, 0.03, (2, 64, 64, 1))
    pictures = changed(drawn(2), pixels=flat.astype(np.float32))
    assert np.allclose(np.exp(image_quality.noise(pictures)) - 2e-3, 0.03, rtol=0.05)
    for level in (0.06, 0.015):
        edited = image_quality.set_noise(pictures, np.full((2, 1), np.log(level + 2e-3)))
        measured = np.exp(image_quality.noise(changed(pictures, pixels=edited))) - 2e-3
        assert np.allclose(measured, level, rtol=0.2)
    # What is added is grey: the same in every channel.
    noisy = image_quality.set_noise(pictures, np.full((2, 1), np.log(0.1))) - pictures.pixels
    assert np.allclose(noisy[..., 0], noisy[..., 2], atol=1e-6)


def test_noise_is_shrunk_and_an_edge_stays():
    step = np.where(np.arange(64) < 32, 0.3, 0.7)[None, None, :, None] * np.ones((1, 64, 64, 3))
    noisy = step + np.random.default_rng(1).normal(0, 0.02, (1, 64, 64, 1))
    pictures = changed(drawn(1), pixels=noisy.astype(np.float32))
    calm = image_quality.set_noise(pictures, np.full((1, 1), np.log(2e-3)))
    assert np.abs(calm[:, :, 33] - calm[:, :, 30]).mean() > 0.35
    assert calm[:, 4:-4, 4:24, 0].std() < 0.4 * noisy[:, 4:-4, 4:24, 0].std()


@pytest.mark.parametrize("inverse", [False, True])
def test_a_blur_is_given_and_undone_as_in_the_plain_transform(inverse):
    pictures = changed(
        drawn(1), pixels=(drawn(1).pixels + np.random.default_rng(2).normal(0, 0.05, (1, HEIGHT, WIDTH, 1))).clip(0, 1)
    )
    before = image_quality.sharpness(pictures)
    goal = before + (0.4 if inverse else -0.7)
    edited = image_quality.set_sharpness(pictures, goal)
    padded = np.pad(pictures.pixels[0].astype(float), ((12, 12), (12, 12), (0, 0)), mode="symmetric")
    down, across = np.fft.fftfreq(HEIGHT + 24)[:, None], np.fft.fftfreq(WIDTH + 24)[None]
    plain = []
    for sigma in (0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5):
        gain = np.exp(-2 * np.pi**2 * sigma**2 * (down**2 + across**2))
        gain = gain * 1.004 / (gain**2 + 0.004) if inverse and sigma else gain
        passed = (
            np.fft.ifft2(np.fft.fft2(padded, axes=(0, 1)) * gain[..., None], axes=(0, 1))
            .real[12:-12, 12:-12]
            .clip(0, 1)
        )
        plain.append(passed)
    away = [
        abs(image_quality.sharpness(changed(pictures, pixels=one[None].astype(np.float32))) - goal).item()
        for one in plain
    ]
    assert np.argmin(away) > 0 and np.abs(edited[0] - plain[int(np.argmin(away))]).max() < 1e-4


def test_a_picture_is_stored_as_a_jpeg_of_that_quality():
    qualities = (4, 7, 10, 14, 20, 30, 45, 65, 85)
    pictures = drawn(len(qualities), seed=5)
    pixels = (pictures.pixels + np.random.default_rng(0).normal(0, 0.1, pictures.pixels.shape)).clip(0, 1)
    pictures = changed(pictures, pixels=pixels.astype(np.float32))
    files = []
    for row, quality in enumerate(qualities):
        file = io.BytesIO()
        Image.fromarray((pictures.pixels[row] * 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality)
        files.append(np.asarray(Image.open(file), np.float32) / 255)
    stored = changed(pictures, pixels=np.stack(files))
    worse = (image_quality.blocks(stored) > image_quality.blocks(pictures))[:, 0]
    assert worse.sum() >= 6
    edited = image_quality.set_blocks(pictures, image_quality.blocks(stored))
    assert np.abs(edited - stored.pixels)[worse].max() < 1e-6
    smoother = image_quality.set_blocks(stored, image_quality.blocks(stored) - 3.0)
    after = image_quality.blocks(changed(stored, pixels=smoother))
    assert (after[:4] < image_quality.blocks(stored)[:4] - 0.1).all()


def test_a_step_between_blocks_is_spread_evenly_to_both_sides():
    plain = np.full((1, 16, 24, 3), 0.4, np.float32)
    plain[:, 8:] = 0.5
    smoothed = image_quality._unblocked(plain, 1.0)
    rows = smoothed[0, :, 5, 0]
    ramp = np.array((0.06, 0.19, 0.31, 0.44)) * 0.1
    assert np.allclose(rows, [0.4] * 4 + (0.4 + ramp).tolist() + (0.5 - ramp[::-1]).tolist() + [0.5] * 4, atol=1e-6)
    assert np.allclose(smoothed, smoothed[:, :, :1])
    turned = image_quality._unblocked(plain.transpose(0, 2, 1, 3), 0.5)
    assert np.allclose(turned[0, 5, 4:8, 1], 0.4 + ramp / 2, atol=1e-6)
    plain[:, 8:] = 0.7  # an edge of the picture's own
    assert np.array_equal(image_quality._unblocked(plain, 1.0), plain)


def test_a_coarser_original_is_what_pillow_makes_of_it():
    pictures = drawn(2)
    edited = image_quality.set_original_size(pictures, np.log([[20.0], [300.0]]))
    picture = Image.fromarray((pictures.pixels[0] * 255).round().astype(np.uint8))
    small = picture.resize((28, 20), Image.Resampling.BOX).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    assert np.allclose(edited[0], np.asarray(small) / 255, atol=1e-6)
    assert np.array_equal(edited[1], pictures.pixels[1])
    tiny = changed(pictures, sizes=np.full((2, 2), 15))
    assert np.array_equal(image_quality.set_original_size(tiny, np.log([[20.0], [16.0]])), tiny.pixels)


def test_where_and_how_large_the_object_is():
    pictures = drawn()
    assert np.allclose(object_properties.position(pictures), [[2 * 27 / 56 - 1, 2 * 30 / 40 - 1]] * 3)
    assert np.allclose(object_properties.size(pictures), np.log(18 / 40))
    tints = illumination.tints(pictures.object_colour)
    light = pictures.object_colour @ GREY
    assert np.allclose(object_properties.paint(pictures), np.column_stack([tints, light]), atol=1e-6)


def test_an_object_is_moved_by_whole_pixels():
    pictures = drawn()
    values = np.array([[2 * 35 / 56 - 1, 2 * 26 / 40 - 1]] * 3)
    edited = object_properties.set_position(pictures, values)
    moved, cover = (np.roll(array, (-4, 8), (1, 2)) for array in (pictures.pixels, pictures.soft))
    assert np.allclose(edited, moved * cover + pictures.ground * (1 - cover), atol=1e-5)
    # A whole object stays whole: its middle at most half its width from the side, its foot no lower than the picture.
    outside = object_properties.set_position(pictures, np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]]))
    for row, (down, across) in enumerate([(18 - 30, 7 - 27), (40 - 30, 49 - 27), (18 - 30, 49 - 27)]):
        shifted = overlays.shifted(pictures.pixels[row], down, across)
        soft = overlays.shifted(pictures.soft[row], down, across)
        assert np.allclose(outside[row], shifted * soft + pictures.ground[row] * (1 - soft), atol=1e-5)


def test_pixels_are_shifted_as_by_rolling():
    picture = np.random.default_rng(0).random((5, 7, 2))
    for down, across in [(0, 0), (2, 3), (-2, 1), (1, -6), (-4, -3), (5, 0), (0, 7), (-9, 2)]:
        plain = np.zeros_like(picture)
        for row in range(5):
            for column in range(7):
                if 0 <= row - down < 5 and 0 <= column - across < 7:
                    plain[row, column] = picture[row - down, column - across]
        assert np.array_equal(overlays.shifted(picture, down, across), plain)


@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_an_object_is_scaled_about_the_middle_of_its_foot(factor):
    pictures = drawn()
    edited = object_properties.set_size(pictures, object_properties.size(pictures) + np.log(factor))
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    rows, columns = (down - 30) / factor + 30 - 0.5, (across - 27) / factor + 27 - 0.5

    def looked_up(plane):
        return ndimage.map_coordinates(plane.astype(float), [rows, columns], order=1, mode="constant")

    inside = (rows > 1) & (rows < HEIGHT - 2) & (columns > 1) & (columns < WIDTH - 2)
    for row in range(3):
        cover = looked_up(pictures.soft[row, ..., 0])[..., None]
        grown = np.stack([looked_up(pictures.pixels[row, ..., channel]) for channel in range(3)], -1)
        plain = grown * cover + pictures.ground[row] * (1 - cover)
        assert np.abs(edited[row] - plain)[inside].max() < 2e-3


def test_a_large_object_near_the_side_grows_into_the_picture():
    pictures = drawn(box=(12, 30, 2, 16))
    factor = 1.6
    edited = object_properties.set_size(pictures, object_properties.size(pictures) + np.log(factor))
    red = edited[0, 25, :, 0] - pictures.ground[0, 25, :, 0] > 0.15
    columns = np.flatnonzero(red)
    # 14 pixels become 22.4, and the middle moves from 9 to 11.2, so that the left end is at 0.
    assert columns[0] <= 1 and abs(columns[-1] + 1 - 22.4) < 1.5
    mirrored = drawn(box=(12, 30, WIDTH - 16, WIDTH - 2))
    edited = object_properties.set_size(mirrored, object_properties.size(mirrored) + np.log(factor))
    columns = np.flatnonzero(edited[0, 25, :, 0] - mirrored.ground[0, 25, :, 0] > 0.15)
    assert columns[-1] >= WIDTH - 2 and abs(columns[0] - (WIDTH - 22.4)) < 1.5


def test_an_object_is_painted():
    pictures = drawn()
    goal = object_properties.paint(pictures) + np.array([-0.4, 0.3, 0.05])
    edited = object_properties.set_paint(pictures, goal)
    after = object_properties.paint(
        changed(pictures, pixels=edited.astype(np.float32), object=pictures.soft[..., 0] > 0.999)
    )
    assert np.abs(after[:, 2] - goal[:, 2]).max() < 0.02 and np.abs(after[:, :2] - goal[:, :2]).max() < 0.15
    assert np.allclose(edited[:, :5], pictures.pixels[:, :5], atol=1e-6)


@pytest.mark.parametrize("change", [0.3, -0.3, 2.0])
def test_the_aspect_is_that_of_a_box_that_pillow_resizes(change):
    pictures = drawn(1)
    edited = object_properties.set_aspect(pictures, np.full((1, 1), np.log(1.5) + change))
    share = np.exp(-min(abs(change), 0.7))
    width, height = (WIDTH, HEIGHT * share) if change > 0 else (WIDTH * share, HEIGHT)
    box = ((WIDTH - width) / 2, (HEIGHT - height) / 2, (WIDTH + width) / 2, (HEIGHT + height) / 2)
    picture = Image.fromarray((pictures.pixels[0] * 255).round().astype(np.uint8))
    plain = np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)) / 255
    assert np.abs(edited[0] - plain).max() <= 1 / 255 + 1e-6


def test_corners_and_borders_in_numbers():
    pictures = drawn(2)
    side = 10  # a quarter of 40 pixels
    tagged = pictures.smooth.copy()
    tagged[:, 3:6, 2:5] += 0.3
    tagged[1, -6:-2, -9:-3] -= 0.25
    pictures = changed(pictures, pixels=tagged, ground=tagged.copy())
    counted = overlays.corners(pictures)
    # What lies over it counts with its neighbours, whose distance from the smooth background is zero here.
    assert np.allclose(counted[0], [0.3 * 9 / side**2, 0, 0, 0], atol=1e-5)
    assert np.allclose(counted[1], [0.3 * 9 / side**2, 0, 0, 0.25 * 24 / side**2], atol=1e-5)
    swapped = overlays.give_corners(pictures, pictures[np.array([1, 0])])
    plain = pictures.smooth.copy()
    plain[:, 3:6, 2:5] += 0.3
    plain[0, -6:-2, -9:-3] -= 0.25
    assert np.allclose(swapped, plain, atol=1e-5)
    framed = pictures.smooth.copy()
    framed[:, pictures.frame] = np.array((0.9, 0.1, 0.4))
    framed = changed(pictures, pixels=framed)
    inner = np.pad(framed.pixels[:, 2:-2, 2:-2], ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    away = (np.array((0.9, 0.1, 0.4)) - inner)[:, framed.frame]
    assert np.allclose(
        overlays.border(framed), np.stack([np.abs(away).mean((1, 2)), (away @ GREY).mean(1)], 1), atol=1e-5
    )
    given = overlays.give_border(pictures, framed)
    own_inner = np.pad(pictures.pixels[:, 2:-2, 2:-2], ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    plain = np.where(framed.frame[None, ..., None], own_inner + framed.pixels - inner, pictures.pixels).clip(0, 1)
    assert np.allclose(given, plain, atol=1e-6)


def test_what_is_found_in_a_corner_alone_is_no_object():
    pictures = drawn(1)
    corner = np.zeros_like(pictures.object)
    corner[:, 1:8, 1:8] = True
    assert not overlays._whole_objects(changed(pictures, object=corner)).any()
    across = np.zeros_like(pictures.object)
    across[:, 4:16, 4:16] = True  # 36 of 144 pixels in the corner's square of 10
    assert np.array_equal(overlays._whole_objects(changed(pictures, object=across)), across)


def test_a_texture_in_numbers():
    pictures = drawn(2, seed=4)
    rough = (pictures.ground - pictures.smooth).astype(float) @ GREY
    inner = rough[:, 3:-3, 3:-3]
    down, across = inner[:, 1:, 1:] - inner[:, :-1, 1:], inner[:, 1:, 1:] - inner[:, 1:, :-1]
    powers = [(step**2).mean((1, 2)) + 1e-5 for step in (across, down, across + down, across - down)]
    plain = [
        np.log(inner.std((1, 2)) + 1e-3), np.log(powers[0] / powers[1]), np.log(powers[2] / powers[3]),
        np.log((powers[0] + powers[1]) / (inner.var((1, 2)) + 1e-5)),
    ]  # fmt: skip
    assert np.allclose(overlays.texture(pictures), np.stack(plain, 1), atol=1e-3)
    donors = pictures[np.array([1, 0])]
    given = overlays.give_texture(pictures, donors)
    free = np.ones((HEIGHT, WIDTH), bool)
    free[pictures.frame] = False
    for rows in (slice(0, 10), slice(-10, None)):
        for columns in (slice(0, 10), slice(-10, None)):
            free[rows, columns] = False
    plain = np.where(free[None, ..., None], pictures.smooth + donors.ground - donors.smooth, pictures.pixels)
    plain = plain * (1 - pictures.soft_foreign) + pictures.pixels * pictures.soft_foreign
    assert np.allclose(given, plain.clip(0, 1), atol=1e-5)


def test_backgrounds_and_objects_are_blended():
    pictures, donors = drawn(2), drawn(2, seed=7, box=(8, 20, 30, 50))
    grounds = overlays.give_background(pictures, donors)
    assert np.allclose(grounds, pictures.pixels * pictures.soft + donors.ground * (1 - pictures.soft), atol=1e-6)
    objects = overlays.give_object(pictures, donors)
    for row in range(2):  # from foot (40, 20) to foot (27, 30)
        cover = overlays.shifted(donors.soft[row], 10, -13)
        plain = overlays.shifted(donors.pixels[row], 10, -13) * cover + pictures.ground[row] * (1 - cover)
        assert np.allclose(objects[row], plain, atol=1e-6)


def test_brightness_weighs_the_channels_by_the_standard():
    assert np.allclose(luminance(np.eye(3, dtype=np.float32)), GREY)


@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_colours_are_moved_from_grey_by_the_share_of_the_saturations(spread):
    """A thousandth is added to both, or noise would be coloured where there is hardly a colour."""
    pictures = drawn(2)
    pixels = pictures.pixels.astype(float)
    grey = (pixels @ GREY)[..., None]
    pale = changed(pictures, pixels=(grey + spread * (pixels - grey)).astype(np.float32))
    saturation = np.abs(spread * (pixels - grey)).mean((1, 2, 3))
    for goal in (0.0, 0.004, 0.05, 9.0):
        factor = ((goal + 1e-3) / (saturation + 1e-3)).clip(0, 4)[:, None, None, None]
        expected = (grey + spread * (pixels - grey) * factor).clip(0, 1)
        edited = illumination.set_saturation(pale, np.full((2, 1), goal))
        assert np.abs(edited - expected).max() < 2e-6


def test_every_picture_whose_object_is_known_is_asked_without_it_and_without_its_ground(monkeypatch):
    pictures = drawn(70, seed=3)
    pictures = changed(pictures, object_known=np.arange(70) % 7 != 3)

    def asked(network, edited):
        return (edited.astype(float).mean((1, 2, 3)) * 1e6).round().astype(np.int64)

    monkeypatch.setattr(interventions, "answers_to", asked)
    network: Any = None
    answers = interventions._answers_without(network, pictures)
    pixels, soft = pictures.pixels.astype(float), pictures.soft.astype(float)
    greyed = pixels * soft + pixels.mean((1, 2, 3))[:, None, None, None] * (1 - soft)
    expected = np.stack([asked(None, pictures.ground), asked(None, greyed)], 1)
    known = pictures.object_known
    assert answers.shape == (70, 2) and (answers[~known] == -1).all() and np.abs(answers - expected)[known].max() <= 5


def test_a_statistic_is_set_to_a_donors_or_moved_by_the_difference_of_two_classes():
    statistic = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    predicted = np.array([0, 0, 0, 2, 2, 2, 2])
    donors = Donors(np.array([0, 3, 6]), np.array([4, 1, 2]), np.array([1, 5, 4]), np.array([2, 0, 0]))
    nuisance: Any = SimpleNamespace(edit=lambda pictures, values: values)
    by_value, by_mean = interventions._by_statistic(
        nuisance, statistic, class_members(predicted), predicted[donors.rows], donors
    )
    nothing: Any = None
    means = {answer: statistic[predicted == answer].mean(0) for answer in (0, 2)}
    shift = np.stack([means[2] - means[0], means[0] - means[2], means[0] - means[2]])
    for batch in (np.arange(3), np.array([1])):
        assert np.array_equal(by_value.make(nothing, nothing, batch, 0), statistic[donors.other][batch])
        assert np.array_equal(by_value.make(nothing, nothing, batch, 1), statistic[donors.same][batch])
        own_numbers = statistic[donors.rows][batch]
        assert np.allclose(by_mean.make(nothing, nothing, batch, 0), own_numbers + shift[batch], atol=1e-6)
        assert np.allclose(by_mean.make(nothing, nothing, batch, 1), own_numbers - shift[batch], atol=1e-6)
