"""A recording at an address, as s3://bucket/run: every file is written here and sent whole, the last of a shard being its mark.

What lies there is what lies in a folder (``docs/store.md``). An object store shows a file when all of it has come; elsewhere it
is sent under a hidden name and renamed. A recording is read from a copy in the user's cache, whose files are fetched once.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole
from iconoscope.errors import DamagedRecordError, IconoscopeError, StoreError, warn
from iconoscope.extras import import_extra
from iconoscope.progress import track
from iconoscope.reading import parse_json
from iconoscope.remote_file import filesystem_of, reason_of, remedy_for, send_file
from iconoscope.results.question import Question
from iconoscope.results.result_folder import read_sealed_json
from iconoscope.store.parquet_tables import FETCHED, RECORD_AGAIN, read_numbers
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.store.recording import INDEX, MADE_OF_SHARDS, UNITS, Recording, rows_name
from iconoscope.store.recording_writer import RecordingWriter

__all__ = ["RemoteRecordingWriter", "fetched_recording", "is_address", "unfinished_recordings"]

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "memory")
"""Kinds of addresses where a file is seen when all of it has come."""

STAMPS = (
    "ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "updated", "mtime", "modified", "created",
    "blob_id",
)  # fmt: skip
"""What filesystems say of a file that is other when it was written again, the surest first."""


def is_address(folder: str | Path) -> bool:
    """Tell an address from a path.

    >>> is_address("s3://bucket/run"), is_address("run")
    (True, False)
    """
    return isinstance(folder, str) and "://" in folder


class RemoteFolder:
    """A folder at an address; its filesystem is found again in every process.

    Parameters
    ----------
    address
        Whole.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._holds = False  # as far as was seen

    def __str__(self) -> str:
        return self.address

    def files(self) -> dict[str, str]:
        """Give the files in it, by name what is other when the file has changed; empty where the filesystem tells nothing."""
        with self._reaching() as (system, path):
            system.invalidate_cache()  # other machines write there too
            if not system.exists(path):
                return {}
            files = {entry["name"].rpartition("/")[2]: _stamp(entry) for entry in system.ls(path, detail=True)}
            self._holds = bool(files)
            return files

    def fetch(self, name: str, to: Path) -> None:
        """Fetch a file."""
        with self._reaching() as (system, path), writing_whole(to) as hidden:
            system.get_file(f"{path}/{name}", str(hidden))

    def send(self, file: Path) -> None:
        """Send a file, which is there whole or not at all."""
        with self._reaching() as (system, path):
            if self.address.partition("://")[0] in OBJECT_STORES:
                send_file(system, file, f"{path}/{file.name}")
            else:  # a random name, since processes of several machines, or containers, may have one number
                hidden = f"{path}/.{file.name}.{secrets.token_hex(4)}.tmp"
                system.makedirs(path, exist_ok=True)
                send_file(system, file, hidden)
                system.mv(hidden, f"{path}/{file.name}")
            self._holds = True

    def remove(self, *names: str) -> None:
        """Remove files, if they are there."""
        with self._reaching() as (system, path):
            for name in names:
                if system.exists(f"{path}/{name}"):
                    system.rm_file(f"{path}/{name}")

    @contextmanager
    def _reaching(self) -> Iterator[tuple[Any, str]]:
        """Give the filesystem and the path in it; what it raises becomes a `StoreError`."""
        import_extra("fsspec", "remote", self.address)
        try:
            yield filesystem_of(self.address)
        except IconoscopeError:
            raise
        except Exception as error:  # every filesystem has errors of its own
            hint = remedy_for(self.address, error)
            kept = "What was recorded is kept: given again, the same command goes on." if self._holds else ""
            raise StoreError(
                f"{self.address} cannot be reached: {reason_of(error)}.",
                hint=f"{hint} {kept}".strip(),
            ) from error


def _stamp(entry: Mapping[str, Any]) -> str:
    told = next((str(entry[name]) for name in STAMPS if entry.get(name) is not None), "")
    return f"{entry.get('size')} {told}" if told else ""


class RecordingCopy:
    """The copy of a recording at an address in the user's cache: a file is fetched again where it has changed, there or here.

    Parameters
    ----------
    remote
        The recording's folder.
    """

    def __init__(self, remote: RemoteFolder) -> None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "iconoscope"
        digest = hashlib.sha256(remote.address.encode()).hexdigest()[:16]
        self.folder = home / digest / "record" / remote.address.rpartition("/")[2]
        self._remote = remote
        try:
            self._fetched: dict[str, Any] = dict(parse_json((self.folder / FETCHED).read_bytes()))
        except (OSError, ValueError, TypeError):  # nothing was fetched yet, or nobody knows what
            self._fetched = {}

    def bring(self, names: Iterable[str], there: Mapping[str, str]) -> None:
        """Fetch those of some files that are not here as they are there.

        Parameters
        ----------
        names
            Of the files.
        there
            What `RemoteFolder.files` gives.

        Raises
        ------
        DamagedRecordError
            If one is damaged there; what was made of it is not kept.
        """
        stale = [
            name for name in names if not there[name] or self._fetched.get(name) != [there[name], *self._state(name)]
        ]
        for derived in [path for kind in MADE_OF_SHARDS for path in self.folder.glob(kind)] if stale else []:
            derived.unlink(missing_ok=True)
        for name in track(stale, f"fetching {self._remote}"):
            self._fetch(name)
            self._fetched[name] = [there[name], *self._state(name)]
            with writing_whole(self.folder / FETCHED) as hidden:
                hidden.write_text(json.dumps(self._fetched), encoding="utf-8")

    def _fetch(self, name: str) -> None:
        """Fetch a file, and once again if it has come damaged."""
        path = self.folder / name
        for again in (True, False):
            self._remote.fetch(name, path)
            try:
                _check(path)
                return
            except DamagedRecordError as error:
                path.unlink(missing_ok=True)
                if not again:
                    raise DamagedRecordError(f"{self._remote}/{name} is damaged.", hint=RECORD_AGAIN) from error

    def _state(self, name: str) -> list[int]:
        path = self.folder / name
        return [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else []


def _check(path: Path) -> None:
    """Read a file of a recording, whose pages have checksums. Raises `DamagedRecordError`."""
    if path.name == INDEX:
        read_sealed_json(path)
    else:
        read_numbers(path)


class RemoteRecordingWriter(RecordingWriter):
    """The writer of a recording at an address: each shard is written into a folder of this process, sent, and taken away.

    Parameters
    ----------
    address
        Of the recording's folder.
    layers, units, k
        As of `RecordingWriter`.
    """

    def __init__(self, address: str, layers: Sequence[RecordedLayer], units: Sequence[str], k: int) -> None:
        self._remote = RemoteFolder(address)
        working = tempfile.mkdtemp(prefix="iconoscope-recording-")
        weakref.finalize(self, shutil.rmtree, working, ignore_errors=True)
        super().__init__(Path(working) / "recording", layers, units, k)
        self._names = self._remote.files()
        self._copy = RecordingCopy(self._remote) if self.ended else None

    @property
    def address(self) -> str:
        """Where the recording is."""
        return self._remote.address

    def has_begun(self, question: Question, witness: tuple[float, ...]) -> bool:
        """Tell whether a recording lies there; that it is another is an error of `begin`."""
        return INDEX in self._names

    def begin(self, question: Question, *, witness: tuple[float, ...] = (), anew: bool = False, **about: Any) -> None:
        """Write what it is about, unless that is there.

        Raises
        ------
        StoreError
            If it is to be made anew, or another recording lies there: at an address nothing is replaced.
        """
        if INDEX in self._names:
            self._remote.fetch(INDEX, self.folder / INDEX)
            if reason := self._reason_against(self.folder, question, witness):
                raise StoreError(f"{question.network} {reason} recorded in {self}.", hint="Name another address.")
            if anew:
                raise StoreError(f"{self} holds this recording.", hint="Remove it there, or name another address.")
        readable = bool(self._begun_with(self.folder)[0])
        super().begin(question, witness=witness, **about)
        if not readable:
            self._remote.send(self.folder / INDEX)
            self._names = self._remote.files()
        if self._copy is not None:
            try:
                self._copy.bring([UNITS], self._names)
            except DamagedRecordError as error:
                warn(f"{error.message} It is put together again.")
                self._remote.remove(UNITS)
                del self._names[UNITS]

    def __str__(self) -> str:
        return self.address

    def is_stored(self, shard: int) -> bool:
        """Tell whether a shard is there; its images are fetched to be checked where the recording was ended, and not before."""
        if not {rows_name(shard), self._units_path(shard).name} <= self._names.keys():
            return False
        if self._copy is None:
            self.read_tally(shard)
        else:
            self._copy.bring([rows_name(shard)], self._names)
        return True

    def read_tally(self, shard: int) -> dict[str, NDArray[Any]]:
        """Fetch the table of units of a shard."""
        path = self._units_path(shard)
        self._remote.fetch(path.name, path)
        try:
            return super().read_tally(shard)
        except DamagedRecordError as error:
            raise DamagedRecordError(f"{self}/{path.name} is damaged.", hint=RECORD_AGAIN) from error
        finally:
            path.unlink(missing_ok=True)

    def missing(self, shards: int) -> tuple[int, ...]:
        """Give those of so many shards that are not there now."""
        self._names = self._remote.files()
        return tuple(
            shard
            for shard in range(shards)
            if not {rows_name(shard), self._units_path(shard).name} <= self._names.keys()
        )

    def discard(self, shard: int) -> None:
        """Remove the files of a shard, and what was made of all."""
        gone = (rows_name(shard), self._units_path(shard).name, UNITS)
        self._remote.remove(*gone)
        self._names = {name: size for name, size in self._names.items() if name not in gone}

    def _pass_on(self, shard: int) -> None:
        """Send the files of a shard, the table of images last."""
        for path in (self._units_path(shard), self._images_path(shard)):
            self._remote.send(path)
            path.unlink()

    def end(self, units: Mapping[str, NDArray[Any]]) -> None:
        """Write what all shards make together, and send it, which ends the recording."""
        super().end(units)
        self._remote.send(self.folder / UNITS)
        self._names[UNITS] = ""

    @property
    def ended(self) -> bool:
        """Whether all shards were put together."""
        return UNITS in self._names


def fetched_recording(address: str) -> Path:
    """Fetch a recording into the user's cache, or what of it is not there yet or has changed; give the folder.

    Parameters
    ----------
    address
        Of a store, of which the latest recording is taken, or of a recording.

    Raises
    ------
    StoreError
        If there is none that was ended, or it cannot be reached.
    DamagedRecordError
        If a file of it is damaged there.
    """
    remote = _latest(address)
    there = remote.files()
    if UNITS not in there:
        raise StoreError(
            f"The recording in {remote} was not ended.", hint="iconoscope record ... --merge says what is missing."
        )
    copy = RecordingCopy(remote)
    copy.bring([INDEX, *sorted(name for name in there if name == UNITS or name.startswith("rows-"))], there)
    return copy.folder


def unfinished_recordings(address: str) -> list[tuple[str, Question]]:
    """Give the recordings below the address of a store that were not ended: where each lies, and what it asks.

    Raises
    ------
    StoreError
        If the address cannot be reached.
    """
    store = RemoteFolder(address)
    begun: list[tuple[str, Question]] = []
    with tempfile.TemporaryDirectory() as working:
        for name in [name for name, ended in _recordings(store) if not ended]:
            folder = RemoteFolder(f"{store}/record/{name}")
            folder.fetch(INDEX, Path(working) / INDEX)
            with suppress(StoreError):  # a damaged one is not gone on with
                begun.append((str(folder), Recording.open(Path(working), whole=False).question))
    return begun


def _latest(address: str) -> RemoteFolder:
    """Find the latest recording below the address of a store, of those that were ended if any was; one at the address is it."""
    folder = RemoteFolder(address)
    if INDEX in folder.files():
        return folder
    found = _recordings(folder)
    if not found:
        raise StoreError(f"There is no recording in {address}.", hint="iconoscope record --store writes one there.")
    name, ended = next((pair for pair in reversed(found) if pair[1]), found[-1])
    if ended and name != found[-1][0]:
        warn(f"The recording in {folder}/record/{found[-1][0]} was not ended. The latest that was is taken: {name}.")
    return RemoteFolder(f"{folder}/record/{name}")


def _recordings(store: RemoteFolder) -> list[tuple[str, bool]]:
    """List the recordings of a store by the names of their folders, the one begun last last, and whether each was ended."""
    with store._reaching() as (system, path):
        system.invalidate_cache()
        places = system.find(f"{path}/record", detail=True) if system.exists(f"{path}/record") else {}
    begun = {
        name.split("/")[-2]: str(entry.get("LastModified") or entry.get("mtime") or entry.get("created") or "")
        for name, entry in places.items()
        if name.endswith(f"/{INDEX}")
    }
    ended = {name.split("/")[-2] for name in places if name.endswith(f"/{UNITS}")}
    return [(name, name in ended) for name in sorted(begun, key=lambda name: (begun[name], name))]
