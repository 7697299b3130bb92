"""What a notebook is given of a figure."""

import base64
import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from iconoscope.errors import QuestionError
from iconoscope.results.figure import bare_figure, shown_in_notebook
from iconoscope.results.rendering import to_png
from specimens import attributed, audited, averaged, curved, occlusion


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


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def test_the_resolution_is_what_is_asked_then_the_users_then_ours(tmp_path):
    result = occlusion()
    ours = size_of(result.save(tmp_path / "ours.png"))
    assert np.allclose(size_of(result.save(tmp_path / "asked.png", dpi=300)), 2 * np.array(ours), rtol=0.02)
    with mpl.rc_context({"savefig.dpi": 75}):
        assert np.allclose(size_of(result.save(tmp_path / "users.png")), np.array(ours) / 2, rtol=0.02)
        assert size_of(result.save(tmp_path / "both.png", dpi=150)) == ours
    for wrong in (True, "300", 0, 1e6, float("nan")):
        with pytest.raises(QuestionError, match="dpi"):
            result.save(tmp_path / "wrong.png", dpi=wrong)  # type: ignore
    for other in ("folder", "page.html"):
        with pytest.raises(QuestionError, match="dpi=300 is of figures"):
            result.save(tmp_path / other, dpi=300)


def table_of(axes):
    return (axes.collections or axes.images)[0].get_cmap().name


def test_colours_are_what_is_asked_then_the_users_where_zero_is_no_middle():
    with mpl.rc_context({"image.cmap": "magma"}):
        assert table_of(occlusion().plot(bare_figure(2, 2).subplots())) == "magma"
        assert table_of(occlusion().plot(bare_figure(2, 2).subplots(), cmap="cividis")) == "cividis"
        assert table_of(attributed().plot(bare_figure(2, 2).subplots())) == "RdBu_r"
        assert table_of(averaged().plot(bare_figure(2, 2).subplots(), cmap=mpl.colormaps["PuOr"])) == "PuOr"
    assert table_of(occlusion().plot(bare_figure(2, 2).subplots())) == "viridis"
    for wrong in ("virids", 3, "", True):
        with pytest.raises(QuestionError, match="no colour map"):
            occlusion().plot(bare_figure(2, 2).subplots(), cmap=wrong)


@pytest.mark.parametrize(
    "result", [occlusion(), attributed(), averaged()], ids=["occlusion", "attribution", "mean map"]
)
def test_a_colour_bar_is_left_out(result):
    counts = []
    for colorbar in (True, False):
        figure = bare_figure(4, 4)
        result.plot(figure.subplots(), colorbar=colorbar)
        counts.append(len(figure.axes))
    assert counts == [2, 1]


def test_all_letters_go_with_the_users_size():
    """Of every kind of text, ticks too; and nothing is scaled twice."""

    def sizes(result):
        figure = result._drawn()
        figure.draw_without_rendering()
        return [float(text.get_fontsize()) for text in figure.findobj(Text) if text.get_text()]

    for result in (occlusion(), averaged(), audited(), curved()):
        usual = sizes(result)
        with mpl.rc_context({"font.size": 15}):
            larger = sizes(result)
        # Larger letters leave room for fewer ticks.
        assert {round(1.5 * size, 3) for size in usual} == {round(size, 3) for size in larger}
