"""What a recording keeps on disk: a file of rows and a file of units for every shard, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iconoscope.errors import DamagedRecordError, StoreError
from iconoscope.exemplars.activation_histogram import Spread
from iconoscope.exemplars.shard import Plan, Rows, Tally
from iconoscope.exemplars.top_k import Shortlist
from iconoscope.store.question import Question
from iconoscope.store.recording import FORMAT, INDEX, UNITS, RecordedLayer, fixed, read_table, write_parquet
from iconoscope.store.result_folder import writing_whole
from iconoscope.subject.network.logits import ACTIVATIONS

__all__ = ["Keeper"]

_SPREAD = ("count", "total", "square", "lowest")


class Keeper:
    """The folder of one recording."""

    def __init__(self, folder: Path, plan: Plan, layers: Sequence[RecordedLayer], units: Sequence[str]) -> None:
        self.folder, self._plan, self._layers, self._units = folder, plan, layers, units

    def begin(self, question: Question, **told: Any) -> None:
        """Make the folder and write what it is about, unless that is there."""
        index = {
            "format": FORMAT,
            "question": question.to_json(),
            "layers": [asdict(layer) for layer in self._layers],
            "k": self._plan.k,
            **told,
        }
        data = json.dumps(index, indent=1).encode()
        place = self.folder / INDEX
        if not place.is_file() or place.read_bytes() != data:
            with writing_whole(place) as aside:
                aside.write_bytes(data)
        for left in self.folder.glob(".*.tmp"):  # of a process that was killed
            left.unlink(missing_ok=True)

    def known(self, shard: int) -> Tally | None:
        """Give the tally of a shard that is there and whole, else None.

        Raises
        ------
        DamagedRecordError
            If a file of it is there but is not what was written.
        """
        if not self._rows(shard).is_file() or not self._tally(shard).is_file():
            return None
        read_table(self._rows(shard))  # every page has a checksum
        return self._restored(read_table(self._tally(shard)), self._tally(shard))

    def discard(self, shard: int) -> None:
        """Remove the files of a shard, and what was made of all."""
        for pattern in (self._rows(shard).name, self._tally(shard).name, UNITS, "*.npy", "*.crc"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def keep(
        self, shard: int, rows: Rows, tally: Tally, told: dict[str, Sequence[Any]], failed: dict[str, str]
    ) -> None:
        """Write a shard; its rows come last, so that where they are, all is there. Raises `StoreError`."""
        import pyarrow

        write_parquet(self._tally(shard), self._table(tally), compression="zstd")
        columns: dict[str, Any] = {"row": pyarrow.array(rows.rows)}
        columns |= {
            "id": pyarrow.array(told["id"], pyarrow.string()),
            "label": pyarrow.array(told["label"], pyarrow.string()),
        }
        columns["target"] = pyarrow.array(np.asarray(told["target"], np.int64))
        columns["prediction"] = pyarrow.array(rows.logits.argmax(1).astype(np.int64))
        columns |= {
            "probabilities": fixed(ACTIVATIONS[self._plan.activation][0](torch.from_numpy(rows.logits)).numpy()),
            "logits": fixed(rows.logits),
            "penultimate": fixed(rows.penultimate),
        }
        first = 0
        for layer in self._layers:
            part = slice(first, first + layer.channels)
            columns[f"max:{layer.name}"] = fixed(rows.maximum[:, part])
            columns[f"mean:{layer.name}"] = fixed(rows.mean[:, part])
            first = part.stop
        table = pyarrow.table(columns).replace_schema_metadata(
            {"iconoscope": json.dumps({"shard": shard, "failed": failed})}
        )
        write_parquet(self._rows(shard), table)

    def end(self, tally: Tally) -> None:
        """Write what all shards make together, which ends the recording."""
        write_parquet(self.folder / UNITS, self._table(tally), compression="zstd")

    @property
    def ended(self) -> bool:
        """Whether all shards were put together."""
        return (self.folder / UNITS).is_file()

    def _rows(self, shard: int) -> Path:
        return self.folder / f"rows-{shard:05d}.parquet"

    def _tally(self, shard: int) -> Path:
        return self.folder / f"tally-{shard:05d}.parquet"

    def _table(self, tally: Tally) -> Any:
        import pyarrow

        columns: dict[str, Any] = {"unit": pyarrow.array(list(self._units), pyarrow.string())}
        for side, listed, sign in (("most", tally.most, 1), ("least", tally.least, -1)):
            columns |= {
                f"{side}_row": fixed(listed.rows),
                f"{side}_value": fixed(listed.values * np.float32(sign) + np.float32(0)),  # +0 of -0
                f"{side}_position": fixed(listed.positions),
            }
        columns |= {name: pyarrow.array(getattr(tally.spread, name)) for name in _SPREAD}
        columns["histogram"] = fixed(tally.spread.histogram)
        return pyarrow.table(columns)

    def _restored(self, table: dict[str, Any], path: Path) -> Tally:
        try:
            most = Shortlist.restored(table["most_value"], table["most_row"], table["most_position"])
            least = Shortlist.restored(-table["least_value"], table["least_row"], table["least_position"])
            spread = Spread(*(table[name] for name in (*_SPREAD, "histogram")))
        except KeyError as error:
            raise DamagedRecordError(f"{path} is damaged: it has no column {error}.") from error
        if most.keys.shape != (len(self._units), self._plan.k):
            raise StoreError(f"{path} holds {most.keys.shape}, not {(len(self._units), self._plan.k)} images of units.")
        return Tally(most, least, spread)
