"""The figure and the sentence of a mean map."""

import matplotlib as mpl
import numpy as np
import pytest

from iconoscope.results.mean_map import LEAST_RANGE
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


def test_a_panel_says_where_the_drop_is_largest_and_every_letter_has_its_size():
    found = averaged()
    found.mean[0, 2, 3], found.mean[2, 1, 0], found.mean[1] = 0.9, 0.8, 0.04
    found.mean[1, 3, 4] = np.nextafter(LEAST_RANGE, 0)  # of so little no place is marked
    figure = found._drawn()
    panels = figure.axes[:3]
    assert tuple(figure.get_size_inches()) == pytest.approx((1.2 + 2.3 * 3, 0.7 + 2.75))
    assert found._layout == (1, 3) and len(figure.axes) == 4
    # Patches of 3 x 4 pixels, every second row and column: the middle of grid row 2 is row 4 + 1, of column 3 column 6 + 1.5.
    for axes, group, middle in zip(panels, (0, 2, 1), ((7.5, 5.0), (1.5, 3.0), None), strict=True):
        marks = [tuple(np.concatenate([line.get_xdata(), line.get_ydata()]).tolist()) for line in axes.lines]
        assert marks == ([middle] * 2 if middle else [])
        looks = [(line.get_color(), line.get_markersize(), line.get_markeredgewidth()) for line in axes.lines]
        assert looks == ([("white", 7, 3.5), ("black", 7, 1.5)] if middle else [])
        assert not len(axes.get_xticks()) and not len(axes.get_yticks())
        row, column = found.worst(group)
        assert f"clean {found.clean[group]:.2f}, largest {found.mean[group, row, column]:.2f}" in axes.get_title()
        assert (
            f"({found.count[group]})" in axes.get_title() and f"changed {found.changed[group]:.0%}" in axes.get_title()
        )
        assert axes.title.get_fontsize() == 8 and axes.collections[0].get_clim() == (-0.9, 0.9)
        assert axes.collections[0].get_cmap().name == "RdBu_r"
    label = figure.axes[3].yaxis.label
    assert "mean drop of the probability of the right class" in label.get_text() and label.get_fontsize() == 8
    assert figure.axes[3].get_position().height / figure.axes[3].get_position().width > 15
    title = figure.texts[0] if figure.texts else figure._suptitle  # pyright: ignore[reportAttributeAccessIssue]
    assert title.get_fontsize() == 9 and "patch 3x4\nx: where it falls most" in title.get_text()


def test_sixteen_groups_lie_in_four_rows_and_what_is_left_is_empty():
    many = averaged([f"class {number}" for number in range(5)])
    figure = many._drawn()
    assert many._layout == (2, 4) and tuple(figure.get_size_inches()) == pytest.approx((10.4, 6.2))
    assert [axes.axison for axes in figure.axes[:8]] == [True] * 6 + [False] * 2
    assert "not drawn" not in figure.get_suptitle()
    order = [1 + int(axes.get_title().split(" ")[1]) for axes in figure.axes[1:6]]
    assert order == [5, 4, 3, 2, 1] and many.shown() == [0, *order] and many.shown(2) == [0, 5]
    sixteen = averaged([f"class {number}" for number in range(16)])
    assert sixteen._layout == (4, 4) and "(1 classes with fewer" in sixteen._drawn().get_suptitle()
    assert "not drawn" not in averaged([f"class {number}" for number in range(15)])._drawn().get_suptitle()


def test_of_one_class_only_it_is_drawn():
    one = averaged(["x"])
    assert one.shown() == [1] and one._layout == (1, 1)
    figure = one._drawn()
    assert tuple(figure.get_size_inches()) == pytest.approx((1.2 + 2.3 * 2, 3.45))
    assert [axes.get_title().split(" (")[0] for axes in figure.axes[:1]] == ["x"] and len(figure.axes) == 2
    assert "not drawn" not in figure.get_suptitle()
    axes = figure.add_subplot()
    assert one.plot(axes) is axes and axes.get_title().startswith("all images (")


def test_groups_with_as_many_images_keep_their_order():
    found = averaged(["x", "y", "z"])
    found.count[1:] = 4, 5, 4
    assert found.shown() == [0, 2, 1, 3] and [found.name(group) for group in (0, 1, 3)] == ["all images", "x", "z"]
    assert (found.group(), found.group("x"), found.group("z")) == (0, 1, 3)


def test_every_number_of_a_group_is_its_own():
    found = averaged()
    told = found.to_json()
    for values, group in ((told["all"], 0), (told["classes"][0], 1), (told["classes"][1], 2)):
        row, column = divmod(int(found.mean[group].argmax()), 5)
        assert found.worst(group) == (row, column)
        assert values["images"] == found.count[group]
        assert values["clean"] == found.clean[group] and values["changed"] == found.changed[group]
        assert values["worst"] == {
            "top": 2 * row, "left": 2 * column, "mean": found.mean[group, row, column],
            "deviation": found.deviation[group, row, column],
        }  # fmt: skip
        assert values["mean"] == [[round(float(drop), 6) for drop in line] for line in found.mean[group]]
    assert (told["patch"], told["top"], told["left"]) == ([3, 4], [0, 2, 4, 6], [0, 2, 4, 6, 8])
    assert f"{found.clean[0]:.3f} on average; a 3x4 patch" in found.summary()
    assert f"the answer of {found.changed[0]:.0%} of {found.count[0]} images" in found.summary()


def test_colours_reach_at_least_a_drop_that_is_more_than_rounding():
    found = averaged()
    found.mean[:] = 0.01
    assert found.limit == LEAST_RANGE == 0.05
    lower = averaged()
    lower.mean[:], lower.mean[1, 2, 3] = 0.1, -0.3
    assert lower.limit == pytest.approx(0.3)
