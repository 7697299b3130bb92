"""Signatures: what a public function is called with is checked by them, and settings that several share are written once.

Such settings are a TypedDict, composed into signatures, docstrings and options.
"""

from __future__ import annotations

import builtins
import inspect
import math
import os
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from numbers import Integral, Real
from pathlib import Path
from types import FunctionType, NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from iconoscope.errors import QuestionError, check_path, check_seed, check_text, nearest, written
from iconoscope.torch_modes import plain_torch
from iconoscope.user_code import without_exits

__all__ = ["Default", "checked", "choices", "complete", "spelled_out", "types_of"]

Function = TypeVar("Function", bound=Callable[..., Any])


def checked(function: Function) -> Function:
    """See that a public function is called with the types of its signature, and give it Python's own numbers.

    A number of NumPy or torch becomes Python's, a whole number one of type float where that is the parameter's type. True is no
    number, nor is a text, nor NaN. Paths are names that a file can have, and a seed is one that every generator takes. What
    may be an array is left to the function. What torch was told around the call is set aside for its time.

    Raises
    ------
    QuestionError
        At the call, naming the parameter, what it was given and what it wants.
    """
    modes_aside, staying = plain_torch, without_exits

    def call(*positional: Any, **named: Any) -> Any:
        with staying(), modes_aside():
            return function(*positional, **named) if (bound := read(positional, named)) is None else bound()

    def read(positional: tuple[Any, ...], named: dict[str, Any]) -> Callable[[], Any] | None:
        try:
            bound = inspect.signature(function).bind(*positional, **named)
        except TypeError:  # the function itself says what it lacks, or has too much of
            return None
        for name, argument in bound.arguments.items():
            if name in _types_of(function):
                bound.arguments[name] = _read(name, argument, _types_of(function)[name], function)
        return lambda: function(*bound.args, **bound.kwargs)

    # With the globals of the function's own module, by which doctest knows whose function it is; it needs none itself.
    within: Any = FunctionType(call.__code__, function.__globals__, closure=call.__closure__)
    composed: Any = wraps(function)(within)
    return composed


def types_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Give the types of a function's parameters, without importing what only type checkers import."""
    return _types_of(inspect.unwrap(function))


@cache
def _types_of(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function, localns=_Names(function.__globals__, builtins.__dict__))


def choices(hint: Any) -> tuple[Any, ...]:
    """Give the members of a union; of any other type that alone."""
    return get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)


class _Unimported:
    """A type that would take an import, of torch perhaps."""

    Module = object


class _Names(ChainMap[str, Any]):
    """Names in which one that only type checkers import stands for some type."""

    def __missing__(self, key: str) -> Any:
        return _Unimported


_UNREAD = object()


def _read(name: str, argument: Any, hint: Any, function: Callable[..., Any]) -> Any:
    """Give an argument as the first of the types has it that it fits."""
    # Two numbers in a list are a pair only where there may be no list; a text is a sequence only where there may be no text.
    kinds = sorted(choices(hint), key=lambda kind: {list: 0, Sequence: 2}.get(get_origin(kind), 1))
    fitting = (read for kind in kinds if (read := _fitted(name, argument, kind)) is not _UNREAD)
    fitted: Any = next(fitting, _UNREAD)
    if fitted is _UNREAD:
        if any(
            kind is _Unimported for kind in kinds
        ):  # whose name would tell nothing: the docstring says what it may be
            raise QuestionError(f"{name}={written(argument)} is not what it may be.", hint=_meaning(function, name))
        words = dict.fromkeys(_word(kind) for kind in kinds if kind is not NoneType)
        raise QuestionError(f"{name}={written(argument)} must be {' or '.join(words)}.")
    if name == "seed":
        check_seed(fitted)
    texts = fitted if isinstance(fitted, list | tuple) else [fitted]
    for text in texts:
        if isinstance(text, str | os.PathLike):
            check_text(name, os.fspath(text))
    # Where anything goes, a text may be a file, and only begins so if it is one.
    if isinstance(fitted, str | os.PathLike) and (
        any(kind in (Path, os.PathLike) for kind in kinds) or (Any in kinds and os.fspath(fitted).startswith("~"))
    ):
        check_path(name, fitted)
    return fitted


def _fitted(name: str, argument: Any, kind: Any) -> Any:
    """Give an argument as a value of a type; `_UNREAD` if it is none."""
    origin: Any = get_origin(kind) or kind
    if origin in (int, float, bool, str) and getattr(argument, "ndim", None) == 0 and hasattr(argument, "item"):
        argument = argument.item()  # a single number of NumPy, torch or another library; a text of NumPy is a text
    if origin is tuple and get_args(kind) == (int, int):
        is_pair = isinstance(argument, tuple | list) and len(argument) == 2
        sides = [_fitted(name, side, int) for side in argument] if is_pair else [_UNREAD]
        return _UNREAD if any(side is _UNREAD for side in sides) else tuple(sides)
    if origin in (list, Sequence):
        return _listed(name, argument, origin, get_args(kind))
    if origin is int or origin is float:
        return _number(name, argument, origin)
    if origin in (bool, str, Path):
        return argument if isinstance(argument, str | os.PathLike if origin is Path else origin) else _UNREAD
    if kind is _Unimported:
        return _UNREAD if argument is None or isinstance(argument, bool | int | float | complex | bytes) else argument
    if isinstance(origin, type) and issubclass(origin, Iterable) and getattr(argument, "ndim", None) == 0:
        return _UNREAD  # an array without dimensions only seems to be iterable
    # Any, a type variable, an array, a literal: the function knows.
    is_class = isinstance(origin, type) and origin not in (Any, _Unimported) and origin.__module__ != "numpy"
    classes: tuple[type, ...] = (origin,) if is_class else (object,)
    return argument if isinstance(argument, classes) else _UNREAD


def _listed(name: str, argument: Any, kind: Any, elements: tuple[Any, ...]) -> Any:
    if isinstance(argument, str) and kind is Sequence and str in choices(*elements):
        return [argument]  # which is itself a sequence of texts, of one letter each
    if isinstance(argument, str | bytes) or not isinstance(argument, kind):
        return _UNREAD
    read = [
        next((read for kind in choices(*elements) if (read := _fitted(name, element, kind)) is not _UNREAD), _UNREAD)
        for element in argument
    ]
    if any(element is _UNREAD for element in read):
        return _UNREAD
    return type(argument)(read) if isinstance(argument, list | tuple) else argument


def _number(name: str, argument: Any, kind: type[int] | type[float]) -> Any:
    """Read a number: a whole one of 64 bits, or one that is not NaN."""
    if isinstance(argument, bool) or not isinstance(argument, Integral if kind is int else Real):
        return _UNREAD
    if isinstance(argument, Integral) and not -(2**63) <= int(argument) < 2**63:
        raise QuestionError(f"{name}={written(argument)} is larger than any number that is counted with here.")
    if math.isnan(float(argument)):
        raise QuestionError(f"{name} is NaN, which is no number.")
    return int(argument) if isinstance(argument, Integral) and kind is int else float(argument)


def _word(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", Path: "a path"}
    if (get_origin(kind) or kind) is tuple:
        return "a pair of whole numbers"
    if (get_origin(kind) or kind) in (list, Sequence):
        return f"a list, each {' or '.join(dict.fromkeys(map(_word, choices(*get_args(kind)))))}"
    return words.get(kind) or f"of type {getattr(kind, '__name__', kind)}"


def _meaning(function: Callable[..., Any], name: str) -> str:
    """Give what the docstring of a function says of a parameter."""
    entry = re.search(rf"^{name}\n((?:    .*\n)+)", inspect.cleandoc(function.__doc__ or ""), re.MULTILINE)
    return " ".join(entry[1].split()) if entry else ""


@dataclass(frozen=True)
class Default:
    """The default of a setting, as it is written beside its type: ``Annotated[int, Default(0)]``."""

    value: Any = None


def spelled_out(function: Function) -> Function:
    """Name every setting of ``**settings: Unpack[...]`` in the signature and the docstring of a function.

    Type checkers read the TypedDict itself; ``help``, the command line and the pages of the API read what is composed here. In
    the signature the settings come before the function's own keywords, in the docstring in place of ``**settings``.
    """
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    *parameters, variadic = signature.parameters.values()
    (shared,) = get_args(hints.pop(variadic.name))
    types, defaults = _types(shared), _defaults(shared)
    composed = [parameter.replace(annotation=hints[parameter.name]) for parameter in parameters]
    keywords = [index for index, parameter in enumerate(parameters) if parameter.kind is parameter.KEYWORD_ONLY]
    first = keywords[0] if keywords else len(parameters)
    composed[first:first] = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=kind)
        for name, kind in types.items()
    ]
    spelled: Any = function
    spelled.__signature__ = signature.replace(parameters=composed, return_annotation=hints.get("return", Any))
    spelled.__annotations__ = {**hints, **types}
    spelled.__doc__ = _with_texts(inspect.cleandoc(function.__doc__ or ""), variadic.name, shared)
    return function


def complete(shared: Any, chosen: Mapping[str, Any], function: str) -> dict[str, Any]:
    """Add to the settings that a caller chose the defaults of all others.

    Raises
    ------
    QuestionError
        If there is no such setting; `function` is who was called.
    """
    defaults = _defaults(shared)
    for name in chosen:
        if name not in defaults:
            raise QuestionError(f"{function} has no setting {name!r}.", hint=nearest(name, defaults))
    return {**defaults, **chosen}


def _defaults(shared: Any) -> dict[str, Any]:
    hints = get_type_hints(get_origin(shared) or shared, include_extras=True)
    return {name: default.value for name, hint in hints.items() for default in hint.__metadata__}


def _types(shared: Any) -> dict[str, Any]:
    """Give the type of every setting, with the type variables of a generic TypedDict put in."""
    origin = get_origin(shared) or shared
    arguments = dict(zip(getattr(origin, "__parameters__", ()), get_args(shared), strict=True))
    types: dict[str, Any] = {}
    for name, hint in get_type_hints(origin, include_extras=True).items():
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        types[name] = arguments.get(kind, kind)
    return types


def _with_texts(document: str, variadic: str, shared: Any) -> str:
    """Put what the TypedDict's docstring says of every setting in place of what a docstring says of ``**settings``."""
    texts = _parameters(inspect.cleandoc((get_origin(shared) or shared).__doc__ or ""))
    entry = re.compile(rf"^\*\*{variadic}\n(?:    .*\n?)+", re.MULTILINE)
    return entry.sub(lambda match: texts, document, count=1)


def _parameters(document: str) -> str:
    """Give the entries under the heading Parameters, which is the last of a TypedDict's docstring."""
    return document.partition("Parameters\n----------\n")[2].rstrip() + "\n"
