import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.occlusion import make_grid
from iconoscope.occlusion.fills import FILLS, patch_means, read_fill
from iconoscope.subject.network import read_preprocessing

HOW = read_preprocessing({"size": 24, "mean": (0.5, 0.4, 0.3), "std": (0.25, 0.2, 0.1), "crop": "none"})


def field(name, picture, **more):
    return read_fill(name, HOW).field(picture, HOW, more.get("patch", (8, 8)), more.get("seed", 0))


def test_each_fill_is_what_it_says(bright):
    assert not field("zero", bright).any()
    assert np.allclose(field("black", bright)[:, 3, 4], [-2, -2, -3])
    mean = field("mean", bright)
    assert np.allclose(mean[1], (bright[..., 1].mean() / 255 - 0.4) / 0.2, atol=1e-5)
    assert mean.std((1, 2)).max() < 1e-6
    blur = field("blur", bright)
    sharp = HOW.normalise(bright[None])[0].numpy()
    assert blur.std() < sharp.std() and np.abs(blur.mean((1, 2)) - sharp.mean((1, 2))).max() < 0.2
    noise = field("noise", bright)
    rgb = noise * np.array([0.25, 0.2, 0.1])[:, None, None] + np.array([0.5, 0.4, 0.3])[:, None, None]
    assert rgb.min() >= 0 and rgb.max() <= 1 and abs(rgb.mean() - 0.5) < 0.03
    assert np.array_equal(noise, field("noise", bright)) and not np.array_equal(noise, field("noise", bright, seed=1))


@pytest.mark.parametrize("name", [name for name in FILLS if name not in ("patch-mean", "drop")])
def test_shape_and_type(name, bright):
    found = field(name, bright)
    assert found.shape == (3, 24, 24) and found.dtype == np.float32


def test_an_image_fills(tmp_path, bright):
    path = tmp_path / "wall.png"
    Image.fromarray(bright).save(path)
    expected = HOW.normalise(bright[None])[0].numpy()
    for fill in (bright, str(path), path):
        assert np.allclose(field(fill, 0 * bright), expected, atol=1e-5)
    assert read_fill(bright, HOW).name == read_fill(path, HOW).name != read_fill(bright[::-1], HOW).name


def test_a_misspelt_fill_names_the_nearest():
    with pytest.raises(QuestionError) as caught:
        read_fill("blurr", HOW)
    assert "blur" in caught.value.hint


@given(st.integers(1, 20), st.integers(1, 20), st.data())
def test_patch_means_are_the_means_of_what_is_covered(height, width, data):
    patch = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    stride = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    grid = make_grid((height, width), patch=patch, stride=stride)
    found = patch_means(picture, grid).reshape(-1, 3)
    for position in range(len(grid)):
        assert np.allclose(found[position], picture[grid.window(position)].mean((0, 1)) / 255, atol=1e-12)


def test_patch_mean_covers_every_position_with_its_own_colour(planted, bright):
    grid = make_grid((24, 24), patch=7, stride=5)
    cover = read_fill("patch-mean", HOW).cover(bright, HOW, grid, 0)
    image = HOW.normalise(bright[None])[0]
    for position in (0, 6, len(grid) - 1):
        rows, columns = grid.window(position)
        covered = cover.over(image, grid, position).numpy()
        mean = image[:, rows, columns].mean((1, 2)).numpy()
        assert np.allclose(covered[:, rows, columns], mean[:, None, None], atol=1e-5)
        covered[:, rows, columns] = image[:, rows, columns]
        assert np.array_equal(covered, image)
    # The planted network looks at the mean of a region: the mean colour of a patch inside it changes nothing.
    found = ico.occlude(planted, bright, "logit:seen", patch=4, stride=4, fill="patch-mean")
    assert np.abs(found.drop).max() < 1e-5 < ico.occlude(planted, bright, "logit:seen", patch=4, stride=4).drop.max()


def test_regions_that_are_no_patch_have_no_patch_mean(planted, bright):
    with pytest.raises(QuestionError, match="no patch") as caught:
        ico.faithfulness(planted, bright, patch=8, fill="patch-mean")
    assert "Take mean" in caught.value.hint


def negative(picture):
    return 255 - picture


def dimmed(picture):
    picture //= 2  # in place: it is given a copy
    return picture / 255


def test_a_function_fills(planted, bright):
    before = bright.copy()
    for function, expected in ((negative, 255 - bright), (dimmed, bright // 2)):
        filling = read_fill(function, HOW).of(bright)
        assert np.allclose(filling.field(bright, HOW, (3, 3), 0), HOW.normalise(expected[None])[0].numpy(), atol=1e-5)
        assert re.fullmatch(rf"\S*test_fills\.{function.__name__} [0-9a-f]{{16}}", filling.name)
    assert np.array_equal(bright, before)
    found = ico.occlude(planted, bright, patch=8, fill=negative)
    assert np.array_equal(found.occluded, ico.occlude(planted, bright, patch=8, fill=negative(bright)).occluded)


def test_the_key_of_a_function_is_what_it_drew(planted, bright):
    def key(fill, picture=bright):
        return ico.occlude(planted, picture, patch=24, fill=fill).question.key

    def shade(value):
        def fill(picture):
            return np.full_like(picture, value)

        return fill

    assert key(shade(3)) == key(shade(3)) != key(shade(4))
    assert key(negative) != key(negative, bright[::-1].copy())


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda picture: picture[..., 0], r"drew uint8 \(24, 24\)"),
        (lambda picture: picture.astype(int), "drew int64"),
        (lambda picture: picture * 1.0, "of 180 to 255"),
        (lambda picture: picture * np.nan, "of nan to nan"),
        (lambda picture: picture.nosuch, "AttributeError"),
    ],
)
def test_a_function_that_draws_something_else(planted, bright, draw, says):
    with pytest.raises(QuestionError, match=says):
        ico.occlude(planted, bright, patch=8, fill=draw)


def test_the_blur_has_half_a_patch_as_its_standard_deviation():
    """Against SciPy's, in the middle of the picture, where the border does not matter."""
    from scipy.ndimage import gaussian_filter

    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    drawn = FILLS["blur"].draw(picture, (6, 8), np.random.default_rng(0))[32:64, 32:64]
    apart = {
        sigma: np.abs(gaussian_filter(picture / 255, (sigma, sigma, 0))[32:64, 32:64] - drawn).mean()
        for sigma in (2, 4, 8)
    }
    assert apart[4] < 0.005 < min(apart[2], apart[8])


@pytest.mark.parametrize("name", ["black", "mean", "blur", "noise"])
def test_a_network_of_grey_pictures_is_given_the_grey_of_the_fill(name, bright):
    grey = read_preprocessing({"size": 24, "mean": (0.5,), "std": (0.25,), "crop": "none"})
    filling = read_fill(name, grey)
    found = filling.field(bright, grey, (8, 8), 3)
    colours = read_fill(name, HOW).field(bright, HOW, (8, 8), 3)
    rgb = colours * np.array([0.25, 0.2, 0.1])[:, None, None] + np.array([0.5, 0.4, 0.3])[:, None, None]
    weighed = np.tensordot((0.299, 0.587, 0.114), rgb, 1)
    assert found.shape == (1, 24, 24) and np.allclose(found[0], (weighed - 0.5) / 0.25, atol=1e-4)
    colour = read_fill("patch-mean", grey).cover(bright, grey, make_grid((24, 24), patch=24), 0).colours
    assert colour is not None and np.allclose(colour, (bright.mean((0, 1)) @ (0.299, 0.587, 0.114) / 255 - 0.5) / 0.25)


@pytest.mark.parametrize("grey", ["0.25", ".25", 0.25, "0.", "1.0", 1.0])
def test_a_grey_is_read_as_text_or_number(grey, bright):
    fill = read_fill(grey, HOW)
    assert fill.name == f"grey {float(grey):g}"
    field = fill.field(bright, HOW, (8, 8), 0)
    mean, std = (np.array(values)[:, None, None] for values in (HOW.mean, HOW.std))
    assert np.allclose(field, np.broadcast_to((float(grey) - mean) / std, field.shape), atol=1e-5)
