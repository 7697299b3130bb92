"""Images that are encoded, in files or in bytes: what sources have in common that differ only in where the bytes lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from iconoscope.subject.images.decoding import Encoded, decode_bands, decode_image
from iconoscope.subject.images.source import Label, Pixels, ThreeChannels

__all__ = ["EncodedImages", "FileReader", "ImageReader", "named_labels"]


class ImageReader(Protocol):
    """A reader of encoded images. It is sent to the processes that decode, so it opens nothing before it is called."""

    def __call__(self, row: int, id: str) -> Encoded:
        """Give the bytes of the row's image, its path, or a PIL image. Raises `ImageFileError`, which names the id."""
        ...


@dataclass(frozen=True)
class FileReader:
    """Files on this machine, by their paths relative to a folder."""

    root: Path
    paths: Sequence[str] = field(repr=False)

    def __call__(self, row: int, id: str) -> Path:
        """Give the path of the file."""
        return self.root / self.paths[row]


@dataclass(frozen=True, eq=False)
class EncodedImages(ThreeChannels):
    """Images that a reader gives encoded, one at a time.

    Attributes
    ----------
    origin : str
        What was given.
    ids : sequence of str
        Their ids.
    labels : sequence or None
        Their labels.
    reader : ImageReader
        Where the bytes lie.
    label_names : tuple of str
        The names of the classes in the source's own order, or ``()``.
    """

    origin: str
    ids: Sequence[str] = field(repr=False)
    labels: Sequence[Label] | None = field(repr=False)
    reader: ImageReader = field(repr=False)
    label_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def id(self, row: int) -> str:
        """Give the row's id."""
        return self.ids[row]

    def label(self, row: int) -> Label:
        """Give the row's label."""
        return None if self.labels is None else self.labels[row]

    def read(self, row: int) -> Pixels:
        """Decode the row to upright RGB."""
        return decode_image(self.reader(row, self.ids[row]), self.ids[row])

    def bands(self, row: int) -> Pixels:
        """Decode the row to its four stored channels, upright."""
        return decode_bands(self.reader(row, self.ids[row]), self.ids[row])


def named_labels(labels: Sequence[Label], names: Sequence[str]) -> Sequence[Label]:
    """Give the class names for numbers, None for a number without one; without names, the labels as they are.

    >>> named_labels([1, -1, "cat"], ["car", "bird"])
    ['bird', None, 'cat']
    """
    if not names:
        return labels
    name_of = dict(enumerate(names))
    return [name_of.get(label) if isinstance(label, int) else label for label in labels]
