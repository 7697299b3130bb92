"""A layer that was recorded: the shape of its answers, and which pixels each of them can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ReceptiveField", "RecordedLayer"]


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels of the network's input that a position of a layer's map can see.

    Attributes
    ----------
    size, stride, start : tuple of int
        Height and width of the field; how far it moves from position to position; where that of row 0, column 0 begins (below
        zero where it reaches over the border), pixels.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]

    def at(self, row: int, column: int, extent: tuple[int, int]) -> tuple[int, int, int, int]:
        """Give the field of a position, cut at the borders of an input of that height and width: top, left, bottom, right.

        >>> ReceptiveField((5, 5), (2, 2), (-2, -2)).at(0, 3, (32, 32))
        (0, 4, 3, 9)
        """
        top, left = self.start[0] + self.stride[0] * row, self.start[1] + self.stride[1] * column
        return max(top, 0), max(left, 0), min(top + self.size[0], extent[0]), min(left + self.size[1], extent[1])


@dataclass(frozen=True)
class RecordedLayer:
    """A layer that was recorded.

    Attributes
    ----------
    name : str
        Its name in the network.
    channels, rows, columns : int
        What it answers; one row and one column for a vector. Of tokens the rows and columns of their patches.
    field : ReceptiveField or None
        What a position of it can see; None where it is the whole image.
    tokens : int
        How many tokens it answers, those that stand before the patches first; 0 if it answers none.
    """

    name: str
    channels: int
    rows: int
    columns: int
    field: ReceptiveField | None = None
    tokens: int = 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RecordedLayer:
        """Make the layer again whose `dataclasses.asdict` was written as JSON.

        Raises
        ------
        KeyError, TypeError
            If it is something else.
        """
        field = values["field"] and ReceptiveField(**{name: tuple(pair) for name, pair in values["field"].items()})
        return cls(**{**values, "field": field})

    @property
    def places(self) -> int:
        """The number of positions that it answers at."""
        return self.tokens or self.rows * self.columns

    def patch(self, position: int, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """Give where on a picture the patch of a token lies: top, left, bottom, right, pixels; None where it has none.

        Parameters
        ----------
        position
            Of the token, those before the patches counted.
        size
            Height and width of the picture.
        """
        patch = position - (self.tokens - self.rows * self.columns)
        if not self.tokens or patch < 0 or self.rows * self.columns == 1:
            return None
        row, column = divmod(patch, self.columns)
        return (
            row * size[0] // self.rows,
            column * size[1] // self.columns,
            (row + 1) * size[0] // self.rows,
            (column + 1) * size[1] // self.columns,
        )
