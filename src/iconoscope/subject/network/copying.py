"""A copy of a network, that another thread may ask meanwhile."""

from __future__ import annotations

import copy
from dataclasses import replace

from iconoscope.subject.network.network import Network

__all__ = ["copied"]


def copied(network: Network) -> Network | None:
    """Give a copy that shares nothing with a network, and answers and is called as it is; None where it cannot be copied.

    >>> from iconoscope.subject.network import load_network
    >>> network = load_network("cars", device="cpu")
    >>> copy = copied(network)
    >>> copy is not None and copy.module is not network.module and copy.digest() == network.digest()
    True
    """
    with network.reserved():
        try:
            module = copy.deepcopy(network.module)
        except Exception:  # noqa: BLE001 -- a module of a user's need not be made for it
            return None
    return replace(
        network,
        module=module,
        loaded_by=dict(network.loaded_by),
        _measured=list(network._measured),
        _measured_as=list(network._measured_as),
        _asking=[],
    )
