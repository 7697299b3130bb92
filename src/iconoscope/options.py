"""Options of a command, read off signatures: their names, their help, and how what is typed for them becomes a value."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token
from docstring_parser import parse

from iconoscope.commands import MAKERS, Command, imported
from iconoscope.signatures import choices, types_of

__all__ = ["Option", "read_options"]


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes
    ----------
    maker
        The argument that it helps to make, a key of `MAKERS`; empty for a parameter of the command's own function.
    parameter
        The parameter of the maker, or of the function, that takes it.
    declared
        The parameter of the command: its name, its default, and its type as cyclopts wants it.
    """

    maker: str
    parameter: str
    declared: inspect.Parameter


class Str(str):
    """Text that a converter makes something else of; help calls it STR, as all text.

    It is no `str` itself, since cyclopts holds what was converted against types that pydantic knows, wherever that is imported.
    """


def read_options(command: Command) -> list[Option]:
    """Compose the options of a command from the signatures of its function and of the functions that make its arguments."""
    return sorted(_options(command, command.load(), maker=""), key=lambda option: option.declared.kind)


def _options(command: Command, function: Callable[..., Any], *, maker: str, optional: bool = False) -> Iterator[Option]:
    """Give the options of a function; an argument that is `optional` is not made where its own option is not typed."""
    hints = types_of(function)
    texts = {
        entry.arg_name: " ".join((entry.description or "").split()) for entry in parse(function.__doc__ or "").params
    }
    group = Group(f"The {maker or 'question'}", sort_key=1 if maker else 2)
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        if (
            parameter.name == "lang"
        ):  # of every command: it is chosen once, and functions that are told nothing ask for it
            continue
        if not maker and parameter.name in MAKERS:
            optional = parameter.default is None
            yield from _options(command, imported(MAKERS[parameter.name]), maker=parameter.name, optional=optional)
            continue
        # The first parameter of a maker is the argument itself: --network, --images.
        name = maker if maker and position == 0 else parameter.name
        default = parameter.default if maker else command.defaults.get(name, parameter.default)
        if optional and position == 0:
            default = None
        names = [name, command.synonyms[name]] if name in command.synonyms else [name]
        flags = tuple(f"--{spelled.replace('_', '-')}" for spelled in names)
        annotation = _annotation(
            hints[parameter.name],
            default,
            help=texts.get(parameter.name, ""),
            group=group,
            **({"name": flags} if len(flags) > 1 else {}),
        )
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if name in command.bare else inspect.Parameter.KEYWORD_ONLY
        yield Option(maker, parameter.name, inspect.Parameter(name, kind, annotation=annotation, default=default))


def _annotation(hint: Any, default: Any, **settings: Any) -> Any:
    """Give the type of an option as cyclopts wants it, with its help: a number, a flag, or text and what reads it."""
    settings["required"] = default is inspect.Parameter.empty
    read = _reader(hint)
    if read is not None:
        if isinstance(default, tuple):
            settings["show_default"] = lambda default: ",".join(map(str, default))
        return Annotated[Str, Parameter(converter=_converter(read), **settings)]
    kind = next((kind for kind in (str, bool, int, float) if kind in choices(hint)), str)
    if kind is bool and not default:
        settings["negative"] = ""
    return Annotated[kind if default is not None else kind | None, Parameter(**settings)]


def _reader(hint: Any) -> Callable[[str], Any] | None:
    """Give what reads a size or a list out of text; None for numbers, flags and plain text, which cyclopts reads.

    A list is typed with commas. Beside text only a `list` is: in a `Sequence` of units a comma may be part of a unit.
    """
    kinds = choices(hint)
    sequences = (list,) if str in kinds else (list, Sequence)
    lists = [choice for choice in kinds if typing.get_origin(choice) in sequences]
    elements = [element for several in lists for element in choices(*typing.get_args(several))]
    read_one = read_size if tuple[int, int] in (*kinds, *elements) else _count if elements == [int] else str.strip
    if not lists:
        return (lambda text: read_size(text.replace(",", "x"))) if read_one is read_size else None
    if set(kinds) <= {*lists, NoneType}:
        return lambda text: tuple(read_one(part) for part in text.split(",") if part)
    return lambda text: [read_one(part) for part in text.split(",")] if "," in text else read_one(text)


def read_size(text: str) -> int | tuple[int, int]:
    """Read 8 or 8x12: both sides, or height and width."""
    sides = text.split("x")
    if len(sides) > 2 or not all(re.fullmatch(r"\s*\d{1,9}\s*", side) for side in sides):
        raise ValueError(f"{text!r} is not a size in pixels, as 8 or 8x12")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def _count(text: str) -> int:
    if not re.fullmatch(r"\s*\d{1,9}\s*", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _converter(read: Callable[[str], Any]) -> Callable[[Any, Sequence[Token]], Any]:
    return lambda kind, tokens: read(tokens[0].value)
