"""Where the object is, how large it is, and what colour it has: statistics, and edits that set them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iconoscope.auditing.illumination import tinted, tints
from iconoscope.auditing.overlays import shifted
from iconoscope.auditing.segmentation import Pictures, luminance

__all__ = ["aspect", "paint", "position", "set_aspect", "set_paint", "set_position", "set_size", "size"]

Floats = NDArray[np.floating]


def position(pictures: Pictures) -> Floats:
    """Where the object stands: the middle of its box and the row of its foot, (n, 2), -1 (left, top) to 1."""
    height, width = pictures.shape
    return 2 * pictures.boxes[:, :2] / np.array((width, height), np.float32) - 1


def set_position(pictures: Pictures, values: Floats) -> Floats:
    """Move the object over the own background; as much of it stays in the picture as was."""
    height, width = pictures.shape
    edited = np.empty_like(pictures.pixels)
    for row, box in enumerate(pictures.boxes):
        middle, foot = (values[row] + 1) / 2 * (width, height)
        # An object that is whole is not pushed out of the picture.
        middle = np.clip(middle, min(box[2] / 2, box[0]), max(width - box[2] / 2, box[0]))
        foot = np.clip(foot, min(box[3], box[1]), max(height, box[1]))
        down, across = round(float(foot - box[1])), round(float(middle - box[0]))
        cover = shifted(pictures.soft[row], down, across)
        edited[row] = shifted(pictures.pixels[row], down, across) * cover + pictures.ground[row] * (1 - cover)
    return edited


def size(pictures: Pictures) -> Floats:
    """Logarithm of the longer side of the object's box over the picture's shorter side, (n, 1).

    The area would tell a tall object from a low one, which is not its size.
    """
    return np.log(pictures.boxes[:, 2:].max(1) / min(pictures.shape))[:, None]


def set_size(pictures: Pictures, values: Floats) -> Floats:
    """Make the object larger or smaller where it stands."""
    factors = np.exp((values - size(pictures)).clip(-1.2, 1.2))[:, 0]
    height, width = pictures.shape
    edited = np.empty_like(pictures.pixels)
    for row, (box, factor) in enumerate(zip(pictures.boxes, factors.tolist(), strict=True)):
        # Output (x, y) is looked up at (x - middle) / factor + middle, so that the foot stays where it is.
        middle, foot = float(box[0]), float(box[1])
        if factor > 1:  # a larger object must not leave the picture on one side
            reach = factor * float(box[2]) / 2
            middle_to = float(np.clip(middle, min(reach, width / 2), max(width - reach, width / 2)))
        else:
            middle_to = middle
        affine = (1 / factor, 0, middle - middle_to / factor, 0, 1 / factor, foot - foot / factor)
        layers = np.concatenate([pictures.pixels[row], pictures.soft[row]], -1)
        grown = np.stack(
            [
                np.asarray(
                    Image.fromarray(np.ascontiguousarray(layers[..., layer])).transform(
                        (width, height), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
                    )
                )
                for layer in range(4)
            ],
            -1,
        )
        cover = grown[..., 3:]
        edited[row] = grown[..., :3] * cover + pictures.ground[row] * (1 - cover)
    return edited.clip(0, 1)


def paint(pictures: Pictures) -> Floats:
    """Tints and brightness of the object, (n, 3)."""
    return np.concatenate([tints(pictures.object_colour), luminance(pictures.object_colour)[:, None]], 1)


def set_paint(pictures: Pictures, values: Floats) -> Floats:
    """Recolour the object, and leave the background."""
    change = values - paint(pictures)
    painted = tinted(pictures.pixels, pictures.object_colour, change[:, :2])
    painted = (painted + change[:, 2, None, None, None]).clip(0, 1)
    return painted * pictures.soft + pictures.pixels * (1 - pictures.soft)


def aspect(pictures: Pictures) -> Floats:
    """Logarithm of width over height that the image had before the network's preprocessing, (n, 1)."""
    return np.log(pictures.sizes[:, 1] / pictures.sizes[:, 0])[:, None].astype(np.float32)


def set_aspect(pictures: Pictures, values: Floats) -> Floats:
    """Stretch the picture about its middle as if an image of that aspect had been made to fit."""
    height, width = pictures.shape
    edited = np.empty_like(pictures.pixels)
    for row, change in enumerate((values - aspect(pictures)).clip(-0.7, 0.7)[:, 0].tolist()):
        # A wider image is squeezed across: more is seen across, or less down, so that nothing has to be made up.
        across, down = (1.0, np.exp(-change)) if change > 0 else (np.exp(change), 1.0)
        left, top = width * (1 - across) / 2, height * (1 - down) / 2
        picture = Image.fromarray((pictures.pixels[row] * 255).round().astype(np.uint8))
        box = (left, top, width - left, height - top)
        edited[row] = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box=box), np.float32) / 255
    return edited
