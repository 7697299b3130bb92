"""What a layer's page shows of concepts: those of classes that the store has, and the line that makes some."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response

from iconoscope.errors import StoreError, UnitError
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf, png
from iconoscope.explorer.command_lines import of_set, unusual
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.unit_table import LOGITS
from iconoscope.representation import concepts
from iconoscope.results import Concepts
from iconoscope.results.folders import without_folders

__all__ = ["concept_addresses", "router"]

router = APIRouter()

LayerName = Annotated[str, Query(max_length=400)]


@router.get("/concepts")
def show_concepts(session: SessionOf, subject: SubjectOf, layer: LayerName) -> messages.LayerConcepts:
    """Describe the concepts of a layer, class by class; where the store has none, say how they are made."""
    if layer not in {LOGITS, *(known.name for known in subject.layers)}:
        raise UnitError(f"{subject.name} has no layer {layer[:80]!r}.")
    found = [_class_concepts(session, subject, folder) for folder in subject.concept_folders(layer).values()]
    cls = subject.classes[0]
    commands = of_set(session, subject, "concepts", layer, cls, command="concepts", out="concepts.png")
    return messages.LayerConcepts(found, subject.optional.damaged("concepts", [layer]), commands)


def _class_concepts(session: Session, subject: Subject, folder: Path) -> messages.ClassConcepts:
    result = subject.concepts(folder)
    rows = {} if subject.recording is None else {identity: row for row, identity in enumerate(subject.recording.ids)}
    settings = {name: value for name, value in result.question.settings.items() if name != "class"}

    def exemplar(concept: int, number: int) -> messages.ConceptExemplar:
        identity = result.ids[result.shown[result.exemplars[concept, number]]]
        return messages.ConceptExemplar(without_folders(identity), rows.get(identity, -1))

    return messages.ClassConcepts(
        key=folder.name,
        class_name=result.cls,
        images=len(result.ids),
        logit=float(result.clean.mean()),
        explained=result.explained,
        made=result.optimized is not None,
        maps=len(result.photographs),
        concepts=[
            messages.ConceptSummary(
                loss=float(result.loss[number]),
                share=float(result.shares[number]),
                stability=None if np.isnan(result.stability[number]) else float(result.stability[number]),
                exemplars=[exemplar(number, place) for place in range(result.exemplars.shape[1])],
            )
            for number in range(len(result))
        ],
        commands=of_set(
            session,
            subject,
            "concepts",
            result.layer,
            result.cls,
            command="concepts",
            **unusual(concepts, settings),
            out="concepts.png",
        ),
    )


@router.get("/concepts/{key}/{concept}/{kind}-{number}.png", response_class=Response)
def show_picture(key: str, concept: int, kind: str, number: int, subject: SubjectOf) -> Response:
    """Give a picture of a concept, a PNG: what was ``made`` for it, an ``exemplar``, or its ``map`` on a photograph."""
    folder = next((folder for folder in subject.concept_folders().values() if folder.name == key), None)
    result = None if folder is None else subject.concepts(folder)
    if result is None or not 0 <= concept < len(result) or not 0 <= number < _counts(result).get(kind, 0):
        raise StoreError("There is no such picture of a concept in the store.")
    if kind == "made" and result.optimized is not None:
        return Response(png(result.optimized[concept]), media_type="image/png")
    picture = result.cell(concept, number) if kind == "exemplar" else result.on_photograph(concept, number)
    return Response(png(picture), media_type="image/png")


def _counts(result: Concepts) -> dict[str, int]:
    """Say how many pictures of each kind there are of every concept."""
    made = int(result.optimized is not None)
    return {"made": made, "exemplar": result.exemplars.shape[1], "map": len(result.photographs)}


def concept_addresses(subject: Subject) -> list[str]:
    """List the addresses below ``/api/`` of all pictures of concepts that the store has."""
    return [
        f"concepts/{folder.name}/{concept}/{kind}-{number}.png"
        for folder in subject.concept_folders().values()
        for result in [subject.concepts(folder)]
        for concept in range(len(result))
        for kind, count in _counts(result).items()
        for number in range(count)
    ]
