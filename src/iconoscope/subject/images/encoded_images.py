"""Images that are encoded, in files or in bytes: what sources have in common that differ only in where the bytes lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from iconoscope.subject.images.decoding import Encoded, decode_bands, decode_depth, decode_image
from iconoscope.subject.images.source import Label, Pixels, Source

__all__ = ["EncodedImages", "FileReader", "ImageReader", "named_labels"]


ImageReader = Callable[[int, str], Encoded]
"""From a row and its id to the bytes of the image, its path, or a PIL image. Raises `ImageFileError`, which names the id. It is
sent to the processes that decode, so it opens nothing before it is called."""


@dataclass(frozen=True)
class FileReader:
    """Files on this machine, by their paths relative to a folder."""

    root: Path
    paths: Sequence[str] = field(repr=False)

    def __call__(self, row: int, id: str) -> Path:
        """Give the path of the file."""
        return self.root / self.paths[row]


@dataclass(frozen=True, eq=False)
class EncodedImages(Source):
    """Images that a reader gives encoded, one at a time.

    Attributes
    ----------
    reader : ImageReader
        Where the bytes lie.
    bits : int
        Bits that are used of images in 16.
    """

    reader: ImageReader = field(repr=False)
    bits: int = field(default=16, kw_only=True)

    def stamp(self, row: int) -> bytes:
        """Give the size of the file, where each image has one."""
        if not isinstance(self.reader, FileReader):
            return b""
        with suppress(OSError):  # reading says what is wrong with it
            return str(self.reader(row, self.ids[row]).stat().st_size).encode()
        return b""

    def read(self, row: int) -> Pixels:
        """Decode the row to upright RGB."""
        return decode_image(self.reader(row, self.ids[row]), self.ids[row], bits=self.bits)

    def depth(self, row: int) -> int:
        """Give the bits that the row's values fill of those that are used."""
        return min(self.bits, decode_depth(self.reader(row, self.ids[row]), self.ids[row]))

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
