"""A recording: what every unit answered to every image of a set, as it lies on disk (``docs/store.md``)."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import DamagedRecordError, QuestionError, StoreError, nearest
from iconoscope.store.question import Question
from iconoscope.store.result_folder import writing_whole

__all__ = ["BINS", "FORMAT", "Field", "RecordedLayer", "Recording", "bin_edges", "read_table"]

FORMAT = 1
INDEX = "recording.json"
UNITS = "units.parquet"
BINS = 257
"""Bins of a unit's histogram: 128 on each side of zero, a quarter of a doubling wide, from 2**-16 to 2**16."""
_AGAIN = "Record again with the same store: only what is damaged is asked anew."


def bin_edges() -> NDArray[np.float64]:
    """Give the edges of the histograms' bins, (BINS + 1,). The first and the last bin also hold what lies beyond.

    >>> bin_edges()[[0, 128, 129, 257]].tolist()
    [-65536.0, -1.52587890625e-05, 1.52587890625e-05, 65536.0]
    """
    steps = np.arange(129)
    magnitude = 2.0 ** (steps // 4 - 16) * (1 + steps % 4 / 4)
    return np.concatenate([-magnitude[::-1], magnitude])


@dataclass(frozen=True)
class Field:
    """Which pixels of the network's input a place of a layer's map can see.

    Attributes
    ----------
    size, stride, start : tuple of int
        Height and width of the field; how far it moves from place to place; where that of row 0, column 0 begins (below zero
        where it reaches over the border), pixels.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]

    def at(self, row: int, column: int, extent: tuple[int, int]) -> tuple[int, int, int, int]:
        """Give the field of a place, cut at the borders of an input of that height and width: top, left, bottom, right.

        >>> Field((5, 5), (2, 2), (-2, -2)).at(0, 3, (32, 32))
        (0, 4, 3, 9)
        """
        top, left = (
            first + step * place for first, step, place in zip(self.start, self.stride, (row, column), strict=True)
        )
        return max(top, 0), max(left, 0), min(top + self.size[0], extent[0]), min(left + self.size[1], extent[1])


@dataclass(frozen=True)
class RecordedLayer:
    """A layer that was recorded.

    Attributes
    ----------
    name : str
        Its name in the network.
    channels, rows, columns : int
        What it answers; one row and one column for a vector. Of tokens the rows and columns of their patches.
    field : Field or None
        What a place of it can see; None where it is the whole image.
    tokens : int
        How many tokens it answers, those that stand before the patches first; 0 if it answers none.
    """

    name: str
    channels: int
    rows: int
    columns: int
    field: Field | None = None
    tokens: int = 0

    @property
    def places(self) -> int:
        """How many places it answers at, to which positions count."""
        return self.tokens or self.rows * self.columns

    def patch(self, at: int, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """Give where on a picture the patch of a token lies: top, left, bottom, right, pixels; None where it has none."""
        at -= self.tokens - self.rows * self.columns
        if not self.tokens or at < 0 or self.rows * self.columns == 1:
            return None
        row, column = divmod(at, self.columns)
        return (
            row * size[0] // self.rows,
            column * size[1] // self.columns,
            (row + 1) * size[0] // self.rows,
            (column + 1) * size[1] // self.columns,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """What a network answered to a set of images, in one pass; made by `iconoscope.record`.

    Attributes
    ----------
    folder : Path
        Where it is.
    question : Question
        What was asked.
    classes : tuple of str
        The network's classes.
    layers : tuple of RecordedLayer
        The layers that were recorded.
    penultimate : str
        Where the vector before the logits was read, in words.
    k : int
        How many images of every unit are ranked on either side.
    source : str
        Where the images came from.
    images : Images or None
        The images themselves, in the order of `ids`, where they are at hand.
    """

    folder: Path
    question: Question
    classes: tuple[str, ...]
    layers: tuple[RecordedLayer, ...]
    penultimate: str
    k: int
    source: str
    images: Any = None

    @classmethod
    def open(cls, folder: Path) -> Recording:
        """Open a recording.

        Raises
        ------
        StoreError
            If there is none, it was not ended, or was written by a later version.
        DamagedRecordError
            If its index is not what was written.
        """
        index = read_index(folder)
        if not (folder / UNITS).is_file():
            done = len(list(folder.glob("rows-*.parquet")))
            raise StoreError(
                f"The recording in {folder} was not ended: {done} of its {index['shards']} shards are there.",
                hint="Give the same iconoscope record again: it goes on from there.",
            )
        try:
            layers = tuple(
                RecordedLayer(**{**given, "field": given["field"] and Field(**_tuples(given["field"]))})
                for given in index["layers"]
            )
            return cls(
                folder=folder,
                question=Question(**index["question"]),
                classes=tuple(index["classes"]),
                layers=layers,
                penultimate=index["penultimate"],
                k=index["k"],
                source=index["source"],
            )
        except (KeyError, TypeError) as error:
            raise DamagedRecordError(f"{folder / INDEX} is damaged: {error!r}.", hint=_AGAIN) from error

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<Recording: {self.summary()}>"

    def summary(self) -> str:
        """Say in a sentence what was recorded."""
        text = (
            f"{len(self):,} images from {self.source}: {len(self.units) - len(self.classes):,} units of {len(self.layers)} "
            "layers and "
            f"{len(self.classes)} logits of {self.question.network}"
        )
        if self.top1 is not None:
            text += f"; {self.top1:.1%} of {int((self.targets >= 0).sum()):,} answered rightly"
        if dead := self.dead_units():
            text += f"; {len(dead)} unit{'s' * (len(dead) > 1)} answered nothing to any of them"
        if self.failed:
            text += f"; {len(self.failed)} images could not be used"
        return f"{text}."

    def to_json(self) -> dict[str, Any]:
        """Give what was recorded as plain JSON values, without the large arrays."""
        return {
            "kind": "recording",
            "folder": str(self.folder),
            "question": self.question.to_json(),
            "images": len(self),
            "failed": self.failed,
            "layers": [asdict(layer) for layer in self.layers],
            "classes": list(self.classes),
            "penultimate": self.penultimate,
            "k": self.k,
            "top1": self.top1,
            "dead_units": list(self.dead_units()),
        }

    @cached_property
    def _plain(self) -> dict[str, list[Any]]:
        columns = ("row", "id", "label", "target", "prediction")
        found: dict[str, list[Any]] = {name: [] for name in columns}
        for table in self._tables(columns):
            for name in columns:
                found[name] += table.column(name).to_pylist()
        return found

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The images' ids, (images,); those that could not be used are not among them."""
        return tuple(self._plain["id"])

    @cached_property
    def labels(self) -> tuple[str | None, ...]:
        """Their labels as text, None where there is none, (images,)."""
        return tuple(self._plain["label"])

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """Which class of the network the label is, -1 where it is none, (images,)."""
        return np.array(self._plain["target"], np.int64)

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """Which class the network answers, (images,)."""
        return np.array(self._plain["prediction"], np.int64)

    @property
    def top1(self) -> float | None:
        """The share of labelled images that are answered rightly; None where none is labelled."""
        judged = self.targets >= 0
        return float((self.predictions == self.targets)[judged].mean()) if judged.any() else None

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Their numbers in the set that was given, (images,)."""
        return np.array(self._plain["row"], np.int64)

    @cached_property
    def failed(self) -> dict[str, str]:
        """The images that could not be read, or to which the network answered no numbers, and why."""
        found: dict[str, str] = {}
        for path in self._shards():
            found |= json.loads((_parquet(path).schema_arrow.metadata or {}).get(b"iconoscope", b"{}")).get(
                "failed", {}
            )
        return found

    @cached_property
    def units(self) -> tuple[str, ...]:
        """All units: every channel of every layer, then the logit of every class."""
        return tuple(_parquet(self.folder / UNITS).read(columns=["unit"]).column("unit").to_pylist())

    def first_of(self, layer: str) -> int:
        """Give the place of a layer's first channel among the units."""
        first = 0
        for each in self.layers:
            if each.name == layer:
                return first
            first += each.channels
        raise QuestionError(f"{layer} was not recorded.", hint=nearest(layer, [each.name for each in self.layers]))

    @cached_property
    def responses(self) -> NDArray[np.float32]:
        """What every unit answered to every image, (images, units): the maximum of a channel's map, or the logit. Read-only."""
        columns = [f"max:{layer.name}" for layer in self.layers] + ["logits"]
        return self._derived("responses.npy", columns)

    def vectors(self, name: str = "penultimate") -> NDArray[np.float32]:
        """Give one vector for every image, (images, numbers). Read-only.

        Parameters
        ----------
        name
            ``penultimate``, ``logits``, ``probabilities``; or a layer's ``max:NAME`` or ``mean:NAME`` over the map (``NAME``
            alone is the mean).

        Raises
        ------
        QuestionError
            If there are no such vectors.
        """
        known = ["penultimate", "logits", "probabilities"]
        known += [f"{way}:{layer.name}" for layer in self.layers for way in ("mean", "max")]
        column = name if name in known else f"mean:{name}"
        if column not in known:
            raise QuestionError(f"There are no vectors {name!r} in this recording.", hint=nearest(name, known))
        return self._derived(f"{column.replace(':', '-')}.npy", [column])

    @cached_property
    def rankings(self) -> dict[str, NDArray[Any]]:
        """Tables with a row for every unit, by name.

        ``most_row``, ``most_value``, ``most_position`` and the same of the ``least``, (units, k), rows of -1 are none;
        ``count``, ``total``, ``square``, ``lowest``, (units,), and ``histogram``, (units, BINS), of activations at sampled
        places of the maps.
        """
        return read_table(self.folder / UNITS)

    def ranked(self, side: str) -> NDArray[np.int64]:
        """Give the images of every unit's ranking by their places in this recording, (units, k); -1 is none.

        Parameters
        ----------
        side
            ``most`` or ``least``.
        """
        listed = self.rankings[f"{side}_row"]
        return np.where(listed < 0, -1, np.searchsorted(self.numbers, listed))

    def dead_units(self, layer: str | None = None) -> tuple[str, ...]:
        """Give the units that answered nothing to any image: always zero or, in a layer that goes below zero, always the same.

        Many of them hint at a training gone wrong, such as a learning rate that was too high.

        Parameters
        ----------
        layer
            Only of this layer; of all by default.

        Raises
        ------
        QuestionError
            If the layer was not recorded.
        """
        first = 0 if layer is None else self.first_of(layer)
        last = len(self._dead) if layer is None else first + self.layer_at(first)[0].channels
        return tuple(self.units[place] for place in range(first, last) if self._dead[place])

    @cached_property
    def _dead(self) -> NDArray[np.bool_]:
        dead = np.zeros(sum(layer.channels for layer in self.layers), np.bool_)
        for layer in self.layers if len(self) else ():
            first = self.first_of(layer.name)
            highest = self.responses[:, first : first + layer.channels].max(0)
            mean = self.vectors(f"mean:{layer.name}")
            # A map whose mean is its maximum is the same everywhere.
            same = (mean.max(0) == mean.min(0)) & np.isclose(mean[0], highest, rtol=1e-5, atol=0)
            dead[first : first + layer.channels] = same
        return dead

    def layer_at(self, place: int) -> tuple[RecordedLayer, int]:
        """Give the layer of a unit and its channel there, by its place among the units.

        Raises
        ------
        IndexError
            If the unit is a logit, or there is none.
        """
        for layer in self.layers:
            if place < layer.channels:
                return layer, place
            place -= layer.channels
        raise IndexError("That is no channel of a recorded layer.")

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("rows-*.parquet"))

    def _tables(self, columns: Sequence[str]) -> Iterator[Any]:
        for path in self._shards():
            try:
                yield _parquet(path).read(columns=list(columns))
            except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are kinds of these
                raise DamagedRecordError(f"{path} is damaged: {error}.", hint=_AGAIN) from error

    def _derived(self, name: str, columns: Sequence[str]) -> NDArray[np.float32]:
        """Give columns of all shards side by side, from a file of their own, which is made if it is not there or not whole."""
        path = self.folder / name
        shape = (len(self), sum(self._width(column) for column in columns))
        found = _mapped(path, shape)
        if found is not None:
            return found
        values = np.empty(shape, np.float32)
        first = 0
        for table in self._tables(columns):
            values[first : first + table.num_rows] = np.hstack([wide(table.column(column)) for column in columns])
            first += table.num_rows
        write_derived(path, values)
        values.setflags(write=False)
        return values

    def _width(self, column: str) -> int:
        kind = _parquet(self._shards()[0]).schema_arrow.field(column).type
        return kind.list_size


def read_index(folder: Path) -> dict[str, Any]:
    """Read what a recording's folder says of itself. Raises `StoreError`."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        written = index["format"]
    except FileNotFoundError as error:
        raise StoreError(
            f"{folder} holds no recording.", hint=f"A recording is a folder with a {INDEX} in it."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedRecordError(f"{folder / INDEX} is damaged: {error}.", hint=_AGAIN) from error
    if written != FORMAT:
        raise StoreError(
            f"{folder} has format {written}; this version reads {FORMAT}.", hint="Is iconoscope out of date?"
        )
    return index


def wide(column: Any) -> NDArray[Any]:
    """Give a column of fixed-size lists as an array, (rows, numbers)."""
    width = column.type.list_size
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width) for chunk in column.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """Read every column of numbers of a Parquet file, lists as (rows, numbers). Raises `DamagedRecordError`."""
    from pyarrow import types

    try:
        table = _parquet(path).read()
        return {
            name: wide(column) if types.is_fixed_size_list(column.type) else column.to_numpy()
            for name, column in zip(table.column_names, table.columns, strict=True)
            if not types.is_string(column.type)
        }
    except (OSError, ValueError, KeyError) as error:
        raise DamagedRecordError(f"{path} is damaged: {error}.", hint=_AGAIN) from error


def write_derived(path: Path, values: NDArray[np.float32]) -> None:
    """Write an array that can be made again, with its checksum in its name's companion; without room it is simply not kept."""
    with suppress(StoreError), writing_whole(path) as aside:
        with aside.open("wb") as file:
            np.save(file, values, allow_pickle=False)
        path.with_suffix(".crc").write_text(str(zlib.crc32(np.ascontiguousarray(values).data)), encoding="ascii")


def write_parquet(path: Path, table: Any, *, compression: str = "none") -> None:
    """Write a table that is there whole or not at all, with a checksum for every page. Raises `StoreError`."""
    import pyarrow.parquet

    with writing_whole(path) as aside, aside.open("wb") as file:
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
        os.fsync(file.fileno())


def fixed(values: NDArray[Any]) -> Any:
    """Give an array (rows, numbers) as a column of fixed-size lists."""
    import pyarrow

    flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _parquet(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pyarrow.ArrowException) as error:
        raise DamagedRecordError(f"{path} is damaged: {error}.", hint=_AGAIN) from error


def _mapped(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Map an array that was derived earlier; None if it is not there, or is not what was written."""
    try:
        stated = int(path.with_suffix(".crc").read_text(encoding="ascii"))
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if found.shape != shape or found.dtype != np.float32 or zlib.crc32(np.ascontiguousarray(found).data) != stated:
        return None
    return found


def _tuples(given: dict[str, Iterable[int]]) -> dict[str, Any]:
    return {name: tuple(values) for name, values in given.items()}
