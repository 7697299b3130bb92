"""Parquet in the layout of Hugging Face `datasets`: image bytes in a column, read one row group at a time.

Read by pyarrow and not by `datasets`, which would first write all bytes once more into a cache of its own, and of a damaged
file refuses the whole: here the rows of its other row groups are read, and those of the damaged one are named.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.columns import ArrowColumn, CodedColumn, Column, NumberedNames
from iconoscope.errors import (
    IconoscopeError,
    ImageFileError,
    ImagesError,
    QuestionError,
    first_line,
    shortened,
    warn,
)
from iconoscope.reading import check_regular, parse_json
from iconoscope.remote_file import RemoteFile
from iconoscope.subject.images.encoded_images import EncodedImages, named_labels
from iconoscope.subject.images.folder import SPLITS, list_files
from iconoscope.subject.memory import check_fits

__all__ = [
    "IMAGE_COLUMNS",
    "LABEL_COLUMNS",
    "check_shards",
    "find_shards",
    "image_column",
    "image_in_cell",
    "open_parquet",
    "path_field",
    "unique_names",
]

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
# One for the reader that goes in order, one for the neighbour it comes from.
GROUPS_KEPT = 2
ROWS_A_BYTE = 1000
"""Rows of images that a byte of a file may stand for, however well they are packed; more is damage."""


class ParquetReader:
    """Images in the rows of parquet files, or in files that the rows name beside them.

    The image column is read a row group at a time; the last few stay in memory.

    Parameters
    ----------
    files
        The parquet files.
    column
        The column of images.
    starts
        (groups,) the first row of each row group.
    groups
        Of each row group the index of its file, and its own in that file.
    """

    def __init__(
        self, files: Sequence[Path | RemoteFile], column: str, starts: NDArray[np.int64], groups: list[tuple[int, int]]
    ) -> None:
        self.__setstate__((files, column, starts, groups))

    def __getstate__(self) -> tuple:
        return self.files, self.column, self.starts, self.groups

    def __setstate__(self, state: tuple) -> None:
        self.files, self.column, self.starts, self.groups = state
        self._lock = threading.Lock()
        self._columns: OrderedDict[int, Any] = OrderedDict()
        self._file: tuple[tuple[int, int], Any] | None = None  # of this process: connections do not outlive a fork

    def __call__(self, row: int, id: str) -> bytes | Path:
        """Give the bytes, or the file that the row names beside the parquet."""
        import pyarrow

        group = int(np.searchsorted(self.starts, row, side="right")) - 1
        try:
            cell = self._column(group)[row - int(self.starts[group])].as_py()
        except (pyarrow.ArrowException, OSError) as error:
            raise ImageFileError(f"{id} cannot be read: its row group is damaged ({error})") from error
        return image_in_cell(cell, id, self.files[self.groups[group][0]].parent)

    def _column(self, group: int) -> Any:
        """Give the images of a row group: bytes, or dicts of bytes and path, or None."""
        with self._lock:
            if group not in self._columns:
                self._columns[group] = self._read(*self.groups[group])
                while len(self._columns) > GROUPS_KEPT:
                    self._columns.popitem(last=False)
            self._columns.move_to_end(group)
            return self._columns[group]

    def _read(self, file: int, group: int) -> Any:
        opened = os.getpid(), file
        if self._file is None or self._file[0] != opened:
            self._file = (opened, _opened(self.files[file]))
        group_size = self._file[1].metadata.row_group(group).total_byte_size
        try:
            check_fits(2.0 * group_size, f"Row group {group} of {self.files[file]}")
        except QuestionError as error:
            raise OSError(error.message) from error
        return self._file[1].read_row_group(group, columns=[self.column]).column(0)


def _opened(path: Path | RemoteFile) -> Any:
    """Open a file as parquet; of one at an address what is asked for is read, and no more."""
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path.open() if isinstance(path, RemoteFile) else path)


def image_in_cell(cell: Any, id: str, folder: Path | RemoteFile) -> bytes | Path:
    """Give the bytes in a cell, or the file that it names, relative to a folder. Raises `ImageFileError`."""
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if content is not None:
        return content
    path = cell.get("path") if isinstance(cell, Mapping) else None
    if not path:
        raise ImageFileError(f"{id} cannot be read: the row holds neither bytes nor a path")
    if isinstance(folder, RemoteFile):
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError as error:
            raise ImageFileError(f"{id} cannot be read: there is no {folder / path}") from error
    return folder / path


def find_shards(folder: Path) -> list[Path]:
    """List the parquet files in a folder and its ``data/``. Raises `QuestionError` where they are several splits."""
    shards = list_files(folder, {".parquet"}, depth=0)
    if not shards and (folder / "data").is_dir():
        shards = [f"data/{name}" for name in list_files(folder / "data", {".parquet"}, depth=0)]
    check_shards(shards, str(folder))
    return [folder / path for path in shards]


def check_shards(shards: Sequence[str], folder: str) -> None:
    """See that the parquet files of a folder are of one split, and all there. Raises `QuestionError`."""
    splits: dict[str, list[str]] = {}
    for path in shards:
        head = re.match(r"[a-z]+", Path(path).name.lower())
        splits.setdefault(head[0] if head and head[0] in SPLITS else "", []).append(path)
    if len(splits) > 1:
        choices = [f"{folder}/{paths[0] if len(paths) == 1 else _pattern(paths[0])}" for paths in splits.values()]
        raise QuestionError(
            f"{folder} holds the splits {', '.join(split or 'others' for split in splits)}: which one is meant?",
            hint=f"Give one of them: {', '.join(choices)}.",
        )
    if shards and (total := re.search(r"-of-(\d+)\.parquet$", shards[0])) and int(total[1]) != len(shards):
        warn(
            f"{folder} holds {len(shards)} of the {int(total[1])} shards that {shards[0]} counts; "
            "the rows of the others are left out."
        )


def _pattern(path: str) -> str:
    return re.sub(r"-\d+-of-\d+(?=\.parquet$)|(?<=[a-z])[^/a-z]*\d+(?=\.parquet$)", "-*", path)


def open_parquet(files: Sequence[Path | RemoteFile], origin: str) -> EncodedImages:
    """Read what is small of the files: the schema, the labels, the paths. Raises `ImagesError`."""
    import pyarrow

    starts, groups, ends = [], [], []
    paths: dict[int, list[str | None]] = {}
    labels: list[CodedColumn] = []
    count, column, label, class_names = 0, "", None, ()
    for number, path in enumerate(files):
        try:
            if isinstance(path, Path):
                check_regular(path, most=None)
            with _opened(path) as file:
                size = path.size() if isinstance(path, RemoteFile) else path.stat().st_size
                if file.metadata.num_rows > ROWS_A_BYTE * size:
                    raise pyarrow.ArrowInvalid(f"it tells of {file.metadata.num_rows:,} rows")
                if not number:
                    column = _image_column(file.schema_arrow, path)
                    label = _label_column(file.schema_arrow)
                    class_names = _class_names(file.schema_arrow.metadata, label)
                has_paths = path_field(file.schema_arrow.field(column).type) >= 0
                columns = ([label] if label else []) + ([f"{column}.path"] if has_paths else [])
                table = file.read(columns=columns) if columns else None
                for group in range(file.num_row_groups):
                    starts.append(count)
                    groups.append((number, group))
                    count += file.metadata.row_group(group).num_rows
                ends.append(count)
        except (pyarrow.ArrowException, OSError, KeyError, ValueError, OverflowError) as error:
            if isinstance(error, IconoscopeError):
                raise
            reason = first_line(error, most=200)
            raise ImagesError(
                f"{path} cannot be read as parquet with the column {column or 'image'}: {reason}."
            ) from error
        if table is not None and label:
            labels.append(CodedColumn.of(table.column(label).to_pylist()))
        if table is not None and has_paths:
            paths[number] = [cell and cell["path"] for cell in table.column(column).to_pylist()]
    if not count:
        raise ImagesError(f"{origin} holds no rows.")
    values = CodedColumn.joined(labels)
    highest = max((value for value in values.values if isinstance(value, int)), default=-1)
    if class_names and highest >= len(class_names):
        raise ImagesError(
            f"{origin}: the label {highest} is outside the {len(class_names)} class names of its metadata."
        )
    return EncodedImages(
        origin,
        _ids([path.stem for path in files], ends, paths),
        CodedColumn(values.codes, named_labels(values.values, class_names)) if labels else None,
        ParquetReader(files, column, np.array(starts, np.int64), groups),
        label_names=class_names,
    )


def _ids(stems: Sequence[str], ends: Sequence[int], paths: Mapping[int, Sequence[str | None]]) -> Column:
    """Give every row the path that it has alone, or else the name of its file and its number there."""
    import pyarrow

    numbered = NumberedNames([f"{stem}#" for stem in stems], ends)
    if not paths:
        return numbered
    counts = np.diff([0, *ends]).tolist()
    names = [name for number, count in enumerate(counts) for name in paths.get(number, [None] * count)]
    if (unique := unique_names(names)) is None:
        return numbered
    return ArrowColumn(pyarrow.array([name or number for name, number in zip(unique, numbered, strict=True)]))


def _image_column(schema: Any, path: Path | RemoteFile) -> str:
    return image_column(
        {field.name: str(field.type) for field in schema},
        [field.name for field in schema if _holds_images(field.type)],
        str(path),
        "Wanted is a column image or img of bytes, or of struct{bytes, path} as Hugging Face writes it.",
    )


def image_column(types: Mapping[str, str], fitting: Sequence[str], origin: str, hint: str) -> str:
    """Choose among the columns that hold images: by name, or the only one. Raises `ImagesError` where neither does."""
    named = [name for name in IMAGE_COLUMNS if name in fitting]
    if not named and len(fitting) != 1:
        columns = shortened((f"{name} ({kind})" for name, kind in types.items()), most=8)
        raise ImagesError(f"{origin} has no column of images; its columns are {columns}.", hint=hint)
    return (named or fitting)[0]


def _holds_images(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_images(kind.field("bytes").type)
    return types.is_binary(kind) or types.is_large_binary(kind)


def path_field(kind: Any) -> int:
    """Give the index of the paths in a column of that type of Arrow's, -1 where it has none."""
    from pyarrow import types

    return kind.get_field_index("path") if types.is_struct(kind) else -1


def _label_column(schema: Any) -> str | None:
    from pyarrow import types

    tests = (types.is_integer, types.is_string, types.is_large_string, types.is_dictionary)
    for name in LABEL_COLUMNS:
        if name in schema.names and any(test(schema.field(name).type) for test in tests):
            return name
    return None


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> tuple[str, ...]:
    try:
        features = parse_json((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):  # no names, or not in a form that we know: the labels stay numbers
        return ()


def unique_names(names: Sequence[str | None]) -> list[str | None] | None:
    """Give None for a path that several rows have, and for one that looks like our own ``file#row``."""
    if not any(names):
        return None
    counts = Counter(names)
    # A path that looks like one of our own ids could meet one.
    return [name if name and counts[name] == 1 and not re.search(r"#\d+$", name) else None for name in names]
