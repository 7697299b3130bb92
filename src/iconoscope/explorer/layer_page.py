"""The page of a layer: all its units as tiles."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from iconoscope.errors import UnitError
from iconoscope.exemplars.recorded_units import receptive_field
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf
from iconoscope.explorer.command_lines import asking, of_recording
from iconoscope.explorer.network_page import layer_summaries
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.unit_table import LOGITS, UnitTable, correlations, recorded_layers
from iconoscope.results import UnitSearch

__all__ = ["router", "unit_number"]

router = APIRouter()

ClassName = Annotated[str, Query(alias="class", max_length=400)]
Limit = Annotated[int, Query(ge=1, le=10**6)]


@router.get("/layers/{layer}")
def show_layer(layer: str, session: SessionOf, subject: SubjectOf, like: str = "") -> messages.LayerPage:
    """List the units of a layer; with `like`, the full name of one of them, how alike its answers the others' are."""
    session.prepare(subject, "layers")
    summary = next((summary for summary in layer_summaries(subject) if summary.name == layer), None)
    if summary is None:
        raise UnitError(f"{subject.name} has no layer {layer[:80]!r}.")
    commands = asking(
        subject, "optimize", f"{layer}:*" if layer != LOGITS else f"logit:{subject.classes[0]}", out="units.png"
    )
    if not summary.recorded:
        return messages.LayerPage(summary, [], [], commands)
    table = subject.units(layer)
    units = unit_summaries(subject, table, like)
    return messages.LayerPage(summary, units, subject.optional.damaged("optimize", table.units), commands)


def unit_summaries(subject: Subject, table: UnitTable, like: str = "") -> list[messages.UnitSummary]:
    """Describe the units of a layer."""
    recording = subject.recorded
    likeness = correlations(table.responses, unit_number(table, like)) if like else None
    maximum, answered = table.responses.max(0), (table.responses > 0).mean(0)
    strongest = recording.ranked("most")[:, 0]
    positions = recording.rankings["most_position"][:, 0]
    pictures = subject.pictures.addresses()
    summaries: list[messages.UnitSummary] = []
    for number, unit in enumerate(table.units):
        index, best = table.first + number, table.best_class(number)
        summaries.append(
            messages.UnitSummary(
                unit=unit,
                number=number,
                dead=bool(table.dead[number]),
                class_name=subject.classes[best] if best >= 0 else "",
                selectivity=float(table.areas[best, number]) if best >= 0 else None,
                answered=float(answered[number]),
                maximum=float(maximum[number]),
                strongest=int(strongest[index]),
                field=list(receptive_field(recording, index, int(positions[index]), subject.preprocessing.size)),
                optimized=pictures.get(unit, [""])[0],
                likeness=None if likeness is None else float(likeness[number]),
            )
        )
    return summaries


def unit_number(table: UnitTable, unit: str) -> int:
    """Give the number of a unit in its layer; raises `UnitError` if it is none of it."""
    if unit not in table.units:
        raise UnitError(f"{unit[:80]!r} is no unit of {table.layer}.", hint=f"As {table.units[0]}.")
    return table.units.index(unit)


@router.get("/find")
def find_class(
    subject: SubjectOf, class_name: ClassName, layer: str = "", limit: Limit = 24, test: bool = True
) -> messages.UnitsFound:
    """Find the units that tell a class from the others, the best first.

    They are searched as `find_units` does unless `test` is false, which takes seconds once for each class.
    """
    recording = subject.recorded
    index = recording.names.index(class_name)
    layers = [layer] if layer else recorded_layers(recording)[:-1]
    unit_names = {unit for table in map(subject.units, layers) for unit in table.units}
    search = subject.search(index) if test and layer != LOGITS else None
    units = _areas(subject, layers, index) if search is None else _tested(search)
    return messages.UnitsFound(
        class_name=recording.classes[index],
        units=[unit for unit in units if unit.unit in unit_names][:limit],
        tested=search is not None,
        held_out=0 if search is None else search.held_out,
        alone=[] if search is None else list(search.invariant),
        commands=of_recording(subject, "find_units", recording.classes[index], command="find"),
    )


def _areas(subject: Subject, layers: list[str], index: int) -> list[messages.UnitFound]:
    """Give the units of layers by how well they tell a class among all images; none where it has no images."""
    areas = [(table.areas[index], table.units) for table in map(subject.units, layers)]
    scores = np.concatenate([values for values, _ in areas]) if areas else np.zeros(0)
    units = [unit for _, names in areas for unit in names]
    order = [row for row in np.argsort(-scores, kind="stable").tolist() if not np.isnan(scores[row])]
    return [messages.UnitFound(units[row], float(scores[row])) for row in order]


def _tested(search: UnitSearch) -> list[messages.UnitFound]:
    alone = set(search.invariant)
    return [
        messages.UnitFound(
            unit=unit,
            auc=float(search.auc[row]),
            auc_held_out=float(search.auc_held_out[row]) if search.held_out else None,
            recall=float(search.recall[row]),
            alone=unit in alone,
        )
        for row, unit in enumerate(search.units.tolist())
    ]
