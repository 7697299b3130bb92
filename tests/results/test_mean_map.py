"""The figure and the sentence of a mean map."""

import matplotlib as mpl
import numpy as np
import pytest

from specimens import averaged


@pytest.fixture
def axes_of():
    mpl.use("agg")
    import matplotlib.pyplot as plt

    yield lambda result: result.plot().figure.axes
    plt.close("all")


def test_the_figure_has_one_scale_centred_on_nothing(axes_of):
    found = averaged()
    panels = [axes for axes in axes_of(found) if "clean" in axes.get_title()]
    assert [axes.get_title().split(" (")[0] for axes in panels] == ["all images", "<b>y</b>", "x"]
    limit = np.abs(found.mean).max()
    assert {axes.collections[0].get_clim() for axes in panels} == {(-limit, limit)}
    for axes, group in zip(panels, (0, 2, 1), strict=True):
        assert np.array_equal(axes.collections[0].get_array(), found.mean[group])


def test_many_classes_are_not_all_drawn(axes_of, tmp_path):
    found = averaged([f"class {number}" for number in range(40)])
    axes = axes_of(found)
    assert sum("clean" in each.get_title() for each in axes) == 16
    assert "(25 classes with fewer images are not drawn)" in axes[0].figure.get_suptitle()
    assert axes[1].get_title().startswith("class 39 (")  # the one with the most images
    assert found.save(tmp_path / "f.png").stat().st_size > 10_000


def test_the_sentence_and_the_values(axes_of):
    found = averaged()
    row, column = np.unravel_index(found.mean[0].argmax(), (4, 5))
    assert f"costs most, {found.mean[0].max():.3f}, at row {2 * row}, column {2 * column}" in found.summary()
    told = found.to_json()
    assert told["images"] == 7 and [each["class"] for each in told["classes"]] == ["x", "<b>y</b>"]
    assert np.allclose(told["classes"][1]["mean"], found.mean[2], atol=1e-6)
