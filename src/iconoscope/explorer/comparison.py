"""A second network beside the first: another, or the same with other weights, as before and after a fine-tuning."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from iconoscope.errors import QuestionError, warn
from iconoscope.explorer.subject import Subject, find_subject
from iconoscope.store import Store
from iconoscope.subject.images import Images
from iconoscope.subject.network import Network, load_network, load_weights, read_checkpoint

__all__ = ["find_second", "of_same_images"]

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
    second = find_subject(1, name, network, images, store)
    if second.classes != first.classes:
        raise QuestionError(
            f"{second.name} has other classes than {first.name}: they cannot stand beside each other.",
            hint=f"{len(first.classes)} classes from {first.classes[0]}, and {len(second.classes)} from {second.classes[0]}.",
        )
    return of_same_images(second, first, images)


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
