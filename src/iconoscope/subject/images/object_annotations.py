"""Objects that annotations name in an image: which of them is the object, and which label they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from iconoscope.errors import warn
from iconoscope.subject.images.source import Box, Label, MaskReader
from iconoscope.vocabulary.resolver import plain_name

__all__ = ["AnnotatedObject", "ObjectAnnotations", "meant_objects", "plain_names"]


class AnnotatedObject(Protocol):
    """One object in an image."""

    @property
    def name(self) -> str:
        """Its category."""
        ...

    @property
    def box(self) -> Box:
        """The box around it. Raises `ImagesError` where what is written is none."""
        ...

    @property
    def crowd(self) -> bool:
        """Whether it is many at once, which counts for the label and is no object."""
        ...


Object = TypeVar("Object", bound=AnnotatedObject)


class ObjectAnnotations(ABC, Generic[Object]):
    """Annotations that name the objects in images; files of one kind differ in how they are read, and in the masks."""

    origin: str

    @abstractmethod
    def objects(self, ids: Sequence[str]) -> Mapping[str, Sequence[Object]]:
        """Give the objects of the images of which something is said. Raises `ImagesError` where nothing is of any."""

    @abstractmethod
    def categories(self, objects: Mapping[str, Sequence[Object]]) -> Iterable[str]:
        """Give the names that an object may have."""

    @abstractmethod
    def masks(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, MaskReader]:
        """Give the masks of the objects that are meant, read when they are asked for. Raises `ImagesError`."""

    def labels(self, ids: Sequence[str]) -> list[Label]:
        """Give the category of the images whose objects are all of one, None for the others, with a warning."""
        objects = self.objects(ids)
        categories = [{entry.name for entry in objects.get(id, ())} for id in ids]
        several, none = sum(len(names) > 1 for names in categories), sum(not names for names in categories)
        if several or none:
            warn(
                f"{several + none} of {len(ids)} images have no label from {self.origin}: {several} hold objects of several "
                f"categories, {none} hold none."
            )
        return [names.pop() if len(names) == 1 else None for names in categories]

    def boxes(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, tuple[Box, ...]]:
        """Give the boxes of the objects that are meant."""
        return {id: tuple(entry.box for entry in meant) for id, meant in self.meant(ids, labels).items()}

    def meant(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, list[Object]]:
        """Give the objects that are meant, of the images that have some."""
        objects, label_of = self.objects(ids), dict(zip(ids, labels, strict=True))
        categories = plain_names(self.categories(objects))
        meant: dict[str, list[Object]] = {}
        for id, entries in objects.items():
            single = [entry for entry in entries if not entry.crowd]
            if rows := meant_objects([entry.name for entry in single], label_of[id], categories):
                meant[id] = [single[row] for row in rows]
        return meant


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
