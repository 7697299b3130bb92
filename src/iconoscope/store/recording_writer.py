"""The writer of a recording: a table of images and a table of units for every shard, each written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_to, writing_whole
from iconoscope.errors import DamagedRecordError, StoreError, warn
from iconoscope.results.question import Question
from iconoscope.results.result_folder import read_sealed_json, sealed_json
from iconoscope.store.parquet_tables import RECORD_AGAIN, read_numbers, write_table
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.store.recording import FORMAT, INDEX, MADE_OF_SHARDS, UNITS, rows_name
from iconoscope.store.witness import is_same_witness

__all__ = ["BINS", "UNIT_COLUMNS", "RecordingWriter", "bin_edges"]

UNIT_COLUMNS = (
    "most_row", "most_value", "most_position", "least_row", "least_value", "least_position",
    "count", "total", "square", "lowest", "histogram",
)  # fmt: skip
"""Of a table of units: the rankings, (units, k); sums over sampled activations, (units,); their histogram, (units, BINS)."""


BINS = 257
"""Bins of a unit's histogram: 128 on each side of zero, a quarter of a doubling wide, from 2**-16 to 2**16."""


def bin_edges() -> NDArray[np.float64]:
    """Give the edges of the histograms' bins, (BINS + 1,). The first and the last bin also hold what lies beyond.

    >>> bin_edges()[[0, 128, 129, 257]].tolist()
    [-65536.0, -1.52587890625e-05, 1.52587890625e-05, 65536.0]
    """
    steps = np.arange(129)
    magnitude = 2.0 ** (steps // 4 - 16) * (1 + steps % 4 / 4)
    return np.concatenate([-magnitude[::-1], magnitude])


class RecordingWriter:
    """The folder of one recording.

    Parameters
    ----------
    folder
        Where it is.
    layers
        The layers that are recorded.
    units
        The names of all units: the channels of the layers, then the logits.
    k
        How many images of every unit are ranked on either side.
    """

    def __init__(self, folder: Path, layers: Sequence[RecordedLayer], units: Sequence[str], k: int) -> None:
        self.folder, self._layers, self._units, self._k = folder, layers, units, k
        self._replaced: Path | None = None

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def _again(self) -> Path:
        """Where a recording is made that replaces the one in the folder."""
        return self.folder.with_name(f".{self.folder.name}.again")

    def has_begun(self, question: Question, witness: tuple[float, ...]) -> bool:
        """Tell whether a recording of the question is there, ended or not, that `begin` would go on with."""
        return any(
            self._begun_with(folder)[0] and not self._reason_against(folder, question, witness)
            for folder in (self.folder, self._again)
        )

    def begin(self, question: Question, *, witness: tuple[float, ...] = (), anew: bool = False, **about: Any) -> None:
        """Make the folder and write what it is about, unless that is there.

        What is there of another question, or of a network that answered otherwise (`Network.witness`), stays until `end`.

        Parameters
        ----------
        question
            What is recorded.
        witness
            That of the network.
        anew
            Whether to record all again, whatever is there.
        **about
            What else the recording says of itself.
        """
        reason = self._reason_against(self.folder, question, witness)
        if reason or (anew and self.folder.exists()):
            if reason:
                warn(f"{question.network} {reason} recorded in {self.folder}. It is recorded again.")
            self._replaced, self.folder = self.folder, self._again
            if anew or self._reason_against(self.folder, question, witness):  # else a process was killed over it
                shutil.rmtree(self.folder, ignore_errors=True)
            elif self.ended:
                self._replace()
        index = {
            "format": FORMAT,
            "witness": self._begun_with(self.folder)[1] or witness,
            "question": question.to_json(),
            "layers": [asdict(layer) for layer in self._layers],
            "k": self._k,
            **about,
        }
        text = sealed_json(index)
        path = self.folder / INDEX
        if not path.is_file() or path.read_bytes() != text:
            # Names may have changed since it was ended, and the store be read-only: it is answered from all the same.
            with suppress(StoreError) if self.ended else nullcontext(), writing_whole(path) as hidden:
                hidden.write_bytes(text)

    @staticmethod
    def _begun_with(folder: Path) -> tuple[str, tuple[float, ...]]:
        """Give the key of the question and the witness that a recording was begun with; of none that can be read nothing."""
        try:
            index = read_sealed_json(folder / INDEX)
            return Question(**index["question"]).key, tuple(index["witness"])
        except (OSError, DamagedRecordError, KeyError, TypeError):
            return "", ()

    def _reason_against(self, folder: Path, question: Question, witness: tuple[float, ...]) -> str:
        """Say why a recording cannot be gone on with; empty if it can, or if there is none, or none that can be read."""
        key, before = self._begun_with(folder)
        if not key or (key == question.key and is_same_witness(before, witness)):
            return ""
        return "answers otherwise than when it was" if key == question.key else "is not that which was"

    def is_stored(self, shard: int) -> bool:
        """Tell whether a shard is there.

        Raises
        ------
        DamagedRecordError
            If a file of the shard is there but is not what was written.
        StoreError
            If the table is of other units.
        """
        if not self._images_path(shard).is_file() or not self._units_path(shard).is_file():
            return False
        read_numbers(self._images_path(shard))  # every page has a checksum
        self.read_tally(shard)
        return True

    def read_tally(self, shard: int) -> dict[str, NDArray[Any]]:
        """Give the table of units of a shard that is there, by the names of `UNIT_COLUMNS`. Raises as `is_stored` does."""
        path = self._units_path(shard)
        table = read_numbers(path)
        missing = [name for name in UNIT_COLUMNS if name not in table]
        if missing:
            raise DamagedRecordError(f"{path} is damaged: it has no column {missing[0]!r}.", hint=RECORD_AGAIN)
        if table["most_row"].shape != (len(self._units), self._k):
            raise StoreError(
                f"{path} holds {table['most_row'].shape}, not {(len(self._units), self._k)} images of units."
            )
        return table

    def missing(self, shards: int) -> tuple[int, ...]:
        """Give those of so many shards that are not there. Their files are listed, and not read."""
        written = {path.name for path in self.folder.glob("*.parquet")}
        return tuple(
            shard
            for shard in range(shards)
            if not {self._images_path(shard).name, self._units_path(shard).name} <= written
        )

    def discard(self, shard: int) -> None:
        """Remove the files of a shard, and what was made of all."""
        for pattern in (self._images_path(shard).name, self._units_path(shard).name, UNITS, *MADE_OF_SHARDS):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def write_shard(
        self,
        shard: int,
        images: Mapping[str, NDArray[Any] | Sequence[str | None]],
        units: Mapping[str, NDArray[Any]],
        *,
        maximum: NDArray[np.float32],
        mean: NDArray[np.float32],
        failed: Mapping[str, str],
    ) -> None:
        """Write a shard. The table of images comes last, so that where it is, all is there.

        Parameters
        ----------
        shard
            Its number.
        images
            Columns with a row for every image: ``row``, ``id``, ``label``, ``target``, ``prediction``, ``probabilities``,
            ``logits``, ``penultimate``.
        units
            Columns with a row for every unit: `UNIT_COLUMNS`.
        maximum, mean
            Over the map of every channel of all layers, (images, channels).
        failed
            The ids of the images that could not be used, and why.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        with self._written_by_one_of_several(self._units_path(shard)):
            self._write_units(self._units_path(shard), units)
        columns = dict(images)
        first = 0
        for layer in self._layers:
            channels = slice(first, first + layer.channels)
            columns[f"max:{layer.name}"] = maximum[:, channels]
            columns[f"mean:{layer.name}"] = mean[:, channels]
            first = channels.stop
        about = json.dumps({"shard": shard, "failed": failed})
        with self._written_by_one_of_several(self._images_path(shard)):
            write_table(self._images_path(shard), columns, metadata={"iconoscope": about})
        self._pass_on(shard)

    def _pass_on(self, shard: int) -> None:
        """Bring the files of a written shard to where the recording lies: here they are there."""

    def end(self, units: Mapping[str, NDArray[Any]]) -> None:
        """Write what all shards make together, which ends the recording, and put it in the place of one that it replaces.

        What killed processes left half written goes: all is there.

        Raises `StoreError`.
        """
        with self._written_by_one_of_several(self.folder / UNITS):
            self._write_units(self.folder / UNITS, units)
        for unfinished in self.folder.glob(".*.tmp"):
            unfinished.unlink(missing_ok=True)
        self._replace()

    @contextmanager
    def _written_by_one_of_several(self, path: Path) -> Iterator[None]:
        """Let the writing of a file fail where another process has written it meanwhile, and taken away what lay half written.

        Several may ask about the same shard, and come to the same answer.
        """
        try:
            yield
        except StoreError:
            if not path.is_file():
                raise

    def _replace(self) -> None:
        if self._replaced is not None:
            with writing_to(self._replaced):
                shutil.rmtree(self._replaced)
                self.folder.rename(self._replaced)
            self.folder, self._replaced = self._replaced, None

    @property
    def ended(self) -> bool:
        """Whether all shards were put together."""
        return (self.folder / UNITS).is_file()

    def _images_path(self, shard: int) -> Path:
        return self.folder / rows_name(shard)

    def _units_path(self, shard: int) -> Path:
        return self.folder / f"tally-{shard:05d}.parquet"

    def _write_units(self, path: Path, units: Mapping[str, NDArray[Any]]) -> None:
        table = {"unit": list(self._units), **{name: units[name] for name in UNIT_COLUMNS}}
        write_table(path, table, compression="zstd")
