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

    # MPS has a generator that cannot be put back, and is not seeded.
    with drawn_in_vain():
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        np.random.seed(seed % 2**32)
        yield


@contextmanager
def drawn_in_vain(unless: Callable[[], bool] = lambda: False) -> Iterator[Callable[[], bool]]:
    """Leave the generators of torch, NumPy and Python as they were, whatever is drawn inside the block.

    Parameters
    ----------
    unless
        Asked at the end: whether what was drawn is of use, as the first weights of a network that is given no others.

    Yields
    ------
    callable
        Whether anything was drawn so far.
    """
    import numpy as np
    import torch

    with _DRAWING:
        devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
        on_devices = [torch.cuda.get_rng_state(device) for device in devices]
        of_torch, of_numpy, of_python = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()

        def drawn() -> bool:
            pairs = zip(devices, on_devices, strict=True)
            return (
                not torch.equal(of_torch, torch.get_rng_state())
                or str(of_numpy) != str(np.random.get_state(legacy=False))
                or of_python != random.getstate()
                or any(not torch.equal(state, torch.cuda.get_rng_state(device)) for device, state in pairs)
            )

        try:
            yield drawn
        finally:
            if not unless():
                torch.set_rng_state(of_torch)
                np.random.set_state(of_numpy)
                random.setstate(of_python)
                for device, state in zip(devices, on_devices, strict=True):
                    torch.cuda.set_rng_state(state, device)
