"""The optimised pictures that a store has, by the unit that they were made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import StoreError
from iconoscope.results import Visualization
from iconoscope.results.result_folder import is_record
from iconoscope.store import Store, load_question, load_result

__all__ = ["OptimizedPictures"]


@dataclass(frozen=True)
class _Made:
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
    """

    def __init__(self, store: Store, weights: str) -> None:
        self._folder, self._weights = store.folder / "optimize", weights
        self._seen: dict[str, _Made] = {}  # by the folder's name

    def addresses(self) -> dict[str, list[str]]:
        """Give, for every unit that has pictures, where they are below `/api/`: ``pictures/KEY/NUMBER.png``."""
        addresses: dict[str, list[str]] = {}
        for name, made in self._made():
            addresses.setdefault(made.unit, []).extend(f"pictures/{name}/{number}.png" for number in range(made.count))
        return addresses

    def beginnings(self) -> dict[str, list[str]]:
        """Give, for every unit, the ids of the images that its pictures began from, in the order of `addresses`."""
        beginnings: dict[str, list[str]] = {}
        for _, made in self._made():
            beginnings.setdefault(made.unit, []).extend([made.began] * made.count)
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

    def _made(self) -> list[tuple[str, _Made]]:
        """Give the folders with pictures of this network's units."""
        looked = [(name, self._seen[name] if name in self._seen else self._look(name)) for name in self._names()]
        return [(name, made) for name, made in looked if made.unit]

    def _look(self, name: str) -> _Made:
        """Read whose pictures are in a folder; of several objectives together none is a unit's own."""
        try:
            _, question = load_question(self._folder / name)
            own = question.weights == self._weights and "; " not in question.unit
            count = len(load_result(self._folder / name).units) if own else 0  # pyright: ignore[reportAttributeAccessIssue]
        except StoreError:  # what is damaged is told of by whoever asks for it
            own, count, question = False, 0, None
        # What begins with noise has no pixels of its own.
        made = _Made(question.unit, count, question.subject if question.pixels else "") if own and question else _Made()
        self._seen[name] = made
        return self._seen[name]
