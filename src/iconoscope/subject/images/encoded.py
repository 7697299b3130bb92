"""Sources whose images are encoded, in files or in bytes: what all of them have in common."""

from __future__ import annotations

from iconoscope.subject.images.decoding import Given, decode_bands, decode_image
from iconoscope.subject.images.source import Pixels, Plain

__all__ = ["Encoded"]


class Encoded(Plain):
    """A source that gives the file or the bytes of every row; they are decoded here."""

    def id(self, row: int) -> str:
        """Name the row."""
        raise NotImplementedError

    def encoded(self, row: int) -> Given:
        """Give the path or the bytes of the row's image. Raises `ImageFileError`."""
        raise NotImplementedError

    def read(self, row: int) -> Pixels:
        """Decode the row to upright RGB."""
        return decode_image(self.encoded(row), self.id(row))

    def bands(self, row: int) -> Pixels:
        """Decode the row to its four stored channels, upright."""
        return decode_bands(self.encoded(row), self.id(row))
