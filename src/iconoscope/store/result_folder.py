"""A record: one result as a folder that outlives the process. The format is written down in ``docs/store.md``.

A record is written beside its place and moved there whole, so that it is either there or not; what is there carries the
digest of every file, so that damage is found.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import numpy as np

from iconoscope.errors import DamagedRecordError, StoreError
from iconoscope.store.question import Question

if TYPE_CHECKING:
    from iconoscope.results.result import Result

__all__ = [
    "FORMAT", "is_record", "read_question", "read_record", "read_records", "write_record", "write_records", "writing_to",
    "writing_whole",
]  # fmt: skip

FORMAT = 1
_INDEX = "result.json"
_ARRAYS = "arrays.npz"
_LIST = "records.json"


def write_record(result: Result, folder: Path, *, replace: bool = False) -> Path:
    """Write a result as a folder.

    Parameters
    ----------
    result
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
    plain, arrays = _taken_apart(result)
    files = {_ARRAYS: _npz(arrays), **result.pictures()}
    index = {
        "format": FORMAT,
        "kind": result.kind,
        "key": result.question.key,
        "question": result.question.to_json(),
        "fields": plain,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        },
    }
    files[_INDEX] = json.dumps(index, indent=1, allow_nan=False).encode()
    with _beside(folder) as aside:
        for name, data in files.items():
            _write_through(aside / name, data)
        _move(aside, folder, is_record, replace=replace)
    return folder


def write_records(kind: str, results: Mapping[str, Result], folder: Path) -> Path:
    """Write several results as one folder with a record for each, by name, and a list of them.

    Several results that are there already are written over. Anything else that is there is never touched.

    Raises
    ------
    StoreError
        If it cannot be written. Nothing half written is left.
    """
    with _beside(folder) as aside:
        for name, result in results.items():
            write_record(result, aside / name)
        listed = {"format": FORMAT, "kind": kind, "records": list(results)}
        _write_through(aside / _LIST, json.dumps(listed, indent=1).encode())
        _move(aside, folder, lambda place: (place / _LIST).is_file(), replace=True)
    return folder


def read_records(kind: str, folder: Path, kinds: Mapping[str, type[Result]]) -> list[Result]:
    """Read several results back, in the order in which they were given to `write_records`.

    Raises
    ------
    StoreError
        If there are none of that kind, or one of them cannot be read.
    """
    try:
        listed = json.loads((folder / _LIST).read_bytes())
        found, names = listed["kind"], [str(name) for name in listed["records"]]
    except FileNotFoundError as error:
        raise StoreError(
            f"{folder} does not hold several results.", hint=f"They have a {_LIST} beside them."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedRecordError(f"{folder / _LIST} is damaged: {error}.", hint=_AGAIN) from error
    if found != kind or listed.get("format") != FORMAT:
        raise StoreError(f"{folder} holds {found!r} in format {listed.get('format')!r}, not {kind!r} in {FORMAT}.")
    return [read_record(folder / name, kinds) for name in names]


def is_record(folder: Path) -> bool:
    """Tell whether a folder is a record (whole or damaged)."""
    return not folder.name.startswith(".") and (folder / _INDEX).is_file()


def read_record(folder: Path, kinds: Mapping[str, type[Result]]) -> Result:
    """Read a result back.

    Raises
    ------
    StoreError
        If there is no record, or it was written by a later version.
    DamagedRecordError
        If a file of it is missing or is not what was written.
    """
    index, kind = _index(folder, kinds)
    try:
        for name, stated in index["files"].items():
            data = (folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != stated["sha256"]:
                raise DamagedRecordError(f"{folder / name} is not what was written ({len(data)} bytes).", hint=_AGAIN)
        with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        plain = {name: _frozen(value) for name, value in index["fields"].items()}
        return _put_together(kinds[kind], {"question": Question(**index["question"]), **plain, **arrays})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DamagedRecordError(f"{folder} is damaged: {type(error).__name__}: {error}.", hint=_AGAIN) from error


def read_question(folder: Path, kinds: Mapping[str, type[Result]]) -> tuple[str, Question]:
    """Read the kind of a result and the question that it answers, and nothing else.

    Raises
    ------
    StoreError, DamagedRecordError
        As `read_record` does; but files beside the question are not looked at.
    """
    index, kind = _index(folder, kinds)
    try:
        return kind, Question(**index["question"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedRecordError(f"{folder} is damaged: {type(error).__name__}: {error}.", hint=_AGAIN) from error


def _index(folder: Path, kinds: Mapping[str, type[Result]]) -> tuple[dict[str, Any], str]:
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        kind, found = index["kind"], index["format"]
    except FileNotFoundError as error:
        several = "It holds several: Scales.load or Agreement.load reads them. " if (folder / _LIST).is_file() else ""
        raise StoreError(
            f"{folder} holds no result.", hint=f"{several}A result is a folder with a {_INDEX} in it."
        ) from error
    except PermissionError as error:
        raise StoreError(f"{folder / _INDEX} cannot be read: {error.strerror}.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedRecordError(f"{folder / _INDEX} is damaged: {error}.", hint=_AGAIN) from error
    if not isinstance(kind, str):
        raise DamagedRecordError(f"{folder / _INDEX} is damaged: its kind is {kind!r}.", hint=_AGAIN)
    if found != FORMAT or kind not in kinds:
        raise StoreError(
            f"{folder} is a {kind!r} in format {found!r}; this version reads format {FORMAT} of {', '.join(kinds)}.",
            hint="Was it written by a later version of iconoscope? pip install --upgrade iconoscope",
        )
    return index, kind


_AGAIN = "Delete the folder and ask again."


def _taken_apart(result: Any, prefix: str = "") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Part the fields of a result into plain values and arrays; those of a dataclass within it go by ``outer.inner``."""
    plain: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for field in fields(result):
        name, value = prefix + field.name, getattr(result, field.name)
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif is_dataclass(value) and not isinstance(value, Question):
            inner_plain, inner_arrays = _taken_apart(value, f"{name}.")
            plain |= inner_plain
            arrays |= inner_arrays
        elif not isinstance(value, Question):
            plain[name] = value
    return plain, arrays


def _put_together(dataclass: type[Any], values: dict[str, Any]) -> Any:
    """Make a dataclass, and those within it, of what `_taken_apart` gave."""
    inner: dict[str, dict[str, Any]] = {}
    for name in [name for name in values if "." in name]:
        outer, _, field = name.partition(".")
        inner.setdefault(outer, {})[field] = values.pop(name)
    hints = get_type_hints(dataclass) if inner else {}
    for name, fields_within in inner.items():
        choices = (hints[name], *get_args(hints[name]))  # a dataclass, or one that may be missing
        values[name] = _put_together(next(filter(is_dataclass, choices)), fields_within)
    return dataclass(**values)


def _frozen(value: Any) -> Any:
    """JSON has lists where the dataclasses have tuples."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside a place, to be written and moved there; whatever is left of it goes."""
    with writing_to(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
        try:
            aside.mkdir()
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _move(aside: Path, folder: Path, is_ours: Callable[[Path], bool], *, replace: bool) -> None:
    if is_ours(folder):
        if replace:
            old = aside.with_suffix(".old")
            folder.rename(old)
            aside.rename(folder)
            shutil.rmtree(old)
        return
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty:
        raise FileExistsError(errno.EEXIST, "something else is there already")
    try:
        aside.rename(folder)
    except OSError:
        if not is_ours(folder):  # another process may have answered the same question meanwhile
            raise


@contextmanager
def writing_to(place: Path) -> Iterator[None]:
    """Turn the system's errors into a `StoreError` that names the place."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written: {error.strerror or error}.",
            hint="Is there space, and the right to write there? What was written before is untouched.",
        ) from error


@contextmanager
def writing_whole(path: Path) -> Iterator[Path]:
    """Give a place beside a file, to be written and put in its stead, so that the file is there whole or not at all.

    Raises
    ------
    StoreError
        If it cannot be written. What was there before stays.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with writing_to(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
