"""Which axis holds the channels, and how tokens lie in rows and columns, of pictures that are not square."""

import pytest
import torch
from torch import nn

from iconoscope.subject.activation_layout import _channels_last, token_grid


@pytest.mark.parametrize(
    ("answer", "last"),
    [
        ((1, 8, 16, 5), True),
        ((1, 5, 8, 16), False),
        ((1, 8, 16, 300), True),
        ((1, 300, 8, 16), False),
        ((1, 16, 32, 63), True),  # either might be: what keeps the proportions better is rows and columns
        ((1, 9, 16, 32), False),
        ((1, 32, 64, 3), True),
        ((1, 3, 32, 64), False),
    ],
)
def test_the_axis_of_the_channels_by_the_proportions(answer, last):
    assert _channels_last(torch.zeros(answer), nn.Identity(), torch.zeros(1, 3, 32, 64)) is last
    turned = answer[0], *((answer[2], answer[1], answer[3]) if last else (answer[1], answer[3], answer[2]))
    assert _channels_last(torch.zeros(turned), nn.Identity(), torch.zeros(1, 3, 64, 32)) is last


@pytest.mark.parametrize("size", [(224, 224), (30, 50), (50, 30), (96, 33)])
@pytest.mark.parametrize("side", [8, 14, 16])
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_the_last_row_and_column_of_squares_may_be_padded(size, side, prefix):
    rows, columns = ((length + side - 1) // side for length in size)
    grid = token_grid(rows * columns + prefix, size)
    assert grid is not None and grid.prefix + grid.rows * grid.columns == rows * columns + prefix
    if prefix == 0:  # with some before it, several grids may fit
        assert (grid.rows, grid.columns) == (rows, columns)
