import json

import numpy as np
import pytest
from PIL import Image

from iconoscope.errors import PreprocessingError
from iconoscope.subject.network import read_preprocessing

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
