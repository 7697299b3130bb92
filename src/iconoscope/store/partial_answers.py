"""Partial answers: what a long question has answered so far, on disk, so that it is not lost with its process."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole

__all__ = ["PartialAnswers"]

Arrays = dict[str, NDArray[np.generic]]


class PartialAnswers:
    """Arrays under names, in a folder; nowhere if there is none.

    Examples
    --------
    >>> import tempfile
    >>> partial = PartialAnswers(Path(tempfile.mkdtemp()) / "partial")
    >>> partial.get_or_make("first", lambda: {"answers": np.arange(3)})["answers"]
    array([0, 1, 2])
    >>> partial.get_or_make("first", lambda: 1 / 0)["answers"]
    array([0, 1, 2])
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get_or_make(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Give what is kept under a name, or make it and keep it. What cannot be read is made again."""
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {key: stored[key] for key in stored.files}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            arrays = make()
        with writing_whole(path) as hidden, hidden.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        return arrays
