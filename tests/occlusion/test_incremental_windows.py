"""The arithmetic of windows against counting pixel by pixel."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iconoscope.occlusion.incremental.graph import CHANNELS_FIRST, Map
from iconoscope.occlusion.incremental.plan import _cluster
from iconoscope.occlusion.incremental.reach import Interval, Reach
from iconoscope.occlusion.incremental.windows import PADS, Window, sources


@given(st.integers(1, 7), st.integers(1, 4), st.integers(-3, 6), st.integers(1, 20), st.data())
def test_the_changed_outputs_are_those_that_read_a_changed_input(extent, stride, before, outputs, data):
    inputs = (outputs - 1) * stride + extent
    start = data.draw(st.integers(0, inputs - 1))
    stop = data.draw(st.integers(start + 1, inputs))
    reach = Reach(extent, stride, before)
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


@given(st.integers(0, 999))
def test_regions_are_cut_from_the_changed_map(seed):
    """One gather does what pasting the window, padding the map and cutting the region would do."""
    draw = np.random.default_rng(seed)
    rows, columns, height, width = (int(each) for each in draw.integers(1, 9, 4))
    map = Map((rows, columns), CHANNELS_FIRST, 1)
    size = (int(draw.integers(1, rows + 1)), int(draw.integers(1, columns + 1)))
    top, left = draw.integers(0, rows - size[0] + 1, 3), draw.integers(0, columns - size[1] + 1, 3)
    first_row, first_column = draw.integers(-3, rows, 3), draw.integers(-3, columns, 3)
    clean, changed = draw.normal(size=(rows, columns)), draw.normal(size=(3, *size))
    index = sources(Window(size, top, left), map, first_row, first_column, (height, width), 1)
    found = changed
    if index is not None:
        pads = [0.0, -np.inf]
        assert len(pads) == PADS
        found = np.concatenate([clean.reshape(-1), pads, changed.reshape(-1)])[index.numpy()].reshape(3, height, width)
    for each in range(3):
        pasted = clean.copy()
        pasted[top[each] : top[each] + size[0], left[each] : left[each] + size[1]] = changed[each]
        padded = np.pad(pasted, 12, constant_values=-np.inf)
        row, column = first_row[each] + 12, first_column[each] + 12
        assert np.array_equal(found[each], padded[row : row + height, column : column + width])


@given(st.integers(0, 99), st.integers(1, 5))
def test_clusters_hold_everything_once(seed, count):
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 5, (int(draw.integers(1, 12)), 3))
    groups = _cluster(lengths, np.array([1.0, 2.0, 3.0]), count)
    assert len(groups) <= count
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
