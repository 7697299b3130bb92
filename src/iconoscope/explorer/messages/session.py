"""What is explored, the lines that make a figure again, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Commands", "DamagedRecord", "MakingProgress", "NetworkName", "Problem", "Session"]


@dataclass(frozen=True)
class Commands:
    """The lines that make a figure again: of Python, and of the shell."""

    python: str
    shell: str


@dataclass(frozen=True)
class NetworkName:
    """A network that is explored: its number in the address, and its name.

    Attributes
    ----------
    asks
        Whether the network is at hand, so that new questions can be asked; else only what the store has of it is shown.
    steps
        How many steps `optimize` takes for a picture of the network's size if nobody says: by style, and along a prior by the
        prior's name.
    """

    number: int
    name: str
    asks: bool
    steps: dict[str, int]


@dataclass(frozen=True)
class Session:
    """What is explored.

    Attributes
    ----------
    networks
        One, or two beside each other.
    classes
        The network's names of its classes.
    class_titles
        The same in each language of the page, where `--classes` gave translations; else the names.
    size
        Height and width of an image as the network sees it, pixels: what receptive fields and patches are counted in.
    images
        How many are shown: those that were recorded or, where none were yet, that were given.
    given
        How many were given; more than `images` where some of them were not recorded, 0 where none were given.
    source
        Where they came from, without folders.
    asks
        Whether one of the networks is at hand.
    read_only
        Whether nothing may be kept.
    fills
        What a patch may be filled with.
    styles, priors
        What live optimisation may be told.
    audit, map, atlas
        Whether there is one; of an atlas also where the page says how one is made.
    """

    version: str
    networks: list[NetworkName]
    classes: list[str]
    class_titles: dict[str, list[str]]
    size: list[int]
    images: int
    given: int
    source: str
    asks: bool
    read_only: bool
    fills: list[str]
    styles: list[str]
    priors: list[str]
    audit: bool
    map: bool
    atlas: bool


@dataclass(frozen=True)
class MakingProgress:
    """How far a recording or a map has come, as an event of its stream: `done` of `total`; after the last one it is there."""

    task: str
    done: int
    total: int
    ended: bool


@dataclass(frozen=True)
class Problem:
    """What went wrong, and what would work."""

    kind: Literal["question", "not found", "busy", "refused", "damaged"]
    message: str
    hint: str


@dataclass(frozen=True)
class DamagedRecord:
    """A record of the store that cannot be read, by its folder in the store; what is wrong with it, and what would work."""

    record: str
    message: str
    hint: str
