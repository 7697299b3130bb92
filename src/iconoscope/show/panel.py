"""One result as the page of a store shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from iconoscope.results import Result

__all__ = ["Panel"]

Shown = TypeVar("Shown", bound=Result)


@dataclass(frozen=True)
class Panel(Generic[Shown]):
    """What the page shows of one result.

    Attributes
    ----------
    result
        The result.
    network
        The name of the network that answered, as the whole page calls it.
    most
        How many images, or classes, are shown at the most.
    """

    result: Shown
    network: str
    most: int
