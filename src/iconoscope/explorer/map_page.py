"""The page of the map: where all images lie, and what is common to those that are chosen on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.exemplars import map_images
from iconoscope.exemplars.roc_area import areas
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf
from iconoscope.explorer.command_lines import of_recording, unusual
from iconoscope.explorer.event_stream import WAITS, EventStream, Watcher, making_progress
from iconoscope.explorer.live_audit import audit_outlook, chosen_rows
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.progress import listen
from iconoscope.results import ImageMap
from iconoscope.results.atlas import PAGE
from iconoscope.results.image_map import class_colours, unit_square
from iconoscope.results.sixteen_bits import sixteen_bits

__all__ = ["router"]

router = APIRouter()

_UNITS = 12


def _make(session: Session, subject: Subject) -> None:
    if subject.image_map is None:  # a page asks for all parts of the map at once, and the first has it made
        subject.keep_map(map_images(subject.recorded, store=None if session.read_only else subject.store))


def _made(session: Session, subject: Subject) -> ImageMap:
    """Give the map that the store has, or make it and let the store keep it."""
    if subject.image_map is None:
        session.studio.submit(partial(_make, session, subject)).result()
    return subject.mapped


@router.post("/map/make", response_class=StreamingResponse, response_model=messages.MakingProgress)
async def make_map(session: SessionOf, subject: SubjectOf) -> StreamingResponse:
    """Make the map where the store has none: a stream of events, of which the last has ended."""
    stream = EventStream(subject.number, session.folders)
    watcher = Watcher(stream, making_progress)
    has_map = await asyncio.to_thread(lambda: subject.image_map is not None)  # it may have to be read

    def make() -> None:
        with listen(watcher):
            _make(session, subject)
        stream.put(messages.MakingProgress("", len(subject.mapped), len(subject.mapped), ended=True))

    if session.studio.is_busy and not has_map:
        stream.put(making_progress(WAITS, 0, 0))
    # A map that is there does not wait for what is being made.
    making = session.studio.submit(make) if not has_map else _ran(make)
    return stream.response(making, watcher.stopped.set)


def _ran(make: Callable[[], None]) -> Future[None]:
    make()
    ran = Future[None]()
    ran.set_result(None)
    return ran


@router.get("/map")
def show_map(session: SessionOf, subject: SubjectOf) -> messages.MapPage:
    """Describe the map; where the store has none, it is made, which takes some seconds for each thousand images."""
    image_map = _made(session, subject)
    targets, predictions = image_map.targets, image_map.predictions
    quality = {
        "trustworthiness": image_map.trustworthiness,
        "same_class_map": image_map.same_class_map,
        "same_class_vectors": image_map.same_class_vectors,
    }
    return messages.MapPage(
        count=len(image_map),
        numbers=subject.map_rows.tolist(),
        method=image_map.method_name,
        quality={name: float(value) for name, value in quality.items() if value is not None},
        side=image_map.side,
        page=PAGE,
        pages=len(image_map.pages),
        neighbours=int(image_map.neighbours.shape[1]),
        labels=targets.tolist(),
        predictions=predictions.tolist(),
        wrong=((targets >= 0) & (targets != predictions)).tolist(),
        ids=image_map.ids.tolist(),
        classes=list(image_map.classes),
        damaged=subject.optional.damaged("map"),
        colours=["#" + bytes(ink).hex() for ink in class_colours(len(image_map.classes))],
        commands=of_recording(
            subject, "map_images", command="map", **unusual(map_images, image_map.question.settings), out="map.html"
        ),
    )


@router.get("/map/points", response_class=Response)
def show_points(session: SessionOf, subject: SubjectOf) -> Response:
    """Give the places of all images: pairs of 16 bits, across and down, little endian."""
    image_map = _made(session, subject)
    return _binary(sixteen_bits(unit_square(image_map.points)).tobytes())


@router.get("/map/neighbours", response_class=Response)
def show_neighbours(session: SessionOf, subject: SubjectOf) -> Response:
    """Give the nearest others of every image, as numbers of points, 32 bits each, little endian."""
    return _binary(_made(session, subject).neighbours.astype("<u4").tobytes())


@router.get("/atlas/{page}", response_class=Response)
def show_thumbnails(page: int, session: SessionOf, subject: SubjectOf) -> Response:
    """Give a page of thumbnails, a JPEG."""
    pages = _made(session, subject).pages
    if not 0 <= page < len(pages):
        raise QuestionError(f"The map has no page {page}.", hint=f"There are {len(pages)}.")
    return Response(pages[page], media_type="image/jpeg")


def _binary(content: bytes) -> Response:
    return Response(content, media_type="application/octet-stream")


@router.post("/selection")
def show_selection(selection: messages.Selection, subject: SubjectOf) -> messages.SelectionPage:
    """Say what is common to chosen images, and which units tell them from all others."""
    recording = subject.recorded
    rows = chosen_rows(subject, selection)
    targets, predictions = recording.targets[rows], recording.predictions[rows]
    counts = np.bincount(targets[targets >= 0], minlength=len(recording.classes))
    labels = [
        messages.ClassProbability(recording.classes[index], index, float(counts[index] / len(rows)))
        for index in np.argsort(-counts, kind="stable").tolist()
        if counts[index]
    ]
    return messages.SelectionPage(
        count=len(rows),
        labels=labels,
        wrong=int(((targets >= 0) & (targets != predictions)).sum()),
        mistakes=_mistakes(subject, rows, counts),
        units=_telling_units(subject, rows),
        audit=audit_outlook(subject, rows),
        commands=of_recording(subject, "find_units", [recording.ids[row] for row in rows.tolist()], command="find"),
    )


def _mistakes(subject: Subject, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> list[messages.Mistakes]:
    """Count which class chosen images are taken for, the most frequent first; `counts` has how many each class has."""
    recording, classes = subject.recorded, subject.classes
    targets, predictions = recording.targets[rows], recording.predictions[rows]
    wrong = (targets >= 0) & (targets != predictions)
    pairs, numbers = np.unique(np.stack([targets[wrong], predictions[wrong]], 1), axis=0, return_counts=True)
    return [
        messages.Mistakes(classes[label], classes[answer], count, count / int(counts[label]))
        for (label, answer), count in sorted(
            zip(pairs.tolist(), numbers.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0])
        )
    ]


def _telling_units(subject: Subject, rows: NDArray[np.int64]) -> list[messages.ClassSelectivityOfUnit]:
    """Give the channels that answer chosen images most beside all others."""
    recording = subject.recorded
    chosen = np.zeros(len(recording), np.bool_)
    chosen[rows] = True
    channels = len(recording.units) - len(recording.classes)
    if chosen.all() or not channels:
        return []
    responses = np.asarray(recording.responses[:, :channels])
    values = areas(responses[chosen], responses[~chosen])
    order = np.argsort(-values, kind="stable")[:_UNITS].tolist()
    return [messages.ClassSelectivityOfUnit(recording.units[unit], float(values[unit])) for unit in order]
