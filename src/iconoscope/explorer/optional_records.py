"""Records that a page shows beside what it is about: one that is damaged leaves the rest of its page, and is named on it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from iconoscope.errors import StoreError
from iconoscope.explorer.messages import DamagedRecord
from iconoscope.results import Question
from iconoscope.results.folders import without_paths
from iconoscope.results.result import Result
from iconoscope.store import Store, load_question, load_result

__all__ = ["OptionalRecords"]


@dataclass(frozen=True)
class _Damage:
    """What is wrong with a record as it was written at a time; what it is about is empty where even that cannot be read."""

    unit: str
    error: StoreError
    written: int


class OptionalRecords:
    """Reads records of a store for pages that can do without them, and remembers those that cannot be read.

    Parameters
    ----------
    store : Store
        The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._damage: dict[Path, _Damage] = {}
        self._readable: dict[Path, int] = {}  # when they were written

    def folders(self, technique: str) -> list[Path]:
        """Give the folders of a technique's records, the latest first."""
        return [folder for folder in reversed(self._store.folders()) if folder.parent.name == technique]

    def question(self, folder: Path) -> tuple[str, Question] | None:
        """Give the kind and the question of a record; None where they cannot be read."""
        try:
            return load_question(folder)
        except StoreError as error:
            self.note(folder, error)
            return None

    def result(self, folder: Path, unit: str = "") -> Result | None:
        """Give the result of a record, which is about a unit; None where it cannot be read."""
        try:
            result = load_result(folder)
        except StoreError as error:
            self.note(folder, error, unit)
            return None
        self._damage.pop(folder, None)
        return result

    def is_readable(self, folder: Path, unit: str = "") -> bool:
        """Tell whether all of a record can be read; one that has stayed as it was is read once."""
        written = _written(folder)
        if self._readable.get(folder) != written:
            if self.result(folder, unit) is None:
                return False
            self._readable[folder] = written
        return True

    def note(self, folder: Path, error: StoreError, unit: str = "") -> None:
        """Remember that a record, which is about a unit, cannot be read."""
        self._damage[folder] = _Damage(unit, error, _written(folder))

    def damaged(self, technique: str = "", units: Iterable[str] | None = None) -> list[DamagedRecord]:
        """Name the records that could not be read when they were last looked at, and are there as they were then.

        Parameters
        ----------
        technique
            Whose records; of all by default.
        units
            What they are about; those of which even that cannot be read are named with any.
        """
        wanted = None if units is None else {"", *units}
        return [
            DamagedRecord(
                record=folder.relative_to(self._store.folder).as_posix(),
                message=self._short(folder, damage.error.message),
                hint=self._short(folder, damage.error.hint),
            )
            for folder, damage in sorted(self._damage.items())
            if folder.is_dir()
            and _written(folder) == damage.written
            and technique in ("", folder.parent.name)
            and (wanted is None or damage.unit in wanted)
        ]

    @staticmethod
    def _short(folder: Path, text: str) -> str:
        """Say something of a record without its folder, which is named beside it."""
        return without_paths(text.replace(f"{folder}{os.sep}", ""), [folder])


def _written(folder: Path) -> int:
    """Say when the newest file of a record was written, nanoseconds."""
    return max((path.stat().st_mtime_ns for path in folder.rglob("*")), default=0)
