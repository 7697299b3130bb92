"""What is known of all units of a layer at once, from the recording: worked out when a layer is first looked at, and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import UnitError, nearest
from iconoscope.exemplars.roc_area import areas_by_class

if TYPE_CHECKING:
    from iconoscope.store import Recording

__all__ = ["LOGITS", "UnitTable", "correlations", "read_unit_table", "recorded_layers"]

LOGITS = "logits"
"""The name of the layer whose units are the classes."""

_CHUNK = 8_000_000  # numbers that are held at once, eight bytes each


@dataclass(frozen=True, eq=False)
class UnitTable:
    """The units of a layer.

    Attributes
    ----------
    layer
        Its name.
    first
        The index of its first unit among those of the recording.
    units
        Their names.
    responses
        What they answer to every image, (images, units).
    dead
        Whether they answered nothing to any image.
    areas
        How well they tell each class, areas under ROC curves, (classes, units); NaN for a class of which no image is labelled.
    """

    layer: str
    first: int
    units: tuple[str, ...]
    responses: NDArray[np.float32]
    dead: NDArray[np.bool_]
    areas: NDArray[np.float64]

    def best_class(self, unit: int) -> int:
        """Give the class that a unit tells best; -1 where no image is labelled."""
        areas = self.areas[:, unit]
        return -1 if np.isnan(areas).all() else int(np.nanargmax(areas))


def recorded_layers(recording: Recording) -> list[str]:
    """List the layers whose units were recorded: the classes come last."""
    return [*(layer.name for layer in recording.layers), LOGITS]


def read_unit_table(recording: Recording, layer: str) -> UnitTable:
    """Work out what is known of a layer's units.

    Raises
    ------
    UnitError
        If the layer was not recorded.
    """
    names = recorded_layers(recording)
    if layer not in names:
        raise UnitError(f"The units of {layer!r} were not recorded.", hint=nearest(layer, names))
    logits = len(recording.units) - len(recording.classes)
    first = logits if layer == LOGITS else recording.first_of(layer)
    count = len(recording.classes) if layer == LOGITS else recording.layer_at(first)[0].channels
    units = recording.units[first : first + count]
    responses = np.asarray(recording.responses[:, first : first + count])
    dead = set() if layer == LOGITS else set(recording.dead_units(layer))
    return UnitTable(
        layer=layer,
        first=first,
        units=units,
        responses=responses,
        dead=np.array([unit in dead for unit in units]),
        areas=areas_by_class(responses, recording.targets, len(recording.classes)),
    )


def correlations(responses: NDArray[np.float32], unit: int) -> NDArray[np.float64]:
    """Give the correlation of every unit's answers, (images, units), with one unit's; 0 for one that always answers the same.

    >>> correlations(np.float32([[1, 2, 0], [2, 4, 0], [3, 6, 0]]), 0).round(6).tolist()
    [1.0, 1.0, 0.0]
    """
    centred_unit = responses[:, unit] - responses[:, unit].mean(dtype=np.float64)
    lengths, products = np.zeros((2, responses.shape[1]))
    step = max(1, _CHUNK // max(1, len(responses)))
    for first in range(0, responses.shape[1], step):
        part = slice(first, first + step)
        centred = responses[:, part] - responses[:, part].mean(0, dtype=np.float64)
        lengths[part] = np.sqrt(np.square(centred).sum(0))
        products[part] = centred.T @ centred_unit
    return np.divide(products, lengths * lengths[unit], out=np.zeros(len(lengths)), where=lengths * lengths[unit] > 0)
