"""Evidence of the object in one occlusion map: where the drop lies, and where it would lie by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.rendering import spread

__all__ = ["ObjectEvidence", "object_evidence"]

_ROUNDING = 1e-9  # of a share: two shifts of the object whose shares differ by less are alike


@dataclass(frozen=True, kw_only=True)
class ObjectEvidence:
    """An occlusion map held against the mask of the object.

    All but the two shares of the picture are None or NaN where no patch costs anything.

    Attributes
    ----------
    pointing : bool or None
        Whether the centre of the patch that costs most lies on the object: the pointing game of Zhang et al. 2016 ("Top-down
        Neural Attention by Excitation Backprop"), without a tolerance.
    share : float
        The object's share of the positive drop by pixel, each pixel having the mean of its patches.
    area : float
        The object's share of the picture.
    beside : float
        Share of the positive drop that belongs to patches that do not touch the object.
    patches_beside : float
        The share of all patches that these are.
    p_object, p_context : float
        Share of all shifts of the object, around the border, at which it would have at least, or at most, that share of the
        drop.
    """

    pointing: bool | None
    share: float
    area: float
    beside: float
    patches_beside: float
    p_object: float
    p_context: float


def object_evidence(
    drop: NDArray[np.float32],
    minimum: tuple[int, int],
    mask: NDArray[np.bool_],
    *,
    top: NDArray[np.int64],
    left: NDArray[np.int64],
    patch: tuple[int, int],
) -> ObjectEvidence:
    """Hold the drop of an `Occlusion` (grid rows, grid columns) against the mask (height, width) of the object.

    `minimum` is the grid row and column where the answer is lowest; `top`, `left` and `patch` are those of the occlusion.

    The null is the object at a random position: its mask is shifted by every number of rows and columns, and what leaves the
    picture comes in on the other side.
    """
    positive = np.maximum(drop, 0).astype(np.float64)
    touching = _touching(mask, top, left, patch)
    area, patches_beside = float(mask.mean()), float(1 - touching.mean())
    if not positive.any():
        nan = float("nan")
        return ObjectEvidence(
            pointing=None, share=nan, area=area, beside=nan, patches_beside=patches_beside, p_object=nan, p_context=nan
        )
    height, width = mask.shape
    row, column = minimum
    # The middle of the part of the patch that is inside the picture.
    bottom, right = min(int(top[row]) + patch[0], height), min(int(left[column]) + patch[1], width)
    centre = (int(top[row]) + bottom - 1) // 2, (int(left[column]) + right - 1) // 2
    by_pixel = spread(positive, top, left, patch, (height, width))
    shares = _shifted_shares(by_pixel / by_pixel.sum(), mask)
    share = float(shares[0, 0])
    return ObjectEvidence(
        pointing=bool(mask[centre]),
        share=share,
        area=area,
        beside=float(positive[~touching].sum() / positive.sum()),
        patches_beside=patches_beside,
        p_object=float((shares >= share - _ROUNDING).mean()),
        p_context=float((shares <= share + _ROUNDING).mean()),
    )


def _shifted_shares(drop: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give what of the drop (height, width) lies under the mask (height, width) at every shift (rows, columns).

    Shifts go around the border; [0, 0] is the mask where it is. By the correlation theorem, in one transform for all shifts.
    """
    spectrum = np.fft.rfft2(drop) * np.conj(np.fft.rfft2(mask.astype(np.float64)))
    return np.fft.irfft2(spectrum, s=mask.shape)


def _touching(
    mask: NDArray[np.bool_], top: NDArray[np.int64], left: NDArray[np.int64], patch: tuple[int, int]
) -> NDArray[np.bool_]:
    """Tell for every position (grid rows, grid columns) whether the patch covers a pixel of the mask (height, width)."""
    height, width = mask.shape
    sums = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = mask.cumsum(0).cumsum(1)
    bottom, right = np.minimum(top + patch[0], height), np.minimum(left + patch[1], width)
    covered = sums[np.ix_(bottom, right)] - sums[np.ix_(top, right)] - sums[np.ix_(bottom, left)]
    return covered + sums[np.ix_(top, left)] > 0
