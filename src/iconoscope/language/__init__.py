"""The language of figures, pages and sentences: where it is chosen, and the one place where a sentence gets its words.

A sentence stands in the code in English, where it is used, with the names of its values in braces, as
``say("largest drop {drop:.3f}", drop=0.25)``. ``spanish.json`` has it in Spanish by the English one. Nothing is handed from
function to function: who draws asks what the language is. Errors, ``to_json`` and ``to_frame`` are in English always, as
programs read them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from numbers import Real
from pathlib import Path
from string import Formatter
from types import TracebackType
from typing import Any

from iconoscope.errors import check_choice

__all__ = [
    "LANGUAGES",
    "check_language",
    "current_language",
    "in_language",
    "listed",
    "localised",
    "number",
    "say",
    "set_language",
    "spanish_words",
    "term",
]

LANGUAGES = ("en", "es")
"""English and Spanish."""

_process = {"language": "en"}
"""What `set_language` chose: for the whole process, since cells of a notebook may run in contexts of their own."""

_here: ContextVar[str | None] = ContextVar("language", default=None)


class _Chosen(AbstractContextManager[None]):
    """What `set_language` gives: as a context manager it puts back the language that there was."""

    def __init__(self, before: str) -> None:
        self._before = before

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _process["language"] = self._before


def set_language(lang: str) -> AbstractContextManager[None]:
    """Choose the language of all figures, pages and summaries that are made from now on.

    Numbers are written as the language writes them, with a comma before decimals in Spanish. Names stay as they are: those of
    classes, layers, settings and files, and what programs read (``to_json``, ``to_frame``). On the command line it is
    ``--lang es`` of every command.

    Parameters
    ----------
    lang
        ``"en"`` or ``"es"``.

    Returns
    -------
    context manager
        In a ``with`` statement the language is chosen for its block alone.

    Raises
    ------
    QuestionError
        If there is no such language.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net, images = ico.load_network("cars", device="cpu"), ico.demo_images(1)
    >>> with ico.set_language("es"):
    ...     ico.occlude(net, images[0], patch=48).plot().get_xlabel()
    'centro del parche, columna'
    """
    check_choice("lang", lang, LANGUAGES)
    before = _process["language"]
    _process["language"] = lang
    return _Chosen(before)


def check_language(lang: str | None) -> None:
    """Refuse a language that there is not; None is that which is written in.

    Raises
    ------
    QuestionError
        If there is no such language.
    """
    if lang is not None:
        check_choice("lang", lang, LANGUAGES)


@contextmanager
def in_language(lang: str | None) -> Iterator[None]:
    """Write in a language in a block of this thread, whatever was chosen for the process; None leaves it as it is.

    Raises
    ------
    QuestionError
        If there is no such language.
    """
    check_language(lang)
    token = _here.set(_here.get() if lang is None else lang)
    try:
        yield
    finally:
        _here.reset(token)


def current_language() -> str:
    """Give the language that is written in: one of `LANGUAGES`."""
    return _here.get() or _process["language"]


@cache
def spanish_words() -> dict[str, dict[str, str]]:
    """Read the file of Spanish: ``sentences`` by those in English, and ``terms``, words that come as data."""
    return json.loads((Path(__file__).parent / "spanish.json").read_text(encoding="utf-8"))


def say(sentence: str, **values: Any) -> str:
    """Give a sentence in the language that is written in, with its values; numbers as the language writes them.

    >>> with in_language("es"):
    ...     say("largest drop {drop:.3f}", drop=0.25), say("lowest {value:.3f} (x)", value=-1.5)
    ('mayor caída 0,250', 'mínimo -1,500 (x)')
    """
    if current_language() == "es":
        sentence = spanish_words()["sentences"].get(sentence, sentence)
    return _WITH_VALUES.format(sentence, **values)


def term(name: str) -> str:
    """Give words that come as data, as the name of a measure, in the language that is written in; names stay as they are.

    >>> with in_language("es"):
    ...     term("probability"), term("1,000 images from cars"), term("layer3.2")
    ('probabilidad', '1.000 imágenes de cars', 'layer3.2')
    """
    if current_language() == "en":
        return name
    terms = spanish_words()["terms"]
    if name in terms:
        return terms[name]
    for form, spanish in _forms():
        if found := form.fullmatch(name):
            return spanish.format(**{key: term(_localised_number(value)) for key, value in found.groupdict().items()})
    return name


@cache
def _forms() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Give the terms with values in them, as patterns, the longest first: it says most."""
    with_values = sorted((term for term in spanish_words()["terms"] if "{" in term), key=len, reverse=True)
    return tuple(
        (re.compile(re.sub(r"\\{(\w+)\\}", _pattern, re.escape(term)), re.DOTALL), spanish_words()["terms"][term])
        for term in with_values
    )


def _pattern(field: re.Match[str]) -> str:
    """Give what may stand at a field of a term: a number or a size where it is one, so that names are left alone."""
    return f"(?P<{field[1]}>{'[-+0-9.,ex]+' if field[1] in NUMBERS else '.+?'})"


def _localised_number(value: str) -> str:
    return localised(value) if re.fullmatch(r"-?[\d,]+(\.\d+)?(e[-+]\d+)?", value) else value


def number(value: Any, form: str = "") -> str:
    """Write a number in a format, as the language writes it.

    >>> with in_language("es"):
    ...     number(1234.5, ",.2f"), number(0.125, ".1%")
    ('1.234,50', '12,5%')
    """
    return localised(format(value, form))


def listed(parts: Sequence[str]) -> str:
    """Put figures one after another: with commas, or with semicolons where numbers have commas of their own.

    >>> with in_language("es"):
    ...     listed(["deep 0,5", "early 0,25"])
    'deep 0,5; early 0,25'
    """
    return ("; " if current_language() == "es" else ", ").join(parts)


def localised(written: str) -> str:
    """Write a number that has a point before its decimals, and commas between thousands, as the language does."""
    return written.translate(_SWAPPED) if current_language() == "es" else written


NUMBERS = {
    "count", "every", "first", "gain", "high", "jitter", "last", "low", "lowest", "noise", "rotation", "sigma", "size", "wanted"
}  # fmt: skip
"""Fields of terms that are numbers, or sizes as 24x24."""

_SWAPPED = str.maketrans(".,", ",.")


class _WithValues(Formatter):
    """As ``str.format``, with numbers as the language writes them."""

    def format_field(self, value: Any, format_spec: str) -> str:
        written = super().format_field(value, format_spec)
        return localised(written) if isinstance(value, Real) else written


_WITH_VALUES = _WithValues()
