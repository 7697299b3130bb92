"""Events that are sent while something is made in another thread, as server-sent events."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fastapi.responses import StreamingResponse

from iconoscope.explorer.problems import problem_of

__all__ = ["EventStream"]


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
