"""Tables of images by their paths; and tables about images by their ids, with a check that those ids are there."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iconoscope.errors import ImagesError, nearest, shortened, warn
from iconoscope.reading import parse_json, read_json, read_text
from iconoscope.subject.images.arrays import as_array, plain_label
from iconoscope.subject.images.encoded_images import EncodedImages, FileReader
from iconoscope.subject.images.folder import missing_path
from iconoscope.subject.images.source import Label

__all__ = ["check_ids", "open_list", "read_labels", "read_list", "read_table"]

PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path")
LABEL_COLUMNS = ("label", "class", "target", "class_name")
# So many files are looked for before a table is believed to lie beside its images.
CHECKED = 16


def open_list(path: Path) -> EncodedImages:
    """Read a table of images. Raises `ImagesError` where it has no column of paths, or its files are not there."""
    files, labels = read_list(path, str(path))
    root = path.parent
    if not any((root / name).is_file() for name in files[:CHECKED]):
        raise ImagesError(
            f"{path}: of the files that it lists, the first is not there: {root / files[0]}.",
            hint="Paths are relative to the folder of the table.",
        )
    return EncodedImages(str(path), files, labels, FileReader(root, files))


def read_list(path: Path, origin: str) -> tuple[list[str], list[Label] | None]:
    """Read the paths and the labels of a table that came from somewhere. Raises `ImagesError` without a column of paths."""
    try:
        rows = _lines(path) if path.suffix.lower() == ".jsonl" else _rows(path)
    except (OSError, ValueError, csv.Error) as error:
        raise ImagesError(f"{origin} cannot be read: {error}.") from error
    if not rows:
        raise ImagesError(f"{origin} lists no images.", hint="It has a column path, and label if there are labels.")
    columns = {str(name).strip().lower(): name for name in rows[0] if name is not None}
    path_column = next((columns[name] for name in PATH_COLUMNS if name in columns), None)
    if path_column is None:
        raise ImagesError(
            f"{origin} has no column of paths; it has {shortened(columns) or 'none'}.",
            hint=f"The column is named one of {', '.join(PATH_COLUMNS)}. {nearest('path', columns)}",
        )
    label_column = next((columns[name] for name in LABEL_COLUMNS if name in columns), None)
    files = [str(row.get(path_column) or "").strip().replace("\\", "/").removeprefix("./") for row in rows]
    if "" in files:
        raise ImagesError(f"{origin}: row {files.index('') + 1} names no file.")
    if twice := [name for name, count in Counter(files).items() if count > 1]:
        raise ImagesError(f"{origin} lists files more than once: {shortened(twice)}.", hint="Every file has one line.")
    labels = None if label_column is None else _labels([row.get(label_column) for row in rows], origin)
    return files, labels


def _csv_lines(path: Path) -> io.StringIO:
    """Give a table as csv wants it: with the ends of lines as they are, which may lie within quotation marks."""
    return io.StringIO(read_text(path), newline="")


def _rows(path: Path) -> list[dict[str | None, Any]]:
    mark = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = list(csv.DictReader(_csv_lines(path), skipinitialspace=True, strict=True, delimiter=mark))
    for number, row in enumerate(rows, 2):
        if None in row.values() or None in row:
            raise ValueError(f"line {number} has {'more' if None in row else 'fewer'} fields than the header")
    return rows  # type: ignore[return-value]


def _lines(path: Path) -> list[dict[str | None, Any]]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            try:
                row = parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON ({error})") from error
            if not isinstance(row, Mapping):
                raise ValueError(f"line {number} is no JSON object")
            rows.append(dict(row))
    return rows


def _labels(values: Sequence[Any], origin: str) -> list[Label]:
    """Read the labels of a table, as numbers where all of them are."""
    wrong = next(
        (value for value in values if isinstance(value, bool) or not isinstance(value, str | int | None)), None
    )
    if wrong is not None:
        raise ImagesError(f"{origin}: {wrong!r} is not a label.", hint="A label is a string or an integer.")
    return typed_labels(["" if value is None else str(value).strip() for value in values])


def read_labels(source: Any, ids: Sequence[str]) -> list[Label]:
    """Give a label for every id, None where nothing is said of it.

    Parameters
    ----------
    source : sequence, mapping, str or os.PathLike
        One label per image; or labels by id; or a CSV (``id,label``) or JSON (``{id: label}``) file.
    ids : sequence of str
        The ids of the images.

    Raises
    ------
    ImagesError
        The file cannot be read, no id is there, or the number of labels is not that of the images.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        return _by_id({id: row[0] for id, row in read_table(path, ("label",), several=False).items()}, ids, str(path))
    if isinstance(source, Mapping):
        return _by_id(source, ids, "labels")
    if (array := as_array(source)) is not None:
        source = np.atleast_1d(array).tolist()
    if not isinstance(source, Sequence):
        raise ImagesError(
            f"labels is of type {type(source).__name__}.",
            hint="Give one label per image, a dict id -> label, or the path of a CSV (id,label) or JSON file.",
        )
    if len(source) != len(ids):
        raise ImagesError(
            f"labels holds {len(source)} labels for {len(ids)} images.",
            hint="Give one per image, or a dict id -> label.",
        )
    return [plain_label(label) for label in source]


def _by_id(labels: Mapping[str, Any], ids: Sequence[str], origin: str) -> list[Label]:
    check_ids(labels, ids, origin)
    return [plain_label(labels.get(id)) for id in ids]


def check_ids(named_ids: Iterable[str], ids: Sequence[str], origin: str) -> None:
    """Say which of the ids given are none of the images': a warning for some, `ImagesError` for all."""
    named, image_ids = list(named_ids), set(ids)
    missing = [id for id in named if id not in image_ids]
    if len(missing) == len(named):
        raise ImagesError(
            f"None of the {len(named)} ids in {origin} is an image's: {shortened(map(str, missing))}.",
            hint=f"The images are {shortened(ids, most=3)}.",
        )
    if missing:
        warn(
            f"{len(missing)} of {len(named)} ids in {origin} are no image's and were left out: "
            f"{shortened(map(str, missing))}."
        )


def read_table(path: Path, columns: tuple[str, ...], *, several: bool) -> dict[str, list[Any]]:
    """Read a CSV or JSON file: for every id, the list of its entries.

    Parameters
    ----------
    path : Path
        The file.
    columns : tuple of str
        What a CSV has beside ``id``. One column gives its value, more give a list of the values.
    several : bool
        Whether an id may have several entries; JSON then holds a list of them.

    Raises
    ------
    ImagesError
        There is no such file, it is not CSV or JSON, or an id that should be there once is there twice.
    """
    if path.suffix.lower() not in READERS:
        raise ImagesError(f"{path} is neither CSV nor JSON.", hint=f"The suffix may be {' or '.join(READERS)}.")
    if not path.exists():
        raise missing_path(path)
    try:
        entries = READERS[path.suffix.lower()](path, columns)
    except (OSError, ValueError, csv.Error) as error:
        raise ImagesError(f"{path} cannot be read: {error}.") from error
    table: dict[str, list[Any]] = {}
    for id, entry in entries:
        if not several and id in table:
            raise ImagesError(f"{path} names {id} more than once.", hint="Every id has one line.")
        values = entry if several and path.suffix.lower() == ".json" else [entry]
        if not isinstance(values, list):
            raise ImagesError(f"{path}: {id} has {values!r}, not a list.")
        table.setdefault(id, []).extend(values)
    if not table:
        raise ImagesError(f"{path} is empty.")
    return table


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[tuple[str, Any]]:
    reader = csv.DictReader(_csv_lines(path), skipinitialspace=True, strict=True)
    header = [(name or "").strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    for column in ("id", *columns):
        if column not in header:
            raise ImagesError(
                f"{path} has no column {column}; it has {shortened(header) or 'none'}.",
                hint=f"The first line is id,{','.join(columns)}. {nearest(column, header)}",
            )
    rows = list(reader)
    if short := next((number for number, row in enumerate(rows, 2) if any(row[name] is None for name in header)), None):
        raise ImagesError(f"{path}: line {short} has fewer fields than the header.")
    if columns != ("label",):
        return [(row["id"], [row[name].strip() for name in columns]) for row in rows]
    typed = typed_labels([row["label"].strip() for row in rows])
    return [(row["id"], label) for row, label in zip(rows, typed, strict=True)]


def typed_labels(texts: Sequence[str]) -> list[Label]:
    """Give labels as numbers where all of them are, which a table of texts cannot say; None for an empty text.

    >>> typed_labels(["3", "", "-1"]), typed_labels(["3", "three"])
    ([3, None, -1], ['3', 'three'])
    """
    numbers = all(re.fullmatch(r"-?\d{1,18}", text) for text in texts if text)
    return [None if not text else int(text) if numbers else text for text in texts]


def _read_json(path: Path, columns: tuple[str, ...]) -> list[tuple[str, Any]]:
    table = read_json(path, pairs=_Pairs)
    if not isinstance(table, _Pairs):
        raise ImagesError(f"{path} is not a JSON object.", hint='Wanted is {"id": ...}.')
    return list(table)


class _Pairs(list):
    """The pairs of a JSON object, so that an id that is there twice is seen."""


READERS = {".csv": _read_csv, ".json": _read_json}
