"""One pass over a set: shard after shard is shown to the network and written, those that are on disk aside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import DamagedRecordError, warn
from iconoscope.exemplars.activation_summary import Penultimate, summarizing
from iconoscope.exemplars.loader import Batch, feed
from iconoscope.exemplars.shard import RecordingPlan, ShardAnswers, Tally, ask_shard
from iconoscope.progress import advancing
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.store.recording_writer import RecordingWriter
from iconoscope.subject.images import Images
from iconoscope.subject.network import Network

__all__ = ["RecordingPass"]


@dataclass(frozen=True, eq=False)
class RecordingPass:
    """Images on their way through a network into a recording.

    Attributes
    ----------
    network : Network
        In evaluation mode.
    images : Images
        The set.
    targets : ndarray of int64, (images,)
        The class of every image's label, -1 for none.
    layers : sequence of RecordedLayer
        The layers that are recorded.
    penultimate : Penultimate
        Where the vector before the logits is read.
    plan : RecordingPlan
        What is kept.
    writer : RecordingWriter
        The recording's folder.
    batch, shard, workers : int
        Images that are shown at once, and that make one file; processes that read them.
    """

    network: Network
    images: Images
    targets: NDArray[np.int64]
    layers: Sequence[RecordedLayer]
    penultimate: Penultimate
    plan: RecordingPlan
    writer: RecordingWriter
    batch: int
    shard: int
    workers: int

    def run(self) -> None:
        """Ask about the shards that are not on disk, and end the recording."""
        tallies = [_stored_tally(self.writer, shard) for shard in range(-(-len(self.images) // self.shard))]
        if all(tally is not None for tally in tallies) and self.writer.ended:
            return
        total = Tally.empty(self.plan)
        writing: Future[None] | None = None
        with (
            advancing(f"recording, {self.network.name}", len(self.images)) as advance,
            summarizing(self.network, self.layers, self.penultimate) as summarize,
            ThreadPoolExecutor(1) as background,  # a shard is written while the next is asked about
        ):
            stream: Iterator[Batch] | None = None
            began, count = time.monotonic(), 0

            def batches(stream: Iterator[Batch], end: int) -> Iterator[Batch]:
                nonlocal count
                for batch in stream:
                    yield batch
                    count += batch.count
                    advance(batch.count, f"{count / max(time.monotonic() - began, 1e-9):,.0f} images/s")
                    if batch.end >= end:
                        return

            for shard, stored in enumerate(tallies):
                end = min((shard + 1) * self.shard, len(self.images))
                if stored is not None:
                    stream = None
                    advance(end - shard * self.shard)
                    total = total.merged(stored)
                    continue
                stream = self._stream(shard, tallies) if stream is None else stream
                answers, tally = ask_shard(summarize, batches(stream, end), self.plan, earlier=total)
                if writing is not None:
                    writing.result()
                writing = background.submit(self._write, shard, answers, tally)
                total = total.merged(tally)
            if writing is not None:
                writing.result()
        self.writer.end(total.to_columns())

    def _stream(self, shard: int, tallies: Sequence[Tally | None]) -> Iterator[Batch]:
        """Read the images from a shard on, up to the next that is on disk: processes are started once for all of them."""
        until = next((later for later in range(shard, len(tallies)) if tallies[later] is not None), len(tallies))
        return feed(
            self.images,
            self.network.preprocessing,
            range(shard * self.shard, min(until * self.shard, len(self.images))),
            batch=self.batch,
            workers=self.workers,
            shard=self.shard,
        )

    def _write(self, shard: int, answers: ShardAnswers, tally: Tally) -> None:
        ids, images = self.images.ids, self.images[answers.rows]
        columns = {
            "row": answers.rows,
            "id": list(images.ids),
            "label": [None if label is None else str(label) for label in images.labels],
            "target": np.asarray(self.targets[answers.rows], np.int64),
            **answers.to_columns(self.plan),
        }
        self.writer.write_shard(
            shard,
            columns,
            tally.to_columns(),
            maximum=answers.maximum,
            mean=answers.mean,
            failed={ids[key] if isinstance(key, int) else key: reason for key, reason in answers.failed.items()},
        )


def _stored_tally(writer: RecordingWriter, shard: int) -> Tally | None:
    """Give the tally of a shard that is on disk; of a damaged one none, so that it is asked again."""
    try:
        columns = writer.read_units(shard)
    except DamagedRecordError as error:
        warn(f"{error.message} It is asked again.")
        writer.discard(shard)
        return None
    return None if columns is None else Tally.from_columns(columns)
