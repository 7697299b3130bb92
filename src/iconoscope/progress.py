"""Progress of a technique, which does not know who listens.

A technique wraps its loop in :func:`track`. Nobody hears it unless somebody asked to: the command line (and a user, with
``show_progress()``) puts a listener in place for the time of a ``with`` block. So no technique has a ``verbose`` setting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from iconoscope.errors import printable

__all__ = ["Advance", "Listener", "advancing", "listen", "quietly", "show_progress", "track"]

T = TypeVar("T")

Advance = Callable[..., None]
"""Called with the number of steps that were done and, where the loop has something to say, a few words."""


class Listener(Protocol):
    """Somebody who hears of a task: given its name and its total, a context that yields the function to advance it."""

    def __call__(self, description: str, total: float | None) -> AbstractContextManager[Advance]:
        """Begin to hear of a task."""
        ...


@contextmanager
def _silent(description: str, total: float | None) -> Iterator[Advance]:
    yield lambda steps, words="": None


_listener: ContextVar[Listener] = ContextVar("listener", default=_silent)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Send all progress inside the block to ``listener``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def quietly() -> AbstractContextManager[None]:
    """Tell nobody of what happens inside the block."""
    return listen(_silent)


def track(
    items: Iterable[T], description: str, *, total: float | None = None, words: Callable[[], str] | None = None
) -> Iterator[T]:
    """Yield the items and tell the listener after each, with what `words` says if it is given.

    >>> list(track("ab", "letters"))
    ['a', 'b']
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # pyright: ignore[reportArgumentType]
    with _listener.get()(description, total) as advance:
        for item in items:
            yield item
            if words is None:
                advance(1)
            else:
                advance(1, words())


def advancing(description: str, total: float | None) -> AbstractContextManager[Advance]:
    """Give what tells the listener of steps, for a task that is no plain loop."""
    return _listener.get()(description, total)


@contextmanager
def show_progress() -> Iterator[None]:
    """Show progress bars on stderr, with the time left, for everything inside the block.

    Where stderr is not a terminal (a log file, a pipe), each outermost task writes one line when it ends.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    depth = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        @contextmanager
        def bar(description: str, total: float | None) -> Iterator[Advance]:
            nonlocal depth
            description = printable(description)
            started, level = time.monotonic(), depth
            task = progress.add_task("  " * depth + description, total=total)
            depth += 1

            def advance(steps: float, words: str = "") -> None:
                progress.update(task, advance=steps, description="  " * level + f"{description} {words}".rstrip())

            try:
                yield advance
            finally:
                depth -= 1
                # A task inside another comes back for every step of the outer one: its bar goes when it is done.
                if depth:
                    progress.remove_task(task)
            if not depth and not console.is_terminal:
                console.print(f"{description}: {time.monotonic() - started:.1f} s", highlight=False, markup=False)

        with listen(bar):
            yield
