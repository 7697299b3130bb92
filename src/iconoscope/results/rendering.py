"""Arrays as pictures: colour maps, overlays, enlargements, PNG. NumPy and Pillow only (and matplotlib's colour tables)."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "amplified",
    "as_bytes",
    "both_signs",
    "cell_edges",
    "colour",
    "cropped_field",
    "data_uri",
    "enlarged_map",
    "faint",
    "framed",
    "gradient_picture",
    "lay_out",
    "outlined",
    "overlay",
    "resized",
    "rgb",
    "spread",
    "to_jpeg",
    "to_png",
]

Picture = NDArray[np.uint8]


def colour(values: NDArray[Any], *, low: float, high: float, table: str = "viridis") -> Picture:
    """Colour a map of numbers (rows, columns): `low` takes the first colour of the table, `high` the last.

    >>> colour(np.array([[0.0, 1.0]]), low=0, high=1).shape
    (1, 2, 3)
    """
    from matplotlib import colormaps

    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return (colormaps[table](scaled)[..., :3] * 255).round().astype(np.uint8)


def overlay(picture: Picture, weight: NDArray[Any], *, ink: tuple[int, int, int] = (214, 39, 40)) -> Picture:
    """Lay a colour over the greyed picture (height, width, 3), as strong as `weight` (height, width; 0..1) says.

    The strength is the root of the weight, so that a tenth is still seen.
    """
    grey = picture.mean(2, keepdims=True).repeat(3, 2) * 0.75 + 48
    strength = np.sqrt(np.clip(weight, 0, 1))[..., None] * 0.85
    return (grey * (1 - strength) + np.asarray(ink) * strength).round().astype(np.uint8)


def both_signs(picture: Picture, share: NDArray[Any]) -> Picture:
    """Lay red where `share` (height, width; -1..1) is positive and blue where it is negative over the greyed picture.

    >>> both_signs(np.full((1, 2, 3), 128, np.uint8), np.array([[1.0, -1.0]]))[..., [0, 2]].tolist()
    [[[204, 56], [50, 168]]]
    """
    red = overlay(picture, share)
    blue = overlay(picture, -share, ink=(33, 102, 172))
    return np.where(share[..., None] < 0, blue, red)


def outlined(picture: Picture, mask: NDArray[np.bool_], *, ink: tuple[int, int, int] = (0, 214, 255)) -> Picture:
    """Draw the pixels just outside of a mask (height, width) into a copy of the picture (height, width, 3).

    >>> mask = np.zeros((4, 5), bool)
    >>> mask[1:3, 2] = True
    >>> (outlined(np.zeros((4, 5, 3), np.uint8), mask)[..., 2] > 0).astype(int)
    array([[0, 0, 1, 0, 0],
           [0, 1, 0, 1, 0],
           [0, 1, 0, 1, 0],
           [0, 0, 1, 0, 0]])
    """
    around = np.zeros_like(mask)
    around[1:] |= mask[:-1]
    around[:-1] |= mask[1:]
    around[:, 1:] |= mask[:, :-1]
    around[:, :-1] |= mask[:, 1:]
    drawn = picture.copy()
    drawn[around & ~mask] = ink
    return drawn


def framed(
    picture: Picture, top: int, left: int, bottom: int, right: int, *, ink: tuple[int, int, int] = (0, 214, 255)
) -> Picture:
    """Draw the border of a box (bottom and right exclusive) into a copy of the picture (height, width, 3).

    A box as large as the picture is not drawn: it would tell nothing.

    >>> framed(np.zeros((4, 5, 3), np.uint8), 0, 1, 3, 4)[..., 2] // 255
    array([[0, 1, 1, 1, 0],
           [0, 1, 0, 1, 0],
           [0, 1, 1, 1, 0],
           [0, 0, 0, 0, 0]], dtype=uint8)
    """
    drawn = picture.copy()
    if (top, left, bottom, right) != (0, 0, *picture.shape[:2]):
        width = max(1, min(picture.shape[:2]) // 96)
        inside = np.zeros(picture.shape[:2], np.bool_)
        inside[top:bottom, left:right] = True
        inside[top + width : bottom - width, left + width : right - width] = False
        drawn[inside] = ink
    return drawn


def faint(picture: Picture) -> Picture:
    """Give a picture of which little is left to see, so that what is laid over it stands out."""
    return (picture * 0.3 + 255 * 0.7).round().astype(np.uint8)


def cropped_field(picture: Picture, field: Sequence[int], extent: tuple[int, int]) -> Picture:
    """Cut a field (top, left, bottom, right; pixels) out of a picture, as large as others are.

    A field that reaches over the border is shown in the size of the others (`extent`); what it does not see is faint.

    >>> cropped_field(np.zeros((4, 4, 3), np.uint8), (0, 3, 2, 4), (2, 2))[..., 0]
    array([[178,   0],
           [178,   0]], dtype=uint8)
    """
    top, left, bottom, right = field
    rows, columns = picture.shape[:2]
    first, start = max(0, min(top, rows - extent[0])), max(0, min(left, columns - extent[1]))
    seen = faint(picture)
    seen[top:bottom, left:right] = picture[top:bottom, left:right]
    return seen[first : first + extent[0], start : start + extent[1]]


def enlarged_map(values: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Enlarge a map (rows, columns) to a picture's height and width, smoothly; none of it is made larger than it was.

    >>> enlarged_map(np.array([[0.0, 1.0]]), (2, 4)).tolist()[0]
    [0.0, 0.25, 0.75, 1.0]
    """
    from PIL import Image

    picture = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float32)


def spread(
    grid: NDArray[Any], top: NDArray[Any], left: NDArray[Any], patch: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Give every pixel the mean over the patches that covered it; pixels that none covered are zero.

    Parameters
    ----------
    grid
        One number per position of the patch (grid rows, grid columns).
    top, left
        First row and column of the patch at each grid row and column, pixels.
    patch, size
        Height and width of the patch and of the picture, pixels.
    """
    rows = np.zeros((size[0], len(top)))
    columns = np.zeros((size[1], len(left)))
    for cover, starts, extent in ((rows, top, patch[0]), (columns, left, patch[1])):
        for position, start in enumerate(starts):
            cover[max(start, 0) : start + extent, position] = 1
    total = rows @ grid @ columns.T
    count = rows.sum(1)[:, None] * columns.sum(1)[None]
    return np.divide(total, count, out=np.zeros(size), where=count > 0)


def cell_edges(starts: NDArray[np.int64], patch: int, size: int) -> NDArray[np.float64]:
    """Say where the cells around the patches' centres begin and end, pixels: half way from centre to centre.

    >>> cell_edges(np.array([0, 2, 4]), 3, 7).tolist()
    [0.0, 2.0, 4.0, 6.0]
    """
    ends = np.minimum(starts + patch, size)
    centres = (starts + ends - 1) / 2
    if len(centres) == 1:
        return np.array([starts[0] - 0.5, ends[0] - 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def lay_out(
    cells: Picture, top: NDArray[Any], left: NDArray[Any], patch: tuple[int, int], size: tuple[int, int]
) -> Picture:
    """Lay coloured cells (grid rows, grid columns, 3) out over the picture, each around the centre of its patch.

    Returns
    -------
    ndarray of uint8, (height, width, 4)
        With an alpha channel: where no centre of a patch comes near, nothing is shown.
    """
    picture = np.zeros((*size, 4), np.uint8)
    chosen, inside = [], []
    for axis, starts in enumerate((top, left)):
        edges = cell_edges(starts, patch[axis], size[axis])
        cell = np.searchsorted(edges, np.arange(size[axis]), side="right") - 1
        inside.append((cell >= 0) & (cell < len(starts)))
        chosen.append(cell.clip(0, len(starts) - 1))
    picture[..., :3] = cells[np.ix_(*chosen)]
    picture[..., 3] = np.outer(*inside) * 255
    return picture


def to_png(picture: Picture) -> bytes:
    """Encode a picture (height, width, 3 or 4) as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def to_jpeg(picture: Picture) -> bytes:
    """Encode a picture (height, width, 3) as JPEG: a photograph in a page takes a tenth of its size as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    """Give a PNG or a JPEG as a ``data:`` address for an HTML page."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def resized(picture: Picture, height: int, width: int) -> Picture:
    """Give a picture (rows, columns, 3) in another size, as smooth as it can be."""
    from PIL import Image

    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def as_bytes(pixels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Round pixels of 0..1 to whole values of 0..255, as any file would hold them.

    >>> as_bytes(np.array([0.0, 0.5, 1.1]))
    array([  0, 128, 255], dtype=uint8)
    """
    return (pixels * 255).round().clip(0, 255).astype(np.uint8)


def gradient_picture(gradient: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Give a gradient (height, width, channels) as a picture: grey is zero, the strongest are at the ends of the scale.

    The strongest half of a percent are shown alike: few pixels may have far larger gradients than all others.

    >>> gradient_picture(np.array([[[-2.0, 0.0, 1.0]]])).tolist()
    [[[0, 128, 192]]]
    """
    strong = float(np.quantile(np.abs(gradient), 0.995))
    largest = strong or float(np.abs(gradient).max())
    return rgb(0.5 + gradient.clip(-largest, largest) / (2 * largest) if largest > 0 else np.full_like(gradient, 0.5))


def amplified(difference: NDArray[np.floating]) -> tuple[NDArray[np.uint8], int]:
    """Give a difference of two pictures of 0..1 (height, width, channels) as a picture, and how many times it is enlarged.

    Grey is no difference. The factor is a whole number, such that all but half a percent of the values are within the scale.

    >>> picture, factor = amplified(np.array([[[-0.02, 0.0, 0.05]]]))
    >>> picture.tolist(), factor
    ([[[76, 128, 255]]], 10)
    """
    large = float(np.quantile(np.abs(difference), 0.995)) if difference.size else 0.0
    factor = max(1, int(0.5 / large + 1e-6)) if large > 0 else 1
    return rgb(np.clip(0.5 + factor * difference, 0, 1)), factor


def rgb(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Give a picture (height, width, channels) of 0..1 or 0..255 as (height, width, 3) of 0..255.

    One channel is grey; of more than three the first three are shown.
    """
    pixels = picture if picture.dtype == np.uint8 else as_bytes(picture)
    if pixels.shape[2] < 3:
        return pixels[:, :, :1].repeat(3, 2)
    return pixels[:, :, :3]
