"""The image that pictures begin as: noise, a colour, or pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, check_path
from iconoscope.priors.prior_images import as_pictures
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.network.preprocessing import GREY, Preprocessing

__all__ = ["Start", "StartLike", "pictures_of_channels", "read_photograph", "read_start"]

StartLike = str | Path | Image | Images | NDArray[Any] | Sequence[Any]
"""``noise``, a colour (``grey``, ``#ff8800``), or images: a file, a folder, arrays, PIL images."""


@dataclass(frozen=True)
class Start:
    """The image, or the images, that pictures begin as.

    Attributes
    ----------
    name : str
        In words.
    pictures : torch.Tensor or None
        (pictures, channels, height, width) of 0..1, or None for noise.
    photographed : bool
        Whether they are images, of which one wants to see what became of them.
    """

    name: str
    pictures: torch.Tensor | None = None
    photographed: bool = False

    @property
    def digest(self) -> str:
        """Digest of the pictures; empty for noise."""
        return "" if self.pictures is None else hashlib.sha256(self.pictures.numpy().tobytes()).hexdigest()


def read_start(
    start: StartLike, preprocessing: Preprocessing, size: tuple[int, int] | None, *, setting: str = "start"
) -> tuple[Start, tuple[int, int]]:
    """Read what pictures begin as, and how large they are.

    Parameters
    ----------
    start
        See `StartLike`.
    preprocessing
        Fits images to the network, if no size is given.
    size
        Height and width, or None.
    setting
        What the caller's own setting is called, for messages; only where it is start may it be noise.

    Raises
    ------
    QuestionError
        If it is none of them.
    ImagesError
        If no image can be read.
    """
    side = size or preprocessing.size
    channels = preprocessing.channels
    if isinstance(start, str) and start == "noise":
        return Start("noise"), side
    colour = _colour(start) if isinstance(start, str) else None
    if colour is not None:
        if channels != 3:
            raise QuestionError(
                f"{setting}={start!r} is a colour, and the network has {channels} channels.", hint="Give noise."
            )
        picture = torch.tensor(colour, dtype=torch.float32)[None, :, None, None].expand(1, 3, *side).contiguous()
        return Start(str(start), picture), side
    if isinstance(start, str):
        check_path(setting, start)
        if not Path(start).expanduser().exists():
            if setting == "start":
                raise QuestionError(
                    f"start={start!r} is neither noise, a colour, nor a file.",
                    hint="Give noise, grey, #ff8800 or an image.",
                )
            raise QuestionError(f"{setting}={start!r}: there is no such file.", hint="Give a photograph.")
    images = load_images(start)
    fitted = (
        preprocessing
        if size is None
        else Preprocessing(
            size=size, mean=preprocessing.mean, std=preprocessing.std, interpolation=preprocessing.interpolation
        )
    )
    readable = list(images.readable())
    pictures = pictures_of_channels(np.stack([fitted.shown(image) for image in readable]), channels)
    name = readable[0].id if len(readable) == 1 else f"{len(readable)} images"
    return Start(name, pictures, photographed=True), side


def read_photograph(image: StartLike, preprocessing: Preprocessing) -> Start:
    """Read one photograph, as the network is shown it.

    Raises
    ------
    QuestionError
        If it is none, or several.
    ImagesError
        If it cannot be read.
    """
    start, _ = read_start(image, preprocessing, None, setting="image")
    if not start.photographed or start.pictures is None:
        raise QuestionError(f"{image!r} is no photograph.", hint="Give a file, an array, a PIL image or one of a set.")
    if len(start.pictures) != 1:
        raise QuestionError(
            f"{len(start.pictures)} images were given, and one is asked about.", hint="Give one of them."
        )
    return start


def pictures_of_channels(pixels: NDArray[np.uint8], channels: int) -> torch.Tensor:
    """Give pixels (n, height, width, 3 or 4) of 0..255 as pictures (n, channels, height, width) of 0..1; one channel: grey."""
    pictures = as_pictures(pixels)
    if channels > 1:
        return pictures
    return (pictures * torch.tensor(GREY, dtype=torch.float32)[:, None, None]).sum(1, keepdim=True)


def _colour(text: str) -> tuple[float, float, float] | None:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        return None
    return red / 255, green / 255, blue / 255
