"""One thread at a time: whoever asks a module reserves it, with all that it shares with others."""

from __future__ import annotations

import inspect
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from types import FunctionType, MethodType, NoneType
from typing import Any

import torch
from torch import nn

from iconoscope.errors import NetworkError

__all__ = ["parts_of", "reserved"]

LONGEST = 1000
"""Entries of a list that is looked through for modules; longer ones hold data."""


@dataclass(frozen=True, eq=False)
class _Reservation:
    """A thread's claim on modules and tensors, by their ids; `parts` keeps them, so that the ids stay theirs."""

    thread: int
    parts: dict[int, Any]


_released = threading.Condition()
_reservations: list[_Reservation] = []
_waiting: dict[int, _Reservation] = {}
"""By thread, what it waits for."""


def _begin_anew() -> None:
    """Keep in a forked process what its one thread has reserved; the other threads stayed behind."""
    global _released  # noqa: PLW0603
    _released = threading.Condition()
    _reservations[:] = [held for held in _reservations if held.thread == threading.get_ident()]
    _waiting.clear()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def reserved(module: nn.Module) -> Iterator[None]:
    """Keep a module to this thread for the time of a block; others that ask it, or what shares a part with it, wait.

    Parts are its modules, parameters and buffers, also those in its lists, dicts and functions: a wrapper, two heads on one
    backbone, and what torch.compile makes of a module are all one. All are reserved at once, so that no two threads wait for
    each other's. A thread may nest such blocks.

    Raises
    ------
    NetworkError
        If two threads ask networks out of the forward passes of networks, each of which the other has reserved.
    """
    thread = threading.get_ident()
    if any(held.thread == thread and id(module) in held.parts for held in _reservations.copy()):
        yield
        return
    claim = _Reservation(thread, parts_of(module))
    try:
        with _released:
            _waiting[thread] = claim
            while _holders(claim):
                if thread in _waited_for(thread):
                    raise NetworkError(
                        f"Two threads wait for each other: one asks {type(module).__name__} inside a question to another "
                        "network, which the other thread asks.",
                        hint="Ask networks that ask each other in one thread.",
                    )
                _released.wait()
            _reservations.append(claim)
            del _waiting[thread]
        yield
    finally:
        with _released:
            _waiting.pop(thread, None)
            if claim in _reservations:
                _reservations.remove(claim)
            _released.notify_all()


def _holders(claim: _Reservation) -> set[int]:
    """Give the other threads that hold a part of what is claimed."""
    return {
        held.thread
        for held in _reservations
        if held.thread != claim.thread and not held.parts.keys().isdisjoint(claim.parts)
    }


def _waited_for(thread: int) -> set[int]:
    """Give the threads that must end before a thread goes on: itself among them if they wait in a circle."""
    reached: set[int] = set()
    ahead = [thread]
    while ahead:
        waiting = _waiting.get(ahead.pop())
        holders = set() if waiting is None else _holders(waiting) - reached
        reached |= holders
        ahead.extend(holders)
    return reached


def parts_of(module: nn.Module) -> dict[int, Any]:
    """Give a module, all modules in it, and their tensors, by id; also what stands in attributes that torch does not count."""
    parts: dict[int, Any] = {}
    passed: set[int] = set()
    ahead: list[Any] = [module]
    while ahead:
        part = ahead.pop()
        if id(part) in passed:
            continue
        inner: Iterable[Any] = ()
        if isinstance(part, torch.Tensor):
            parts[id(part)] = part
        elif isinstance(part, nn.Module):
            parts[id(part)] = part
            inner = _inside(part)
        elif isinstance(part, dict | list | tuple | set | frozenset) and len(part) <= LONGEST:
            inner = part.values() if isinstance(part, dict) else part
        elif isinstance(part, FunctionType):
            inner = inspect.getclosurevars(part).nonlocals.values()
        elif isinstance(part, MethodType):
            inner = (part.__self__,)
        elif isinstance(part, partial):
            inner = (part.func, part.args, part.keywords)
        else:
            continue
        passed.add(id(part))
        # Every question begins with this walk, and most of what it meets are numbers, names and empty dicts of hooks. It is not
        # reserved yet: a thread that asks the module may add hooks and attributes meanwhile, so each is copied in one go.
        ahead.extend(
            value for value in tuple(inner) if type(value) not in _LEAVES and (type(value) not in _DICTS or value)
        )
    return parts


_LEAVES = frozenset({NoneType, bool, int, float, complex, str, bytes, torch.dtype, torch.device})
_DICTS = frozenset({dict, OrderedDict})
_REGISTERED = ("_modules", "_parameters", "_buffers")


def _inside(module: nn.Module) -> Iterable[Any]:
    """Give what is registered in a module, however much that is, and its other attributes."""
    attributes = vars(module)
    registered = [attributes.get(name) for name in _REGISTERED]
    others = [value for name, value in tuple(attributes.items()) if name not in _REGISTERED]
    if all(isinstance(each, dict) for each in registered):
        return chain(*(tuple(each.values()) for each in registered if each is not None), others)
    children, parameters, buffers = module.children(), module.parameters(recurse=False), module.buffers(recurse=False)
    return chain(children, parameters, buffers, tuple(attributes.values()))
