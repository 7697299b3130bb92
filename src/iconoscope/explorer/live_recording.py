"""Recording the images while somebody watches, where that has not been done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from iconoscope.errors import IconoscopeWarning, QuestionError, UnitError
from iconoscope.exemplars import record
from iconoscope.exemplars.map import carried_over
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf
from iconoscope.explorer.comparison import of_same_images
from iconoscope.explorer.event_stream import WAITS, EventStream, Watcher, making_progress
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.progress import listen
from iconoscope.warning_filters import ignoring

__all__ = ["router"]

router = APIRouter()


@router.post("/record", response_class=StreamingResponse, response_model=messages.MakingProgress)
async def begin(
    session: SessionOf, subject: SubjectOf, layer: Annotated[str, Query(max_length=400)] = ""
) -> StreamingResponse:
    """Show all images to the network and keep what its units answer: a stream of events, of which the last has ended.

    With `layer` that layer is recorded beside those that were before.
    """
    session.check_writable()
    images = session.images
    if images is None:
        raise QuestionError("There are no images to record.", hint="Start with them: iconoscope explore --images ...")
    layers = await asyncio.to_thread(_layers_with, session, subject, layer) if layer else None
    stream = EventStream(subject.number, session.folders)
    watcher = Watcher(stream, making_progress)
    network = await asyncio.to_thread(session.copy_of, subject, "recorder")

    def make() -> None:
        with listen(watcher), ignoring(category=IconoscopeWarning):
            # In this process: others would be forked from one that has threads.
            recording = record(network, images, layers, store=subject.store, workers=0)
        _take(session, replace(subject, recording=recording), subject)
        stream.put(messages.MakingProgress("", len(recording), len(recording), ended=True))

    if session.studio.is_busy:
        stream.put(making_progress(WAITS, 0, 0))
    return stream.response(session.studio.submit(make), watcher.stopped.set)


def _layers_with(session: Session, subject: Subject, layer: str) -> list[str]:
    """Give the layers that were recorded and one more, in the network's order.

    Raises
    ------
    UnitError
        If it has no such layer.
    """
    session.prepare(subject, "layers")
    names = [described.name for described in subject.layers]
    if layer not in names:
        raise UnitError(f"{subject.name} has no layer {layer[:80]!r}.")
    recorded = {layer} if subject.recording is None else {layer, *(layer.name for layer in subject.recording.layers)}
    return [name for name in names if name in recorded]


def _take(session: Session, recorded: Subject, before: Subject) -> None:
    """Explore a network with what has been recorded from now on; the first one's recording numbers the images."""
    image_map = None if before.image_map is None else carried_over(before.image_map, recorded.recorded)
    if image_map is not None:
        recorded.keep_map(image_map)
    first, *others = (recorded if subject.number == recorded.number else subject for subject in session.subjects)
    images = recorded.recorded.images if recorded is first else session.images
    subjects = (first, *(of_same_images(second, first, images) for second in others))
    if recorded is first:
        session.renumber(images)
    session.subjects = subjects
