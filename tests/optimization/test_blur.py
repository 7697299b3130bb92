"""A blur of the picture after every step, against the loop written out."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

import iconoscope as ico
from iconoscope.optimization import STYLES, Blur, Fourier, Pixels, Style


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3 * 64, 2, bias=False)

    def forward(self, x):
        return self.head(x.flatten(1))


def network():
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(Linear(), preprocessing=preprocessing, classes=("a", "b"), device="cpu")


def blurred_style(**blur):
    return Style(parameterization=Pixels(), transforms=None, colours=np.eye(3), limits="penalty", blur=Blur(**blur))


def test_each_step_is_one_of_adam_and_then_a_gaussian_blur():
    """Of a linear unit every gradient is the same, so Adam goes the same step each time: the picture can be written down."""
    asked = network()
    style = blurred_style(sigma=0.8, last_sigma=0.4)
    start = np.full((8, 8, 3), 128, np.uint8)
    found = ico.optimize(asked, "logit:a", style=style, start=start, steps=3)
    weights = asked.module.get_parameter("head.weight").detach()[0].view(3, 8, 8).permute(1, 2, 0).numpy()
    picture = np.full((8, 8, 3), 128 / 255)
    for sigma in (0.8, 0.6, 0.4):
        picture = picture + 0.05 * np.sign(weights)
        reach = max(1, round(3 * sigma))
        picture = gaussian_filter(picture, (sigma, sigma, 0), mode="nearest", radius=(reach, reach, 0))
    assert np.abs(found.images[0] - picture).max() < 1e-3


def test_a_blur_leaves_less_of_high_frequencies_and_is_part_of_the_question():
    asked = network()
    plain, blurred = (ico.optimize(asked, "logit:a", style=style, steps=20) for style in ("none", "blur"))
    roughness = [float(np.square(np.diff(made.images, axis=1)).mean()) for made in (plain, blurred)]
    assert roughness[1] < 0.5 * roughness[0]
    keys = {
        ico.optimize(asked, "logit:a", style=blurred_style(**blur), steps=1).question.key
        for blur in ({"sigma": 0.5}, {"sigma": 0.6}, {"last_sigma": 0.3}, {"every": 2})
    }
    assert len(keys) == 4 and "blurred by 0.5 to 0.25 px after every step" in blurred.style
    assert "blur" not in STYLES["none"].to_json()  # what was stored before there was a blur has the same key


@pytest.mark.parametrize("blur", [{"sigma": 0.0}, {"last_sigma": float("nan")}, {"every": 0}])
def test_a_blur_that_makes_no_sense_is_refused(blur):
    with pytest.raises(ico.errors.QuestionError, match=next(iter(blur))):
        Blur(**blur)


def test_what_is_no_picture_of_pixels_is_not_blurred():
    with pytest.raises(ico.errors.QuestionError, match="Fourier") as caught:
        Style(parameterization=Fourier(), blur=Blur())
    assert "Pixels()" in caught.value.hint
