"""The units and the images of a recording, as every question about it needs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import QuestionError, StoreError, UnitError
from iconoscope.results import Question, Visualization
from iconoscope.results.rendering import rgb
from iconoscope.results.result_folder import is_record
from iconoscope.store import Recording, Store, load_question, load_result
from iconoscope.subject.network import read_preprocessing
from iconoscope.vocabulary.resolver import check_channel
from iconoscope.vocabulary.unit import ClassUnit

__all__ = [
    "check_images",
    "optimized_picture",
    "question_about",
    "receptive_field",
    "recorded_pictures",
    "unit_index",
]


def question_about(recording: Recording, technique: str, *, unit: str = "", **settings: Any) -> Question:
    """Give the question that is asked of a recording."""
    return replace(
        recording.question,
        technique=technique,
        unit=unit,
        settings={"recording": recording.question.key, **settings},
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
    resolved = recording.resolve(unit)
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


def check_images(recording: Recording) -> None:
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
    check_images(recording)
    preprocessing = read_preprocessing(recording.question.settings["preprocessing"])
    pixels = [rgb(preprocessing.shown(recording.images[int(row)])) for row in rows]
    return np.stack(pixels) if pixels else np.zeros((0, *preprocessing.size, 3), np.uint8)


def receptive_field(recording: Recording, unit: int, position: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Give the receptive field of a unit at a position of its map: top, left, bottom, right, pixels; all where none is known.

    Of a token it is the patch that it stands for, whatever else it has seen through attention.
    """
    if position >= 0 and unit < len(recording.units) - len(recording.classes):
        layer, _ = recording.layer_at(unit)
        if layer.tokens:
            return layer.patch(position, size) or (0, 0, size[0], size[1])
        if layer.field is not None:
            return layer.field.at(*divmod(position, layer.columns), size)
    return 0, 0, size[0], size[1]


class OptimizedPicture(NamedTuple):
    """A picture that was made for a unit.

    Attributes
    ----------
    pixels : ndarray of uint8, (height, width, 3)
        The picture.
    style : str
        How it was made.
    key : str
        Of the question that it answers.
    """

    pixels: NDArray[np.uint8]
    style: str
    key: str


def optimized_picture(recording: Recording, unit: str, store: Store | str | Path | None) -> OptimizedPicture | None:
    """Look in the recording's store, and in another, for a picture that was made for a unit of the same network."""
    stores = [recording.folder.parent.parent] + ([Store.at(store).folder] if store is not None else [])
    for folder in dict.fromkeys(stores):
        for record in sorted((folder / "optimize").glob("*")):
            try:
                if not is_record(record):
                    continue
                _, question = load_question(record)
                if question.weights != recording.question.weights or question.unit != unit:
                    continue
                visualization = load_result(record)
            except StoreError:  # a damaged picture is told of by whoever asks for it, not by what stands beside it
                continue
            if isinstance(visualization, Visualization) and unit in visualization.units:
                pixels = rgb(visualization.images[visualization.units.index(unit)])
                return OptimizedPicture(pixels, visualization.style, question.key)
    return None
