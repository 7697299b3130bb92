"""Many small pictures in few large ones: pages of thumbnails, as a graphics card wants them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAGE", "pack_thumbnails", "pages_in", "read_thumbnails", "sheets_of_thumbnails", "thumbnail_side"]

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


def pack_thumbnails(
    thumbnails: Iterable[NDArray[np.uint8]], count: int, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Lay `count` thumbnails (side, side, 3) out in rows on pages, from left to right and from top to bottom.

    Only one page is held at a time. All but the last are `PAGE` pixels high.

    Returns
    -------
    ndarray of uint8, and ndarray of int64
        The pages, JPEG files one after another, and where each of them ends.
    """
    from PIL import Image

    across = PAGE // side
    capacity = across * across
    ends: list[int] = []
    files = io.BytesIO()
    pending = iter(thumbnails)
    for first in range(0, count, capacity):
        on_page = min(capacity, count - first)
        rows = -(-on_page // across)
        page = np.full((rows * side, PAGE, 3), 255, np.uint8)
        for index in range(on_page):
            row, column = divmod(index, across)
            page[row * side : (row + 1) * side, column * side : (column + 1) * side] = next(pending)
        Image.fromarray(page).save(files, "JPEG", quality=_QUALITY.get(side, 85))
        ends.append(files.tell())
    return np.frombuffer(files.getvalue(), np.uint8), np.array(ends, np.int64)


def pages_in(files: NDArray[np.uint8], ends: NDArray[np.int64]) -> tuple[bytes, ...]:
    """Give the pages, JPEG files, that `pack_thumbnails` has made an array of."""
    return tuple(page.tobytes() for page in np.split(files, ends[:-1]))


def sheets_of_thumbnails(pages: Iterable[bytes], count: int, side: int) -> Iterator[NDArray[np.uint8]]:
    """Give the thumbnails that are on each of some pages, (on the page, side, side, 3)."""
    from PIL import Image

    for page in pages:
        pixels = np.asarray(Image.open(io.BytesIO(page)))
        cells = pixels.reshape(pixels.shape[0] // side, side, PAGE // side, side, 3).swapaxes(1, 2)
        thumbnails = cells.reshape(-1, side, side, 3)[:count]
        count -= len(thumbnails)
        yield thumbnails


def read_thumbnails(pages: Iterable[bytes], count: int, side: int) -> NDArray[np.uint8]:
    """Give the thumbnails that are on some pages, (count, side, side, 3)."""
    return np.concatenate(list(sheets_of_thumbnails(pages, count, side)))
