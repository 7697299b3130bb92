"""What a long question has answered so far, kept from being lost with its process."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iconoscope.store.result_folder import writing_whole

__all__ = ["Parts"]

Arrays = dict[str, NDArray[np.generic]]


class Parts:
    """Arrays under names, in a folder; nowhere if there is none.

    Examples
    --------
    >>> import tempfile
    >>> parts = Parts(Path(tempfile.mkdtemp()) / "parts")
    >>> parts.of("first", lambda: {"answers": np.arange(3)})["answers"]
    array([0, 1, 2])
    >>> parts.of("first", lambda: 1 / 0)["answers"]
    array([0, 1, 2])
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def of(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Give what is kept under a name, or make it and keep it. What cannot be read is made again."""
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as kept:
                return {key: kept[key] for key in kept.files}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            made = make()
        with writing_whole(path) as aside, aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **made)
        return made
