"""The page of an image: what the network answers to it, its neighbours, and what units answer at every place of it."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, UnitError, printable
from iconoscope.exemplars import activation_maps
from iconoscope.exemplars.map import place_vectors
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf, watched
from iconoscope.explorer.command_lines import on_image
from iconoscope.explorer.displacement import vector_before_logits
from iconoscope.explorer.photographs import LARGEST
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.unit_table import LOGITS
from iconoscope.results import ActivationSheet
from iconoscope.results.image_map import unit_square

__all__ = ["router"]

router = APIRouter()


@router.get("/images/{name}")
async def show_image(name: str, session: SessionOf, subject: SubjectOf) -> messages.ImagePage:
    """Say what is known of an image."""
    number = session.number(name)
    if number is not None and subject.recording is not None:
        vectors = await asyncio.to_thread(_recorded, subject, number)
    else:
        vectors = await asyncio.wrap_future(session.ask(lambda: _asked(session, subject, name), urgency="at once"))
    return await asyncio.to_thread(_image_page, session, subject, name, number, *vectors)


def _recorded(subject: Subject, number: int) -> list[NDArray[np.float32]]:
    """Read the probabilities of an image, and its vector."""
    return [subject.recorded.vectors(kind)[number] for kind in ("probabilities", "penultimate")]


def _asked(session: Session, subject: Subject, name: str) -> list[NDArray[np.float32]]:
    """Ask the network for the probabilities of an image, and for its vector."""
    clean = session.patch(subject.number, name, "mean").clean
    return [clean, vector_before_logits(subject.asked, session.image(name))]


def _image_page(
    session: Session,
    subject: Subject,
    name: str,
    number: int | None,
    probabilities: NDArray[np.float32],
    vector: NDArray[np.float32],
) -> messages.ImagePage:
    identity, label = _identity(session, name, number)
    target = _target(session, subject, label, number)
    prediction = int(np.argmax(probabilities))
    return messages.ImagePage(
        name=name,
        id=session.photographs.title(name) if number is None else identity,
        label=label,
        prediction=subject.classes[prediction],
        wrong=None if target < 0 else target != prediction,
        size=list(subject.preprocessing.size),
        probabilities=ranked_classes(subject, probabilities),
        neighbours=[] if subject.recording is None else _neighbours(subject, vector, number),
        point=_point(subject, vector, number),
        kept=number is not None or session.photographs.is_kept(name),
        occluded=identity in subject.occluded,
        commands=on_image(session, subject, name, "predict"),
    )


def _identity(session: Session, name: str, number: int | None) -> tuple[str, str]:
    """Give the id and the label of an image."""
    if number is None:
        return name, ""
    if session.recording is not None:
        return session.recording.ids[number], session.recording.labels[number] or ""
    image = session.image(name)
    return image.id, "" if image.label is None else str(image.label)


def _target(session: Session, subject: Subject, label: str, number: int | None) -> int:
    """Give the class of the network that an image is labelled with; -1 where its label is none."""
    if number is not None and session.recording is not None:
        return int(session.recording.targets[number])
    if label:
        with suppress(UnitError):
            return subject.asked.names.index(label)
    return -1


def ranked_classes(subject: Subject, probabilities: NDArray[np.float32]) -> list[messages.ClassProbability]:
    """Give all classes with their probabilities, the most probable first."""
    order = np.argsort(-probabilities, kind="stable").tolist()
    return [messages.ClassProbability(subject.classes[row], row, float(probabilities[row])) for row in order]


def _neighbours(subject: Subject, vector: NDArray[np.float32], number: int | None) -> list[messages.Neighbour]:
    """Give the recorded images whose vectors before the logits are nearest by their angle."""
    recording = subject.recorded
    rows, distances = subject.nearest(vector, row=number)
    return [
        messages.Neighbour(
            number=row,
            id=recording.ids[row],
            label=recording.labels[row] or "",
            prediction=recording.classes[recording.predictions[row]],
            wrong=subject.is_wrong(row),
            distance=distance,
        )
        for row, distance in zip(rows, distances, strict=True)
    ]


def _point(subject: Subject, vector: NDArray[np.float32], number: int | None) -> list[float]:
    """Give where an image lies on the map, 0 to 1 across and down; nothing where it is not on it.

    A dropped photograph is placed among the images that are there.
    """
    image_map = subject.image_map
    if image_map is None:
        return []
    if number is None:
        if image_map.method not in ("tsne", "pca") or image_map.vectors != "penultimate":
            return []
        placed = place_vectors(vector[None], image_map, subject.recorded)
        return unit_square(image_map.points, placed)[0].tolist()
    position = np.flatnonzero(subject.map_rows == number)
    return unit_square(image_map.points)[position[0]].tolist() if len(position) else []


@router.get("/images/{name}/maps/{layer}")
async def show_maps(
    name: str,
    layer: str,
    request: Request,
    session: SessionOf,
    subject: SubjectOf,
    limit: Annotated[int, Query(ge=1, le=512)] = 48,
) -> messages.ActivationMaps:
    """Give what the units of a layer answer at every place of an image, those with the strongest maximum first."""
    if layer == LOGITS:
        raise QuestionError("Classes have no places.", hint="Choose a layer.")
    ask = lambda: activation_maps(subject.asked, session.image(name), layer)  # noqa: E731
    sheet = await watched(request, session.worker, session.ask(ask, view=f"maps of {subject.number}"))
    return await asyncio.to_thread(_activation_maps, session, subject, name, sheet, limit)


def _activation_maps(
    session: Session, subject: Subject, name: str, sheet: ActivationSheet, limit: int
) -> messages.ActivationMaps:
    """Give the maps of a sheet in bytes, each from its lowest to its highest value."""
    maps, channels = sheet.maps[:limit], sheet.channels[:limit]
    low, high = maps.min((1, 2)), maps.max((1, 2))
    span = np.where(high > low, high - low, 1)[:, None, None]
    values = ((maps - low[:, None, None]) / span * 255).round().astype(np.uint8)
    return messages.ActivationMaps(
        layer=sheet.question.unit,
        units=[f"{sheet.question.unit}:{channel}" for channel in channels.tolist()],
        rows=int(maps.shape[1]),
        columns=int(maps.shape[2]),
        low=low.tolist(),
        high=high.tolist(),
        values=base64.b64encode(values.tobytes()).decode(),
        commands=on_image(session, subject, name, "activation_maps", sheet.question.unit, command="activations"),
    )


@router.get("/search")
def search(
    session: SessionOf,
    subject: SubjectOf,
    q: Annotated[str, Query(max_length=400)] = "",
    label: str = "",
    prediction: str = "",
    mistakes: bool = False,
    differ: bool = False,
    first: Annotated[int, Query(alias="from", ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=10**6)] = 60,
) -> messages.ImageSearch:
    """Find images by a part of their id, label or prediction; of a label, or of a prediction; or those answered wrongly.

    With `differ` those to which the two networks answer different classes.
    """
    recording = subject.recorded
    labels = [name or "" for name in recording.labels]
    predictions = [recording.classes[index] for index in recording.predictions.tolist()]
    wrong = (recording.targets >= 0) & (recording.targets != recording.predictions)
    others = _other_answers(session, subject)
    part = q.strip().lower()
    rows = [
        row
        for row, (identity, own_label, predicted) in enumerate(zip(recording.ids, labels, predictions, strict=True))
        if (not part or any(part in text.lower() for text in (identity, own_label, predicted)))
        and (not label or _is_class(subject, row, own_label, label))
        and (not prediction or predicted == prediction)
        and (not mistakes or wrong[row])
        and (not differ or others[row] not in ("", predicted))
    ]
    cards = [
        messages.ImageCard(row, recording.ids[row], labels[row], predictions[row], subject.is_wrong(row), others[row])
        for row in rows[first : first + limit]
    ]
    return messages.ImageSearch(len(rows), cards)


def _other_answers(session: Session, subject: Subject) -> list[str]:
    """Give what the other network answers to every recorded image; empty where that was not recorded."""
    for other in session.subjects:
        if other is not subject and other.recording is not None and other.recording.ids == subject.recorded.ids:
            return [other.classes[index] for index in other.recording.predictions.tolist()]
    return [""] * len(subject.recorded)


def _is_class(subject: Subject, row: int, own_label: str, label: str) -> bool:
    """Tell whether an image is labelled so, in its own words or as the class of the network that they stand for."""
    target = int(subject.recorded.targets[row])
    return own_label == label or (target >= 0 and subject.classes[target] == label)


@router.post("/uploads")
async def add_photograph(
    request: Request, session: SessionOf, subject: SubjectOf, title: Annotated[str, Query(max_length=400)] = ""
) -> messages.ImagePage:
    """Take a photograph, the body of the request; it stays in memory alone. `title` is what its page calls it."""
    encoded = bytearray()
    async for part in request.stream():
        encoded += part
        if len(encoded) > LARGEST:  # the rest is not read
            break
    name = await asyncio.to_thread(session.photographs.add, bytes(encoded), printable(title))
    return await show_image(name, session, subject)


@router.post("/images/{name}/keep")
async def keep_photograph(name: str, session: SessionOf, subject: SubjectOf) -> messages.ImagePage:
    """Write a dropped photograph into the store."""
    session.check_writable()
    if session.number(name) is None:
        await asyncio.to_thread(session.photographs.keep, name)
    return await show_image(name, session, subject)
