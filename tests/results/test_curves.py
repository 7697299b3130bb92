"""Deletion and insertion curves: their areas by hand, and what is drawn of them."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from iconoscope.results.rendering import overlay
from specimens import curved


def area(share, values):
    return sum(
        (right - left) * (low + high) / 2
        for left, right, low, high in zip(share, share[1:], values, values[1:], strict=False)
    )


def test_areas_by_hand():
    found = curved()
    shares = found.share.tolist()
    assert found.deletion_area == pytest.approx(area(shares, found.deletion[:, found.target].tolist()))
    assert found.insertion_area == pytest.approx(area(shares, found.insertion[:, found.target].tolist()))
    for areas, curves in (
        (found.null_deletion_areas, found.null_deletion), (found.null_insertion_areas, found.null_insertion),
    ):  # fmt: skip
        assert areas.tolist() == pytest.approx([area(shares, curve.tolist()) for curve in curves])
        assert areas.dtype == np.float64
    told = found.to_json()
    assert told["share"] == [round(share, 6) for share in shares]
    for name in ("deletion", "insertion"):
        values, null = getattr(found, name), getattr(found, f"null_{name}_areas")
        assert told[name]["values"] == [round(float(value), 6) for value in values[:, found.target]]
        assert told[name]["area"] == getattr(found, f"{name}_area") and told[name]["null_areas"] == null.tolist()
        assert f"{name} area of {told[name]['area']:.3f}" in found.summary()
        assert f"{null.mean():.3f} ± {null.std():.3f}" in found.summary()


def test_answers_that_are_no_probabilities_have_the_range_of_all_curves():
    found = replace(curved(), measure="logit")
    assert replace(found, measure="probability").limits() == (0.0, 1.0)
    for name in ("deletion", "insertion", "null_deletion", "null_insertion"):
        for number, end in ((-7.0, 0), (9.0, 1)):
            values = getattr(found, name).copy()
            values[1, found.target if values.shape[1] == found.deletion.shape[1] else 1] = number
            assert replace(found, **{name: values}).limits()[end] == number
    other = found.deletion.copy()
    other[:, found.target - 1] = 99  # of what was not asked for
    assert replace(found, deletion=other).limits() == found.limits()


def test_the_map_is_laid_over_the_picture_from_nought_or_from_its_lowest_value():
    found = curved()
    risen = replace(found, full_red=0.5)
    assert np.array_equal(risen.overlaid(), overlay(found.picture, found.attribution / 0.5))
    for full_red in (0.0, -1.0):
        sunk = replace(found, attribution=-np.abs(found.attribution) - 1, full_red=full_red)
        low, high = sunk.attribution.min(), sunk.attribution.max()
        assert np.array_equal(sunk.overlaid(), overlay(found.picture, (sunk.attribution - low) / (high - low)))


def test_what_is_drawn():
    found = replace(curved(), ranked_by="a map, of ours, from map.npy")
    figure = found._drawn()
    laid, axes = figure.axes
    assert tuple(figure.get_size_inches()) == (9, 3.9)
    assert axes.get_position().width > laid.get_position().width
    assert np.array_equal(np.asarray(laid.images[0].get_array()), found.overlaid())
    assert laid.get_title() == "a map,\nof ours,\nfrom map.npy"
    draws = len(found.null_deletion)
    lines = list(axes.lines)
    assert len(lines) == 2 * (draws + 1)
    for begin, name, colour in ((0, "deletion", "#c8553d"), (draws + 1, "insertion", "#2a78a5")):
        *thin, thick = lines[begin : begin + draws + 1]
        for line, values in zip(thin, getattr(found, f"null_{name}"), strict=True):
            assert np.array_equal(line.get_xdata(), found.share) and np.array_equal(line.get_ydata(), values)
            assert (line.get_linewidth(), line.get_alpha(), line.get_color()) == (0.7, 0.45, colour)
        assert np.array_equal(thick.get_ydata(), getattr(found, name)[:, found.target])
        assert np.array_equal(thick.get_xdata(), found.share)
        assert (thick.get_marker(), thick.get_markersize(), thick.get_color()) == ("o", 2.5, colour)
        areas = getattr(found, f"null_{name}_areas")
        assert thick.get_label() == (
            f"{name}: area {getattr(found, f'{name}_area'):.3f}\n"
            f"(thin, moved elsewhere: {areas.mean():.3f} ± {areas.std():.3f})"
        )
    low, high = found.limits()
    assert axes.get_ylim() == pytest.approx((low - 0.03 * (high - low), high + 0.03 * (high - low)))
    assert axes.get_xlabel() == "share of the pixels deleted, or inserted" and axes.get_xlim() == (0, 1)
    assert axes.get_ylabel() == found.measure and axes.yaxis.label.get_fontsize() == 8
    legend, title = axes.get_legend(), figure._suptitle  # pyright: ignore[reportAttributeAccessIssue]
    assert legend is not None and not legend.get_frame_on() and legend._loc == 6  # pyright: ignore
    assert {text.get_fontsize() for text in legend.get_texts()} == {7} and title.get_fontsize() == 10
    anchor = legend.get_bbox_to_anchor().transformed(axes.transAxes.inverted())
    assert (anchor.x0, anchor.y0) == pytest.approx((1.02, 0.5))
    alone = Figure().add_subplot()
    assert found.plot(alone) is alone and len(alone.lines) == len(lines)
