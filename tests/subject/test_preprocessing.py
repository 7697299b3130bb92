import json
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from iconoscope.errors import PreprocessingError
from iconoscope.priors.prior_images import as_pictures
from iconoscope.subject.network import preprocessing, read_preprocessing
from iconoscope.subject.network.preprocessing import merged, settings_of

GOOD = {"size": 8, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.mark.parametrize("shape", [(40, 60, 3), (60, 40, 3), (8, 8, 3), (256, 9, 3), (5, 5, 3)])
@pytest.mark.parametrize(
    "more", [{}, {"crop": "none"}, {"resize": 12}, {"size": (8, 14)}, {"size": (8, 14), "resize": 20}]
)
def test_every_photograph_comes_out_at_the_networks_size(shape, more):
    how = read_preprocessing({**GOOD, **more})
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert how.fit(picture).shape == (*how.size, 3)
    assert how.fit_mask(picture[..., 0] > 128).shape == how.size


@pytest.mark.parametrize(("size", "resize", "shape"), [((100, 200), 120, (300, 300)), ((224, 224), None, (2, 40_000))])
def test_shapes_that_are_far_from_the_networks(size, resize, shape):
    how = read_preprocessing({**GOOD, "size": size, "resize": resize})
    assert how.fit(np.zeros((*shape, 3), np.uint8)).shape == (*size, 3)


def test_a_ribbon_takes_no_memory():
    """Whole, it would be resized to 224 x 44,800,000 pixels: 30 GB."""
    ribbon = np.zeros((2, 400_000, 3), np.uint8)
    ribbon[:, 190_000:210_000] = 200
    assert (read_preprocessing({**GOOD, "size": 224}).fit(ribbon) == 200).all()


def test_a_centre_crop_against_pillow():
    picture = np.random.default_rng(0).integers(0, 256, (288, 432, 3), dtype=np.uint8)
    resized = Image.fromarray(picture).resize((384, 256), Image.Resampling.BILINEAR)
    # 157 columns and 29 rows are too many: half of each, rounded to even, lies before the cut.
    expected = np.asarray(resized.crop((78, 14, 78 + 227, 14 + 227)))
    assert np.array_equal(read_preprocessing({**GOOD, "size": 227, "resize": 256}).fit(picture), expected)


def test_the_mask_goes_where_the_photograph_goes():
    mask = np.zeros((90, 160), bool)
    mask[30:60, 70:100] = True
    how = read_preprocessing({**GOOD, "size": 45})
    picture = np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 255
    assert np.array_equal(how.fit_mask(mask), how.fit(picture)[..., 0] >= 128)


def test_normalised_and_restored():
    how = read_preprocessing(GOOD)
    picture = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    tensor = how.normalise(picture)
    assert tensor.shape == (2, 3, 8, 8)
    expected = (picture[1, 2, 3, 0] / 255 - 0.485) / 0.229
    assert abs(float(tensor[1, 0, 2, 3]) - expected) < 1e-6
    assert np.array_equal(how.restore(tensor[1]), picture[1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": None}, "lacks size"),
        ({"mean": None, "std": None}, "lacks mean and std"),
        ({"sise": 3}, "no setting 'sise'"),
        ({"interpolation": "cubic"}, "bicubic"),
        ({"crop": "centre"}, "center"),
        ({"std": (0, 1, 1)}, "over zero"),
        ({"mean": (123.7, 116.3, 103.5)}, "not for RGB in 0..1"),
        ({"mean": (0.5,)}, "three for RGB"),
        ({"mean": "abc"}, "not one number for each channel"),
        ({"mean": (float("nan"),) * 3}, "not finite"),
        ({"size": "big"}, "not a size"),
        ({"size": (0, 4)}, "not a size"),
        ({"resize": 4}, "at least 8"),
    ],
)
def test_settings_that_make_no_sense(change, says):
    with pytest.raises(PreprocessingError) as caught:
        read_preprocessing({**GOOD, **change})
    assert says in str(caught.value)


def test_from_text_and_from_a_file(tmp_path):
    path = tmp_path / "how.json"
    path.write_text(json.dumps(GOOD))
    assert read_preprocessing(str(path)) == read_preprocessing(json.dumps(GOOD)) == read_preprocessing(GOOD)
    with pytest.raises(PreprocessingError, match="cannot be read"):
        read_preprocessing(str(tmp_path / "nosuch.json"))
    with pytest.raises(PreprocessingError, match="not JSON"):
        read_preprocessing("{size: 3")


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("size=64", {"size": 64}),
        ("size=64x96, crop=none", {"size": (64, 96), "crop": "none"}),
        ("mean=0.5,0.4,.3,std=1,1,1,resize=70", {"mean": (0.5, 0.4, 0.3), "std": (1.0, 1.0, 1.0), "resize": 70}),
        (" interpolation = bicubic , mean=0.5", {"interpolation": "bicubic", "mean": (0.5,)}),
        ("sise=3", {"sise": 3}),
    ],
)
def test_settings_are_written_as_words(text, settings):
    assert settings_of(text) == settings


@pytest.mark.parametrize("text", ["", "size", "size=64;crop=none", "=3", "size==3", "folder/size=3.json"])
def test_what_is_not_written_so_is_a_file(text):
    with pytest.raises(PreprocessingError, match="cannot be read"):
        settings_of(text)


@pytest.mark.parametrize(
    ("given", "resize"),
    [
        ({"size": 112}, 128),
        ({"size": (56, 112)}, 64),
        ({"size": 7}, 8),
        ({"size": 112, "resize": None}, None),
        ({"size": 112, "resize": 120}, 120),
        ({"crop": "none"}, 256),
    ],
)
def test_as_much_is_cut_off_at_another_size(given, resize):
    assert merged(given, {**GOOD, "size": 224, "resize": 256})["resize"] == resize
    assert merged(given, GOOD).get("resize") == given.get("resize")


def longer(resize, size):
    """Height and width of `size`, enlarged until the short side is `resize`."""
    if isinstance(resize, tuple):
        return resize
    short = max(resize or 0, min(size))
    return size[0] * short // min(size), size[1] * short // min(size)


def fitted_by_hand(pixels, size, crop, resize, middle, mean):
    """Resized by Pillow as a whole, laid into a plane of the mean colour, and the middle of that."""
    height, width = pixels.shape[:2]
    down, across = longer(resize, size)
    if crop == "none":
        new = size
    elif crop == "squash":
        new = down, across
    elif crop == "center":
        factor = max(Fraction(size[0], height), Fraction(size[1], width), Fraction(resize or 0) / min(height, width))
        new = max(size[0], int(height * factor)), max(size[1], int(width * factor))
    else:
        factors = height / down, width / across
        scale = min(factors) if crop == "cover" else max(factors)
        new = max(1, round(height / scale)), max(1, round(width / scale))
    resized = np.stack(
        [
            np.asarray(Image.fromarray(band).resize((new[1], new[0]), Image.Resampling.BILINEAR))
            for band in np.moveaxis(pixels, 2, 0)
        ],
        2,
    )
    colour = np.array([round(255 * value) for value in mean] * (3 // len(mean) or 1), np.uint8)
    rim = 40
    plane = np.tile(colour, (new[0] + 2 * rim, new[1] + 2 * rim, 1))
    plane[rim : rim + new[0], rim : rim + new[1]] = resized
    begin = []
    for length, side in zip(new, size, strict=True):
        half = (length - side) / 2
        # Halves of what is there go to the even number, or down; of what is missing the smaller one comes first.
        begin.append(rim + (math.ceil(half) if half < 0 else math.floor(half) if middle == "down" else round(half)))
    return plane[begin[0] : begin[0] + size[0], begin[1] : begin[1] + size[1]]


@pytest.mark.parametrize("middle", ["nearest", "down"])
@pytest.mark.parametrize("crop", ["center", "none", "squash", "cover", "border"])
@pytest.mark.parametrize("mean", [(0.2, 0.5, 0.7), (0.4,), (0.1, 0.3, 0.6, 0.9)])
def test_fitted_by_hand(middle, crop, mean):
    draw = np.random.default_rng(0)
    for size in ((7, 12), (12, 7), (9, 9)):
        resizes = [None, 13, *([] if crop == "center" else [(15, 14)])]
        for resize in resizes:
            how = read_preprocessing(
                {
                    "size": size,
                    "mean": mean,
                    "std": (0.5,) * len(mean),
                    "crop": crop,
                    "resize": resize,
                    "middle": middle,
                }
            )
            for shape in ((31, 18), (18, 31), (5, 23), size, (20, 20)):
                pixels = draw.integers(0, 256, (*shape, 4 if len(mean) == 4 else 3), dtype=np.uint8)
                expected = fitted_by_hand(pixels, size, crop, resize, middle, mean)
                assert np.array_equal(how.fit(pixels), expected), (size, resize, shape)
                if len(mean) == 1 and crop != "border":
                    mask = pixels[..., 0] >= 128
                    band = mask[..., None].astype(np.uint8) * 255
                    assert np.array_equal(
                        how.fit_mask(mask), fitted_by_hand(band, size, crop, resize, middle, (0,))[..., 0] >= 128
                    )


def test_outside_of_a_picture_there_is_no_object():
    how = read_preprocessing({**GOOD, "size": (8, 8), "crop": "border"})
    assert how.fit_mask(np.ones((4, 16), bool)).sum(1).tolist() == [0, 0, 0, 8, 8, 0, 0, 0]


def test_a_part_that_is_resized_alone_is_that_part(monkeypatch):
    rows, columns = np.mgrid[:60, :200]
    pixels = np.stack([columns, rows * 3, 255 - columns], 2).astype(np.uint8)
    for crop in ("center", "cover", "squash"):
        how = read_preprocessing({**GOOD, "size": (16, 20), "resize": 24, "crop": crop})
        whole = how.fit(pixels).astype(int)
        with monkeypatch.context() as patched:
            patched.setattr(preprocessing, "_LARGE", 0)
            assert np.abs(how.fit(pixels) - whole).max() <= 1
            assert how.fit(pixels).shape == (16, 20, 3)


def test_grey_is_the_brightness():
    how = read_preprocessing({"size": 8, "mean": (0.4,), "std": (0.2,)})
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    light = pixels @ np.array([0.299, 0.587, 0.114]) / 255
    assert how.channels == 1 and np.allclose(how.normalise(pixels)[:, 0], (light - 0.4) / 0.2, atol=1e-5)
    four = read_preprocessing({"size": 8, "mean": (0.1, 0.2, 0.3, 0.4), "std": (0.5, 0.6, 0.7, 0.8)})
    bands = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 4), dtype=np.uint8)
    expected = (bands / 255 - np.array(four.mean)) / np.array(four.std)
    assert np.allclose(four.normalise(bands).permute(0, 2, 3, 1), expected, atol=1e-5)
    assert np.array_equal(four.restore(four.normalise(bands)[0]), bands[0])


def test_what_is_just_allowed_is():
    one = {"size": 8, "mean": (1.0, -1.0, 0), "std": (1.0, 0.001, 1.0)}
    assert read_preprocessing(one).size == (8, 8)
    assert read_preprocessing({**one, "resize": 8}).resize == 8
    assert read_preprocessing({**one, "resize": [8, 9], "crop": "squash"}).resize == (8, 9)
    for change in (
        {"resize": 7},
        {"resize": [7, 9], "crop": "squash"},
        {"resize": [9, 7], "crop": "squash"},
        {"resize": 8.0},
    ):
        with pytest.raises(PreprocessingError, match="resize"):
            read_preprocessing({**one, **change})
    for change in ({"mean": (1.01, 0, 0)}, {"mean": (0, -1.01, 0)}, {"std": (1, 1, 1.01)}, {"std": (1, 0, 1)}):
        with pytest.raises(PreprocessingError):
            read_preprocessing({**one, **change})


@pytest.mark.parametrize("size", [1, 8])
def test_pictures_may_be_read_only_at_every_size(size):
    how = read_preprocessing({**GOOD, "size": size})
    pixels = np.full((1, size, size, 3), 200, np.uint8)
    pixels.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_pictures(pixels).shape == how.normalise(pixels).shape == (1, 3, size, size)


@pytest.mark.parametrize(("mean", "level"), [(-0.5, 0), (0.5, 128), (1.0, 255)])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_border_has_the_mean_colour_as_far_as_pixels_go(mean, level, channels):
    how = read_preprocessing({"size": 8, "mean": (mean,) * channels, "std": (1.0,) * channels, "crop": "border"})
    fitted = how.fit(np.full((8, 16, channels), 77, np.uint8))
    assert (fitted[0] == level).all() and (fitted[4] == 77).all()
