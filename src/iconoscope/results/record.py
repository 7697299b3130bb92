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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope.errors import DamagedRecordError, StoreError
from iconoscope.results.question import Question

if TYPE_CHECKING:
    from iconoscope.results.result import Result

__all__ = ["FORMAT", "is_record", "read_record", "write_record", "writing_to"]

FORMAT = 1
_INDEX = "result.json"
_ARRAYS = "arrays.npz"


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
    with writing_to(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
        try:
            aside.mkdir()
            for name, data in files.items():
                _write_through(aside / name, data)
            _move(aside, folder, replace=replace)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


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
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        kind, found = index["kind"], index["format"]
    except FileNotFoundError as error:
        raise StoreError(f"{folder} holds no result.", hint=f"A result is a folder with a {_INDEX} in it.") from error
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
    try:
        for name, stated in index["files"].items():
            data = (folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != stated["sha256"]:
                raise DamagedRecordError(f"{folder / name} is not what was written ({len(data)} bytes).", hint=_AGAIN)
        with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        plain = {name: _frozen(value) for name, value in index["fields"].items()}
        return kinds[kind](question=Question(**index["question"]), **plain, **arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DamagedRecordError(f"{folder} is damaged: {type(error).__name__}: {error}.", hint=_AGAIN) from error


_AGAIN = "Delete the folder and ask again."


def _taken_apart(result: Result) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    plain: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for field in fields(result):
        value = getattr(result, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        elif field.name != "question":
            plain[field.name] = value
    return plain, arrays


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


def _move(aside: Path, folder: Path, *, replace: bool) -> None:
    if is_record(folder):
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
        if not is_record(folder):  # another process may have answered the same question meanwhile
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
