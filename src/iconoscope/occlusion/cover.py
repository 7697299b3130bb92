"""Cover of an image where the patch is: a second picture, or a colour of its own for every position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iconoscope.occlusion.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["Cover"]


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
