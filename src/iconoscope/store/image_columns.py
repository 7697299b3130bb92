"""What is short of every image of a recording: its number, id, label, target and prediction, from the tables of the shards.

Of many images they are put into a file of Arrow's beside the shards, which later processes map: they then hold none of it in
memory, and read of it what they ask for. The file has a checksum beside it, as arrays have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from iconoscope.atomic_files import writing_whole
from iconoscope.errors import StoreError
from iconoscope.store.array_files import checksum, is_as_written, write_checksum
from iconoscope.store.parquet_tables import read_table

__all__ = ["FILE", "image_columns"]

FILE = "images.arrow"
COLUMNS = ("row", "id", "label", "target", "prediction")

_FEW_SHARDS = 8
"""Shards up to which their tables are read at every start, which takes some hundredths of a second."""

_ROWS = 2**20
"""Rows in one piece of the file: numbers of as many images are mapped as they lie."""


def image_columns(folder: Path, shards: Sequence[Path]) -> Any:
    """Give the columns of all images as a pyarrow.Table; of many images mapped from a file, which is made if it is not there.

    Raises
    ------
    DamagedRecordError
        If the table of a shard is damaged.
    """
    import pyarrow

    if len(shards) > _FEW_SHARDS:
        path = folder / FILE
        if (table := _mapped(path)) is not None:
            return table
        with suppress(StoreError):  # no room on the disk, or nothing may be written there
            _write(path, shards)
        if (table := _mapped(path)) is not None:
            return table
    return pyarrow.concat_tables(read_table(shard, COLUMNS) for shard in shards)


def _mapped(path: Path) -> Any:
    """Map the file; None if it is not there, or is not what was written."""
    import pyarrow
    import pyarrow.ipc

    try:
        if not is_as_written(path):
            return None
        table = pyarrow.ipc.open_file(pyarrow.memory_map(str(path))).read_all()
    except (OSError, ValueError, pyarrow.ArrowException):
        return None
    return table if tuple(table.column_names) == COLUMNS else None


def _write(path: Path, shards: Sequence[Path]) -> None:
    """Write the file, and its checksum beside it. Raises `StoreError`."""
    import pyarrow
    import pyarrow.ipc

    with writing_whole(path) as hidden:
        file: Any = None
        for table in _pieces(shards):
            file = file or pyarrow.ipc.new_file(str(hidden), table.schema)
            file.write_table(table.combine_chunks())
        file.close()
        write_checksum(path, checksum(hidden))


def _pieces(shards: Sequence[Path]) -> Iterator[Any]:
    """Give the tables of the shards, joined to pieces of many rows."""
    import pyarrow

    held: list[Any] = []
    for shard in shards:
        table = read_table(shard, COLUMNS).replace_schema_metadata(None)
        if held and sum(part.num_rows for part in held) + table.num_rows > _ROWS:
            yield pyarrow.concat_tables(held)
            held = []
        held.append(table)
    yield pyarrow.concat_tables(held)
