"""A picture that is watched while it grows."""

from __future__ import annotations

from dataclasses import dataclass

from iconoscope.explorer.messages.images import ClassProbability
from iconoscope.explorer.messages.session import Commands

__all__ = ["OptimizationFrame", "OptimizationQuestion"]


@dataclass(frozen=True)
class OptimizationQuestion:
    """Live optimisation of a unit's picture.

    Attributes
    ----------
    start
        `noise`, a colour, or the name of an image (`image:12`, `image:upload-...`).
    steps
        How many; null: what `optimize` takes, which the session says of each network.
    """

    unit: str
    start: str = "noise"
    style: str = "default"
    prior: str = ""
    steps: int | None = None
    seed: int = 0
    network: int = 0


@dataclass(frozen=True)
class OptimizationFrame:
    """A step of it as an event of the stream.

    The stream's events have the number of the optimisation as their id, by which `DELETE optimizations/{id}` stops it; what
    goes wrong comes as an event `problem` with a `Problem`. `picture` and `gradient` are PNG as data addresses. `key` is that
    of the record in the store when all is done and kept.
    """

    step: int
    steps: int
    activation: float
    probabilities: list[ClassProbability]
    picture: str
    gradient: str
    ended: bool
    key: str
    commands: Commands | None = None
