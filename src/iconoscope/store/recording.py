"""A recording: what every unit answered to every image of a set, as it lies on disk (``docs/store.md``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iconoscope.columns import ArrowColumn, Column
from iconoscope.errors import DamagedRecordError, QuestionError, StoreError, nearest, shortened
from iconoscope.language import say, term
from iconoscope.progress import track
from iconoscope.results.question import Question
from iconoscope.results.result_folder import read_sealed_json
from iconoscope.store.answer_columns import AnswerColumns
from iconoscope.store.array_files import map_array, write_array
from iconoscope.store.image_columns import image_columns
from iconoscope.store.parquet_tables import RECORD_AGAIN, list_width, matrix, read_metadata, read_numbers, read_table
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.vocabulary.resolver import Names, resolve
from iconoscope.vocabulary.unit import LayerUnit, Unit

__all__ = ["FORMAT", "INDEX", "MADE_OF_SHARDS", "UNITS", "Recording", "rows_name"]

FORMAT = 1
INDEX = "recording.json"
UNITS = "units.parquet"

MADE_OF_SHARDS = ("*.npy", "*.arrow", "*.crc")
"""Files that questions make of the shards: they go where a shard is replaced."""


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """The answers of a network to a set of images, in one pass; made by `iconoscope.record`.

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
    shards : int
        In how many it is kept.
    missing_there : tuple of int or None
        Of a recording at an address that was not ended, the shards that were missing when it was looked at.
    address : str
        Of a recording at an address that was not ended, where it lies: in the folder there is nothing then.
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
    shards: int
    missing_there: tuple[int, ...] | None = None
    address: str = ""
    images: Any = None
    _in_memory: dict[str, NDArray[np.float32]] = field(default_factory=dict, init=False)  # where nothing can be written

    @classmethod
    def open(cls, folder: Path, *, whole: bool = True) -> Recording:
        """Open a recording.

        Parameters
        ----------
        folder
            Where it is.
        whole
            Whether one that was not ended is refused. Otherwise it is given, and can be asked what is `missing`.

        Raises
        ------
        StoreError
            If there is none, it is not whole, or was written by a later version.
        DamagedRecordError
            If its index is not what was written.
        """
        index = _read_index(folder)
        try:
            recording = cls(
                folder=folder,
                shards=index["shards"],
                question=Question(**index["question"]),
                classes=tuple(index["classes"]),
                layers=tuple(RecordedLayer.from_json(layer) for layer in index["layers"]),
                penultimate=index["penultimate"],
                k=index["k"],
                source=index["source"],
            )
        except (KeyError, TypeError) as error:
            raise DamagedRecordError(f"{folder / INDEX} is damaged: {error!r}.", hint=RECORD_AGAIN) from error
        if whole:
            recording._check_whole()
        return recording

    @property
    def place(self) -> str:
        """Where it lies: a folder, or an address."""
        return self.address or str(self.folder)

    @property
    def missing(self) -> tuple[int, ...]:
        """The shards that are not there yet, by their numbers; of a recording that was ended there is none."""
        if self.missing_there is not None:
            return self.missing_there
        written = {path.name for path in self.folder.glob("rows-*.parquet")}
        return tuple(shard for shard in range(self.shards) if rows_name(shard) not in written)

    @property
    def ended(self) -> bool:
        """Whether all shards are there and were put together."""
        return self.missing_there is None and (self.folder / UNITS).is_file() and not self.missing

    def _check_whole(self) -> None:
        missing = self.missing
        if missing or not (self.folder / UNITS).is_file():
            state = "is not whole" if (self.folder / UNITS).is_file() else "was not ended"
            written = self.shards - len(missing)
            raise StoreError(
                f"The recording in {self.place} {state}: {written} of its {self.shards} shards are there.",
                hint="Give the same iconoscope record again: it goes on from there. Of parts, record ... --merge says which "
                "are missing, or puts them together.",
            )

    @cached_property
    def _shards(self) -> list[Path]:
        """The tables of images, of a recording that was ended."""
        self._check_whole()
        return [self.folder / rows_name(shard) for shard in range(self.shards)]

    @cached_property
    def _units(self) -> Path:
        """The table of units, of a recording that was ended."""
        self._check_whole()
        return self.folder / UNITS

    def __repr__(self) -> str:
        return f"<Recording: {self.summary()}>"

    def summary(self) -> str:
        """Say in a sentence what was recorded."""
        if not self.ended:
            written = self.shards - len(self.missing)
            return say(
                "{subject}: {written} of {all} shards are there; it is not whole yet.",
                subject=term(self.question.subject),
                written=written,
                all=self.shards,
            )
        text = say(
            "{images:,} images from {source}: {units:,} units of {layers} layers and {classes} logits of {network}",
            images=len(self),
            source=self.source,
            units=len(self.units) - len(self.classes),
            layers=len(self.layers),
            classes=len(self.classes),
            network=self.question.network,
        )
        if self.top1 is not None:
            text += say("; {share:.1%} of {count:,} answered rightly", share=self.top1, count=(self.targets >= 0).sum())
        if dead := self.dead_units():
            one = say("; 1 unit answered nothing to any of them")
            text += say("; {count} units answered nothing to any of them", count=len(dead)) if len(dead) > 1 else one
        if self.failed:
            text += say("; {count} images could not be used", count=len(self.failed))
        return f"{text}."

    def to_json(self) -> dict[str, Any]:
        """Give what was recorded as plain JSON values, without the large arrays."""
        if not self.ended:
            about = {"question": self.question.to_json(), "shards": self.shards, "missing": list(self.missing)}
            return {"kind": "recording", "folder": self.place, **about}
        return {
            "kind": "recording",
            "folder": self.place,
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
    def _image_columns(self) -> Any:
        """What is short of every image, as a pyarrow.Table."""
        return image_columns(self.folder, self._shards)

    def __len__(self) -> int:
        return self._image_columns.num_rows

    @cached_property
    def ids(self) -> Column:
        """The images' ids, (images,); those that could not be used are not among them. Read like a tuple, and equal to one."""
        return ArrowColumn(self._image_columns.column("id"))

    @cached_property
    def labels(self) -> Column:
        """Their labels as text, None where there is none, (images,). Read like a tuple, and equal to one."""
        return ArrowColumn(self._image_columns.column("label"))

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """The label as a class of the network, -1 where it is none, (images,)."""
        return self._image_columns.column("target").to_numpy()

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """The class that the network answers, (images,)."""
        return self._image_columns.column("prediction").to_numpy()

    @property
    def top1(self) -> float | None:
        """The share of labelled images that are answered rightly; None where none is labelled."""
        judged = self.targets >= 0
        return float((self.predictions == self.targets)[judged].mean()) if judged.any() else None

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Their numbers in the set that was given, (images,)."""
        return self._image_columns.column("row").to_numpy()

    @cached_property
    def failed(self) -> dict[str, str]:
        """The images that could not be read, or to which the network answered no numbers, and why."""
        reasons: dict[str, str] = {}
        for shard in self._shards:
            reasons |= json.loads(read_metadata(shard, "iconoscope") or "{}").get("failed", {})
        return reasons

    @cached_property
    def units(self) -> tuple[str, ...]:
        """All units: every channel of every layer, then the logit of every class."""
        return tuple(read_table(self._units, ["unit"]).column("unit").to_pylist())

    @cached_property
    def names(self) -> Names:
        """The classes, as they are looked up."""
        return Names(self.classes, self.question.network)

    def resolve(self, unit: str | Unit) -> Unit:
        """Give the unit with the full name of its layer, or the class's own name, as the network's `resolve` does.

        Raises
        ------
        UnitError
            If no such layer was recorded, or there is no such class; the hint gives the nearest.
        """
        return resolve(
            unit,
            self.names,
            lambda: [layer.name for layer in self.layers],
            owner=f"The recording of {self.question.network}",
            hint="Others: record --layers {}",
        )

    def first_of(self, layer: str) -> int:
        """Give the index of a layer's first channel among the units; raises `UnitError` if the layer was not recorded."""
        full = str(self.resolve(LayerUnit(layer)))
        names = [recorded.name for recorded in self.layers]
        return sum(recorded.channels for recorded in self.layers[: names.index(full)])

    @cached_property
    def responses(self) -> NDArray[np.float32]:
        """The answer of every unit to every image, (images, units): the maximum of a channel's map, or the logit. Read-only.

        What one unit answered lies together. Of so many images that memory counts ask for `answers` instead.
        """
        return self._by_unit("responses")[1]

    def answers(self, first: int, stop: int | None = None, *, pooling: str = "max") -> NDArray[np.float32]:
        """Give what some units that follow each other answered, (images, units); no others are read.

        Parameters
        ----------
        first, stop
            Indices among the units; one unit by default.
        pooling
            ``max`` over a channel's map, or the logit; or ``mean``, of channels of one layer.
        """
        stop = first + 1 if stop is None else stop
        name, offset = "responses", 0
        if pooling == "mean":
            layer, channel = self.layer_at(first)
            name, offset = f"mean:{layer.name}", first - channel
        file, array = self._by_unit(name, mapped=False)
        return file.read(first - offset, stop - offset) if array is None else array[:, first - offset : stop - offset]

    def vectors(self, name: str = "penultimate") -> NDArray[np.float32]:
        """Give one vector for every image, (images, numbers). Read-only.

        Parameters
        ----------
        name
            ``penultimate``, ``logits``, ``probabilities``; or a layer's ``max:NAME`` or ``mean:NAME`` over the map (``NAME``
            alone is the mean), where an ending that no other layer has will do.

        Raises
        ------
        QuestionError
            If there are no such vectors.
        """
        columns = ["penultimate", "logits", "probabilities"]
        columns += [f"{pooling}:{layer.name}" for layer in self.layers for pooling in ("mean", "max")]
        column = name if name in columns or ":" in name else f"mean:{name}"
        if column not in columns:
            pooling, _, layer = column.partition(":")
            ending = [full for full in columns if full.startswith(f"{pooling}:") and full.endswith(f".{layer}")]
            column = ending[0] if len(ending) == 1 else ""
        if not column:
            raise QuestionError(f"There are no vectors {name!r} in this recording.", hint=nearest(name, columns))
        if ":" in column:
            return self._by_unit(column)[1]
        return self._derived(f"{column}.npy", column)

    @cached_property
    def rankings(self) -> dict[str, NDArray[Any]]:
        """Tables with a row for every unit, by name.

        ``most_row``, ``most_value``, ``most_position`` and the same of the ``least``, (units, k), rows of -1 are none;
        ``count``, ``total``, ``square``, ``lowest``, (units,), and ``histogram``, (units, BINS), of activations at sampled
        places of the maps.
        """
        return read_numbers(self._units)

    def ranked(self, side: str) -> NDArray[np.int64]:
        """Give the images of every unit's ranking by their index in this recording, (units, k); -1 is none.

        Parameters
        ----------
        side
            ``most`` or ``least``.
        """
        rows = self.rankings[f"{side}_row"]  # numbers in the set that was given, where some images may have failed
        return np.where(rows < 0, -1, np.searchsorted(self.numbers, rows))

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
        return tuple(self.units[unit] for unit in range(first, last) if self._dead[unit])

    @cached_property
    def _dead(self) -> NDArray[np.bool_]:
        dead = np.zeros(sum(layer.channels for layer in self.layers), np.bool_)
        if not len(self):
            return dead
        # Of a unit that answers always the same the maximum is too: only of these few is the mean looked at.
        highest, lowest = (self.rankings[f"{side}_value"][: len(dead), 0] for side in ("most", "least"))
        for unit in np.flatnonzero(np.isclose(lowest, highest, rtol=1e-4, atol=0)).tolist():
            mean = self.answers(unit, pooling="mean")
            # A map whose mean is its maximum is the same everywhere.
            dead[unit] = mean.max() == mean.min() and np.isclose(mean[0, 0], highest[unit], rtol=1e-5, atol=0)
        return dead

    def layer_at(self, unit: int) -> tuple[RecordedLayer, int]:
        """Give the layer of a unit and its channel there, by its index among the units.

        Raises
        ------
        IndexError
            If the unit is a logit, or there is none.
        """
        for layer in self.layers:
            if unit < layer.channels:
                return layer, unit
            unit -= layer.channels
        raise IndexError("That is no channel of a recorded layer.")

    def _by_unit(self, name: str, *, mapped: bool = True) -> tuple[AnswerColumns, Any]:
        """Give a file of columns of all shards unit after unit, made if it is not there or not whole, and it mapped if wanted.

        Where it cannot be written, the array is in memory.
        """
        columns = [f"max:{layer.name}" for layer in self.layers] + ["logits"] if name == "responses" else [name]
        shape = (len(self), sum(list_width(self._shards[0], column) for column in columns))
        file = AnswerColumns(self.folder / f"{name.replace(':', '-')}.npy", shape)
        if name in self._in_memory:
            return file, self._in_memory[name]
        array = file.mapped() if mapped and file.is_there() else None
        if array is None and (mapped or not file.is_there()):
            try:
                file.write(self._blocks(columns))
                array = file.mapped() if mapped else None
            except StoreError:  # no room on the disk, or nothing may be written there
                array = _assembled(shape, self._blocks(columns), order="F")
                self._in_memory[name] = array
        return file, array

    def _blocks(self, columns: list[str]) -> Iterator[NDArray[np.float32]]:
        """Give columns side by side, shard after shard."""
        for shard in track(self._shards, f"reading {shortened(columns, most=2)}"):
            table = read_table(shard, columns)
            yield np.hstack([matrix(table.column(column)) for column in columns])

    def _derived(self, name: str, column: str) -> NDArray[np.float32]:
        """Give a column of all shards, image after image, from a file of its own, made if it is not there or not whole.

        It may be larger than the memory. Mapped, only the pages that a question touches are read.
        """
        path, shards = self.folder / name, self._shards
        shape = (len(self), list_width(shards[0], column))
        mapped = map_array(path, shape)
        if mapped is None:
            with suppress(StoreError):  # without room on the disk it is simply not kept
                write_array(path, shape, self._blocks([column]))
                mapped = map_array(path, shape)
        return _assembled(shape, self._blocks([column])) if mapped is None else mapped


def rows_name(shard: int) -> str:
    """Give the name of a shard's table of images."""
    return f"rows-{shard:05d}.parquet"


def _assembled(
    shape: tuple[int, int], blocks: Iterable[NDArray[np.float32]], order: Literal["C", "F"] = "C"
) -> NDArray[np.float32]:
    """Put blocks into one array in memory."""
    array = np.empty(shape, np.float32, order=order)
    row = 0
    for block in blocks:
        array[row : row + len(block)] = block
        row += len(block)
    array.setflags(write=False)
    return array


def _read_index(folder: Path) -> dict[str, Any]:
    """Read what a recording's folder says of itself. Raises `StoreError`."""
    try:
        index = read_sealed_json(folder / INDEX)
        written = index["format"]
    except FileNotFoundError as error:
        raise StoreError(
            f"{folder} holds no recording.", hint=f"A recording is a folder with a {INDEX} in it."
        ) from error
    except (OSError, KeyError) as error:
        raise DamagedRecordError(f"{folder / INDEX} is damaged: {error}.", hint=RECORD_AGAIN) from error
    if written != FORMAT:
        raise StoreError(
            f"{folder} has format {written}; this version reads {FORMAT}.", hint="Is iconoscope out of date?"
        )
    return index
