"""Somebody who watches pictures grow while they are made: a page that shows them.

As with progress, a technique does not know who watches: `optimize` is asked inside a block of `watched_by`. Watching changes
nothing of what is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

__all__ = ["GrowingPictures", "Spectator", "current_spectator", "unwatched", "watched_by"]


@dataclass(frozen=True, eq=False)
class GrowingPictures:
    """The pictures of a batch before one of the steps.

    Attributes
    ----------
    step
        How many steps have been done.
    steps
        How many there will be.
    pictures : torch.Tensor
        (pictures, channels, height, width), 0..1 but for what a style lets go over.
    scores : torch.Tensor
        (pictures,) what the units answer to them, as they were moved.
    gradient : torch.Tensor
        Where the next step will take them: minus the gradient of the whole loss, like the pictures.
    """

    step: int
    steps: int
    pictures: torch.Tensor
    scores: torch.Tensor
    gradient: torch.Tensor


class Spectator(Protocol):
    """Whoever watches. What it raises ends the making; after `KeyboardInterrupt` what has been reached is the result."""

    def wants(self, step: int) -> bool:
        """Tell whether the pictures are wanted as they are after so many steps; asked before every step."""
        ...

    def see(self, growing: GrowingPictures) -> None:
        """Look at them."""
        ...


_spectator: ContextVar[Spectator | None] = ContextVar("spectator", default=None)


@contextmanager
def watched_by(spectator: Spectator | None) -> Iterator[None]:
    """Let somebody watch all pictures that are made inside a block."""
    token = _spectator.set(spectator)
    try:
        yield
    finally:
        _spectator.reset(token)


def unwatched() -> AbstractContextManager[None]:
    """Let nobody watch what is made inside a block, as it is only a rehearsal."""
    return watched_by(None)


def current_spectator() -> Spectator | None:
    """Give who watches."""
    return _spectator.get()
