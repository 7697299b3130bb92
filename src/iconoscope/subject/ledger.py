"""The memory that a computation holds: the bytes of its tensors, counted while it runs."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from iconoscope.subject.dispatcher import operation_calls
from iconoscope.subject.probe import tensors_in

__all__ = ["Ledger"]


class Ledger:
    """Counts, inside its ``with`` block, the bytes of all tensors that came into being there and are still held.

    A storage that several tensors share is counted once. What was there before, such as the weights, is not counted; weights
    that are packed for oneDNN inside the block are, by their numbers, since torch shows no storage of them. While an operation
    runs, its result is counted twice: convolutions compute it in a memory layout of their own first (oneDNN on processors; the
    resident memory of four kinds of network was 0.95 to 1.06 times what is counted so).

    Attributes
    ----------
    held : int
        Bytes that are held now.
    peak : int
        The most that were held at once.

    Examples
    --------
    >>> with Ledger() as ledger:
    ...     zeros = torch.zeros(1000)
    >>> ledger.held, ledger.peak
    (4000, 8000)
    """

    def __init__(self) -> None:
        self.held = 0
        self.peak = 0
        # What holds memory and is still there, by id, as one storage has one Python object. These references and what they call
        # go with the ledger; a finaliser would stay with every storage that outlives it.
        self._holders: dict[int, weakref.ref[Any]] = {}
        self._mode = operation_calls(self._count)

    def __enter__(self) -> Ledger:
        self._mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)

    def _count(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        before = _holders([*args, *kwargs.values()])
        answer = operation(*args, **kwargs)
        after = _holders(answer)
        new = sum(self._enter(*held) for identity, held in after.items() if identity not in before)
        self.peak = max(self.peak, self.held + new)
        return answer

    def _enter(self, holder: Any, size: int) -> int:
        identity = id(holder)
        if identity in self._holders:
            return 0

        def leave(reference: weakref.ref[Any]) -> None:
            del self._holders[identity]
            self.held -= size

        self._holders[identity] = weakref.ref(holder, leave)
        self.held += size
        return size


def _holders(values: Any) -> dict[int, tuple[Any, int]]:
    """Give what holds the memory of the tensors in arguments or answers, and its bytes, by its id.

    It is a storage or, of what is packed for oneDNN, the tensor itself; other tensors that are not strided show none.
    """
    holders: dict[int, tuple[Any, int]] = {}
    for tensor in tensors_in(values):
        if tensor.layout == torch.strided:
            storage = tensor.untyped_storage()
            holders[id(storage)] = storage, storage.nbytes()
        elif tensor.is_mkldnn:
            holders[id(tensor)] = tensor, tensor.numel() * tensor.element_size()
    return holders
