"""The memory that a network's pass over images would take, told without making it."""

from __future__ import annotations

from iconoscope.subject.allocator import KEPT_BY_ITSELF
from iconoscope.subject.memory import check_fits, free_memory
from iconoscope.subject.network.network import Network

__all__ = ["check_pass", "images_together"]

MOST_MAPS = 100
"""What the maps of a pass take at most, in multiples of its input; of VGG, whose first maps have 64 channels, it is 65."""


FEWEST = 4
"""Images that are shown at once even where their maps take more: with fewer the network is mostly begun anew."""


def images_together(network: Network, most: int) -> int:
    """Give how many images, of so many at most, go through the network at once so that the memory of their maps is kept.

    Half of what the allocator keeps by itself, as free pieces lie between those in use. It is the same on every machine, since
    answers differ by rounding with the number that is asked together. On other devices than processors all go at once.
    """
    if network.device.type != "cpu" or most <= FEWEST or not (need := _map_bytes(network)):
        return most
    together = max(FEWEST, int(KEPT_BY_ITSELF / 2 / need))
    return -(-most // -(-most // together))  # parts of one size


def _map_bytes(network: Network) -> float:
    """Give the bytes of a pass of one image, which is made; 0 if the network cannot be looked into."""
    import torch

    from iconoscope.subject.ledger import Ledger

    if network.opaque:
        return 0.0
    with network.questioned(), torch.inference_mode(), Ledger() as ledger:
        network.run(network.blank())
    return float(ledger.peak)


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
