"""The arithmetic of windows against counting pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iconoscope.occlusion.incremental.windows import (
    CALL,
    PADS,
    Rectangles,
    _merged,
    arrange_windows,
    fields_of,
    whole_maps,
)
from iconoscope.subject.captured.graph import CHANNELS_FIRST, EDGE, LOWEST, ZEROS, MapShape
from iconoscope.subject.captured.receptive_field import AxisField, Interval, UpsampledField


@given(st.integers(1, 7), st.integers(1, 4), st.integers(-3, 6), st.integers(1, 20), st.data())
def test_the_changed_outputs_are_those_that_read_a_changed_input(extent, stride, before, outputs, data):
    inputs = (outputs - 1) * stride + extent
    start = data.draw(st.integers(0, inputs - 1))
    stop = data.draw(st.integers(start + 1, inputs))
    reach = AxisField(extent, stride, before)
    found = reach.changed(Interval(np.array([start]), np.array([stop])), outputs)
    reading = [
        output
        for output in range(outputs)
        if set(range(output * stride - before, output * stride - before + extent)) & set(range(start, stop))
    ]
    assert 0 <= found.start[0] < found.stop[0] <= outputs
    if reading:
        assert (found.start[0], found.stop[0]) == (reading[0], reading[-1] + 1)
    else:
        assert found.length[0] == 1
    assert reach.first_input(np.array([3]))[0] == 3 * stride - before
    assert reach.inputs(outputs) == inputs


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 3), st.integers(1, 12), st.data())
def test_an_enlargement_reads_all_that_it_needs(stride, kernel, padding, inputs, data):
    """As a transposed convolution does it: output o reads input i where o + padding - i * stride lies in the kernel."""
    kernel = max(kernel, stride)
    size = (inputs - 1) * stride + kernel - 2 * padding
    if size < 1 or padding >= kernel:
        return
    reach = UpsampledField(stride, padding, kernel - padding, (padding - kernel + 1) // stride, padding)
    start = data.draw(st.integers(0, inputs - 1))
    stop = data.draw(st.integers(start + 1, inputs))
    reads = {out: {i for i in range(inputs) if 0 <= out + padding - i * stride < kernel} for out in range(size)}
    changed = [out for out, read in reads.items() if read & set(range(start, stop))]
    found = reach.changed(Interval(np.array([start]), np.array([stop])), size)
    assert found.start[0] % stride == 0
    if changed:
        assert found.start[0] <= changed[0] and found.stop[0] >= changed[-1] + 1
    first = data.draw(st.integers(0, (size - 1) // stride)) * stride
    length = data.draw(st.integers(1, size - first))
    taken = range(
        reach.first_input(np.array([first]))[0], reach.first_input(np.array([first]))[0] + reach.inputs(length)
    )
    assert set().union(*(reads[out] for out in range(first, first + length))) <= set(taken)


@st.composite
def intervals(draw, size, count):
    start = np.array([draw(st.integers(0, size - 1)) for _ in range(count)])
    return Interval(start, np.array([draw(st.integers(each + 1, size)) for each in start]))


@given(st.data(), st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**7))
def test_windows_hold_what_changes_and_lie_one_behind_another(data, rows, columns, down_count, across_count, cost):
    map = MapShape((rows, columns), CHANNELS_FIRST, 1)
    down, across = data.draw(intervals(rows, down_count)), data.draw(intervals(columns, across_count))
    found = arrange_windows(map, down, across, cost)
    assert sorted(np.concatenate(found.members).tolist()) == list(range(down_count * across_count))
    assert all(len(members) for members in found.members)
    places = found.pixels(map)
    assert len(places) == found.total
    for position in range(down_count * across_count):
        row, column = divmod(position, across_count)
        top, left, height, width = (each[position] for each in (found.top, found.left, found.height, found.width))
        assert 0 <= top <= down.start[row] and down.stop[row] <= top + height <= rows
        assert 0 <= left <= across.start[column] and across.stop[column] <= left + width <= columns
        mine = places[found.offset[position] : found.offset[position] + height * width].reshape(height, width)
        expected = np.arange(rows * columns).reshape(rows, columns)[top : top + height, left : left + width]
        assert np.array_equal(mine, expected)


@given(st.data(), st.integers(2, 5), st.integers(2, 4), st.integers(2, 4))
def test_windows_that_begin_at_a_multiple(data, by, rows, columns):
    size = (rows * by + data.draw(st.integers(0, 1)), columns * by)
    down, across = data.draw(intervals(size[0], 3)), data.draw(intervals(size[1], 3))
    down, across = (Interval(each.start // by * by, each.stop) for each in (down, across))
    found = arrange_windows(MapShape(size, CHANNELS_FIRST, 1), down, across, 10**9, (by, by))
    if not found.whole:
        assert (found.top % by == 0).all() and (found.left % by == 0).all()
        assert (found.top + found.height <= size[0]).all() and (found.left + found.width <= size[1]).all()
        assert (found.top + found.height >= down.stop.repeat(3)).all()
        assert (found.left + found.width >= np.tile(across.stop, 3)).all()


@given(st.integers(0, 999))
def test_regions_are_cut_from_the_changed_map(seed):
    """One gather does what pasting the window, padding the map and cutting the region would do."""
    draw = np.random.default_rng(seed)
    rows, columns, height, width = (int(each) for each in draw.integers(1, 9, 4))
    map = MapShape((rows, columns), CHANNELS_FIRST, 1)
    starts = draw.integers(0, rows, 2), draw.integers(0, columns, 3)
    down = Interval(starts[0], draw.integers(starts[0] + 1, rows + 1))
    across = Interval(starts[1], draw.integers(starts[1] + 1, columns + 1))
    have = arrange_windows(map, down, across, 10**9)
    count = len(have.top)
    wanted = fields_of(whole_maps(map, count), (AxisField(), AxisField()))
    region = Rectangles(
        ((height, width),), wanted.members, draw.integers(-3, rows, count), draw.integers(-3, columns, count)
    )
    clean, changed = draw.normal(size=(rows, columns)), draw.normal(size=have.total)
    band = region.band(map)
    for padding, mode in ((ZEROS, 0.0), (LOWEST, -np.inf), (EDGE, None)):
        # An edge may need rows that no region reaches: the engine's band holds them too.
        index = region.sources(have, map, (0, rows) if padding == EDGE else band, padding)
        kept = clean if padding == EDGE else clean[band[0] : band[1]]
        pads = [0.0, -np.inf]
        assert len(pads) == PADS
        found = np.concatenate([kept.reshape(-1), pads, changed])[index].reshape(count, height, width)
        for each in range(count):
            pasted = clean.copy()
            top, left, tall, wide = (x[each] for x in (have.top, have.left, have.height, have.width))
            offset = have.offset[each]
            pasted[top : top + tall, left : left + wide] = changed[offset : offset + tall * wide].reshape(tall, wide)
            padded = np.pad(pasted, 12, "edge") if mode is None else np.pad(pasted, 12, constant_values=mode)
            row, column = region.top[each] + 12, region.left[each] + 12
            assert np.array_equal(found[each], padded[row : row + height, column : column + width])


def merged_by_hand(heights, widths, cost):
    """One length after another goes up to the next larger, that of rows or columns that saves most, while it saves anything."""

    def seconds(rows, columns):
        tall = sum(min(length for length in rows if length >= height) for height in heights)
        wide = sum(min(length for length in columns if length >= width) for width in widths)
        return tall * wide * cost + CALL * len(rows) * len(columns)

    rows, columns = sorted(set(heights)), sorted(set(widths))
    while True:
        fewer = [([length for length in rows if length != gone], columns) for gone in rows[:-1]]
        fewer += [(rows, [length for length in columns if length != gone]) for gone in columns[:-1]]
        if not fewer or min(seconds(*sides) for sides in fewer) >= seconds(rows, columns):
            break
        rows, columns = min(fewer, key=lambda sides: seconds(*sides))
    return tuple(min(length for length in rows if length >= height) for height in heights), tuple(
        min(length for length in columns if length >= width) for width in widths
    )


@pytest.mark.parametrize("seed", range(12))
def test_sizes_become_one_where_a_call_costs_more_than_pixels(seed):
    draw = np.random.default_rng(seed)
    heights, widths = (tuple(draw.integers(1, 30, count).tolist()) for count in draw.integers(1, 7, 2))
    for cost in (1, 10**3, 10**5, 10**7):
        assert _merged(heights, widths, cost) == merged_by_hand(heights, widths, cost)
    shape = MapShape((90, 70), CHANNELS_FIRST, 5)
    down, across = (
        Interval(np.arange(len(lengths)), np.arange(len(lengths)) + lengths) for lengths in (heights, widths)
    )
    arranged = arrange_windows(shape, down, across, 2000)
    tall, wide = merged_by_hand(heights, widths, 2000 + 8 * 5)
    assert arranged.height.tolist() == np.repeat(tall, len(wide)).tolist()
    assert arranged.width.tolist() == np.tile(wide, len(tall)).tolist()


@pytest.mark.parametrize(("rows", "whole"), [(17, False), (18, True)])
@pytest.mark.parametrize("turned", [False, True])
def test_windows_over_a_share_of_their_map_are_whole_maps(rows, whole, turned):
    """Of 20 rows 17 are just 85%: only more is not worth the gathering."""
    long, short = Interval(np.array([1, 2]), np.array([1, 2]) + rows), Interval(np.zeros(3, int), np.ones(3, int))
    shape = MapShape((1, 20) if turned else (20, 1), CHANNELS_FIRST, 4)
    arranged = arrange_windows(shape, *((short, long) if turned else (long, short)), 1)
    assert arranged.whole is whole
    assert arranged.sizes == (((shape.size) if whole else ((1, rows) if turned else (rows, 1))),)
    assert arranged.order is None and len(arranged.top) == 6


def test_the_band_holds_the_rows_that_rectangles_reach():
    draw = np.random.default_rng(0)
    for _ in range(300):
        size = int(draw.integers(1, 9))
        classes = int(draw.integers(1, 4))
        members = tuple(np.arange(3) + 3 * number for number in range(classes))
        heights, top = draw.integers(1, 5, classes), draw.integers(-6, 12, 3 * classes)
        sizes = tuple((int(height), 2) for height in heights)
        found = Rectangles(sizes, members, top, np.zeros_like(top)).band(MapShape((size, 3), CHANNELS_FIRST, 1))
        reached = {
            row for first, height in zip(top, heights.repeat(3), strict=True) for row in range(first, first + height)
        }
        first = min(max(min(reached), 0), size - 1)
        assert found == (first, max(first + 1, min(max(reached) + 1, size)))


def test_windows_in_their_own_order_need_none():
    map = MapShape((9, 9), CHANNELS_FIRST, 1)
    starts = np.array([0, 4])
    alike = arrange_windows(map, Interval(starts, starts + 2), Interval(starts, starts + 2), 10**9)
    assert alike.order is None and len(alike.sizes) == 1
    lengths = np.array([3, 1])
    unlike = arrange_windows(map, Interval(starts, starts + lengths), Interval(starts, starts + lengths), 10**9)
    assert unlike.order is not None and unlike.order.tolist() == [3, 2, 1, 0]
    assert unlike.sizes == ((1, 1), (1, 3), (3, 1), (3, 3)) and unlike.total == 1 + 3 + 3 + 9
    assert unlike.offset.tolist() == [7, 4, 1, 0]
    assert [sizes[:2] for sizes in unlike.classes()] == list(unlike.sizes)
    whole = whole_maps(map, 4)
    assert whole.whole and whole.total == 4 * 81 and not whole.top.any() and not whole.left.any()
