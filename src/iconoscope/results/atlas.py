"""Many small pictures in few large ones: pages of thumbnails, as a graphics card wants them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAGE", "Atlas", "thumbnail_side"]

PAGE = 4096
"""Side of a page, pixels: what every graphics card with WebGL2 takes."""
_QUALITY = {32: 78}  # of JPEG; of larger ones 85


def thumbnail_side(count: int, largest: int) -> int:
    """Say how large thumbnails can be so that `count` of them fill at most four pages, or are 32 pixels.

    >>> thumbnail_side(60_000, 224), thumbnail_side(1000, 224), thumbnail_side(1000, 32)
    (32, 128, 32)
    """
    for side in (128, 64):
        if largest >= side and count <= 4 * (PAGE // side) ** 2:
            return side
    return 32


@dataclass(frozen=True, eq=False)
class Atlas:
    """Thumbnails in rows on pages, from left to right and from top to bottom.

    Attributes
    ----------
    side : int
        Side of a thumbnail, pixels; that of a page is a multiple of it.
    count : int
        How many there are.
    pages : tuple of bytes
        JPEG files. All but the last are `PAGE` pixels high.
    """

    side: int
    count: int
    pages: tuple[bytes, ...]

    @classmethod
    def of(cls, thumbnails: Iterable[NDArray[np.uint8]], count: int, side: int) -> Atlas:
        """Lay `count` thumbnails (side, side, 3) out; only one page is held at a time."""
        from PIL import Image

        across = PAGE // side
        capacity = across * across
        pages: list[bytes] = []
        pending = iter(thumbnails)
        for first in range(0, count, capacity):
            on_page = min(capacity, count - first)
            rows = -(-on_page // across)
            page = np.full((rows * side, PAGE, 3), 255, np.uint8)
            for index in range(on_page):
                row, column = divmod(index, across)
                page[row * side : (row + 1) * side, column * side : (column + 1) * side] = next(pending)
            buffer = io.BytesIO()
            Image.fromarray(page).save(buffer, "JPEG", quality=_QUALITY.get(side, 85))
            pages.append(buffer.getvalue())
        return cls(side, count, tuple(pages))

    def decoded(self) -> NDArray[np.uint8]:
        """Give all thumbnails, (count, side, side, 3)."""
        from PIL import Image

        thumbnails = np.empty((self.count, self.side, self.side, 3), np.uint8)
        across = PAGE // self.side
        first = 0
        for page in self.pages:
            pixels = np.asarray(Image.open(io.BytesIO(page)))
            rows = pixels.shape[0] // self.side
            cut = (
                pixels.reshape(rows, self.side, across, self.side, 3)
                .swapaxes(1, 2)
                .reshape(-1, self.side, self.side, 3)
            )
            on_page = min(len(cut), self.count - first)
            thumbnails[first : first + on_page] = cut[:on_page]
            first += on_page
        return thumbnails

    def packed(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Give the pages as one array of bytes, and where each of them ends in it."""
        data = np.frombuffer(b"".join(self.pages), np.uint8)
        return data, np.cumsum([len(page) for page in self.pages]).astype(np.int64)

    @classmethod
    def unpacked(cls, data: NDArray[np.uint8], ends: NDArray[np.int64], *, side: int, count: int) -> Atlas:
        """Give back what `packed` has made an array of."""
        starts = [0, *ends[:-1].tolist()]
        pages = tuple(data[start:end].tobytes() for start, end in zip(starts, ends.tolist(), strict=True))
        return cls(side, count, pages)
