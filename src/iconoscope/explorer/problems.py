"""How what goes wrong is said to a browser: as a `Problem`, without folders of this disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from iconoscope.errors import (
    DamagedRecordError,
    IconoscopeError,
    ImageFileError,
    ImagesError,
    QuestionError,
    StoreError,
    UnitError,
)
from iconoscope.explorer.messages import Problem
from iconoscope.explorer.session import ReadOnlyError
from iconoscope.explorer.worker import ReplacedError
from iconoscope.results.folders import without_paths

__all__ = ["MISTAKE", "problem_of", "problem_of_form"]

Kind = Literal["question", "not found", "busy", "refused", "damaged"]

_LOG = logging.getLogger("iconoscope.explorer")

MISTAKE = Problem("damaged", "This is a mistake in iconoscope, not yours.", "Its log says more.")

_KINDS: dict[type[IconoscopeError], tuple[int, Kind]] = {
    ReplacedError: (409, "busy"),
    ReadOnlyError: (403, "refused"),
    UnitError: (404, "not found"),
    QuestionError: (400, "question"),
    ImageFileError: (400, "question"),
    ImagesError: (404, "not found"),
    DamagedRecordError: (500, "damaged"),
    StoreError: (404, "not found"),
    IconoscopeError: (500, "damaged"),
}
"""From errors to the status and the kind of a `Problem`; the first that fits counts."""

_PLACES = (("body",), ("query",), ("path",))
"""Where FastAPI says that a parameter stands, before its name."""


def problem_of(error: BaseException, folders: Iterable[Path]) -> tuple[int, Problem]:
    """Give the status and the problem of an error; of a mistake of ours only that there was one, and the rest to the log."""
    if not isinstance(error, IconoscopeError):
        _LOG.error("What a browser waits for could not be made", exc_info=error)
        return 500, MISTAKE
    status, kind = next(answer for expected, answer in _KINDS.items() if isinstance(error, expected))
    message, hint = (without_paths(text, folders) for text in (error.message, error.hint))
    return status, Problem(kind, message, hint)


def problem_of_form(errors: list[Any]) -> Problem:
    """Give the problem of a question that is not what is asked for, from what pydantic says of it."""
    place, said = errors[0]["loc"], errors[0]["msg"]
    parameter = ".".join(str(part) for part in (place[1:] if place[:1] in _PLACES else place))
    return Problem("question", f"{parameter or 'The question'}: {said}.", "/api/openapi.json has what is asked.")
