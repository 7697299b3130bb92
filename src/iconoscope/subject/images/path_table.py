"""Images listed in a table: a CSV, TSV or JSONL file with a column of paths, and one of labels if it has one."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iconoscope.errors import ImagesError, nearest, shortened
from iconoscope.subject.images.encoded_images import EncodedImages, FileReader
from iconoscope.subject.images.source import Label
from iconoscope.subject.images.tables import typed_labels

__all__ = ["open_list"]

PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path")
LABELS = ("label", "class", "target", "class_name")
# So many files are looked for before a table is believed to lie beside its images.
CHECKED = 16


def open_list(path: Path) -> EncodedImages:
    """Read a table of images. Raises `ImagesError` where it has no column of paths, or its files are not there."""
    try:
        rows = _lines(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _table(path)
    except (OSError, ValueError, csv.Error) as error:
        raise ImagesError(f"{path} cannot be read: {error}.") from error
    if not rows:
        raise ImagesError(f"{path} lists no images.", hint="It has a column path, and label if there are labels.")
    columns = {str(name).strip().lower(): name for name in rows[0] if name is not None}
    path_column = next((columns[name] for name in PATHS if name in columns), None)
    if path_column is None:
        raise ImagesError(
            f"{path} has no column of paths; it has {shortened(columns) or 'none'}.",
            hint=f"The column is named one of {', '.join(PATHS)}. {nearest('path', columns)}",
        )
    label_column = next((columns[name] for name in LABELS if name in columns), None)
    files = [str(row.get(path_column) or "").strip().replace("\\", "/").removeprefix("./") for row in rows]
    if "" in files:
        raise ImagesError(f"{path}: row {files.index('') + 1} names no file.")
    if twice := [name for name, count in Counter(files).items() if count > 1]:
        raise ImagesError(f"{path} lists files more than once: {shortened(twice)}.", hint="Every file has one line.")
    root = path.parent
    if not any((root / name).is_file() for name in files[:CHECKED]):
        raise ImagesError(
            f"{path}: of the files that it lists, the first is not there: {root / files[0]}.",
            hint="Paths are relative to the folder of the table.",
        )
    labels = None if label_column is None else _typed([row.get(label_column) for row in rows], path)
    return EncodedImages(str(path), files, labels, FileReader(root, files))


def _table(path: Path) -> list[dict[str | None, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        mark = "\t" if path.suffix.lower() == ".tsv" else ","
        rows = list(csv.DictReader(file, skipinitialspace=True, strict=True, delimiter=mark))
    for number, row in enumerate(rows, 2):
        if None in row.values() or None in row:
            raise ValueError(f"line {number} has {'more' if None in row else 'fewer'} fields than the header")
    return rows  # type: ignore[return-value]


def _lines(path: Path) -> list[dict[str | None, Any]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON ({error})") from error
            if not isinstance(row, Mapping):
                raise ValueError(f"line {number} is no JSON object")
            rows.append(dict(row))
    return rows


def _typed(values: Sequence[Any], path: Path) -> list[Label]:
    """Read the labels of a table, as numbers where all of them are."""
    wrong = next(
        (value for value in values if isinstance(value, bool) or not isinstance(value, str | int | None)), None
    )
    if wrong is not None:
        raise ImagesError(f"{path}: {wrong!r} is not a label.", hint="A label is a string or an integer.")
    return typed_labels(["" if value is None else str(value).strip() for value in values])
