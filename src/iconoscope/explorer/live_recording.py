"""Recording the images while somebody watches, where that has not been done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from iconoscope.errors import IconoscopeWarning, QuestionError
from iconoscope.exemplars import record
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf
from iconoscope.explorer.comparison import of_same_images
from iconoscope.explorer.event_stream import EventStream
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.progress import Advance, listen
from iconoscope.warning_filters import ignoring

__all__ = ["router"]

router = APIRouter()


class _Watcher:
    """Hears how far the recording has come, and ends it if nobody waits for it any more. What is on disk stays."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self.stopped = threading.Event()

    @contextmanager
    def __call__(self, description: str, total: float | None) -> Iterator[Advance]:
        steps_done = 0.0

        def advance(steps: float, words: str = "") -> None:
            nonlocal steps_done
            if self.stopped.is_set():
                raise KeyboardInterrupt
            steps_done += steps
            self._stream.put(messages.RecordingProgress(description, int(steps_done), int(total or 0), ended=False))

        yield advance


@router.post("/record", response_class=StreamingResponse, response_model=messages.RecordingProgress)
async def begin(session: SessionOf, subject: SubjectOf) -> StreamingResponse:
    """Show all images to the network and keep what its units answer: a stream of events, of which the last has ended."""
    session.check_writable()
    images = session.images
    if images is None:
        raise QuestionError("There are no images to record.", hint="Start with them: iconoscope explore --images ...")
    stream = EventStream(subject.number, session.folders)
    watcher = _Watcher(stream)
    network = await asyncio.to_thread(session.copy_of, subject, "recorder")

    def make() -> None:
        with listen(watcher), ignoring(category=IconoscopeWarning):
            # In this process: others would be forked from one that has threads.
            recording = record(network, images, store=subject.store, workers=0)
        _take(session, replace(subject, recording=recording))
        stream.put(messages.RecordingProgress("", len(recording), len(recording), ended=True))

    return stream.response(session.studio.submit(make), watcher.stopped.set)


def _take(session: Session, recorded: Subject) -> None:
    """Explore a network with what has been recorded from now on; the first one's recording numbers the images."""
    first, *others = (recorded if subject.number == recorded.number else subject for subject in session.subjects)
    images = recorded.recorded.images if recorded is first else session.images
    subjects = (first, *(of_same_images(second, first, images) for second in others))
    if recorded is first:
        session.renumber(images)
    session.subjects = subjects
