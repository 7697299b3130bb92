"""Opening a recording again, with its images beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError, QuestionError, StoreError, UnitError, nearest
from iconoscope.results.recording import INDEX, Recording
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import read_preprocessing
from iconoscope.subject.unit import ClassUnit, parse_unit

__all__ = ["load_recording", "place_of", "recorded_pictures"]


def load_recording(recording: Recording | str | Path = "iconoscope-run", *, images: Images | Any = None) -> Recording:
    """Open what `record` has kept.

    Parameters
    ----------
    recording
        A store, of which the latest recording is taken, or the folder of one recording.
    images
        The set that was recorded, if it is not any more where it was. Images are matched by their ids.

    Returns
    -------
    Recording
        With its images, if they are at hand: `top_images` and `map_images` show them.

    Raises
    ------
    StoreError
        If there is no recording, or it was not ended.
    ImagesError
        If `images` lacks some that were recorded.
    """
    if isinstance(recording, Recording):
        return recording if images is None else _attached(recording, load_images(images), given=True)
    folder = Path(recording).expanduser()
    if not (folder / INDEX).is_file():
        found = sorted(folder.glob(f"record/*/{INDEX}"), key=lambda path: (path.stat().st_mtime_ns, str(path)))
        if not found:
            raise StoreError(
                f"There is no recording in {folder}.",
                hint="Make one first: iconoscope record --network ... --images ... --store DIR",
            )
        folder = found[-1].parent
    opened = Recording.open(folder)
    if images is not None:
        return _attached(opened, load_images(images), given=True)
    try:
        return _attached(opened, load_images(opened.source), given=False)
    except (ImagesError, QuestionError):  # they came from memory, or have gone: some questions need no pictures
        return opened


def _attached(recording: Recording, images: Images, *, given: bool) -> Recording:
    """Put the images beside the recording, in its order."""
    place = {identity: number for number, identity in enumerate(images.ids)}
    missing = [identity for identity in recording.ids if identity not in place]
    if missing:
        if not given:
            return recording
        raise ImagesError(
            f"{len(missing)} of the {len(recording)} recorded images are not among those from {images.source}, "
            f"for example {missing[0]}.",
            hint=f"The recording was made of {recording.source}.",
        )
    return replace(recording, images=images[[place[identity] for identity in recording.ids]])


def recorded_pictures(recording: Recording, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Give images of a recording as the network saw them, (rows, height, width, 3).

    Raises
    ------
    QuestionError
        If the images are not at hand.
    """
    if recording.images is None:
        raise QuestionError(
            f"The images of this recording are not at hand: they came from {recording.source}.",
            hint="Give them: load_recording(..., images=...), or --images.",
        )
    preprocessing = read_preprocessing(recording.question.settings["preprocessing"])
    pixels = [preprocessing.fit(recording.images[int(row)].pixels) for row in rows]
    return np.stack(pixels) if pixels else np.zeros((0, *preprocessing.size, 3), np.uint8)


def place_of(recording: Recording, unit: str) -> int:
    """Give the place of a unit among those of a recording.

    Raises
    ------
    UnitError
        If it was not recorded, or is a whole layer or a single neuron.
    """
    parsed = parse_unit(unit)
    if isinstance(parsed, ClassUnit):
        names = list(recording.classes)
        index = names.index(parsed.name) if parsed.name in names else None
        if index is None and parsed.name.isdecimal() and int(parsed.name) < len(names):
            index = int(parsed.name)
        if parsed.kind == "prob":
            raise UnitError(
                f"{unit} is not ranked: probabilities share one sum.", hint=f"Ask logit:{parsed.name} instead."
            )
        if index is None:
            raise UnitError(f"{unit}: there is no class {parsed.name!r}.", hint=nearest(parsed.name, names))
        return len(recording.units) - len(names) + index
    layers = {layer.name: layer for layer in recording.layers}
    endings = [name for name in layers if name == parsed.layer or name.endswith(f".{parsed.layer}")]
    name = parsed.layer if parsed.layer in layers else endings[0] if len(endings) == 1 else None
    if name is None:
        raise UnitError(
            f"{unit}: {parsed.layer} " + ("means several layers." if endings else "was not recorded."),
            hint=nearest(parsed.layer, endings or list(layers)),
        )
    channels = layers[name].channels
    if parsed.channel is None or parsed.position is not None:
        raise UnitError(f"{unit} is not a channel.", hint=f"Ask one of {name}:0 to {name}:{channels - 1}.")
    if parsed.channel >= channels:
        raise UnitError(f"{unit}: {name} has {channels} channels, 0 to {channels - 1}.")
    return recording.first_of(name) + parsed.channel
