"""Transforms: a picture is moved before the network sees it, anew for every picture and step, and must survive that.

A picture that excites a unit only where every pixel is in its place is of no use. So it is shifted, turned, scaled and mirrored
a little each time (Olah, Mordvintsev and Schubert 2017), all in one resampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iconoscope.errors import QuestionError

if TYPE_CHECKING:
    import torch

__all__ = ["Transforms"]

NUMBERS = 6
"""Random numbers that a picture takes for one step."""


@dataclass(frozen=True, kw_only=True)
class Transforms:
    """The largest movements of a picture; each is drawn evenly.

    Attributes
    ----------
    jitter : float
        Pixels, in each direction.
    scale : tuple of float
        Least and largest enlargement.
    rotation : float
        Degrees, in each direction.
    flip : bool
        Whether it is mirrored half of the time.
    noise : float
        Standard deviation of noise on every pixel of 0..1.
    """

    jitter: float = 4.0
    scale: tuple[float, float] = (0.9, 1.1)
    rotation: float = 10.0
    flip: bool = False
    noise: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (self.jitter >= 0 and self.rotation >= 0 and self.noise >= 0 and 0 < low <= high):
            raise QuestionError(
                f"{self} makes no sense: jitter, rotation and noise are at least 0, scale is low, high."
            )

    def draw(self, steps: int, draws: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw the numbers for all steps, (steps, pictures, `NUMBERS`) of 0..1."""
        import torch

        return torch.stack([torch.rand((steps, NUMBERS), generator=draw, dtype=torch.float32) for draw in draws], 1)

    def __call__(self, pictures: torch.Tensor, size: tuple[int, int], numbers: torch.Tensor) -> torch.Tensor:
        """Show pictures (n, channels, height, width) to a network whose input has that size.

        A larger picture is shown in part, at a place that is drawn. Beyond its border a picture is
        mirrored: a plain border would give the pixels there, and most of all those in the corners, more weight than others.

        Parameters
        ----------
        pictures
            Of 0..1.
        size
            Height and width.
        numbers
            (n, `NUMBERS`), as `draw` gives them for one step.
        """
        import torch
        from torch.nn import functional as F

        height, width = pictures.shape[2:]
        if (self.jitter, self.rotation, self.scale, self.flip) == (0, 0, (1, 1), False) and (height, width) == size:
            moved = pictures
        else:
            grid = _sampling_grid(self._matrices(pictures, size, numbers), size)
            moved = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        if not self.noise:
            return moved
        seeds = (numbers[:, 5] * 2**31).long().tolist()
        sources = [torch.Generator(pictures.device).manual_seed(seed) for seed in seeds]
        grain = [
            torch.randn(moved.shape[1:], generator=source, device=moved.device, dtype=torch.float32)
            for source in sources
        ]
        return moved + self.noise * torch.stack(grain)

    def _matrices(self, pictures: torch.Tensor, size: tuple[int, int], numbers: torch.Tensor) -> torch.Tensor:
        """Give for each picture where its pixels are read, (n, 2, 3), in units of half a side."""
        import torch

        height, width = pictures.shape[2:]
        angle = (2 * numbers[:, 0] - 1) * (self.rotation * torch.pi / 180)
        low, high = self.scale
        enlarged = low + (high - low) * numbers[:, 1]
        mirrored = torch.where(numbers[:, 2] < 0.5, -1.0, 1.0) if self.flip else torch.ones_like(angle)
        # Half of what a larger picture has too much is further room to move in.
        room = [
            self.jitter + max(0, extent - visible) / 2 for extent, visible in zip((height, width), size, strict=True)
        ]
        down, across = (2 * numbers[:, 3] - 1) * room[0], (2 * numbers[:, 4] - 1) * room[1]
        cosine, sine = angle.cos() / enlarged, angle.sin() / enlarged
        return torch.stack(
            [
                torch.stack([mirrored * cosine * size[1] / width, -sine * size[0] / width, across * 2 / width], 1),
                torch.stack([mirrored * sine * size[1] / height, cosine * size[0] / height, down * 2 / height], 1),
            ],
            1,
        )


def _sampling_grid(matrices: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Give where pixels are read (n, rows, columns, 2), as `affine_grid` does, in a thirtieth of the time."""
    import torch

    rows, columns = (
        (torch.arange(length, device=matrices.device, dtype=matrices.dtype) * 2 + 1) / length - 1 for length in size
    )
    across, down, shift = (matrices[:, :, column, None, None] for column in range(3))
    return (across * columns + (down * rows[:, None] + shift)).permute(0, 2, 3, 1)
