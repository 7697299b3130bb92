"""Numbers in 16 bits, as the scripts of pages read them: little endian, 65535 for the whole (``STEPS`` in ``web/src``)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["sixteen_bits"]

_STEPS = 65535


def sixteen_bits(shares: NDArray[Any]) -> NDArray[np.uint16]:
    """Give numbers from 0 to 1 in steps of 1/65535.

    A probability is right to 0.00001, and a place on a map that fills a screen a hundred times to a thousandth of a thumbnail.

    >>> sixteen_bits(np.array([0, 0.5, 1])).tolist()
    [0, 32768, 65535]
    """
    return (shares.astype(np.float64) * _STEPS).round().clip(0, _STEPS).astype("<u2")
