"""The arithmetic of windows against counting pixel by pixel."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iconoscope.occlusion.incremental.graph import CHANNELS_FIRST, EDGE, LOWEST, ZEROS, MapShape
from iconoscope.occlusion.incremental.receptive_field import AxisField, Interval, UpsampledField
from iconoscope.occlusion.incremental.windows import PADS, Rectangles, arrange_windows, fields_of, whole_maps


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
