"""The page of a unit: the spectrum of its answers, the classes that it tells, and the units that are like it."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray

from iconoscope.exemplars.recorded_units import receptive_field, unit_index
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf
from iconoscope.explorer.command_lines import of_recording
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.unit_table import LOGITS, UnitTable, correlations
from iconoscope.representation.circuits import Feeder, fed_units, feeders
from iconoscope.subject.network.connections import Connection
from iconoscope.vocabulary.unit import LayerUnit

__all__ = ["router"]

router = APIRouter()

_SHOWN = 24  # images at either end of the spectrum
_BINS = 40
_ALIKE = 8
_BETWEEN = 60  # images of an interval


@router.get("/between/{unit:path}")
def show_between(
    unit: str, subject: SubjectOf, low: Annotated[float, Query()], high: Annotated[float, Query()]
) -> messages.ImagesBetween:
    """Give images whose answers lie in an interval, evenly from the strongest to the weakest where there are many."""
    index, table = _find(subject, unit)
    values = table.responses[:, index - table.first]
    order = np.argsort(-values, kind="stable")
    ranks = np.flatnonzero((values[order] >= low) & (values[order] <= high))
    chosen_ranks = ranks[np.unique(np.linspace(0, len(ranks) - 1, min(_BETWEEN, len(ranks))).round().astype(np.int64))]
    answers = [_answer(subject, int(order[rank]), values, int(rank)) for rank in chosen_ranks]
    return messages.ImagesBetween(len(ranks), answers)


@router.get("/units/{unit:path}")
def show_unit(unit: str, session: SessionOf, subject: SubjectOf) -> messages.UnitPage:
    """Say what is known of a unit."""
    session.prepare(subject, "connections")
    session.prepare(subject, "dataflow")
    index, table = _find(subject, unit)
    number = index - table.first
    name, values = table.units[number], table.responses[:, number]
    counts, edges = np.histogram(values, bins=_BINS)
    likeness = correlations(table.responses, number)
    alike = [row for row in np.argsort(-likeness, kind="stable").tolist() if row != number and likeness[row] > 0]
    optimized, optimized_from = subject.pictures.addresses(), subject.pictures.beginnings()
    return messages.UnitPage(
        unit=name,
        layer=table.layer,
        number=number,
        dead=bool(table.dead[number]),
        optimized=optimized.get(name, []),
        optimized_from=optimized_from.get(name, []),
        most=_ranked(subject, index, values, "most"),
        least=_ranked(subject, index, values, "least"),
        histogram=messages.Histogram(edges.tolist(), counts.tolist()),
        classes=_classes(subject, table, number),
        alike=[messages.UnitLink(table.units[row], float(likeness[row])) for row in alike[:_ALIKE]],
        alike_by_weights=_alike_by_weights(subject, table, number),
        fed_by=_fed_by(subject, table, number),
        feeds=_feeds(subject, table, number),
        damaged=subject.optional.damaged("optimize", [name]),
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
        wrong=subject.is_wrong(row),
        value=float(values[row]),
        rank=rank,
        field=field or [],
    )


def _incoming(subject: Subject, table: UnitTable) -> Connection | None:
    """Give the weights that make the units of a layer; None where it is not known which they are."""
    into = [connection for connection in subject.connections if table.layer in connection.targets]
    if table.layer == LOGITS:
        into = [connection for connection in subject.connections[-1:] if len(connection.weights) == len(table.units)]
    return into[-1] if into else None


def _links(subject: Subject, driving: list[Feeder]) -> list[messages.UnitLink]:
    """Give links to the strongest units, by the names by which they have pages: of several one that was recorded."""
    recorded = {layer.name for layer in subject.recorded.layers}
    named = [feeder for feeder in driving if feeder.layers]  # else it is a channel of the picture
    names = [
        f"{next((name for name in feeder.layers if name in recorded), feeder.layers[0])}:{feeder.channel}"
        for feeder in named
    ]
    return _strongest(names, np.array([feeder.weight for feeder in named]))


def _strongest(names: list[str], strengths: NDArray[np.floating]) -> list[messages.UnitLink]:
    order = np.argsort(-np.abs(strengths), kind="stable")[:_ALIKE].tolist()
    return [messages.UnitLink(names[row], float(strengths[row])) for row in order if strengths[row]]


def _alike_by_weights(subject: Subject, table: UnitTable, number: int) -> list[messages.UnitLink]:
    """Give the units of the layer whose incoming weights point in the most similar direction, by the cosine."""
    connection = _incoming(subject, table)
    if connection is None:
        return []
    lengths = np.linalg.norm(connection.kernels, axis=1)
    products = connection.kernels @ connection.kernels[number]
    scale = lengths * lengths[number]
    cosines = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    cosines[number] = 0
    return [link for link in _strongest(list(table.units), np.maximum(cosines, 0)) if link.strength > 0]


def _fed_by(subject: Subject, table: UnitTable, number: int) -> list[messages.UnitLink]:
    """Give the units before it by whose weights the unit, or the class, is driven or held back most."""
    if subject.network is None or subject.dataflow is None:
        return []
    unit = subject.network.class_unit("logit", number) if table.layer == LOGITS else LayerUnit(table.layer, number)
    return _links(subject, feeders(subject.network, subject.dataflow, unit))


def _feeds(subject: Subject, table: UnitTable, number: int) -> list[messages.UnitLink]:
    """Give the units behind that the unit drives or holds back most."""
    fed: list[messages.UnitLink] = []
    for connection in subject.connections:
        units = fed_units([connection], table.layer, number, len(table.units))
        if connection is subject.connections[-1] and len(connection.weights) == len(subject.classes):
            names = list(subject.recorded.units[-len(subject.classes) :]) if units else []
            fed += _strongest(names, np.array([unit.weight for unit in units]))
        else:
            fed += _links(subject, units)
    return sorted(fed, key=lambda link: -abs(link.strength))[:_ALIKE]


def _classes(subject: Subject, table: UnitTable, number: int) -> list[messages.ClassSelectivity]:
    """Give how well the unit tells every class that images are labelled with, the best first."""
    targets, areas = subject.recorded.targets, table.areas[:, number]
    judged = [index for index in np.argsort(-areas, kind="stable").tolist() if not np.isnan(areas[index])]
    values = table.responses[:, number]
    return [
        messages.ClassSelectivity(
            subject.classes[index], float(areas[index]), float(values[targets == index].mean(dtype=np.float64))
        )
        for index in judged
    ]
