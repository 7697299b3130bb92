"""The store: a folder of records that outlives the process, in which the same question is answered only once."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_to, writing_whole
from iconoscope.errors import DamagedRecordError, StoreError, warn
from iconoscope.reading import parse_json
from iconoscope.results.activation_atlas import ActivationAtlas
from iconoscope.results.attribution import Attribution
from iconoscope.results.audit import Audit
from iconoscope.results.circuit import Circuit
from iconoscope.results.concepts import Concepts
from iconoscope.results.curves import Curves
from iconoscope.results.fooling_pictures import FoolingPictures
from iconoscope.results.image_map import ImageMap
from iconoscope.results.inversion import Inversion
from iconoscope.results.mean_map import MeanMap
from iconoscope.results.occlusion import Occlusion
from iconoscope.results.profile import Profile
from iconoscope.results.question import Question
from iconoscope.results.result import Result
from iconoscope.results.result_folder import (
    FORMAT,
    Record,
    is_record,
    naming_damage,
    read_question,
    read_record,
    write_record,
)
from iconoscope.results.sheets import ActivationSheet, FilterSheet
from iconoscope.results.top_images import TopImages
from iconoscope.results.unit_search import UnitSearch
from iconoscope.results.visualization import Visualization
from iconoscope.signatures import checked
from iconoscope.store.witness import is_same_witness

__all__ = ["KINDS", "PartialAnswers", "Store", "answered", "load_question", "load_result"]

R = TypeVar("R", bound=Result)
Arrays = dict[str, NDArray[np.generic]]

KINDS: dict[str, type[Result]] = {
    result_class.kind: result_class
    for result_class in (
        Occlusion,
        Attribution,
        MeanMap,
        Curves,
        Visualization,
        Inversion,
        FoolingPictures,
        TopImages,
        ImageMap,
        ActivationAtlas,
        UnitSearch,
        Concepts,
        Profile,
        Circuit,
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
    witness : callable, optional
        Gives the logits of the network that is asked, for one picture that is always the same: see `Network.witness`. An answer
        is kept with them, and given again only where they are still the same.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> len(Store(Path(tempfile.mkdtemp()) / "run"))
    0
    """

    @checked
    def __init__(self, folder: str | Path, *, witness: Callable[[], tuple[float, ...]] | None = None) -> None:
        if isinstance(folder, str) and "://" in folder:
            raise StoreError(
                f"{folder} is an address, where recordings alone are kept.",
                hint="Give a folder of this machine as the store, and the address as the recording (--recording).",
            )
        self.folder = Path(folder).expanduser()
        self._of, self._witness = witness, None if witness is None else cache(witness)
        self._keeps = True  # until an answer that is not right cannot be replaced, and that was said
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; a store is a folder.")
        if self.folder.is_dir() and any(self.folder.iterdir()) and not (self.folder / _MARK).is_file():
            raise StoreError(
                f"{self.folder} is a folder with something else in it, not a store.",
                hint=f"Name a new or an empty folder. A store has a {_MARK} in it.",
            )
        self._check_mark()

    def _check_mark(self) -> None:
        """See that what is in the folder was written by a version that this one understands."""
        path = self.folder / _MARK
        try:
            written = parse_json(path.read_bytes())["format"]
        except (FileNotFoundError, NotADirectoryError):  # writing says what is in the way
            return
        except OSError as error:
            raise StoreError(
                f"{path} cannot be read: {error.strerror or error}.", hint="Nothing says that it is damaged."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is damaged: {error}.",
                hint=f'The results beside it are not. Write {{"format": {FORMAT}}} into it to have them read again.',
            ) from error
        if written != FORMAT:
            raise StoreError(
                f"{self.folder} is a store in format {written!r}; this version reads format {FORMAT}.",
                hint="Was it written by a later version of iconoscope? pip install --upgrade iconoscope",
            )

    @classmethod
    def at(cls, folder: Store | str | Path, *, witness: Callable[[], tuple[float, ...]] | None = None) -> Store:
        """Give the store in a folder; a store already made is given back, or one in its folder with a witness.

        A store that was made with the same witness is given back too: one question asks the network for it once.
        """
        if isinstance(folder, Store) and (witness is None or witness == folder._of):
            return folder
        return cls(folder.folder if isinstance(folder, Store) else folder, witness=witness)

    def __repr__(self) -> str:
        return f"<Store {self.folder}: {len(self)} results>"

    def folder_of(self, question: Question) -> Path:
        """Give the folder where the answer to a question is, or would be."""
        return self.folder / question.technique / question.key[:24]

    def get(self, question: Question) -> Result | None:
        """Give the answer to a question, or None if it is not here.

        Raises
        ------
        DamagedRecordError
            If the answer is here but is not what was written, or is that to another question.
        """
        stored = self._read(question)
        return None if stored is None else _result_of(stored, self.folder_of(question))

    def _read(self, question: Question) -> Record | None:
        folder = self.folder_of(question)
        if not is_record(folder):
            return None
        record = read_record(folder)
        if record.question.key != question.key:
            raise DamagedRecordError(f"{folder} holds the answer to another question.", hint="Was it copied there?")
        return record

    def put(self, result: Result, *, again: bool = False) -> Path:
        """File a result under its question; a result that is here already is kept, unless `again` says otherwise."""
        self.prepare()
        folder = self.folder_of(result.question)
        self._sweep(folder.parent)
        witness = () if self._witness is None else self._witness()
        return write_record(replace(result.to_record(), witness=witness), folder, replace=again)

    def prepare(self) -> None:
        """Make the folder, if it is not there, and see that it can be written to.

        Raises
        ------
        StoreError
            If it cannot.
        """
        if not self._keeps:
            return
        with writing_to(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            mark = self.folder / _MARK
            if not mark.exists():
                with writing_whole(mark) as hidden:
                    hidden.write_text(json.dumps({"format": FORMAT, "what": "results of iconoscope"}), encoding="utf-8")

    def answer(self, question: Question, kind: type[R], ask: Callable[[], R], *, keep: bool = True) -> R:
        """Give the answer that is here, or ask and keep it; without `keep` also where it cannot be kept.

        The answer carries the question as it was asked now: the same may have been asked before under other names. A damaged
        answer is asked again, as is one from before the network's witness changed, and stays until the new one is whole; an
        answer that cannot be kept is given all the same; all with an `IconoscopeWarning`.

        Raises
        ------
        StoreError
            Before anything is asked, if the store could not keep the answer.
        """
        self._keeps = True
        stored = self.find(question, kind)
        if stored is not None:
            return stored
        try:
            self.prepare()
        except StoreError as error:
            if keep:
                raise
            self._keeps = False
            warn(f"{error.message} The answer is not kept.")
        result = ask()
        self.keep(result)
        return result

    def find(self, question: Question, kind: type[R]) -> R | None:
        """Give the answer that is here, with the question as it is asked now, or None where there is none that is right."""
        try:
            record = self._read(question)
            stored = None if record is None else _result_of(record, self.folder_of(question))
        except DamagedRecordError as error:
            return self._say_again(error.message)
        if record is not None and self._witness is not None and not is_same_witness(record.witness, self._witness()):
            return self._say_again(
                f"{question.network} answers otherwise than when the answer in {self.folder} was kept."
            )
        return replace(stored, question=question) if isinstance(stored, kind) else None

    def _say_again(self, reason: str) -> None:
        """Say why an answer is asked again; where it cannot be replaced, none is kept from now on."""
        try:
            self.prepare()
        except StoreError:
            self._keeps = False
        kept = "" if self._keeps else ", and not kept, since the store cannot be written"
        warn(f"{reason} It is asked again{kept}.")

    def keep(self, result: Result) -> None:
        """File a result, in the place of one that was not right; if that fails, or not all is known that decides it, say so."""
        if not self._keeps:
            return
        if unkept := result.question.unkept:
            warn(
                f"No answer of {result.question.network} is kept in the store, since {unkept} may decide its answers and "
                "cannot be compared."
            )
            return
        try:
            self.put(result, again=True)
        except StoreError as error:
            warn(f"{error.message} The answer is not kept.")

    def folders(self) -> list[Path]:
        """Give the folders of all results in the order in which they were written."""
        folders = filter(is_record, self.folder.glob("*/*"))
        return sorted(folders, key=lambda folder: (folder.stat().st_mtime_ns, folder.name))

    def latest(
        self,
        kind: type[R],
        technique: str,
        *,
        weights: str,
        pixels: str | None = None,
        skipped: Callable[[Path, StoreError], None] | None = None,
        **settings: object,
    ) -> R | None:
        """Give the last result of a technique on a network, by its digest, with these settings; None without one.

        With `pixels` the last one about these, by their digest. What is damaged is passed over, and `skipped` is told of it.
        """
        folders = filter(is_record, (self.folder / technique).glob("*"))
        for folder in sorted(folders, key=lambda folder: (folder.stat().st_mtime_ns, folder.name), reverse=True):
            try:
                _, question = load_question(folder)
                is_about = pixels is None or question.pixels == pixels
                if question.weights == weights and is_about and settings.items() <= dict(question.settings).items():
                    result = load_result(folder)
                    if isinstance(result, kind):
                        return result
            except StoreError as error:
                if skipped is not None:
                    skipped(folder, error)
        return None

    def __iter__(self) -> Iterator[Result]:
        return map(load_result, self.folders())

    def __len__(self) -> int:
        return len(self.folders())

    @staticmethod
    def _sweep(folder: Path) -> None:
        """Remove what a killed process left half written."""
        if not folder.is_dir():
            return
        for hidden in folder.glob(".*.*"):
            # Another process may sweep the same folder.
            with contextlib.suppress(FileNotFoundError):
                if hidden.suffix in (".tmp", ".old") and time.time() - hidden.stat().st_mtime > _STALE:
                    shutil.rmtree(hidden, ignore_errors=True)


def answered(
    question: Question,
    kind: type[R],
    ask: Callable[[], R],
    *,
    store: Store | str | Path | None,
    out: str | Path | None,
    witness: Callable[[], tuple[float, ...]] | None = None,
) -> R:
    """Give the answer that the store has, or else ask and let the store keep it; write its figure, if it has a name.

    Without a witness it is asked of a recording: it is soon asked again, so that it need not be kept.
    """
    opened = None if store is None else Store.at(store, witness=witness)
    result = ask() if opened is None else opened.answer(question, kind, ask, keep=witness is not None)
    if out is not None:
        result.save(out)
    return result


class PartialAnswers:
    """What a long question has answered so far: arrays under names, in a folder; nowhere if there is none.

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


@checked
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
    folder = Path(path)
    return _result_of(read_record(folder), folder)


def _result_of(record: Record, folder: Path) -> Result:
    result_class = _class_of(record.kind, folder)
    with naming_damage(folder):
        return result_class.from_record(record)


def load_question(folder: Path) -> tuple[str, Question]:
    """Read the kind of a result and the question that it answers, and nothing else.

    Raises
    ------
    StoreError, DamagedRecordError
        As `load_result` does; but files beside the question are not looked at.
    """
    kind, question = read_question(folder)
    _class_of(kind, folder)
    return kind, question


def _class_of(kind: str, folder: Path) -> type[Result]:
    if kind not in KINDS:
        raise StoreError(
            f"{folder} is a {kind!r}; this version reads {', '.join(KINDS)}.",
            hint="Was it written by a later version of iconoscope? pip install --upgrade iconoscope",
        )
    return KINDS[kind]
