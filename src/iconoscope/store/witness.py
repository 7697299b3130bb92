"""The witness of an answer: what the network said, when it was kept, to a picture that is always the same.

The key of a question holds all of a network that can be seen. A file that it reads while it answers is not seen; that it has
changed shows in the witness.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["is_same_witness"]

_TOLERANCE = 2e-3
"""Of the largest logit: above the rounding of another processor, below a change that anybody would see."""


def is_same_witness(stored: Sequence[float], now: Sequence[float]) -> bool:
    """Tell whether a network answers as it did, but for the rounding of another machine.

    >>> is_same_witness((1.0, -2.0), (1.0001, -2.0)), is_same_witness((1.0, -2.0), (1.1, -2.0))
    (True, False)
    >>> is_same_witness((1e-4, -2e-4), (2e-4, -2e-4))
    False
    """
    if len(stored) != len(now):
        return False
    before, after = np.asarray(stored, np.float64), np.asarray(now, np.float64)
    return bool((np.abs(before - after) <= _TOLERANCE * float(np.abs(before).max(initial=0))).all())
