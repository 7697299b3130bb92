"""Warnings that are ignored for the time of a block, by one thread alone.

`warnings.catch_warnings` copies the filters of the whole process and puts the old ones back, so that of two threads that do so
at once one loses its filters, or leaves them behind for good. Here one filter is put in, which no other thread's warnings meet,
and this one filter is taken out again.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ignoring"]

_LOCK = threading.Lock()


class _TextOfOneThread:
    """A pattern of warnings' texts that matches in the thread that made it alone; `warnings` asks it by `match`."""

    def __init__(self, pattern: str) -> None:
        self._thread, self._pattern = threading.get_ident(), re.compile(pattern, re.IGNORECASE)

    def match(self, text: str) -> bool:
        return threading.get_ident() == self._thread and self._pattern.match(text) is not None


@contextmanager
def ignoring(message: str = "", category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore warnings of a kind that begin so, for the time of a block and in this thread.

    Examples
    --------
    >>> with ignoring("Glyph"):
    ...     warnings.warn("Glyph 9 is missing", stacklevel=1)
    """
    entry: Any = ("ignore", _TextOfOneThread(message), category, None, 0)
    begun: Any = warnings.filters
    try:
        with _LOCK:
            begun.insert(0, entry)
        yield
    finally:
        with _LOCK:
            # Somebody's `catch_warnings` may have begun or ended since: then there are two lists.
            for filters in (begun, warnings.filters):
                if entry in filters:
                    filters.remove(entry)  # pyright: ignore[reportAttributeAccessIssue]
