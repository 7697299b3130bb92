"""Photographs that were dropped into the explorer: in memory, a few at a time, and on disk only if that was wished."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path

from iconoscope.atomic_files import writing_whole
from iconoscope.errors import ImagesError, QuestionError
from iconoscope.results.rendering import to_png
from iconoscope.subject.images import Image, Images
from iconoscope.subject.images.arrays import Arrays
from iconoscope.subject.images.decoding import decode_image

__all__ = ["LARGEST", "PREFIX", "Photographs"]

LARGEST = 32 * 2**20
"""Bytes of an encoded photograph: what a good camera gives is a third of it."""

PREFIX = "upload-"
"""Begins the names of dropped photographs, which no number of a recorded image does."""

_HELD = 32
_MEMORY = 512 * 2**20
"""Bytes of the pixels that are held: a photograph of 24 megapixels takes 72 MB."""

_FOLDER = "photographs"


class Photographs:
    """Dropped photographs by name; the oldest goes when they are too many or take too much memory, unless it was kept.

    Parameters
    ----------
    store : Path
        The folder of the store, where those are that were kept.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / _FOLDER
        self._images: OrderedDict[str, Image] = OrderedDict()
        self._titles: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, encoded: bytes, title: str = "") -> str:
        """Take a photograph as a file holds it, and what it is called; give the name that addresses it.

        Raises
        ------
        ImageFileError
            If it is no image, or one that no set of images takes.
        QuestionError
            If it is too large.
        """
        if len(encoded) > LARGEST:
            raise QuestionError(
                f"The photograph has more than {LARGEST // 2**20} MB.", hint="Make it smaller, or store it as JPEG."
            )
        name = PREFIX + hashlib.sha256(encoded).hexdigest()[:16]
        pixels = decode_image(encoded, "The photograph")
        source = Arrays("a dropped photograph", [name], [None], pixels[None])
        with self._lock:
            self._titles[name] = title
            self._images[name] = Images(source)[0]
            self._images.move_to_end(name)
            held = sum(image.pixels.nbytes for image in self._images.values())
            while len(self._images) > 1 and (len(self._images) > _HELD or held > _MEMORY):
                oldest, image = self._images.popitem(last=False)
                del self._titles[oldest]
                held -= image.pixels.nbytes
        return name

    def title(self, name: str) -> str:
        """Give what a photograph is called: as its file was, as long as it is held; else its name."""
        with self._lock:
            return self._titles.get(name) or name

    def image(self, name: str) -> Image:
        """Give a photograph by its name; raises `ImagesError` if it is not there any more."""
        with self._lock:
            if name in self._images:
                return self._images[name]
        path = self._path(name)
        if path is None or not path.is_file():
            raise ImagesError("That photograph is not here any more.", hint="Drop it again, and keep it.")
        pixels = decode_image(path.read_bytes(), name)
        return Images(Arrays("a kept photograph", [name], [None], pixels[None]))[0]

    def keep(self, name: str) -> None:
        """Write a photograph into the store, as PNG, without what the file said beside its pixels."""
        path = self._path(name)
        image = self.image(name)
        if path is not None and not path.is_file():
            with writing_whole(path) as hidden:
                hidden.write_bytes(to_png(image.pixels))

    def is_kept(self, name: str) -> bool:
        """Tell whether a photograph is on disk."""
        path = self._path(name)
        return path is not None and path.is_file()

    def _path(self, name: str) -> Path | None:
        """Give where a photograph is kept; None for what is no name of ours, as one with a folder in it."""
        digest = name.removeprefix(PREFIX)
        is_name = name.startswith(PREFIX) and len(digest) == 16 and set(digest) <= set("0123456789abcdef")
        return self._folder / f"{name}.png" if is_name else None
