"""Where the patch is put, the positions of a sliding window from one border to the other; and what covers it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError

if TYPE_CHECKING:
    import torch

__all__ = ["Cover", "Grid", "Sides", "make_grid", "pictures_at_once"]

Sides = int | tuple[int, int]
"""A length for both axes, or height and width, pixels."""


PIXELS = 1_500_000
"""Of all pictures of a batch together: more was not faster on a laptop's processor."""


def pictures_at_once(height: int, width: int) -> int:
    """Give how many pictures of a size (pixels) go through a network at once where nothing else is said."""
    return max(8, min(256, PIXELS // (height * width)))


@dataclass(frozen=True, eq=False)
class Grid:
    """The positions of a patch on an image; compared by identity, as arrays have no single truth value.

    Attributes
    ----------
    top, left : ndarray of int64
        First row and first column of the patch at each grid row and column, pixels.
    patch : tuple of int
        Height and width of the patch, pixels.
    size : tuple of int
        Height and width of the image, pixels.
    """

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    patch: tuple[int, int]
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Grid rows and grid columns."""
        return len(self.top), len(self.left)

    def __len__(self) -> int:
        return len(self.top) * len(self.left)

    def window(self, position: int) -> tuple[slice, slice]:
        """Give the rows and the columns that the patch covers at a position, counted row by row, cut at the border."""
        row, column = divmod(position, len(self.left))
        top, left = int(self.top[row]), int(self.left[column])
        return (
            slice(top, min(top + self.patch[0], self.size[0])),
            slice(left, min(left + self.patch[1], self.size[1])),
        )


@dataclass(frozen=True)
class Cover:
    """Cover of one image, in the network's input space; one of the two is given.

    Attributes
    ----------
    picture : torch.Tensor or None
        (channels, height, width): the patch takes its pixels from the same place of this picture.
    colours : torch.Tensor or None
        (grid rows, grid columns, channels): the patch has one colour, another at every position.
    """

    picture: torch.Tensor | None = None
    colours: torch.Tensor | None = None

    def to(self, like: torch.Tensor) -> Cover:
        """Give the cover on the device and in the type of a tensor."""
        return Cover(*(None if tensor is None else tensor.to(like) for tensor in (self.picture, self.colours)))

    def over(self, image: torch.Tensor, grid: Grid, position: int) -> torch.Tensor:
        """Give a copy of the image (channels, height, width) with the patch at a position of the grid."""
        covered = image.clone()
        rows, columns = grid.window(position)
        if self.picture is not None:
            covered[:, rows, columns] = self.picture[:, rows, columns]
        if self.colours is not None:
            row, column = divmod(position, len(grid.left))
            covered[:, rows, columns] = self.colours[row, column][:, None, None]
        return covered


def make_grid(size: tuple[int, int], *, patch: Sides | None = None, stride: Sides | None = None) -> Grid:
    """Lay out the positions of a patch from one border of the image to the other.

    The patch starts at 0, stride, 2 stride, ... until it reaches the end of the image; the last one is cut at the border
    where the stride does not divide the way. A stride larger than the patch leaves pixels between them that none covers.

    Parameters
    ----------
    size
        Height and width of the image, pixels.
    patch
        Side, or height and width, of the patch, pixels; a sixth of the image's short side if not given.
    stride
        Step down and across, pixels; a quarter of the patch if not given.

    Raises
    ------
    QuestionError
        If the patch does not fit in the image or the stride is not positive.

    Examples
    --------
    >>> make_grid((10, 10), patch=4, stride=4).top
    array([0, 4, 8])
    """
    if patch is None:
        patch = max(1, round(min(size) / 6))
    extent = _pair(patch, "patch")
    if extent[0] > size[0] or extent[1] > size[1]:
        raise QuestionError(
            f"A patch of {extent[0]}x{extent[1]} pixels does not fit in the network's input of {size[0]}x{size[1]}.",
            hint="The patch is measured in pixels of the network's input, after resizing.",
        )
    step = _pair(stride, "stride") if stride is not None else (max(1, extent[0] // 4), max(1, extent[1] // 4))
    top, left = (_starts(length, side, by) for length, side, by in zip(size, extent, step, strict=True))
    return Grid(top, left, extent, size)


def _starts(length: int, side: int, step: int) -> NDArray[np.int64]:
    last = length - side
    starts = np.arange(0, last + step, step, dtype=np.int64)
    return starts[starts < length]  # a stride larger than the patch may step over the end


def _pair(sides: Sides, name: str) -> tuple[int, int]:
    pair = tuple(sides) if isinstance(sides, tuple | list) else (sides, sides)
    if len(pair) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in pair):
        raise QuestionError(
            f"{name}={sides!r} is not a {name}.", hint="Give a number of pixels, or height and width: 8 or (8, 12)."
        )
    return int(pair[0]), int(pair[1])
