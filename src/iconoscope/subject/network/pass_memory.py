"""The memory that a network's pass over images would take, told without making it."""

from __future__ import annotations

from iconoscope.subject.memory import check_fits, free_memory
from iconoscope.subject.network.network import Network

__all__ = ["check_pass"]

MOST_MAPS = 100
"""What the maps of a pass take at most, in multiples of its input; of VGG, whose first maps have 64 channels, it is 65."""


def check_pass(network: Network, images: int = 1, *, memory: int | None = None, hint: str = "") -> None:
    """Refuse so many images at once where the network's maps of them would not fit into memory.

    Where there may be a doubt the network runs on tensors without storage, which says what it would take.

    Raises
    ------
    QuestionError
        With the estimate, and what there is.
    """
    height, width = network.preprocessing.size
    floats = 4.0 * images * network.channels * height * width
    question = f"{network.name} on {images:,} image{'s' * (images != 1)} of {height}x{width} pixels at once"
    hint = hint or f"The size is from {network.preprocessing.origin}; preprocessing= gives another (--preprocessing)."
    check_fits(floats, question, memory=memory, hint=hint)
    if floats * MOST_MAPS > free_memory():
        check_fits(_pass_memory(network, images) or floats, question, memory=memory, hint=hint)


def _pass_memory(network: Network, images: int) -> float:
    """Give the bytes of a pass; 0 if the network does not run without storage."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from iconoscope.subject.ledger import Ledger

    if network.opaque:
        return 0.0
    shape = (images, network.channels, *network.preprocessing.size)
    try:
        with (
            network.questioned(steady=False),
            torch.no_grad(),
            FakeTensorMode(allow_non_fake_inputs=True),
            Ledger() as ledger,
        ):
            network.module(network.fitted(torch.zeros(shape)))
    except Exception:  # noqa: BLE001 -- it is the user's code; what fails here is said when it is asked
        return 0.0
    return float(ledger.peak)
