"""Events that are sent while something is made in another thread, as server-sent events."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.responses import StreamingResponse

from iconoscope.explorer.messages import MakingProgress
from iconoscope.explorer.problems import problem_of
from iconoscope.progress import Advance

__all__ = ["WAITS", "EventStream", "Watcher", "making_progress"]

WAITS = "waits"
"""The task of what has not begun, since something else is being made."""


def making_progress(task: str, done: int, total: int) -> MakingProgress:
    """Give the message of something that is not made yet."""
    return MakingProgress(task, done, total, ended=False)


class EventStream:
    """A queue of messages, from the thread that makes something to the browser that waits for it.

    It is made in the event loop.

    Parameters
    ----------
    number : int
        The id of all its events.
    folders : iterable of Path
        Folders of this disk, which are left out of what is said of an error.
    """

    def __init__(self, number: int, folders: Iterable[Path] = ()) -> None:
        self._number = number
        self._folders = tuple(folders)
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, message: Any) -> None:
        """Send a message, a dataclass; from any thread."""
        self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    def response(self, making: Future[Any], stop: Callable[[], None]) -> StreamingResponse:
        """Give the response that sends the messages until all is made; who goes away stops it."""
        return StreamingResponse(self._events(making, stop), media_type="text/event-stream")

    async def _events(self, making: Future[Any], stop: Callable[[], None]) -> AsyncIterator[str]:
        making.add_done_callback(lambda _: self.put(None))
        try:
            while (message := await self._messages.get()) is not None:
                yield self._event(dataclasses.asdict(message))
            error = making.exception()
            if error is not None and not isinstance(error, KeyboardInterrupt):
                _, problem = problem_of(error, self._folders)
                yield self._event(dataclasses.asdict(problem), name="problem")
        finally:
            stop()

    def _event(self, message: dict[str, Any], *, name: str = "") -> str:
        named = f"event: {name}\n" if name else ""
        return f"id: {self._number}\n{named}data: {json.dumps(message)}\n\n"


class Watcher:
    """Hears how far something has come and tells a stream of it; ends it between two steps if nobody waits any more.

    Parameters
    ----------
    stream : EventStream
        Where it is told.
    message : Callable
        Makes the message of a task, of how many steps are done, and of how many there are (0 where that is not known).
    """

    def __init__(self, stream: EventStream, message: Callable[[str, int, int], Any]) -> None:
        self._stream, self._message = stream, message
        self.stopped = threading.Event()

    @contextmanager
    def __call__(self, description: str, total: float | None) -> Iterator[Advance]:
        """Begin to hear of a task; raises `KeyboardInterrupt` at its next step once it is stopped."""
        steps_done = 0.0

        def advance(steps: float, words: str = "") -> None:
            nonlocal steps_done
            if self.stopped.is_set():
                raise KeyboardInterrupt
            steps_done += steps
            self._stream.put(self._message(description, int(steps_done), int(total or 0)))

        advance(0)  # so that nobody reads of the task before it as long as the first step takes
        yield advance
