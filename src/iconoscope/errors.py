"""Everything that iconoscope raises, and the warnings that it gives.

    IconoscopeError                 every error of ours; has a message and a hint
    ├── QuestionError  (ValueError) a question that makes no sense: a setting, a name, a combination (exit status 2)
    │   ├── UnitError               not a unit of the grammar, or no such layer, channel, position or class
    │   ├── NetworkNameError        a network's name that no loader understands
    │   ├── RemovedNameError (AttributeError)  a public name of an earlier version; the hint has the name of today
    │   └── PreprocessingError      a preprocessing that is stated nowhere (also a NetworkError)
    ├── NetworkError                the network cannot be had, or does not answer
    │   ├── CheckpointError         the file of weights is missing, broken, unsafe or does not fit
    │   └── NonFiniteError          the network answered NaN or infinity
    ├── ImagesError                 a set of images cannot be had
    │   └── ImageFileError          one image cannot be read
    ├── StoreError                  the store cannot be read or written
    │   └── DamagedRecordError      a record is there, but is not what was written
    ├── PriorError                  a prior cannot be learnt, or its file cannot be used
    ├── AuditFailedError            an audit came to a verdict with which it was asked to fail (exit status 3)
    ├── TrainingError               a network of the demo did not learn what it is there to show
    └── MissingExtraError (ImportError)  an optional dependency is not installed

    IconoscopeWarning (UserWarning) something was left out or assumed, and the answer is still an answer

Every message says what was given; the hint says what would work.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import warnings
from collections.abc import Collection, Iterable
from numbers import Integral
from pathlib import Path
from typing import Any

__all__ = [
    "AuditFailedError",
    "CheckpointError",
    "DamagedRecordError",
    "IconoscopeError",
    "IconoscopeWarning",
    "ImageFileError",
    "ImagesError",
    "MissingExtraError",
    "NetworkError",
    "NetworkNameError",
    "NonFiniteError",
    "PreprocessingError",
    "PriorError",
    "QuestionError",
    "RemovedNameError",
    "StoreError",
    "TrainingError",
    "UnitError",
    "check_choice",
    "check_counts",
    "check_path",
    "check_seed",
    "check_text",
    "first_line",
    "nearest",
    "printable",
    "shortened",
    "warn",
    "written",
]


_STOPS = re.compile(r"(?<=[^\s./\\])\.\.(?=\s|$)")


class IconoscopeError(Exception):
    """The root of the tree: a message that says what was given, and a hint that says what would work."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        # What a library says may end in a full stop of its own.
        self.message, self.hint = (printable(_STOPS.sub(".", text), most=MOST) for text in (message, hint))
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class QuestionError(IconoscopeError, ValueError):
    """A question that makes no sense: a setting out of range, an unknown choice, a wrong combination."""


class UnitError(QuestionError):
    """A unit that the grammar or the network does not have."""


class NetworkNameError(QuestionError):
    """A network's name that no loader understands."""


class RemovedNameError(QuestionError, AttributeError):
    """A public name of an earlier version; the hint says what to use now."""


class NetworkError(IconoscopeError):
    """The network cannot be had, or does not answer."""


class CheckpointError(NetworkError):
    """The file of weights is missing, broken, unsafe or does not fit the network."""


class PreprocessingError(NetworkError, QuestionError):
    """A network whose preprocessing is stated nowhere, or makes no sense."""


class NonFiniteError(NetworkError):
    """The network answered NaN or infinity."""


class ImagesError(IconoscopeError):
    """A set of images cannot be had."""


class ImageFileError(ImagesError):
    """One image cannot be read; the message names it."""


class StoreError(IconoscopeError):
    """The store cannot be read or written."""


class DamagedRecordError(StoreError):
    """A record is there, but it is not what was written."""


class PriorError(IconoscopeError):
    """A prior cannot be learnt, or its file cannot be used."""


class AuditFailedError(IconoscopeError):
    """An audit came to a verdict with which it was asked to fail; all of it is in ``audit``, and kept."""

    def __init__(self, message: str, *, audit: Any) -> None:
        super().__init__(message, hint="What it rests on is in the report.")
        self.audit = audit


class TrainingError(IconoscopeError):
    """A network of the demo did not learn what it is there to show; nothing was written."""


class MissingExtraError(IconoscopeError, ImportError):
    """An optional dependency is not installed; the hint is the line that installs it."""


class IconoscopeWarning(UserWarning):
    """Something was left out or assumed; the answer is still an answer, and this says what it lacks."""


_BETWEEN = ("iconoscope", "contextlib", "torch")
"""Packages whose lines lie between a warning and who called."""


def warn(message: str) -> None:
    """Warn whoever called the package: the line that is named is the nearest of another one's, however deep the warning arose.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("One image was left out.")
    >>> caught[0].category.__name__, str(caught[0].message)
    ('IconoscopeWarning', 'One image was left out.')
    """
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, IconoscopeWarning, stacklevel=level)


MOST = 4000
"""Characters of a message."""

LONGEST = 200
"""Letters of a word that is looked up among others, and of what was given in a message."""


def nearest(word: str, choices: Iterable[str], *, most: int = 3) -> str:
    """Say which of the choices come nearest to a word, or list the first few.

    >>> nearest("trcuk", ["truck", "bird", "ship"])
    'Did you mean truck?'
    >>> nearest("x", ["truck", "bird", "ship"])
    'There are: truck, bird, ship.'
    """
    names = list(choices)
    lowered = {name.lower(): name for name in reversed(names)}
    # Comparing takes the product of the lengths; so long a word is none of these misspelt.
    close = [] if len(word) > LONGEST else difflib.get_close_matches(word.lower(), list(lowered), n=most, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(lowered[name] for name in close)}?"
    return f"There are: {shortened(names, most=12)}." if names else ""


def check_choice(name: str, choice: object, choices: Collection[str]) -> None:
    """Refuse a setting that is none of its choices.

    >>> check_choice("metric", "cosin", ["cosine", "euclidean"])
    Traceback (most recent call last):
    iconoscope.errors.QuestionError: metric='cosin' is not a choice.
    Did you mean cosine?
    """
    if not isinstance(choice, str) or choice not in choices:
        raise QuestionError(f"{name}={written(choice)} is not a choice.", hint=nearest(str(choice), choices))


def check_counts(*, most: int | None = None, **counts: Any) -> None:
    """Refuse settings that are no whole number from 1 up, or from 1 to `most`, by their names.

    >>> check_counts(steps=3, batch=0)
    Traceback (most recent call last):
    iconoscope.errors.QuestionError: batch=0 must be at least 1, a whole number.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, Integral) or int(count) < 1:
            raise QuestionError(f"{name}={written(count)} must be at least 1, a whole number.")
        if most is not None and int(count) > most:
            raise QuestionError(f"{name}={written(count)} must be at most {most:,}: it would never come to its end.")


def check_seed(seed: int) -> None:
    """Refuse a seed that some generator of random numbers would not take.

    >>> check_seed(-1)
    Traceback (most recent call last):
    iconoscope.errors.QuestionError: seed=-1 must be at least 0, a whole number of at most 63 bits.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 2**63:
        raise QuestionError(f"seed={written(seed)} must be at least 0, a whole number of at most 63 bits.")


def check_text(name: str, text: str) -> None:
    r"""Refuse a text with the character 0 in it, or half of one: no file, no page and no table could hold it.

    >>> check_text("unit", "logit:\0")
    Traceback (most recent call last):
    iconoscope.errors.QuestionError: unit='logit:\x00' holds a character that is none.
    """
    # The upper half of the surrogates stands for bytes of a file's name that are not UTF-8.
    if "\0" in text or any("\ud800" <= character < "\udc80" for character in text):
        raise QuestionError(f"{name}={written(text)} holds a character that is none.")


def check_path(name: str, path: str | os.PathLike[str]) -> None:
    """Refuse a path that no file can have: too long, empty, of a user who is not there, with a character that is none.

    >>> check_path("out", "~nobody-here/map.png")
    Traceback (most recent call last):
    iconoscope.errors.QuestionError: out='~nobody-here/map.png' begins with the home of a user who is not there.
    """
    text = os.fspath(path)
    check_text(name, text)
    if not text:  # as a variable of the shell that is not set; it would mean the folder where one is
        raise QuestionError(f"{name} is empty.", hint="Give a path; . is the folder where you are.")
    try:
        expanded = Path(text).expanduser()
    except RuntimeError:
        raise QuestionError(f"{name}={written(text)} begins with the home of a user who is not there.") from None
    if max(map(len, map(os.fsencode, expanded.parts)), default=0) > 255 or len(os.fsencode(expanded)) > 4095:
        raise QuestionError(f"{name}={written(text)} is too long: a name has at most 255 bytes, a path 4095.")


def first_line(error: BaseException, *, most: int | None = None) -> str:
    """Give the first line of another library's error, cut off after `most` letters; the name of its class if it says nothing.

    >>> first_line(OSError("no way")), first_line(KeyError())
    ('no way', 'KeyError')
    """
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


def printable(text: str, *, most: int | None = None) -> str:
    r"""Write out the characters that would steer a terminal; cut the middle out of a long text.

    >>> printable("\x1b[31mred"), printable("0123456789", most=4)
    ('\\x1b[31mred', '01 ... 89')
    """
    if most is not None and len(text) > most:
        text = f"{text[: most // 2]} ... {text[-(most // 2) :]}"
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def written(argument: object) -> str:
    """Write what was given for a message: as Python writes it, cut where it is long.

    >>> written("a" * 1000)[:4], len(written("a" * 1000))
    ("'aaa", 203)
    """
    try:
        text = repr(argument)
    except Exception as error:  # noqa: BLE001 -- of a class of the user's; and integers of more than 4300 digits are not written
        text = f"<{type(argument).__name__}: {type(error).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def shortened(names: Iterable[str], *, most: int = 5) -> str:
    """Join names with commas and say how many were left out.

    >>> shortened(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'
    """
    listed = list(names)
    surplus = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {surplus} more" if surplus > 0 else "")
