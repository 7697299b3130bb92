"""The random numbers of the whole process: drawn from only by what takes no generator of its own, and put back as they were."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["drawn_in_vain", "seeded"]

_DRAWING = threading.RLock()
"""One thread at a time, or one would put back what another has seeded."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of torch and of NumPy for the time of a block, and leave them as they were.

    Examples
    --------
    >>> import torch
    >>> before = torch.get_rng_state()
    >>> with seeded(1):
    ...     first_weights = torch.nn.Linear(2, 2)
    >>> torch.equal(before, torch.get_rng_state())
    True
    """
    import numpy as np
    import torch

    # MPS has no generator that can be forked, and is not seeded then.
    with drawn_in_vain(), torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        np.random.seed(seed % 2**32)
        yield


@contextmanager
def drawn_in_vain(unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Leave the generators of torch's processor, NumPy and Python as they were, whatever is drawn inside the block.

    Parameters
    ----------
    unless
        Asked at the end: whether what was drawn is of use, as the first weights of a network that is given no others.
    """
    import numpy as np
    import torch

    with _DRAWING:
        states = torch.get_rng_state(), np.random.get_state(), random.getstate()
        try:
            yield
        finally:
            if not unless():
                torch.set_rng_state(states[0])
                np.random.set_state(states[1])
                random.setstate(states[2])
