import numpy as np
import pytest
from PIL import Image

from iconoscope.errors import QuestionError
from iconoscope.occlusion.fills import FILLS, read_fill
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


@pytest.mark.parametrize("name", FILLS)
def test_shape_and_type(name, bright):
    found = field(name, bright)
    assert found.shape == (3, 24, 24) and found.dtype == np.float32


def test_an_image_fills(tmp_path, bright):
    path = tmp_path / "wall.png"
    Image.fromarray(bright).save(path)
    expected = HOW.normalise(bright[None])[0].numpy()
    for given in (bright, str(path), path):
        assert np.allclose(field(given, 0 * bright), expected, atol=1e-5)
    assert read_fill(bright, HOW).name == read_fill(path, HOW).name != read_fill(bright[::-1], HOW).name


def test_a_misspelt_fill_names_the_nearest():
    with pytest.raises(QuestionError) as caught:
        read_fill("blurr", HOW)
    assert "blur" in caught.value.hint
