"""Many pictures, batch by batch: what is kept already, what fits the memory, and what Ctrl-C leaves."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from iconoscope.errors import IconoscopeWarning
from iconoscope.optimization.objective import Objective
from iconoscope.optimization.synthesis import Making, Picture, put_together
from iconoscope.progress import track
from iconoscope.results import Visualization
from iconoscope.store import Store

__all__ = ["make_all"]


def make_all(asked: Making, groups: Sequence[Sequence[Objective]], memory: int, store: Store | None) -> Visualization:
    """Make the pictures of all groups, batch by batch; what the store has is not made again."""
    known: dict[int, Visualization] = {}
    if store is not None:
        for place, group in enumerate(groups):
            found = store.find(asked.question(group), Visualization)
            if found is not None:
                known[place] = found
        store.prepare()
    lots = [(place, lot) for place, group in enumerate(groups) if place not in known for lot in asked.lots(group)]
    natural = asked.answers([picture.objective for _, lot in lots for picture in lot]) if lots else {}
    parts: dict[int, list[dict[str, np.ndarray]]] = {}
    ended = True
    batches = _packed(lots, asked.fitting(lots[0][1], memory)) if lots else []
    for batch in track(batches, f"optimizing, {asked.network.name}") if len(batches) > 1 else batches:
        try:
            made = asked.make([picture for _, lot in batch for picture in lot], natural)
        except KeyboardInterrupt:
            if not known and not parts:
                raise
            ended = False
            break
        first = 0
        for place, lot in batch:
            parts.setdefault(place, []).append(made.part(first, first + len(lot)))
            first += len(lot)
        for place in {place for place, _ in batch}:
            if sum(len(each["images"]) for each in parts[place]) == len(groups[place]) * asked.each and made.ended:
                known[place] = asked.result(groups[place], put_together(parts.pop(place)))
                if store is not None:
                    store.keep(known[place])
        if not made.ended:
            ended = False
            break
    known |= {place: asked.result(groups[place], put_together(some)) for place, some in parts.items()}
    found = _joined([known[place] for place in sorted(known)])
    if not ended:
        warnings.warn(
            f"Ended by Ctrl-C: {len(found)} of {asked.each * sum(map(len, groups))} pictures, the last ones unfinished.",
            IconoscopeWarning,
            stacklevel=3,
        )
    return found


def _packed(lots: Sequence[tuple[int, list[Picture]]], most: int) -> list[list[tuple[int, list[Picture]]]]:
    """Put lots into batches of at most so many pictures."""
    batches: list[list[tuple[int, list[Picture]]]] = []
    room = 0
    for place, lot in lots:
        if len(lot) > room:
            batches.append([])
            room = max(most, len(lot))
        batches[-1].append((place, lot))
        room -= len(lot)
    return batches


def _joined(results: Sequence[Visualization]) -> Visualization:
    """Put the results of several units into one."""
    if len(results) == 1:
        return results[0]
    names = [each.name for each in fields(results[0]) if isinstance(getattr(results[0], each.name), np.ndarray)]
    units = tuple(name for each in results for name in each.units)
    return replace(
        results[0],
        question=replace(results[0].question, unit="; ".join(dict.fromkeys(units))),
        units=units,
        **put_together([{name: getattr(each, name) for name in names} for each in results]),
    )
