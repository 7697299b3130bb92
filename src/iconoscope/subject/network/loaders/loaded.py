"""The request that a loader is given, and the network that it loads."""

from __future__ import annotations

import logging
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from iconoscope.errors import CheckpointError, NetworkError, first_line, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from iconoscope.subject.network.checkpoint import Checkpoint

__all__ = ["UNTRAINED", "Loaded", "Loader", "NetworkRequest", "archived", "hub_quiet", "nearest_file", "unreachable"]

UNTRAINED = "none"
"""Behind an ``@``: no weights, as a control of what an untrained network would show."""


@dataclass(frozen=True)
class NetworkRequest:
    """The request for a network, as far as it decides how it is built.

    Attributes
    ----------
    name : str
        The name, whole.
    checkpoint : bool
        Whether its weights come from a file, so that none need be fetched.
    classes : int or None
        How many names of classes were given: the outputs it is built with, where the weights come from a file.
    channels : int or None
        Of its input, by the preprocessing that was given.
    trust_code : bool
        Whether code that is in the network's files may be run.
    """

    name: str
    checkpoint: bool = False
    classes: int | None = None
    channels: int | None = None
    trust_code: bool = False


class Loaded(NamedTuple):
    """A network as its loader gives it, with what its own configuration says.

    Attributes
    ----------
    module
        The network.
    checkpoint
        A file of weights that belongs to it.
    preprocessing, classes, activation
        What its own configuration says, if anything.
    size
        Height and width that it was written down for, if it takes no other.
    origin
        What said it, in words.
    trained
        Whether the weights are in it.
    """

    module: nn.Module
    checkpoint: Checkpoint | None = None
    preprocessing: Mapping[str, Any] | None = None
    classes: Any = None
    activation: str | None = None
    size: tuple[int, int] | None = None
    origin: str = ""
    trained: bool = False


class Loader(NamedTuple):
    """One way to name a network."""

    form: str
    matches: Callable[[str], bool]
    load: Callable[[NetworkRequest], Loaded]


def archived(path: Path, kind: str) -> list[str]:
    """Give the names in an archive (zip).

    Raises
    ------
    CheckpointError
        If it is no whole archive; `kind` is what it should be.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    # Of a damaged directory zipfile lets through whatever breaks first: its own error, those of struct and of decoding.
    except Exception as error:
        raise CheckpointError(
            f"{path} is no whole {kind}: {first_line(error, most=240)}.", hint="Export or download it again."
        ) from error


def nearest_file(path: Path) -> str:
    """Give a hint: the files of its kind beside a path, the nearest name first."""
    siblings = [entry.name for entry in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
    return nearest(path.name, siblings)


LOADING = threading.RLock()
"""How much a library tells is a setting of the whole process, so one thread at a time changes it."""


@contextmanager
def hub_quiet() -> Iterator[None]:
    """Keep the hub's library from telling of every attempt, for the time of a block; that none went well is ours to say."""
    logger = logging.getLogger("huggingface_hub")
    with LOADING:
        level = logger.level
        try:
            logger.setLevel(logging.ERROR)
            yield
        finally:
            logger.setLevel(level)


def unreachable(name: str, error: BaseException, *, instead: str) -> NetworkError:
    """Say that a network's files could not be had, and what would do instead."""
    return NetworkError(f"{name} cannot be fetched: {first_line(error, most=240)}", hint=instead)
