"""Which axis holds the channels, and how tokens lie in rows and columns, of pictures that are not square."""

import itertools
import math

import pytest
import torch
from torch import nn

from iconoscope.errors import UnitError
from iconoscope.subject.activation_layout import (
    TokenGrid,
    _channels_last,
    place_at,
    read_maps,
    tensor_of,
    token_grid,
)


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


def divisions(size, exact):
    """Rows and columns of every division of a picture into squares, the finest first."""
    for side in range(1, min(size) + 1):
        rows, columns = math.ceil(size[0] / side), math.ceil(size[1] / side)
        if not exact or (rows * side, columns * side) == size:
            yield rows, columns


@pytest.mark.parametrize("size", [(24, 36), (13, 7), (10, 10), (1, 9)])
def test_patches_are_the_finest_division_that_leaves_at_most_eight_tokens(size):
    for tokens in range(1, size[0] * size[1] + 12):
        expected = None
        for exact in (True, False):
            fitting = [grid for grid in divisions(size, exact) if tokens - 8 <= math.prod(grid) <= tokens]
            if fitting and expected is None:
                rows, columns = max(fitting, key=math.prod)
                expected = TokenGrid(tokens - rows * columns, rows, columns)
        assert token_grid(tokens, size) == expected


def test_the_axis_of_the_channels_of_any_shape():
    """Rows and columns keep the proportions of the picture up to a row or a column; of two such pairs the better is it."""
    sides = range(5, 17)
    for (height, width), one, two, three in itertools.product([(8, 8), (8, 12), (12, 8)], sides, sides, sides):

        def off(rows, columns, height=height, width=width):
            keeps = rows <= height and columns <= width and abs(rows * width - columns * height) <= max(height, width)
            return not keeps, abs(rows * width - columns * height)

        first, last = off(one, two), off(two, three)
        expected = first[1] < last[1] if first[0] == last[0] else last[0]
        answer, batch = torch.empty(1, one, two, three), torch.empty(1, 3, height, width)
        assert _channels_last(answer, nn.Identity(), batch) is expected


class Norm(nn.LayerNorm):
    """A norm that is of no shape by itself, as in ConvNeXt."""

    def __init__(self, order):
        super().__init__(4)
        self.data_format = order


class LayerNorm2d(nn.LayerNorm):
    pass


@pytest.mark.parametrize(
    ("layer", "last"),
    [
        (nn.Linear(4, 4), True), (nn.LayerNorm(4), True), (nn.RMSNorm(4), True), (Norm("channels_last"), True),
        (Norm("channels_first"), False), (LayerNorm2d(4), False), (nn.Conv2d(4, 4, 1), False),
        (nn.BatchNorm2d(4), False), (nn.GroupNorm(2, 4), False),
        (nn.UpsamplingNearest2d(4), True), (nn.Identity(), True),
    ],
)  # fmt: skip
def test_a_layer_says_by_its_class_where_its_channels_are(layer, last):
    """Where it does not, shapes do: 6 x 9 of a picture of 24 x 36, and 4 channels."""
    maps, batch = torch.rand(2, 6, 9, 4), torch.rand(2, 3, 24, 36)
    read = read_maps(maps, layer, batch, "layer")
    assert torch.equal(read, maps.permute(0, 3, 1, 2) if last else maps)


def test_tokens_and_what_is_read_of_a_tuple():
    tokens, batch = torch.rand(2, 7, 4), torch.rand(2, 3, 24, 36)
    assert torch.equal(read_maps((tokens, None), nn.Identity(), batch, "block"), tokens.mT)
    assert torch.equal(read_maps([tokens], nn.Linear(4, 4), batch, "block"), tokens.mT)
    for kind in (nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4), nn.InstanceNorm1d(4)):
        assert torch.equal(read_maps(tokens, kind, batch, "block"), tokens)
    assert torch.equal(read_maps(tokens[:, 0], nn.Linear(4, 4), batch, "block"), tokens[:, 0])
    assert tensor_of(()) == () and tensor_of(5) == 5
    for wrong in (torch.rand(2), torch.rand(2, 3, 4, 5, 6), torch.rand(3, 4), "none"):
        with pytest.raises(UnitError):
            read_maps(wrong, nn.Identity(), batch, "block")


def test_where_something_stands():
    size = (24, 36)
    assert place_at((1, 5, 4, 7), "maps", (3, 6), size) == (3, 6)
    assert place_at((1, 5, 4, 7), "maps", "center", size) == (2, 3)
    # A token of the class and patches of six pixels: four rows of six.
    assert place_at((1, 5, 25), "tokens", (0, 0), size) == (1,)
    assert place_at((1, 5, 25), "tokens", (2, 5), size) == (1 + 2 * 6 + 5,)
    assert place_at((1, 5, 25), "tokens", "center", size) == (1 + 2 * 6 + 3,)
    assert place_at((1, 5, 25), "tokens", "cls", size) == (0,)
    assert TokenGrid(3, 4, 6).index(2, 5) == 3 + 17
    for shape, position in [
        ((1, 5), (0, 0)), ((1, 5, 4, 7), (4, 0)), ((1, 5, 4, 7), (0, 7)), ((1, 5, 4, 7), "cls"), ((1, 5, 24), "cls"),
        ((1, 5, 25), (4, 0)), ((1, 5, 25), (0, 6)), ((1, 5, 900), (0, 0)),
    ]:  # fmt: skip
        with pytest.raises(UnitError):
            place_at(shape, "layer", position, size)
