"""Tables of a recording as Parquet files, every page with a checksum: lists of one length for what has a row of numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole
from iconoscope.errors import DamagedRecordError

__all__ = [
    "FETCHED",
    "RECORD_AGAIN",
    "list_width",
    "matrix",
    "read_metadata",
    "read_numbers",
    "read_table",
    "write_table",
]

RECORD_AGAIN = "Record again with the same store: only what is damaged is asked anew."

FETCHED = "fetched.json"
"""Lies beside files that are copies of what lies at an address, and says of which state each is."""


def write_table(
    path: Path,
    columns: Mapping[str, NDArray[Any] | Sequence[str | None]],
    *,
    metadata: Mapping[str, str] | None = None,
    compression: str = "none",
) -> None:
    """Write a table that is there whole or not at all.

    Parameters
    ----------
    path
        Of the file.
    columns
        Arrays (rows,) or (rows, numbers), and text as lists, by name.
    metadata
        What is written beside the table.
    compression
        As Parquet names it. Activations of 32 bits do not shrink, and take long to try.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({name: _column(values) for name, values in columns.items()})
    table = table.replace_schema_metadata(dict(metadata or {}))
    with writing_whole(path) as hidden, hidden.open("wb") as file:
        pyarrow.parquet.write_table(
            table,
            file,
            compression=compression,
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
            row_group_size=max(table.num_rows, 1),
        )
        file.flush()
        os.fsync(file.fileno())  # a shard is hours of work: it must outlive a power cut


def read_table(path: Path, columns: Sequence[str]) -> Any:
    """Read columns of a table as a pyarrow.Table. Raises `DamagedRecordError`."""
    with _naming_damage(path):
        return _open(path).read(columns=list(columns))


def read_numbers(path: Path) -> dict[str, NDArray[Any]]:
    """Read every column of numbers of a table, lists as (rows, numbers). Raises `DamagedRecordError`."""
    from pyarrow import types

    with _naming_damage(path):
        table = _open(path).read()
        return {
            name: matrix(column) if types.is_fixed_size_list(column.type) else column.to_numpy()
            for name, column in zip(table.column_names, table.columns, strict=True)
            if not types.is_string(column.type)
        }


def read_metadata(path: Path, name: str) -> str | None:
    """Read what was written beside a table under a name. Raises `DamagedRecordError`."""
    with _naming_damage(path):
        text = (_open(path).schema_arrow.metadata or {}).get(name.encode())
        return None if text is None else text.decode()


def list_width(path: Path, column: str) -> int:
    """Give the length of the lists in a column. Raises `DamagedRecordError`."""
    with _naming_damage(path):
        return _open(path).schema_arrow.field(column).type.list_size


def matrix(column: Any) -> NDArray[Any]:
    """Give a column of lists of one length as an array, (rows, numbers)."""
    width = column.type.list_size
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def _column(values: NDArray[Any] | Sequence[str | None]) -> Any:
    import pyarrow

    if not isinstance(values, np.ndarray):
        return pyarrow.array(values, pyarrow.string())
    if values.ndim == 1:
        return pyarrow.array(values)
    flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _open(path: Path) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
        hint = RECORD_AGAIN
        if (path.parent / FETCHED).is_file():
            path.unlink(missing_ok=True)
            hint = (
                "It was a copy, and is taken away: load the recording from its address again, and it is fetched anew."
            )
        raise DamagedRecordError(f"{path} is damaged: {error}.", hint=hint) from error
