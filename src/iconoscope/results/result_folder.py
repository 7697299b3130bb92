"""A record: one result as a folder that outlives the process. The format is written down in ``docs/store.md``.

The folder is there whole or not at all, and carries the digest of every file in it, so that damage is found.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from iconoscope.atomic_files import flushed_write, writing_folder_whole
from iconoscope.errors import DamagedRecordError, StoreError
from iconoscope.reading import parse_json
from iconoscope.results.question import Question

__all__ = [
    "FORMAT", "Record", "is_record", "naming_damage", "read_question", "read_record", "read_records", "read_sealed_json",
    "sealed_json", "write_record", "write_records",
]  # fmt: skip

FORMAT = 1
_INDEX = "result.json"
_ARRAYS = "arrays.npz"
_LIST = "records.json"
_AGAIN = "Delete the folder and ask again."


@dataclass(frozen=True, eq=False)
class Record:
    """A result as it lies on disk: its fields by name, whatever its class.

    Attributes
    ----------
    kind : str
        Which class of results it is.
    question : Question
        The question that it answers.
    fields : mapping
        Plain JSON values, tuples for lists.
    arrays : mapping
        NumPy arrays.
    pictures : mapping
        Pictures that lie beside them, by file name; written, and not read back.
    witness : tuple of float
        What the network answered to a picture of noise when this was answered, so that it is known again.
    """

    kind: str
    question: Question
    fields: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    witness: tuple[float, ...] = ()


def write_record(record: Record, folder: Path, *, replace: bool = False) -> Path:
    """Write a result as a folder.

    Parameters
    ----------
    record
        What to write.
    folder
        Where; its parents are made.
    replace
        Write over a record that is there. Otherwise it is kept. Anything else that is there is never touched.

    Raises
    ------
    StoreError
        If it cannot be written (no space, no right, or something else is there). Nothing half written is left.
    """
    files = {_ARRAYS: _npz(record.arrays), **record.pictures}
    index = {
        "format": FORMAT,
        "kind": record.kind,
        "key": record.question.key,
        "question": record.question.to_json(),
        "fields": record.fields,
        "witness": record.witness,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
    }
    files[_INDEX] = sealed_json(index)
    with writing_folder_whole(folder, is_record, replace=replace) as hidden:
        for name, content in files.items():
            flushed_write(hidden / name, content)
    return folder


def write_records(kind: str, records: Mapping[str, Record], folder: Path) -> Path:
    """Write several results as one folder with a record for each, by name, and a list of them.

    Several results that are there already are written over. Anything else that is there is never touched.

    Raises
    ------
    StoreError
        If it cannot be written. Nothing half written is left.
    """
    with writing_folder_whole(folder, lambda path: (path / _LIST).is_file(), replace=True) as hidden:
        for name, record in records.items():
            write_record(record, hidden / name)
        names = {"format": FORMAT, "kind": kind, "records": list(records)}
        flushed_write(hidden / _LIST, sealed_json(names))
    return folder


def read_records(kind: str, folder: Path) -> list[Record]:
    """Read several results back, in the order in which they were given to `write_records`.

    Raises
    ------
    StoreError
        If there are none of that kind, or one of them cannot be read.
    """
    try:
        index = read_sealed_json(folder / _LIST)
        written_kind, names = index["kind"], [str(name) for name in index["records"]]
    except FileNotFoundError as error:
        raise StoreError(
            f"{folder} does not hold several results.", hint=f"They have a {_LIST} beside them."
        ) from error
    except (OSError, KeyError, TypeError) as error:
        raise DamagedRecordError(f"{folder / _LIST} is damaged: {error}.", hint=_AGAIN) from error
    if written_kind != kind or index.get("format") != FORMAT:
        raise StoreError(
            f"{folder} holds {written_kind!r} in format {index.get('format')!r}, not {kind!r} in {FORMAT}."
        )
    return [read_record(folder / name) for name in names]


def sealed_json(index: Mapping[str, Any]) -> bytes:
    """Write an object as JSON that carries its own digest, under ``sha256``."""
    return json.dumps({**index, "sha256": _seal(index)}, indent=1, allow_nan=False).encode()


def read_sealed_json(path: Path) -> dict[str, Any]:
    """Read what `sealed_json` wrote.

    Raises
    ------
    DamagedRecordError
        If it is something else: no bit of it can change unseen.
    OSError
        If it cannot be read.
    """
    try:
        index = parse_json(path.read_bytes())
    except ValueError as error:
        raise DamagedRecordError(f"{path} is damaged: {error}.", hint=_AGAIN) from error
    if isinstance(index, dict) and "sha256" not in index:
        raise DamagedRecordError(
            f"{path} has no digest of its own: an earlier version of iconoscope wrote it, or it was changed.",
            hint=_AGAIN,
        )
    if not isinstance(index, dict) or index.pop("sha256") != _seal(index):
        raise DamagedRecordError(f"{path} is not what was written.", hint=_AGAIN)
    return index


def _seal(index: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()


def is_record(folder: Path) -> bool:
    """Tell whether a folder is a record (whole or damaged)."""
    return not folder.name.startswith(".") and (folder / _INDEX).is_file()


def read_record(folder: Path) -> Record:
    """Read a result back.

    Raises
    ------
    StoreError
        If there is no record, or it was written by a later version.
    DamagedRecordError
        If a file of it is missing or is not what was written.
    """
    index = _read_index(folder)
    with naming_damage(folder):
        if _ARRAYS not in index["files"]:
            raise DamagedRecordError(f"{folder / _INDEX} does not list {_ARRAYS}.", hint=_AGAIN)
        for name, stated in index["files"].items():
            content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != stated["sha256"]:
                raise DamagedRecordError(
                    f"{folder / name} is not what was written ({len(content)} bytes).", hint=_AGAIN
                )
        with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        question = Question(**index["question"])
        if question.key != index["key"]:
            raise DamagedRecordError(f"{folder / _INDEX} has the key of another question.", hint=_AGAIN)
        return Record(
            kind=index["kind"],
            question=question,
            fields={name: _tuples(value) for name, value in index["fields"].items()},
            arrays=arrays,
            witness=tuple(index["witness"]),
        )


def read_question(folder: Path) -> tuple[str, Question]:
    """Read the kind of a result and the question that it answers, and nothing else.

    Raises
    ------
    StoreError, DamagedRecordError
        As `read_record` does; but files beside the question are not looked at.
    """
    index = _read_index(folder)
    with naming_damage(folder):
        return index["kind"], Question(**index["question"])


@contextmanager
def naming_damage(folder: Path) -> Iterator[None]:
    """Turn what goes wrong with the contents of a record into a `DamagedRecordError` that names its folder."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DamagedRecordError(f"{folder} is damaged: {type(error).__name__}: {error}.", hint=_AGAIN) from error


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index = read_sealed_json(folder / _INDEX)
        kind, written_format = index["kind"], index["format"]
    except FileNotFoundError as error:
        several = (
            "It holds several: OcclusionSeries.load or Faithfulness.load reads them. "
            if (folder / _LIST).is_file()
            else ""
        )
        raise StoreError(
            f"{folder} holds no result.", hint=f"{several}A result is a folder with a {_INDEX} in it."
        ) from error
    except PermissionError as error:
        raise StoreError(f"{folder / _INDEX} cannot be read: {error.strerror}.") from error
    except (OSError, KeyError, TypeError) as error:
        raise DamagedRecordError(f"{folder / _INDEX} is damaged: {error}.", hint=_AGAIN) from error
    if not isinstance(kind, str):
        raise DamagedRecordError(f"{folder / _INDEX} is damaged: its kind is {kind!r}.", hint=_AGAIN)
    if written_format != FORMAT:
        raise StoreError(
            f"{folder} is a {kind!r} in format {written_format!r}; this version reads format {FORMAT}.",
            hint="Was it written by a later version of iconoscope? pip install --upgrade iconoscope",
        )
    return index


def _tuples(value: Any) -> Any:
    """JSON has lists where the dataclasses have tuples."""
    return tuple(_tuples(element) for element in value) if isinstance(value, list) else value


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
