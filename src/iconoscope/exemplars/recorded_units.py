"""What is decided alike by all that is asked of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import QuestionError, StoreError, UnitError
from iconoscope.results import Question, Visualization
from iconoscope.results.rendering import rgb
from iconoscope.results.result_folder import is_record
from iconoscope.store import Recording, Store, load_question, load_result
from iconoscope.subject.network import read_preprocessing
from iconoscope.vocabulary.resolver import Names, check_channel, resolve
from iconoscope.vocabulary.unit import ClassUnit

__all__ = ["at_hand", "class_names", "derived", "made_picture", "receptive_field", "recorded_pictures", "unit_index"]


def derived(recording: Recording, technique: str, *, unit: str = "", **settings: Any) -> Question:
    """Give the question that is asked of a recording."""
    asked = recording.question
    return Question(
        technique=technique,
        network=asked.network,
        weights=asked.weights,
        subject=asked.subject,
        pixels=asked.pixels,
        unit=unit,
        settings={"recording": asked.key, **settings},
        version=__version__,
    )


def unit_index(recording: Recording, unit: str) -> int:
    """Give the index of a unit among those of a recording.

    Raises
    ------
    UnitError
        If it was not recorded, or is a whole layer or a single neuron.
    """
    channels = {layer.name: layer.channels for layer in recording.layers}
    resolved = resolve(
        unit,
        class_names(recording),
        lambda: list(channels),
        owner=f"The recording of {recording.question.network}",
        hint="Others: record --layers {}",
    )
    if isinstance(resolved, ClassUnit):
        if resolved.kind == "prob" or resolved.index is None:
            raise UnitError(
                f"{resolved} is not ranked: probabilities share one sum.", hint=f"Ask logit:{resolved.name} instead."
            )
        return len(recording.units) - len(recording.classes) + resolved.index
    layer = resolved.layer
    if resolved.channel is None or resolved.position is not None:
        raise UnitError(f"{unit} is not a channel.", hint=f"Ask one of {layer}:0 to {layer}:{channels[layer] - 1}.")
    check_channel(resolved, channels[layer])
    return recording.first_of(layer) + resolved.channel


def class_names(recording: Recording) -> Names:
    """Give the classes of the network that was recorded, as they are looked up."""
    return Names(recording.classes, recording.question.network)


def at_hand(recording: Recording) -> None:
    """See that the images are at hand, before anything that will show them is asked.

    Raises
    ------
    QuestionError
        If they are not.
    """
    if recording.images is None:
        raise QuestionError(
            f"The images of this recording are not at hand: they came from {recording.source}.",
            hint="Give them: load_recording(..., images=...), or --images.",
        )


def recorded_pictures(recording: Recording, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Give images of a recording as the network saw them, (rows, height, width, 3).

    Raises
    ------
    QuestionError
        If the images are not at hand.
    """
    at_hand(recording)
    preprocessing = read_preprocessing(recording.question.settings["preprocessing"])
    pixels = [rgb(preprocessing.shown(recording.images[int(row)])) for row in rows]
    return np.stack(pixels) if pixels else np.zeros((0, *preprocessing.size, 3), np.uint8)


def receptive_field(recording: Recording, place: int, at: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Give what a unit sees at a position of its map, all where none is known: top, left, bottom, right, pixels.

    Of a token it is the patch that it stands for, whatever else it has seen through attention.
    """
    if at >= 0 and place < len(recording.units) - len(recording.classes):
        layer, _ = recording.layer_at(place)
        if layer.tokens:
            return layer.patch(at, size) or (0, 0, size[0], size[1])
        if layer.field is not None:
            return layer.field.at(*divmod(at, layer.columns), size)
    return 0, 0, size[0], size[1]


def made_picture(
    recording: Recording, unit: str, store: Store | str | Path | None
) -> tuple[tuple[NDArray[np.uint8], str] | None, str]:
    """Look for the picture that was made for a unit: it and how it was made, and the key of the result that holds it."""
    stores = [recording.folder.parent.parent] + ([Store.at(store).folder] if store is not None else [])
    for folder in dict.fromkeys(stores):
        for place in sorted((folder / "optimize").glob("*")):
            try:
                if not is_record(place):
                    continue
                _, asked = load_question(place)
                if asked.weights != recording.question.weights or asked.unit != unit:
                    continue
                found = load_result(place)
            except StoreError:  # a damaged picture is told of by whoever asks for it, not by what stands beside it
                continue
            if isinstance(found, Visualization) and unit in found.units:
                first = found.units.index(unit)
                return (rgb(found.images[first]), found.style), asked.key
    return None, ""
