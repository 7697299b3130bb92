"""Which of the objects in an image is the object, and which label objects make."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import IconoscopeWarning
from iconoscope.subject.images.source import Label
from iconoscope.vocabulary.resolver import plain_name

__all__ = ["MaskReader", "labels_of", "meant_objects", "plain_names"]

# For every image that has a mask: how to read it.
MaskReader = Callable[[], NDArray[np.bool_]]


def meant_objects(names: Sequence[str], label: Label, categories: frozenset[str]) -> list[int]:
    """Give the objects that are meant: those of the image's own label if that is a category, else all.

    >>> meant_objects(["dog", "person", "dog"], "Dog", plain_names(["dog", "person"]))
    [0, 2]
    >>> meant_objects(["dog", "person", "dog"], "n02099601", plain_names(["dog", "person"]))
    [0, 1, 2]
    """
    plain_label = None if not isinstance(label, str) else plain_name(label)
    if plain_label is None or plain_label not in categories:
        return list(range(len(names)))
    return [row for row, name in enumerate(names) if plain_name(name) == plain_label]


def plain_names(names: Iterable[str]) -> frozenset[str]:
    """Give the categories as labels are compared with them: case, ``_`` and ``-`` aside."""
    return frozenset(map(plain_name, names))


def labels_of(ids: Sequence[str], names: Mapping[str, Sequence[str]], origin: str) -> list[Label]:
    """Give the category of the images whose objects are all of one; the others have no label, which is said."""
    kinds = [set(names.get(id, ())) for id in ids]
    several, none = sum(len(kind) > 1 for kind in kinds), sum(not kind for kind in kinds)
    if several or none:
        warnings.warn(
            f"{several + none} of {len(ids)} images have no label from {origin}: {several} hold objects of several "
            f"categories, {none} hold none.",
            IconoscopeWarning,
            stacklevel=2,
        )
    return [kind.pop() if len(kind) == 1 else None for kind in kinds]
