"""Parts of an object: its class and attributes, and of what C holds whatever pickle would save."""

from __future__ import annotations

import contextlib
import contextvars
import copyreg
import enum
import functools
import logging
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from iconoscope.subject.network.code_origin import file_of, is_installed, is_of_python, is_own, name_outside

__all__ = ["HARMLESS", "attributes_of", "parts_of_object"]

HARMLESS = (
    logging.Logger, logging.Handler, logging.Filterer, threading.Thread, type(threading.Lock()), type(threading.RLock()),
)  # fmt: skip
"""Classes whose objects decide no answer."""

_CONTENT: dict[type, Callable[[Any], Any]] = {
    dict: lambda holder: list(dict.items(holder)), list: lambda holder: [*list.__iter__(holder)],
    tuple: lambda holder: (*tuple.__iter__(holder),), int: int.__int__, float: float.__float__, str: str.__str__,
    complex: complex.__complex__, bytes: bytes.__bytes__,
}  # fmt: skip
"""What Python's own types hold, asked past whatever a subclass puts in the place of their methods."""

_OF_PICKLE = {"__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"}
_OF_TRANSFORMERS = frozenset({"name_or_path", "_name_or_path", "_commit_hash", "transformers_version"})


def parts_of_object(value: Any) -> tuple[Any, ...] | None:
    """Give a word for what an object is, and all that decides what it does; None where C may hold something else of it.

    >>> import operator
    >>> parts_of_object(functools.partial(max, 1))
    ('partial', <built-in function max>, (1,), {})
    >>> parts_of_object(operator.itemgetter(1))[2:]
    (<class 'operator.itemgetter'>, (1,))
    >>> parts_of_object(memoryview(b"")) is None
    True
    """
    parts = _of_callable(value)
    if parts is None:
        parts = _of_known(value)
    return _of_instance(value) if parts is None else parts


def _of_callable(value: Any) -> tuple[Any, ...] | None:
    if isinstance(value, types.MethodType):
        return "method", value.__func__, value.__self__
    if type(value) is functools.partial:
        return "partial", value.func, value.args, value.keywords
    if isinstance(value, weakref.ref):
        return "reference", value()
    if isinstance(value, staticmethod | classmethod):
        return type(value).__name__, value.__func__
    if isinstance(value, property):
        return "property", value.fget, value.fset
    if isinstance(value, functools.cached_property):
        return "property", value.func
    if (name := name_outside(value)) is not None:
        return "outside", name
    if callable(value) and "__wrapped__" in getattr(value, "__dict__", ()):  # of functools.cache and other wrappers
        return "wrapper", type(value), vars(value)["__wrapped__"]
    return None


def _of_known(value: Any) -> tuple[Any, ...] | None:
    """Give the parts of objects of which little matters, or whose content has a way of its own."""
    import torch

    kind = type(value)
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format | torch.finfo | torch.iinfo):
        return kind.__name__, str(value)
    if isinstance(value, (torch.device, *HARMLESS)) or kind.__module__ == "typing":
        return (kind.__name__,)
    if isinstance(value, types.SimpleNamespace):
        return "namespace", kind, vars(value)
    if isinstance(value, threading.local):
        return (kind.__name__,)  # what each thread has of its own is no part of what all ask
    if isinstance(value, contextvars.ContextVar):
        return "context", value.get(None)
    if isinstance(value, enum.Enum):
        return "enum", kind, value.name, value._value_
    if isinstance(value, torch.Generator):
        return "generator", value.get_state()
    if isinstance(value, np.random.Generator):
        return "generator", value.bit_generator.state
    if isinstance(value, types.GenericAlias | types.UnionType):
        return "alias", str(value)
    return None


def _of_instance(value: Any) -> tuple[Any, ...] | None:
    kind = type(value)
    of_c = [base for base in kind.__mro__ if base is not object and not is_of_python(base)]
    if all(base in _CONTENT for base in of_c):
        return "object", kind, *(_CONTENT[base](value) for base in of_c), attributes_of(value)
    if any(is_own(base) and vars(base).keys() & _OF_PICKLE for base in kind.__mro__):
        return None  # it may leave out what it wants
    try:
        registered = copyreg.dispatch_table.get(kind)
        reduced: Any = value.__reduce_ex__(4) if registered is None else registered(value)
    except Exception:  # noqa: BLE001 -- whatever C or a library raises where there is no way to save it
        return None
    if isinstance(reduced, str):
        return "global", reduced
    made, entries = reduced[:3], reduced[3:5]
    return "reduced", kind, *made, *(list(entry or ()) for entry in entries)


def attributes_of(value: Any) -> dict[str, Any]:
    """Give the attributes that an object holds, those in slots too."""
    kind = type(value)
    attributes: dict[str, Any] = {}
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, types.MemberDescriptorType) and is_of_python(base):
                with contextlib.suppress(AttributeError):  # not filled yet
                    attributes[name] = member.__get__(value)
    with contextlib.suppress(AttributeError):  # it has slots alone
        attributes.update(object.__getattribute__(value, "__dict__"))
    skipped = _OF_TRANSFORMERS if is_installed(file_of(kind)) else ()
    return {name: held for name, held in attributes.items() if name not in skipped}
