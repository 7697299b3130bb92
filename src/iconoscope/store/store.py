"""The store: a folder of records that outlives the process, in which the same question is answered only once."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from iconoscope.errors import DamagedRecordError, IconoscopeWarning, StoreError
from iconoscope.results.attribution import Attribution
from iconoscope.results.audit import Audit
from iconoscope.results.curves import Curves
from iconoscope.results.exchange import Exchange
from iconoscope.results.exemplars import Exemplars
from iconoscope.results.image_map import ImageMap
from iconoscope.results.look import Look
from iconoscope.results.mean_map import MeanMap
from iconoscope.results.occlusion import Occlusion
from iconoscope.results.result import Result
from iconoscope.results.sheets import ActivationSheet, FilterSheet
from iconoscope.results.unit_search import UnitSearch
from iconoscope.results.visualization import Visualization
from iconoscope.store.question import Question
from iconoscope.store.result_folder import FORMAT, is_record, read_record, write_record, writing_to

__all__ = ["KINDS", "Store", "load_result"]

R = TypeVar("R", bound=Result)

KINDS: dict[str, type[Result]] = {
    kind.kind: kind
    for kind in (
        Occlusion,
        Attribution,
        MeanMap,
        Curves,
        Exchange,
        Look,
        Visualization,
        Exemplars,
        ImageMap,
        UnitSearch,
        ActivationSheet,
        FilterSheet,
        Audit,
    )
}

_MARK = "store.json"
_STALE = 3600.0  # seconds after which a half-written folder belongs to a process that is gone


class Store:
    """Results on disk, filed under the question that they answer.

    Parameters
    ----------
    folder : str or Path
        Where; it is made when the first result comes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> len(Store(Path(tempfile.mkdtemp()) / "run"))
    0
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; a store is a folder.")
        if self.folder.is_dir() and any(self.folder.iterdir()) and not (self.folder / _MARK).is_file():
            raise StoreError(
                f"{self.folder} is a folder with something else in it, not a store.",
                hint=f"Name a new or an empty folder. A store has a {_MARK} in it.",
            )

    @classmethod
    def at(cls, place: Store | str | Path) -> Store:
        """Give the store at a place; a store already made is given back."""
        return place if isinstance(place, Store) else cls(place)

    def __repr__(self) -> str:
        return f"<Store {self.folder}: {len(self)} results>"

    def place(self, question: Question) -> Path:
        """Give the folder where the answer to a question is, or would be."""
        return self.folder / question.technique / question.key[:24]

    def get(self, question: Question) -> Result | None:
        """Give the answer to a question, or None if it is not here.

        Raises
        ------
        DamagedRecordError
            If the answer is here but is not what was written.
        """
        place = self.place(question)
        return read_record(place, KINDS) if is_record(place) else None

    def put(self, result: Result, *, again: bool = False) -> Path:
        """File a result under its question; a result that is here already is kept, unless `again` says otherwise."""
        self.prepare()
        place = self.place(result.question)
        self._sweep(place.parent)
        return write_record(result, place, replace=again)

    def prepare(self) -> None:
        """Make the folder, if it is not there, and see that it can be written to.

        Raises
        ------
        StoreError
            If it cannot.
        """
        with writing_to(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            mark = self.folder / _MARK
            if not mark.exists():
                mark.write_text(json.dumps({"format": FORMAT, "what": "results of iconoscope"}), encoding="utf-8")

    def answer(self, question: Question, kind: type[R], ask: Callable[[], R]) -> R:
        """Give the answer that is here, or ask and keep it.

        The answer carries the question as it was asked now: the same may have been asked before under other names. A damaged
        answer is asked again and replaced, and an answer that cannot be kept is given all the same; both with an
        `IconoscopeWarning`.

        Raises
        ------
        StoreError
            Before anything is asked, if the store could not keep the answer.
        """
        known = self.known(question, kind)
        if known is not None:
            return known
        self.prepare()
        result = ask()
        self.keep(result)
        return result

    def known(self, question: Question, kind: type[R]) -> R | None:
        """Give the answer that is here, with the question as it is asked now, or None; one that is damaged is thrown away."""
        try:
            known = self.get(question)
        except DamagedRecordError as error:
            warnings.warn(f"{error.message} It is asked again.", IconoscopeWarning, stacklevel=4)
            with writing_to(self.place(question)):
                shutil.rmtree(self.place(question))
            return None
        return replace(known, question=question) if isinstance(known, kind) else None

    def keep(self, result: Result) -> None:
        """File a result; if that fails, say so and go on."""
        try:
            self.put(result)
        except StoreError as error:
            warnings.warn(f"{error.message} The answer is not kept.", IconoscopeWarning, stacklevel=4)

    def places(self) -> Iterator[Path]:
        """Give the folders of all results in the order in which they were written."""
        found = filter(is_record, self.folder.glob("*/*"))
        yield from sorted(found, key=lambda place: (place.stat().st_mtime_ns, place.name))

    def __iter__(self) -> Iterator[Result]:
        return (read_record(place, KINDS) for place in self.places())

    def __len__(self) -> int:
        return sum(1 for _ in self.places())

    @staticmethod
    def _sweep(folder: Path) -> None:
        """Remove what a killed process left half written."""
        if not folder.is_dir():
            return
        for left in folder.glob(".*.*"):
            # Another process may sweep the same folder.
            with contextlib.suppress(FileNotFoundError):
                if left.suffix in (".tmp", ".old") and time.time() - left.stat().st_mtime > _STALE:
                    shutil.rmtree(left, ignore_errors=True)


def load_result(path: str | Path) -> Result:
    """Read a result back from its folder; no torch is needed.

    Parameters
    ----------
    path
        A folder that `Result.save` or a store has written.

    Raises
    ------
    StoreError
        If there is no result, or it was written by a later version.
    DamagedRecordError
        If a file of it is missing or is not what was written.
    """
    return read_record(Path(path), KINDS)
