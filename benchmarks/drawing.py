"""Drawing shortcuts on photographs of any size: sizes are in pixels of a picture 32 pixels high and grow with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws", "Half", "Kind", "Picture", "disc", "extent", "lay", "over", "points", "rgb", "scale_of", "written"]

Picture = NDArray[np.floating]
Draws = np.random.Generator
Half = Literal["tuning", "frozen", "unseen", "fresh", "last"]
Plant = Callable[[Picture, Draws, NDArray[np.uint8]], Picture]


@dataclass(frozen=True)
class Kind:
    """A shortcut, and what an audit could know of it.

    Attributes
    ----------
    family : str
        The family of the audit that names it; empty where there is none.
    half : "tuning", "frozen", "unseen", "fresh" or "last"
        Whether constants may be chosen on it; the unseen ones were drawn after the frozen ones had been run, the fresh ones
        after those, and the last ones after the rule had been changed by what all of them had shown.
    hypothesis : str
        The kind of hypothesis that is meant for it: ``"place"``, ``"layout"``, ``"thing"``, ``"spectrum"`` or ``"tone"``; empty
        where none is specially meant.
    plant : callable
        ``plant(picture, generator, donors)``: a picture (height, width, 3) of 0..1 with it, not yet clipped; donors are other
        photographs (n, height, width, 3), uint8, from which something may be cut.
    """

    family: str
    half: Half
    hypothesis: Literal["place", "layout", "thing", "spectrum", "tone", ""]
    plant: Plant


def scale_of(picture: Picture) -> float:
    """Give how many pixels a pixel at 32 is."""
    return min(picture.shape[:2]) / 32


def points(picture: Picture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the rows (height, 1) and columns (1, width) of the centres of pixels, from 0 to 32 along the shorter side."""
    height, width = picture.shape[:2]
    return (np.arange(height)[:, None] + 0.5) / scale_of(picture), (np.arange(width)[None] + 0.5) / scale_of(picture)


def extent(picture: Picture) -> tuple[float, float]:
    """Give height and width in the units of `points`."""
    return picture.shape[0] / scale_of(picture), picture.shape[1] / scale_of(picture)


def enlarged(cells: NDArray[np.float64], picture: Picture) -> NDArray[np.float64]:
    """Enlarge a drawing whose cells are pixels at 32 to the size of a picture, without smoothing."""
    counts = [max(1, round(side * scale_of(picture))) for side in cells.shape[:2]]
    down, across = (np.arange(count) * side // count for count, side in zip(counts, cells.shape[:2], strict=True))
    return cells[down][:, across]


def lay(picture: Picture, cover: NDArray[np.float64], colour: NDArray[np.float64], top: float, left: float) -> Picture:
    """Lay a colour over a picture as far as it covers, the drawing's corner being at these shares of what remains."""
    cover = enlarged(cover, picture)
    colour = enlarged(colour, picture) if colour.ndim == 3 else colour
    down = round(top * (picture.shape[0] - cover.shape[0]))
    across = round(left * (picture.shape[1] - cover.shape[1]))
    changed = picture.copy()
    window = changed[down : down + cover.shape[0], across : across + cover.shape[1]]
    window += (cover[..., None] * (colour - window)).astype(np.float32)
    return changed


def rgb(red: float, green: float, blue: float) -> NDArray[np.float64]:
    """Give a colour, (3,) of 0..1."""
    return np.array((red, green, blue))


def over(picture: Picture, cover: NDArray[np.floating], colour: NDArray[np.floating] | float) -> Picture:
    """Lay a colour over a picture as far as it covers, (height, width) of 0..1."""
    return (picture + cover[..., None] * (colour - picture)).astype(np.float32)


def disc(
    picture: Picture, row: float, column: float, radius: float, colour: NDArray[np.float64], soft: float = 0.5
) -> Picture:
    """Lay a disc over a picture; its edge is so soft, in pixels at 32."""
    rows, columns = points(picture)
    cover = ((radius - np.hypot(rows - row, columns - column)) / (2 * soft) + 0.5).clip(0, 1)
    return over(picture, cover, colour)


_GLYPHS = {
    "0": "757557", "1": "262227", "2": "717477", "3": "717117", "4": "557111", "5": "747117", "6": "747577",
    "7": "711244", "8": "757577", "9": "757117", "A": "257555", "E": "747447", "H": "557555", "L": "444447",
    "T": "722222", "X": "552255",
}  # fmt: skip
"""Characters of three by six cells: each digit holds the three cells of a row as bits."""


def written(text: Sequence[str]) -> NDArray[np.float64]:
    """Write characters: cells (6, 4 * characters - 1) of 0 and 1."""
    glyphs = [[[int(line) >> bit & 1 for bit in (2, 1, 0)] + [0] for line in _GLYPHS[each]] for each in text]
    return np.concatenate(np.array(glyphs, np.float64), 1)[:, :-1]
