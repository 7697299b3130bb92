"""The audit of chosen images, watched: what decides the network's answers to these."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, StreamingResponse
from numpy.typing import NDArray

from iconoscope.auditing import audit
from iconoscope.errors import IconoscopeWarning, QuestionError, StoreError
from iconoscope.exemplars import record
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf
from iconoscope.explorer.command_lines import of_images
from iconoscope.explorer.event_stream import WAITS, EventStream, Watcher
from iconoscope.explorer.network_page import Language, audit_response, audit_summary
from iconoscope.explorer.subject import Subject
from iconoscope.progress import listen
from iconoscope.results import Audit
from iconoscope.results.decision_rule import LEAST_IMAGES
from iconoscope.warning_filters import ignoring

__all__ = ["audit_outlook", "chosen_rows", "router"]

router = APIRouter()

_KEPT = 8
"""Audits of selections whose whole pages can still be asked for."""


def chosen_rows(subject: Subject, selection: messages.Selection) -> NDArray[np.int64]:
    """Give the rows of chosen images in the recording, sorted; raises `QuestionError` where there are no such."""
    chosen, count = sorted(set(selection.images)), len(subject.recorded)
    if not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise QuestionError("These are no images of the recording.", hint=f"They are 0 to {count - 1}.")
    return np.array(chosen, np.int64)


def audit_outlook(subject: Subject, rows: NDArray[np.int64]) -> messages.AuditOutlook:
    """Say of which classes an audit of chosen images could judge, by how many are answered with them."""
    counts = np.bincount(subject.recorded.predictions[rows], minlength=len(subject.classes))
    order = np.argsort(-counts, kind="stable").tolist()
    answered = [messages.AnswerCount(subject.classes[index], int(counts[index])) for index in order if counts[index]]
    enough = [answer for answer in answered if answer.count >= LEAST_IMAGES]
    judged = [answer for answer in enough if len(rows) - answer.count >= LEAST_IMAGES]
    few = [answer for answer in answered if answer.count < LEAST_IMAGES]
    one_sided = None if judged or not enough else enough[0]  # two would be enough for each other
    lacking = 0 if one_sided is None else LEAST_IMAGES - (len(rows) - one_sided.count)
    return messages.AuditOutlook(LEAST_IMAGES, judged, few, one_sided, lacking)


def _check_judged(outlook: messages.AuditOutlook, chosen: int) -> None:
    """Refuse a selection of which no class can be judged."""
    if outlook.one_sided is not None:
        raise QuestionError(
            f"Too few of these {chosen} images are answered otherwise than {outlook.one_sided.name}.",
            hint=f"Add {outlook.others_lacking} that are answered otherwise.",
        )
    if not outlook.judged:
        raise QuestionError(
            f"These {chosen} images are too few of every answer for an audit.",
            hint=f"Choose {outlook.least} or more that are answered with one class, and as many that are answered otherwise.",
        )


def _progress(task: str, done: int, total: int) -> messages.AuditProgress:
    return messages.AuditProgress(task, done, total, audit=None, commands=None)


@router.post("/selection/audit", response_class=StreamingResponse, response_model=messages.AuditProgress)
async def begin(
    selection: messages.Selection, session: SessionOf, subject: SubjectOf, lang: Language = "en"
) -> StreamingResponse:
    """Audit chosen images, quickly: a stream of events, of which the last has the verdicts.

    Nothing of it is kept in the store, where it would stand for the audit of all images.
    """
    rows = chosen_rows(subject, selection)
    images = session.images
    if images is None:
        raise QuestionError(
            "The recorded images are not at hand.", hint="Start with them: iconoscope explore --images ..."
        )
    outlook = audit_outlook(subject, rows)
    _check_judged(outlook, len(rows))
    stream = EventStream(subject.number, session.folders)
    watcher = Watcher(stream, _progress)
    network = await asyncio.to_thread(session.copy_of, subject, "auditor")
    chosen = images[rows]
    names = [answer.name for answer in outlook.judged]
    # What stray images are answered with cannot be judged, and would decide the verdict on all classes.
    settings: dict[str, Any] = {"quick": True} | ({} if len(names) == len(subject.classes) else {"only": names})

    def make() -> None:
        with tempfile.TemporaryDirectory() as folder, listen(watcher), ignoring(category=IconoscopeWarning):
            store = Path(folder) / "run"
            record(network, chosen, store=store, workers=0)  # others would be forked from a process that has threads
            audited = _of_selection(audit(network, chosen, **settings, store=store), len(images))
        number = max(session.audits, default=-1) + 1
        session.audits[number] = audited
        session.audits.pop(number - _KEPT, None)
        summary = audit_summary(audited, f"selection/audit/{number}", lang)
        commands = of_images(session, subject, rows.tolist(), "audit", **settings)
        stream.put(messages.AuditProgress("", 1, 1, summary, commands))

    if session.studio.is_busy:
        stream.put(_progress(WAITS, 0, 0))
    return stream.response(session.studio.submit(make), watcher.stopped.set)


def _of_selection(audited: Audit, images: int) -> Audit:
    """Give an audit whose question says that its images were chosen from so many: its page says it, too."""
    settings = {**audited.question.settings, "selection_of": images}
    return replace(audited, question=replace(audited.question, settings=settings))


@router.get("/selection/audit/{number}", response_class=HTMLResponse)
def show_audit(number: int, session: SessionOf, lang: Language = "en") -> HTMLResponse:
    """Give the whole report of an audit of chosen images."""
    if number not in session.audits:
        raise StoreError("This audit of chosen images is not held any more.", hint="Audit them again.")
    return audit_response(session.audits[number], lang)
