"""The page of a network: what it is, how often it is right, its layers, and what the audit says of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import HTMLResponse

import iconoscope
from iconoscope.errors import StoreError
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf
from iconoscope.explorer.command_lines import asking
from iconoscope.explorer.live_optimization import PRIORS, usual_steps
from iconoscope.explorer.security import security_headers
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.unit_table import LOGITS
from iconoscope.language.network_lines import in_spanish
from iconoscope.occlusion import FILLS
from iconoscope.optimization.style import STYLES
from iconoscope.results import Audit
from iconoscope.results.folders import without_folders
from iconoscope.subject.network import Layer

__all__ = ["Language", "audit_response", "audit_summary", "layer_summaries", "router"]

router = APIRouter()

Language = Literal["en", "es"]


@router.get("/session")
def show_session(session: SessionOf) -> messages.Session:
    """Say what is explored."""
    first = session.subjects[0]
    classes = list(first.classes)
    return messages.Session(
        version=iconoscope.__version__,
        networks=[
            messages.NetworkName(
                subject.number, subject.name, subject.network is not None, usual_steps(subject.preprocessing.size)
            )
            for subject in session.subjects
        ],
        classes=classes,
        class_titles=session.class_titles or {"en": classes, "es": classes},
        size=list(first.preprocessing.size),
        images=session.count,
        given=session.given,
        source=session.source,
        asks=any(subject.network is not None for subject in session.subjects),
        read_only=session.read_only,
        fills=[name for name, fill in FILLS.items() if not fill.drops],  # which few networks can
        styles=list(STYLES),
        priors=[name for name, size in PRIORS.items() if size == first.preprocessing.size],
        audit=first.audit is not None,
        map=first.can_have_map,
        atlas=first.network is not None or bool(first.atlas_folders),
    )


@router.get("/network/{network}")
def show_network(network: int, session: SessionOf, lang: Language = "en") -> messages.NetworkPage:
    """Say what a network is; the audit's verdicts in a language."""
    subject = session.subject(network)
    session.prepare(subject, "layers")
    recording = subject.recording
    labelled = 0 if recording is None else int((recording.targets >= 0).sum())
    network_at_hand = subject.network
    parameters = (
        None if network_at_hand is None else sum(weight.numel() for weight in network_at_hand.module.parameters())
    )
    worded = in_spanish if lang == "es" else str
    origin = [worded(f"classes from {network_at_hand.classes_origin}")] if network_at_hand is not None else []
    return messages.NetworkPage(
        name=subject.name,
        source=without_folders("; ".join([subject.name, *origin])),
        preprocessing=[without_folders(worded(line)) for line in subject.preprocessing.describe().split("; ")],
        parameters=parameters,
        accuracy=None if recording is None else recording.top1,
        labelled=labelled,
        confusion=confusion(subject) if labelled else [],
        layers=layer_summaries(subject),
        audit=None if subject.audit is None else audit_summary(subject.audit, f"audit/{subject.number}", lang),
        damaged=subject.optional.damaged("audit"),
        commands=asking(subject, "layers"),
    )


def confusion(subject: Subject) -> list[list[int]]:
    """Count the labelled images of each class (row) by the answer that they get (column)."""
    recording, count = subject.recorded, len(subject.classes)
    labelled = recording.targets >= 0
    cells = recording.targets[labelled] * count + recording.predictions[labelled]
    return np.bincount(cells, minlength=count * count).reshape(count, count).tolist()


def layer_summaries(subject: Subject) -> list[messages.LayerSummary]:
    """Describe all layers, and the classes as a last one."""
    recording = subject.recording
    recorded = {} if recording is None else {layer.name: layer for layer in recording.layers}
    summaries: list[messages.LayerSummary] = []
    for layer in subject.layers:
        channels, rows, columns = _shape(layer)
        dead: list[int] = []
        if recording is not None and layer.name in recorded:
            dead = [int(unit.rpartition(":")[2]) for unit in recording.dead_units(layer.name)]
            rows, columns = recorded[layer.name].rows, recorded[layer.name].columns
        summaries.append(
            messages.LayerSummary(layer.name, layer.kind, channels, rows, columns, layer.name in recorded, dead)
        )
    classes = len(subject.classes)
    return [*summaries, messages.LayerSummary(LOGITS, "logits", classes, 1, 1, recording is not None, [])]


def _shape(layer: Layer) -> tuple[int, int, int]:
    """Give channels, rows and columns: one place of a vector; tokens in one row; zeros where no unit can be asked."""
    if not layer.shape:
        return 0, 0, 0
    channels, *places = layer.shape
    rows, columns = (1, 1, *places)[-2:]
    return channels, rows, columns


def audit_summary(audit: Audit, page: str, lang: Language) -> messages.AuditSummary:
    """Give the verdicts of an audit, whose whole page has an address."""
    sentences = audit.sentences(lang)
    overall = messages.ClassVerdict("", audit.word, sentences.overall(audit.conclusions), audit.accused())
    classes = [
        messages.ClassVerdict(
            name,
            finding.conclusion.word,
            finding.verdict,
            [sentences.property_name(property_name) for property_name in finding.conclusion.names],
        )
        for name, finding in audit.findings(lang).items()
    ]
    return messages.AuditSummary(overall, classes, page)


@router.get("/audit/{network}", response_class=HTMLResponse)
def show_audit(network: int, session: SessionOf, lang: Language = "en") -> HTMLResponse:
    """Give the whole report of the latest audit."""
    audit = session.subject(network).audit
    if audit is None:
        raise StoreError("The store has no audit of this network.", hint="Make one: iconoscope audit")
    return audit_response(audit, lang)


def audit_response(audit: Audit, lang: Language) -> HTMLResponse:
    """Send the whole report of an audit."""
    with tempfile.TemporaryDirectory() as folder:
        page = audit.report(Path(folder) / "audit.html", lang=lang).read_text(encoding="utf-8")
    return HTMLResponse(page, headers=security_headers(report=True))
