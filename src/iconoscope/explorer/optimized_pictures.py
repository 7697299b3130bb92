"""The optimised pictures that a store has, by the unit that they were made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import StoreError
from iconoscope.explorer.optional_records import OptionalRecords
from iconoscope.results import Visualization
from iconoscope.results.result_folder import is_record
from iconoscope.store import Store, load_result

__all__ = ["OptimizedPictures"]


@dataclass(frozen=True)
class _Content:
    """What a folder holds: the unit (empty: of another network), how many pictures, and the image that they began from."""

    unit: str = ""
    count: int = 0
    began: str = ""


class OptimizedPictures:
    """The pictures of one network in a store; what is made later is found too.

    Parameters
    ----------
    store : Store
        The store.
    weights : str
        The digest of the network.
    optional : OptionalRecords
        What reads them, and remembers which cannot be read.
    """

    def __init__(self, store: Store, weights: str, optional: OptionalRecords) -> None:
        self._folder, self._weights, self._optional = store.folder / "optimize", weights, optional
        self._seen: dict[str, _Content] = {}  # by the folder's name

    def addresses(self) -> dict[str, list[str]]:
        """Give, for every unit that has pictures, where they are below `/api/`: ``pictures/KEY/NUMBER.png``."""
        addresses: dict[str, list[str]] = {}
        for name, content in self._contents():
            addresses.setdefault(content.unit, []).extend(
                f"pictures/{name}/{number}.png" for number in range(content.count)
            )
        return addresses

    def beginnings(self) -> dict[str, list[str]]:
        """Give, for every unit, the ids of the images that its pictures began from, in the order of `addresses`."""
        beginnings: dict[str, list[str]] = {}
        for _, content in self._contents():
            beginnings.setdefault(content.unit, []).extend([content.began] * content.count)
        return beginnings

    def picture(self, name: str, number: int) -> NDArray[np.uint8]:
        """Give a picture (height, width, 3) by the key and number of its address; raises `StoreError` if it is not there."""
        if name in self._names():
            result = load_result(self._folder / name)
            if isinstance(result, Visualization) and 0 <= number < len(result):
                return result.bytes_of(number)
        raise StoreError("There is no such picture in the store.")

    def _names(self) -> list[str]:
        folders: list[Path] = list(filter(is_record, self._folder.glob("*")))
        return [folder.name for folder in sorted(folders, key=lambda folder: (folder.stat().st_mtime_ns, folder.name))]

    def _contents(self) -> list[tuple[str, _Content]]:
        """Give the folders with pictures of this network's units."""
        looked = [(name, self._seen[name] if name in self._seen else self._look(name)) for name in self._names()]
        return [(name, content) for name, content in looked if content.unit]

    def _look(self, name: str) -> _Content:
        """Read whose pictures are in a folder; of several objectives together none is a unit's own."""
        content, folder = _Content(), self._folder / name
        known = self._optional.question(folder)
        if known is not None and known[1].weights == self._weights and "; " not in known[1].unit:
            question = known[1]
            result = self._optional.result(folder, question.unit)
            if isinstance(result, Visualization):
                # What begins with noise has no pixels of its own.
                content = _Content(question.unit, len(result.units), question.subject if question.pixels else "")
        self._seen[name] = content
        return content
