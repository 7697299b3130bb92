"""What one map of an occlusion says of the object: where the drop is, and where it would be by chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.results import Occlusion
from iconoscope.results.rendering import spread

__all__ = ["MapEvidence", "map_evidence"]

_ROUNDING = 1e-9  # of a share: two places of the object that differ by less are alike


class MapEvidence(NamedTuple):
    """The evidence of one map; all but the first and the areas are NaN where no patch costs anything.

    Attributes
    ----------
    largest
        The largest drop.
    hit
        1 if the centre of the patch that costs most lies on the object, else 0 (the pointing game).
    share
        The object's share of the drop: of the positive drop by pixel, each pixel having the mean of its patches.
    area
        The object's share of the picture.
    beside
        Share of the positive drop that belongs to patches that do not touch the object.
    beside_positions
        The share of all patches that these are.
    p_object, p_context
        Share of all places of the object at which it would have at least, or at most, that share of the drop.
    """

    largest: float
    hit: float
    share: float
    area: float
    beside: float
    beside_positions: float
    p_object: float
    p_context: float


def map_evidence(result: Occlusion, mask: NDArray[np.bool_]) -> MapEvidence:
    """Hold a map against the mask (height, width) of the object.

    The null is the object at a random place: its mask is shifted by every number of rows and columns, and what leaves the
    picture comes in on the other side. The pointing game is that of Zhang et al. 2016 ("Top-down Neural Attention by
    Excitation Backprop"), without a tolerance.
    """
    positive = np.maximum(result.drop, 0).astype(np.float64)
    touching = _touching(result, mask)
    areas = {"area": float(mask.mean()), "beside_positions": float(1 - touching.mean())}
    nothing = float("nan")
    if not positive.any():
        return MapEvidence(
            largest=float(result.drop.max()),
            **areas,
            **dict.fromkeys(("hit", "share", "beside", "p_object", "p_context"), nothing),
        )
    by_pixel = spread(positive, result.top, result.left, result.patch, (mask.shape[0], mask.shape[1]))
    shares = _shifted_shares(by_pixel / by_pixel.sum(), mask)
    share = float(shares[0, 0])
    return MapEvidence(
        largest=float(result.drop.max()),
        hit=float(mask[_centre(result)]),
        share=share,
        beside=float(positive[~touching].sum() / positive.sum()),
        p_object=float((shares >= share - _ROUNDING).mean()),
        p_context=float((shares <= share + _ROUNDING).mean()),
        **areas,
    )


def _shifted_shares(drop: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give what lies under the mask at every shift (rows, columns) on the torus; that of [0, 0] is where it really is."""
    spectrum = np.fft.rfft2(drop) * np.conj(np.fft.rfft2(mask.astype(np.float64)))
    return np.fft.irfft2(spectrum, s=mask.shape)


def _touching(result: Occlusion, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell for every position (grid rows, grid columns) whether the patch covers a pixel of the object."""
    height, width = mask.shape
    below = np.zeros((height + 1, width + 1), np.int64)
    below[1:, 1:] = mask.cumsum(0).cumsum(1)
    top, left = result.top, result.left
    bottom, right = np.minimum(top + result.patch[0], height), np.minimum(left + result.patch[1], width)
    covered = below[np.ix_(bottom, right)] - below[np.ix_(top, right)] - below[np.ix_(bottom, left)]
    return covered + below[np.ix_(top, left)] > 0


def _centre(result: Occlusion) -> tuple[int, int]:
    """Give row and column of the middle of the patch that costs most, of its part inside the picture."""
    row, column = result.minimum
    height, width = result.picture.shape[:2]
    top, left = int(result.top[row]), int(result.left[column])
    bottom, right = min(top + result.patch[0], height), min(left + result.patch[1], width)
    return (top + bottom - 1) // 2, (left + right - 1) // 2
