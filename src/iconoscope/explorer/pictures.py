"""Pictures by address: images as the network sees them, and optimised pictures of the store."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from iconoscope.explorer.answering import SessionOf, SubjectOf, picture_response
from iconoscope.results.rendering import rgb

__all__ = ["router"]

router = APIRouter()

Side = Annotated[int | None, Query(ge=8, le=1024)]


@router.get("/images/{name}/picture.png", response_class=Response)
def show_picture(name: str, session: SessionOf, subject: SubjectOf, side: Side = None) -> Response:
    """Give an image as the network sees it, made smaller where its longer side is over `side` pixels."""
    number = session.number(name)
    if number is not None and session.images is None:
        return picture_response(session.thumbnail(number), side=side)
    return picture_response(rgb(subject.preprocessing.shown(session.image(name))), side=side)


@router.get("/pictures/{key}/{number}.png", response_class=Response)
def show_optimized(key: str, number: int, subject: SubjectOf, side: Side = None) -> Response:
    """Give an optimised picture of the store."""
    return picture_response(subject.pictures.picture(key, number), side=side)
