"""What all endpoints share: the session that they answer of, and how pictures are sent."""

from __future__ import annotations

import io
from typing import Annotated, TypeVar

import numpy as np
from fastapi import Depends, Query, Request, Response
from numpy.typing import NDArray
from PIL import Image

from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject

__all__ = ["SessionOf", "SubjectOf", "picture_response", "png"]

T = TypeVar("T")


def _session(request: Request) -> Session:
    return request.app.state.session


SessionOf = Annotated[Session, Depends(_session)]
"""The session, as an endpoint is given it."""


def _subject(session: SessionOf, network: Annotated[int, Query(ge=0)] = 0) -> Subject:
    return session.subject(network)


SubjectOf = Annotated[Subject, Depends(_subject)]
"""The network that a request names by `network=`, the first by default."""


def png(picture: NDArray[np.uint8], *, side: int | None = None) -> bytes:
    """Encode a picture (height, width, 3) as PNG, quickly; made smaller if its longer side is over `side` pixels."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if side is not None:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def picture_response(picture: NDArray[np.uint8], *, side: int | None = None) -> Response:
    """Send a picture; what it shows stays the same for as long as the explorer runs."""
    return Response(png(picture, side=side), media_type="image/png", headers={"cache-control": "private, max-age=300"})
