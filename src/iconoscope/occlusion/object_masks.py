"""Where the object of each image is, at the size at which the network sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError
from iconoscope.subject.images import Image
from iconoscope.subject.network import Preprocessing

__all__ = ["NO_OBJECT", "fitted_object"]

# What the object may be of the picture: of a speck, or of all but a speck, there is nothing to tell.
_SHARE = (0.002, 0.998)

NO_OBJECT = "neither mask nor box"


def fitted_object(preprocessing: Preprocessing, image: Image) -> tuple[NDArray[np.bool_] | None, str]:
    """Give the object's mask (height, width) at the network's size; or None, and the reason why there is none to speak of."""
    try:
        mask = image.mask
    except ImagesError as error:
        return None, error.message
    if mask is None:
        return None, NO_OBJECT
    fitted = preprocessing.fit_mask(mask)
    share = float(fitted.mean())
    if not _SHARE[0] <= share <= _SHARE[1]:
        return None, f"{share:.1%} of what the network sees is object: nothing to tell apart"
    return fitted, ""
