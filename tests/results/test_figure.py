"""What a notebook is given of a figure."""

import base64
import io

import numpy as np
from PIL import Image

from iconoscope.results.figure import shown_in_notebook
from iconoscope.results.rendering import to_png
from specimens import averaged


def opened(address):
    kind, _, data = address.removeprefix("data:image/").partition(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(data))), len(data)


def test_photographs_take_little_room_and_lines_stay_sharp():
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    photograph = np.asarray(Image.fromarray(noise).resize((900, 600), Image.Resampling.BICUBIC))
    kind, picture, size = opened(shown_in_notebook(to_png(photograph)))
    assert kind == "webp" and picture.size == (900, 600)
    assert size < 0.3 * len(to_png(photograph))
    assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - photograph).mean() < 5
    bars = averaged()._face()
    kind, picture, _ = opened(shown_in_notebook(bars))
    assert kind == "png"
    assert np.array_equal(np.asarray(picture), np.asarray(Image.open(io.BytesIO(bars)).convert("RGB")))


def test_no_figure_is_wider_than_a_column():
    _, picture, _ = opened(shown_in_notebook(to_png(np.zeros((300, 4000, 3), np.uint8))))
    assert picture.size == (1600, 120)
