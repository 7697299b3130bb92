"""Settings that several functions share: written once as a TypedDict, and composed into signatures, docstrings and options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from iconoscope.errors import QuestionError, nearest

__all__ = ["Default", "complete", "spelled_out"]

Function = TypeVar("Function", bound=Callable[..., Any])


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
