"""Pictures as each library's own transforms make them: thirty of odd sizes, at most one grey level apart."""

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from iconoscope.subject.network.loaders.timm import _preprocessing as of_timm
from iconoscope.subject.network.preprocessing import read_preprocessing


def odd_pictures(count=30):
    """Pictures with edges, gradients and fine texture, of sizes that nothing divides."""
    generator = np.random.default_rng(0)
    for number in range(count):
        height, width = (int(side) for side in generator.integers(61, 420, 2))
        rows, columns = np.mgrid[:height, :width]
        waves = [np.sin(rows / generator.uniform(1.5, 30) + columns / generator.uniform(1.5, 30)) for _ in range(3)]
        pixels = 128 + 80 * np.stack(waves, 2) + generator.normal(0, 20, (height, width, 3))
        pixels[height // 3 : height // 2, width // 4 : width // 2] = generator.integers(0, 256, 3)
        yield number, pixels.clip(0, 255).astype(np.uint8)


def grey_levels(transformed, mean, std):
    values = transformed.numpy() * np.reshape(std, (3, 1, 1)) + np.reshape(mean, (3, 1, 1))
    return values.transpose(1, 2, 0) * 255


def differences(preprocessing, transform):
    worst = []
    for _, pixels in odd_pictures():
        theirs = grey_levels(transform(Image.fromarray(pixels)), preprocessing.mean, preprocessing.std)
        ours = preprocessing.fit(pixels)
        assert ours.shape == theirs.shape == (*preprocessing.size, 3)
        worst.append(np.abs(ours - theirs).max())
    return np.array(worst)


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "nearest"])
@pytest.mark.parametrize(("resize", "size"), [(64, 56), (57, 57), (61, 48)])
def test_as_torchvisions_transforms(torchvision_models, interpolation, resize, size):
    import torch
    from torchvision.transforms import InterpolationMode, v2

    transform = v2.Compose([
        v2.Resize(resize, InterpolationMode(interpolation)), v2.CenterCrop(size), v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD),
    ])  # fmt: skip
    settings = {"size": size, "resize": resize, "interpolation": interpolation, "mean": MEAN, "std": STD}
    assert differences(read_preprocessing(settings), transform).max() < 1


def test_as_the_transforms_that_come_with_torchvisions_weights(torchvision_models):
    transform = torchvision_models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    from iconoscope.subject.network.loaders.torchvision import _preprocessing

    assert differences(read_preprocessing(_preprocessing(transform)), transform).max() < 1


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(56, 56), (64, 48), (40, 72)])
@pytest.mark.parametrize("share", [0.875, 0.9, 0.95, 1.0])
def test_as_timms_transforms(torchvision_models, crop_mode, size, share):
    pytest.importorskip("timm")
    from timm.data.transforms_factory import create_transform

    configuration = {
        "input_size": (3, *size), "crop_pct": share, "crop_mode": crop_mode, "interpolation": "bicubic",
        "mean": MEAN, "std": STD,
    }  # fmt: skip
    transform = create_transform(**configuration)
    assert differences(read_preprocessing(of_timm(configuration)), transform).max() <= 1 + 1e-3


def test_a_mask_is_cut_as_its_photograph():
    """Where the photograph is white on black, so is the mask, for every way to cut."""
    generator = np.random.default_rng(1)
    for crop in ("center", "squash", "cover", "border", "none"):
        for middle in ("nearest", "down"):
            for _ in range(5):
                height, width = (int(side) for side in generator.integers(61, 300, 2))
                mask = np.zeros((height, width), bool)
                mask[height // 5 : height // 2, width // 3 : width // 2 + 9] = True
                settings = {
                    "size": (40, 56),
                    "resize": 47,
                    "crop": crop,
                    "middle": middle,
                    "mean": (0.0,) * 3,
                    "std": (0.5,) * 3,
                }
                preprocessing = read_preprocessing(settings)
                shown = preprocessing.fit(np.repeat(mask[..., None] * np.uint8(255), 3, 2))
                np.testing.assert_array_equal(preprocessing.fit_mask(mask), shown[..., 0] >= 128)


def test_half_a_pixel_by_hand():
    """Of seven columns the middle four begin at 1.5: nearest is the even 2, down is 1; of five at .5: 0 either way."""
    ramp = np.repeat(np.arange(0, 70, 10, dtype=np.uint8)[None, :, None], 4, 0).repeat(3, 2)
    settings = {"size": (4, 4), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    for count, nearest, down in ((7, 20, 10), (5, 0, 0)):
        for middle, first in (("nearest", nearest), ("down", down)):
            fitted = read_preprocessing({**settings, "middle": middle}).fit(ramp[:, :count])
            assert fitted[0, :, 0].tolist() == [first, first + 10, first + 20, first + 30]


def test_a_border_has_the_mean_colour():
    fitted = read_preprocessing({"size": (10, 10), "crop": "border", "mean": (0.2, 0.4, 0.6), "std": (0.5,) * 3}).fit(
        np.full((20, 11, 3), 255, np.uint8)
    )
    assert (
        (fitted[:, 2:7] == 255).all()
        and (fitted[:, :2] == [51, 102, 153]).all()
        and (fitted[:, -2:] == [51, 102, 153]).all()
    )


def test_the_settings_are_said_and_checked():
    settings = {"size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    assert "fit into 36x36" in read_preprocessing({**settings, "crop": "border", "resize": 36}).describe()
    with pytest.raises(ico.errors.PreprocessingError, match="middle='up'"):
        read_preprocessing({**settings, "middle": "up"})
