"""Code of the user's, which may raise anything and even end the program: what it raises becomes an error of ours."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from iconoscope.errors import IconoscopeError, NetworkError, first_line

__all__ = ["failure", "user_code", "without_exits"]

_LIBRARIES = ("iconoscope", "torch", "importlib")
"""Whose lines are passed over, where a message says which line failed."""


@contextmanager
def user_code(described: Callable[[BaseException], IconoscopeError]) -> Iterator[None]:
    """Run code of the user's in a block: of whatever it raises `described` makes an error of ours; an interrupt stays one.

    Examples
    --------
    >>> with user_code(lambda error: NetworkError(f"The factory fails: {failure(error, located=False)}.")):
    ...     sys.exit(3)
    Traceback (most recent call last):
    iconoscope.errors.NetworkError: The factory fails: SystemExit: 3.
    """
    try:
        yield
    except (IconoscopeError, KeyboardInterrupt, GeneratorExit):
        raise
    # It may raise anything, or leave (SystemExit is no Exception); the traceback is kept as the cause.
    except BaseException as error:
        if type(error).__module__.startswith("iconoscope."):  # how a hook of ours ends a pass
            raise
        raise described(error) from error


@contextmanager
def without_exits() -> Iterator[None]:
    """Turn into an error of ours what would end the program out of a block, wherever in it code of the user's was called."""
    try:
        yield
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise NetworkError(
            f"Code that was called would have ended the program: {failure(error)}.",
            hint="Neither a network nor a data set may leave: let it raise an error.",
        ) from error


def failure(error: BaseException, *, located: bool = True) -> str:
    """Give the kind of an error, what it says, and the last line of the user's that led to it.

    >>> failure(ValueError("no colour"), located=False), failure(SystemExit(), located=False)
    ('ValueError: no colour', 'SystemExit')
    """
    kind = type(error).__name__
    try:
        message = first_line(error)
    except Exception:  # noqa: BLE001 -- a class of the user's, whose own text fails
        message = kind
    text = kind if message == kind else f"{kind}: {message}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not _is_library(frame.filename)] or frames
    return f"{text} ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if located and theirs else text


def _is_library(filename: str) -> bool:
    if filename.startswith("<"):
        return True
    folders = [Path(path).parent for name in _LIBRARIES if (path := getattr(sys.modules.get(name), "__file__", None))]
    return any(folder in Path(filename).parents for folder in folders)
