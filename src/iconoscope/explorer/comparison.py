"""A second network beside the first: another, or the same with other weights, as before and after a fine-tuning."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from iconoscope.errors import QuestionError, warn
from iconoscope.exemplars import load_recording
from iconoscope.exemplars.load_recording import find_recordings
from iconoscope.explorer.subject import Subject, find_subject
from iconoscope.results.folders import without_folders
from iconoscope.store import Recording, Store
from iconoscope.subject.images import Images
from iconoscope.subject.network import Network, load_network, load_weights, read_checkpoint

__all__ = ["find_second", "ids_to_compare", "of_same_images"]

_WEIGHTS = {".safetensors", ".pt", ".pth", ".bin", ".ckpt"}


def find_second(compare: Network | str, first: Subject, images: Images | None = None) -> Subject:
    """Give the second network.

    Parameters
    ----------
    compare
        A network; or ``NAME=SPEC`` or ``SPEC``: a file of weights for the first network, the name of a network, or a store.
    first
        The first network.
    images
        The images that are explored, where nothing was recorded of the first network.

    Raises
    ------
    QuestionError
        If its classes are not those of the first, so that their answers could not stand beside each other.
    """
    if first.recording is not None:
        images = first.recording.images
    name, store = "", first.store
    if isinstance(compare, Network):
        network: Network | None = compare
    else:
        name, spec = _divided(compare)
        path = Path(spec).expanduser()
        is_store = (path / "store.json").is_file()
        is_weights = path.is_file() and path.suffix in _WEIGHTS
        network = None if is_store else _with_weights(first, path) if is_weights else _named(spec, first)
        store = Store(path) if is_store else store
        name = name or path.name
    recording = None if network is not None else _recording_of(store, first, images)
    if recording is None:
        beside = [] if first.recording is None else [first.recording.ids]
        second = find_subject(1, name, network, images, store, beside=beside)
    else:
        second = Subject(1, without_folders(name or recording.question.network), None, recording, store)
    if second.classes != first.classes:
        raise QuestionError(
            f"{second.name} has other classes than {first.name}: they cannot stand beside each other.",
            hint=f"{len(first.classes)} classes from {first.classes[0]}, and {len(second.classes)} from {second.classes[0]}.",
        )
    return of_same_images(second, first, images)


def ids_to_compare(compare: Network | str | None) -> list[Sequence[str]]:
    """Give the ids of every recording of the store that a first network is compared with; none where it is no store."""
    if not isinstance(compare, str):
        return []
    return [recording.ids for recording in find_recordings(_divided(compare)[1], None)]


def _recording_of(store: Store, first: Subject, images: Images | None) -> Recording | None:
    """Give the latest recording of a store that is of the first network's images; None where the store has none at all.

    Raises
    ------
    QuestionError
        If all are of other images.
    """
    ids = first.recording.ids if first.recording is not None else None if images is None else tuple(images.ids)
    recordings = list(find_recordings(store.folder, None))
    for recording in recordings:
        if ids is None or recording.ids == ids:
            return load_recording(recording.folder) if images is None else load_recording(recording, images=images)
    if recordings:
        raise QuestionError(
            f"Of the second network there are only recordings of other images than the {len(ids or ()):,} that are shown of "
            f"{first.name}.",
            hint="Give --images on which both were recorded, or record both on the same.",
        )
    return None


def _divided(compare: str) -> tuple[str, str]:
    """Divide NAME=SPEC; NAME may not be there, and both may have a = in them: what is a file or a folder is SPEC."""
    words = compare.split("=")
    for first in range(len(words)):
        spec = "=".join(words[first:])
        if Path(spec).expanduser().exists():
            return "=".join(words[:first]), spec
    is_named = len(words) > 1 and not {"/", "\\"} & set(words[0])
    return (words[0], "=".join(words[1:])) if is_named else ("", compare)


def _with_weights(first: Subject, path: Path) -> Network:
    """Put weights into a copy of the first network."""
    network = first.asked
    with network.reserved():
        module = copy.deepcopy(network.module)
    load_weights(module, read_checkpoint(path))
    settings = {"classes": network.classes, "preprocessing": network.preprocessing, "activation": network.activation}
    return replace(load_network(module, **settings), name=network.name, loaded_by=_loaded_by(network, path))


def _loaded_by(network: Network, path: Path) -> dict[str, Any]:
    """Give what `load_network` is given for a network with other weights: what its own file said of it has to be said, too."""
    if not network.loaded_by:
        return {}
    stated: dict[str, Any] = {}
    if not network.classes_origin.startswith("the module"):
        stated["classes"] = list(network.classes)
    if not network.preprocessing.origin.startswith("the module"):
        stated["preprocessing"] = network.preprocessing
    return {**stated, **network.loaded_by, "checkpoint": str(path)}


def _named(spec: str, first: Subject) -> Network:
    """Load a network by its name, to where the first is."""
    return load_network(spec, device="auto" if first.network is None else str(first.network.device))


def of_same_images(second: Subject, first: Subject, images: Images | None) -> Subject:
    """Leave the second's recording out where it is of other images: a number means one image in both.

    Parameters
    ----------
    second, first
        The networks.
    images
        All images, which have their own numbers where nothing was recorded of the first network.

    Raises
    ------
    QuestionError
        If nothing of the second is left.
    """
    ids = first.recording.ids if first.recording is not None else None if images is None else tuple(images.ids)
    if second.recording is None or ids is None or second.recording.ids == ids:
        return second
    warn(f"{second.name} was recorded on other images than {first.name}: what was recorded of it is left out.")
    if second.network is None:
        raise QuestionError(
            f"Of {second.name} there is only a recording of other images.", hint="Record both on the same images."
        )
    return replace(second, recording=None)
