"""What all endpoints share: the session that they answer of, and how pictures are sent."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, TypeVar

import numpy as np
from fastapi import Depends, Query, Request, Response
from numpy.typing import NDArray
from PIL import Image

from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.worker import Worker

__all__ = ["SessionOf", "SubjectOf", "Unchanged", "picture_response", "png", "watched"]

T = TypeVar("T")


def _session(request: Request) -> Session:
    return request.app.state.session


SessionOf = Annotated[Session, Depends(_session)]
"""The session, as an endpoint is given it."""


def _subject(session: SessionOf, network: Annotated[int, Query(ge=0)] = 0) -> Subject:
    return session.subject(network)


SubjectOf = Annotated[Subject, Depends(_subject)]
"""The network that a request names by `network=`, the first by default."""


async def watched(request: Request, worker: Worker, answer: Future[T]) -> T:
    """Wait for what a worker is asked; where the browser leaves meanwhile, the question is given up.

    Parameters
    ----------
    request
        What is answered; its body has been read.
    worker
        Who is asked.
    answer
        As its `submit` gave it.
    """
    waiting = asyncio.wrap_future(answer)
    leaving = asyncio.ensure_future(_leaving(request))
    await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if not waiting.done():
        worker.withdraw(answer)
    return await waiting


async def _leaving(request: Request) -> None:
    """Wait until the browser has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def png(picture: NDArray[np.uint8], *, side: int | None = None) -> bytes:
    """Encode a picture (height, width, 3) as PNG, quickly; made smaller if its longer side is over `side` pixels."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if side is not None:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _unchanged(request: Request, session: SessionOf) -> bool:
    return request.headers.get("if-none-match") == _mark(session)


Unchanged = Annotated[bool, Depends(_unchanged)]
"""Whether the browser has the picture that it asks for from this run of the explorer."""


def picture_response(
    picture: Callable[[], NDArray[np.uint8]], session: Session, *, unchanged: bool, side: int | None = None
) -> Response:
    """Send a picture, or say that the browser has it: what it shows stays the same while the images are numbered as they are.

    It asks every time, since another explorer at the same port has other images under the same addresses.
    """
    headers = {"cache-control": "private, no-cache", "etag": _mark(session)}
    if unchanged:
        return Response(status_code=304, headers=headers)
    return Response(png(picture(), side=side), media_type="image/png", headers=headers)


def _mark(session: Session) -> str:
    return f'"{session.numbering}"'
