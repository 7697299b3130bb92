"""Pictures by address: images as the network sees them, and optimised pictures of the store."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response
from numpy.typing import NDArray

from iconoscope.explorer.answering import SessionOf, SubjectOf, Unchanged, picture_response
from iconoscope.results.rendering import rgb

__all__ = ["router"]

router = APIRouter()

Side = Annotated[int | None, Query(ge=8, le=1024)]


@router.get("/images/{name}/picture.png", response_class=Response)
def show_picture(
    name: str, session: SessionOf, subject: SubjectOf, unchanged: Unchanged, side: Side = None
) -> Response:
    """Give an image as the network sees it, made smaller where its longer side is over `side` pixels."""
    number = session.number(name)

    def picture() -> NDArray[np.uint8]:
        if number is not None and session.images is None:
            return session.thumbnail(number)
        return rgb(subject.preprocessing.shown(session.image(name)))

    return picture_response(picture, session, unchanged=unchanged, side=side)


@router.get("/pictures/{key}/{number}.png", response_class=Response)
def show_optimized(
    key: str, number: int, session: SessionOf, subject: SubjectOf, unchanged: Unchanged, side: Side = None
) -> Response:
    """Give an optimised picture of the store."""
    picture = lambda: subject.pictures.picture(key, number)  # noqa: E731
    return picture_response(picture, session, unchanged=unchanged, side=side)
