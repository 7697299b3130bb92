"""Where the object of each image is, at the size at which the network sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImageFileError, ImagesError, QuestionError
from iconoscope.results import Occlusion
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.images.arrays import as_array
from iconoscope.subject.images.modes import as_mask
from iconoscope.subject.network import Preprocessing, read_preprocessing

__all__ = ["Objects", "fitted_object"]

# What the object may be of the picture: of a speck, or of all but a speck, there is nothing to tell.
_SHARE = (0.002, 0.998)
_KINDS = (
    "Give images with masks or boxes; or, one per result and in the size of its picture, masks (n, height, width), one mask "
    "(height, width), or boxes (left, top, right, bottom) in pixels."
)

NO_OBJECT = "neither mask nor box"

Found = tuple[NDArray[np.bool_] | None, str]


def fitted_object(preprocessing: Preprocessing, image: Image) -> Found:
    """Give the object's mask at the network's size; or None, and the reason why there is none to speak of."""
    try:
        mask = image.mask
    except ImagesError as error:
        return None, error.message
    return (None, NO_OBJECT) if mask is None else _usable(preprocessing.fit_mask(mask))


def _usable(mask: NDArray[np.bool_]) -> Found:
    share = float(mask.mean())
    if not _SHARE[0] <= share <= _SHARE[1]:
        return None, f"{share:.1%} of what the network sees is object: nothing to tell apart"
    return mask, ""


class Objects:
    """The objects of results that come one after another.

    Parameters
    ----------
    regions
        As `looks_at_object` takes them.

    Raises
    ------
    QuestionError
        If they are of no kind that is known.
    """

    def __init__(self, regions: Any) -> None:
        self._asked = 0
        self._images: Images | None = None
        self._rows = np.zeros((0, 4))
        if isinstance(regions, Image | Images):
            self._images = load_images(regions)
            self._place = {id: place for place, id in enumerate(self._images.ids)}
            return
        array = as_array(regions)
        try:
            rows = np.asarray(regions if array is None else array)
        except ValueError:  # lists of different lengths
            rows = np.array(None)
        boxes = rows.dtype != np.bool_ and rows.shape[-1:] == (4,) and rows.ndim <= 2
        if rows.dtype.kind not in "buif" or not (boxes or rows.ndim in (2, 3)):
            raise QuestionError(f"{type(regions).__name__} of shape {rows.shape} are no regions.", hint=_KINDS)
        self._rows = np.atleast_2d(rows) if boxes or rows.ndim == 3 else rows[None]

    def of(self, result: Occlusion) -> Found:
        """Give the object (height, width) in the picture of a result; or None, and the reason why.

        Raises
        ------
        QuestionError
            If the mask or box does not fit the picture, or the image of that id is another.
        """
        place = self._asked
        self._asked += 1
        if self._images is not None:
            return self._by_id(self._images, result)
        if place >= len(self._rows):
            raise QuestionError(f"There are only {len(self._rows)} masks or boxes for the results.", hint=_KINDS)
        row, size = self._rows[place], result.picture.shape[:2]
        if row.ndim == 1:
            return _usable(_box(row, size, result.question.subject))
        if row.shape != size:
            raise QuestionError(
                f"The mask of {result.question.subject} is {row.shape[0]}x{row.shape[1]}, its picture {size[0]}x{size[1]}.",
                hint=_KINDS,
            )
        try:
            return _usable(as_mask(row))
        except ValueError as error:
            raise QuestionError(f"The mask of {result.question.subject} cannot be read: {error}.") from error

    def close(self) -> None:
        """Raise `QuestionError` if there are masks or boxes left that no result came for."""
        if self._images is None and self._asked < len(self._rows):
            raise QuestionError(f"There are {len(self._rows)} masks or boxes for {self._asked} results.", hint=_KINDS)

    def _by_id(self, images: Images, result: Occlusion) -> Found:
        place = self._place.get(result.question.subject)
        if place is None:
            return None, "not among the regions"
        image = images[place]
        try:
            same = image.digest == result.question.pixels
        except ImageFileError as error:
            return None, error.message
        if not same:
            raise QuestionError(
                f"The image {image.id} of the regions is not the one that the result of that id was asked about.",
                hint="Give the images that were occluded, with their masks or boxes.",
            )
        return fitted_object(read_preprocessing(result.question.settings["preprocessing"], origin="the result"), image)


def _box(box: NDArray[Any], size: tuple[int, ...], subject: str) -> NDArray[np.bool_]:
    """Give the mask of a box; fractions of a pixel are rounded outwards, as `load_images` rounds them."""
    left, top = np.floor(box[:2].astype(float)).tolist()
    right, bottom = np.ceil(box[2:].astype(float)).tolist()
    if not (0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]):
        raise QuestionError(
            f"The box {tuple(box.tolist())} of {subject} is empty or reaches outside its picture of {size[0]}x{size[1]}.",
            hint="A box is left, top, right, bottom in pixels of the network's input; the last two exclusive.",
        )
    mask = np.zeros(size, np.bool_)
    mask[int(top) : int(bottom), int(left) : int(right)] = True
    return mask
