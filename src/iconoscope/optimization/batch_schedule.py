"""Many pictures, batch by batch: what is kept already, what fits the memory, and what Ctrl-C leaves."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from iconoscope.errors import IconoscopeWarning
from iconoscope.optimization.objective import Objective
from iconoscope.optimization.synthesis import PictureRequest, Synthesis, concatenate
from iconoscope.progress import track
from iconoscope.results import Visualization
from iconoscope.store import Store

__all__ = ["make_all"]


_Bundle = tuple[int, list[PictureRequest]]
"""The index of a group, and pictures of it that must be made together."""


def make_all(
    synthesis: Synthesis, groups: Sequence[Sequence[Objective]], memory: int, store: Store | None
) -> Visualization:
    """Make the pictures of all groups, batch by batch; what the store has is not made again."""
    results = {} if store is None else _stored(synthesis, groups, store)
    bundles = [
        (index, bundle)
        for index, group in enumerate(groups)
        if index not in results
        for bundle in synthesis.bundles(group)
    ]
    objectives = [request.objective for _, requests in bundles for request in requests]
    reference = synthesis.reference_answers(objectives) if objectives else {}
    parts: dict[int, list[dict[str, np.ndarray]]] = {}
    ended = True
    batches = _packed(bundles, synthesis.batch_size(bundles[0][1], memory)) if bundles else []
    for batch in track(batches, f"optimizing, {synthesis.network.name}") if len(batches) > 1 else batches:
        try:
            arrays, ended = synthesis.make([request for _, requests in batch for request in requests], reference)
        except KeyboardInterrupt:
            if not results and not parts:
                raise
            ended = False
            break
        first = 0
        for index, requests in batch:
            last = first + len(requests)
            parts.setdefault(index, []).append({name: array[first:last] for name, array in arrays.items()})
            first = last
        for index in {index for index, _ in batch}:
            count = sum(len(part["images"]) for part in parts[index])
            if count == len(groups[index]) * synthesis.per_objective and ended:
                results[index] = synthesis.result(groups[index], concatenate(parts.pop(index)))
                if store is not None:
                    store.keep(results[index])
        if not ended:
            break
    results |= {index: synthesis.result(groups[index], concatenate(begun)) for index, begun in parts.items()}
    visualization = _joined([results[index] for index in sorted(results)])
    if not ended:
        total = synthesis.per_objective * sum(map(len, groups))
        warnings.warn(
            f"Ended by Ctrl-C: {len(visualization)} of {total} pictures, the last ones unfinished.",
            IconoscopeWarning,
            stacklevel=3,
        )
    return visualization


def _stored(synthesis: Synthesis, groups: Sequence[Sequence[Objective]], store: Store) -> dict[int, Visualization]:
    """Give the results that a store has, by the index of their group, and make it ready for those that it has not."""
    answers = {index: store.find(synthesis.question(group), Visualization) for index, group in enumerate(groups)}
    store.prepare()
    return {index: answer for index, answer in answers.items() if answer is not None}


def _packed(bundles: Sequence[_Bundle], most: int) -> list[list[_Bundle]]:
    """Put bundles into batches of at most so many pictures."""
    batches: list[list[_Bundle]] = []
    room = 0
    for bundle in bundles:
        count = len(bundle[1])
        if count > room:
            batches.append([])
            room = max(most, count)
        batches[-1].append(bundle)
        room -= count
    return batches


def _joined(results: Sequence[Visualization]) -> Visualization:
    """Put the results of several units into one."""
    first = results[0]
    if len(results) == 1:
        return first
    names = [field.name for field in fields(first) if isinstance(getattr(first, field.name), np.ndarray)]
    units = tuple(unit for visualization in results for unit in visualization.units)
    return replace(
        first,
        question=replace(first.question, unit="; ".join(dict.fromkeys(units))),
        units=units,
        **concatenate([{name: getattr(visualization, name) for name in names} for visualization in results]),
    )
