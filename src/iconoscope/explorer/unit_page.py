"""The page of a unit: the spectrum of its answers, the classes that it tells, and the units that are like it."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray

from iconoscope.exemplars.recorded_units import receptive_field, unit_index
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SubjectOf
from iconoscope.explorer.command_lines import of_recording
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.unit_table import LOGITS, UnitTable, correlations

__all__ = ["router"]

router = APIRouter()

_SHOWN = 24  # images at either end of the spectrum
_BINS = 40
_ALIKE = 8
_BETWEEN = 60  # images of an interval


@router.get("/units/{unit:path}/between")
def show_between(
    unit: str, subject: SubjectOf, low: Annotated[float, Query()], high: Annotated[float, Query()]
) -> messages.ImagesBetween:
    """Give images whose answers lie in an interval, evenly from the strongest to the weakest where there are many."""
    index, table = _find(subject, unit)
    values = table.responses[:, index - table.first]
    order = np.argsort(-values, kind="stable")
    ranks = np.flatnonzero((values[order] >= low) & (values[order] <= high))
    shown = ranks[np.unique(np.linspace(0, len(ranks) - 1, min(_BETWEEN, len(ranks))).round().astype(np.int64))]
    answers = [_answer(subject, int(order[rank]), values, int(rank)) for rank in shown]
    return messages.ImagesBetween(len(ranks), answers)


@router.get("/units/{unit:path}")
def show_unit(unit: str, subject: SubjectOf) -> messages.UnitPage:
    """Say what is known of a unit."""
    index, table = _find(subject, unit)
    number = index - table.first
    name, values = table.units[number], table.responses[:, number]
    counts, edges = np.histogram(values, bins=_BINS)
    likeness = correlations(table.responses, number)
    alike = [row for row in np.argsort(-likeness, kind="stable").tolist() if row != number and likeness[row] > 0]
    return messages.UnitPage(
        unit=name,
        layer=table.layer,
        number=number,
        dead=bool(table.dead[number]),
        optimized=subject.pictures.addresses().get(name, []),
        most=_ranked(subject, index, values, "most"),
        least=_ranked(subject, index, values, "least"),
        histogram=messages.Histogram(edges.tolist(), counts.tolist()),
        classes=_classes(subject, table, number),
        alike=[messages.UnitLink(table.units[row], float(likeness[row])) for row in alike[:_ALIKE]],
        alike_by_weights=[],
        fed_by=[],
        feeds=[],
        commands=of_recording(subject, "top_images", name, command="top", k=min(_SHOWN, subject.recorded.k)),
    )


def _find(subject: Subject, unit: str) -> tuple[int, UnitTable]:
    """Give the index of a unit among those of the recording, and the table of its layer."""
    recording = subject.recorded
    index = unit_index(recording, unit)
    is_class = index >= len(recording.units) - len(recording.classes)
    return index, subject.units(LOGITS if is_class else recording.layer_at(index)[0].name)


def _ranked(subject: Subject, index: int, values: NDArray[np.float32], side: str) -> list[messages.ImageAnswer]:
    """Give the images at one end of the spectrum: of the strongest the strongest first, of the weakest the weakest."""
    recording = subject.recorded
    rows = recording.ranked(side)[index, : min(_SHOWN, len(recording))]
    positions = recording.rankings[f"{side}_position"][index]
    size = subject.preprocessing.size
    return [
        _answer(
            subject,
            row,
            values,
            rank if side == "most" else len(recording) - 1 - rank,
            field=list(receptive_field(recording, index, int(positions[rank]), size)),
        )
        for rank, row in enumerate(rows.tolist())
        if row >= 0
    ]


def _answer(
    subject: Subject, row: int, values: NDArray[np.float32], rank: int, *, field: list[int] | None = None
) -> messages.ImageAnswer:
    recording = subject.recorded
    return messages.ImageAnswer(
        number=row,
        id=recording.ids[row],
        label=recording.labels[row] or "",
        prediction=recording.classes[recording.predictions[row]],
        value=float(values[row]),
        rank=rank,
        field=field or [],
    )


def _classes(subject: Subject, table: UnitTable, number: int) -> list[messages.ClassSelectivity]:
    """Give how well the unit tells every class that images are labelled with, the best first."""
    targets, areas = subject.recorded.targets, table.areas[:, number]
    told = [index for index in np.argsort(-areas, kind="stable").tolist() if not np.isnan(areas[index])]
    values = table.responses[:, number]
    return [
        messages.ClassSelectivity(
            subject.classes[index], float(areas[index]), float(values[targets == index].mean(dtype=np.float64))
        )
        for index in told
    ]
