import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.occlusion import make_grid

side = st.integers(1, 40)


@given(side, side, st.data())
def test_every_pixel_that_can_be_reached_is_covered(height, width, data):
    patch = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    stride = data.draw(st.tuples(st.integers(1, 50), st.integers(1, 50)))
    grid = make_grid((height, width), patch=patch, stride=stride)
    covered = np.zeros((height, width), bool)
    for position in range(len(grid)):
        rows, columns = grid.window(position)
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= columns.start < columns.stop <= width
        covered[rows, columns] = True
    if stride[0] <= patch[0] and stride[1] <= patch[1]:
        assert covered.all()
    assert covered[0, 0]


@pytest.mark.parametrize(
    ("length", "patch", "stride", "starts"),
    [
        (32, 8, 1, list(range(25))),
        (227, 32, 8, list(range(0, 201, 8))),
        (10, 3, 4, [0, 4, 8]),
        (10, 2, 7, [0, 7]),
        (5, 5, 9, [0]),
    ],
)
def test_positions_by_hand(length, patch, stride, starts):
    grid = make_grid((length, length), patch=patch, stride=stride)
    assert grid.top.tolist() == starts


@pytest.mark.parametrize(
    "wrong", [{"patch": 0}, {"patch": 33}, {"stride": 0}, {"patch": (3, 4, 5)}, {"patch": 2.5}, {"stride": -1}]
)
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(QuestionError):
        make_grid((32, 32), **{"patch": 4, "stride": 2, **wrong})


def test_defaults_follow_the_size():
    grid = make_grid((227, 300))
    assert grid.patch == (38, 38)
    assert grid.top[1] == 9


@pytest.mark.parametrize(("patch", "stride"), [((2, 3), (5, 4)), ((3, 3), (3, 3)), ((2, 2), (1, 1)), ((1, 1), (23, 7))])
def test_pixels_that_no_patch_covers_are_said(planted, bright, patch, stride):
    occlusion = ico.occlude(planted, bright, "prob:seen", patch=patch, stride=stride)
    silent = sum(
        not any(top <= row < top + patch[0] for top in range(0, 24, stride[0]))
        or not any(left <= column < left + patch[1] for left in range(0, 24, stride[1]))
        for row in range(24)
        for column in range(24)
    )
    assert occlusion.uncovered == pytest.approx(silent / 24**2)
    assert ("No patch covers" in occlusion.summary()) == (silent > 0)
