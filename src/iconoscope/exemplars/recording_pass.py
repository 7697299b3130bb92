"""One pass over a set: shard after shard is shown to the network and written, those that are on disk aside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import DamagedRecordError, StoreError, shortened, warn
from iconoscope.exemplars.activation_summary import Penultimate, summarizing
from iconoscope.exemplars.captured_summary import CapturedSummary, ShardSummary, captured_summary, pays
from iconoscope.exemplars.loader import Batch, feed
from iconoscope.exemplars.parts import commands_for
from iconoscope.exemplars.shard import RecordingPlan, ShardAnswers, Tally, ask_shard
from iconoscope.progress import advancing, track
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.store.recording_writer import RecordingWriter
from iconoscope.subject.allocator import let_memory_be_kept
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
    batch, together, shard, workers : int
        Images that are taken in at once, that go through the network at once, and that make one file; processes that read them.
    """

    network: Network
    images: Images
    targets: NDArray[np.int64]
    layers: Sequence[RecordedLayer]
    penultimate: Penultimate
    plan: RecordingPlan
    writer: RecordingWriter
    batch: int
    together: int
    shard: int
    workers: int

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-len(self.images) // self.shard)

    def not_stored(self) -> list[int]:
        """Give the shards that are not on disk. Those that are there are read: a damaged one is taken away."""
        return [shard for shard in range(self.shards) if not self._is_stored(shard)]

    def run(self, shards: range | None = None, earlier: Tally | None = None) -> Tally:
        """Ask about those of some shards, of all by default, that are not on disk.

        Parameters
        ----------
        shards
            Some that follow each other.
        earlier
            The tally of some before them. What cannot enter its merge with theirs is not kept, which costs less.

        Returns
        -------
        Tally
            That of all of them, the earlier ones too.
        """
        shards = range(self.shards) if shards is None else shards
        stored = {shard for shard in shards if self._is_stored(shard)}
        total = Tally.empty(self.plan) if earlier is None else earlier
        if len(stored) == len(shards) and self.writer.ended:
            return total  # which nobody needs
        let_memory_be_kept()
        captured = self._captured([shard for shard in shards if shard not in stored])
        writing: Future[None] | None = None
        with (
            advancing(f"recording, {self.network.name}", len(self.rows_of(shards))) as advance,
            summarizing(self.network, self.layers, self.penultimate, together=self.together) as summarize,
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

            for shard in shards:
                if shard in stored:
                    stream = None
                    advance(len(self.rows_of(range(shard, shard + 1))))
                    total = total.merged(self._tally(shard))
                    continue
                if stream is None:  # up to the next that is on disk: processes are started once for all of them
                    stream = self._stream(range(shard, min({shards.stop} | {done for done in stored if done > shard})))
                rows = self.rows_of(range(shard, shard + 1))
                summary = ShardSummary(summarize, captured, self.together, len(rows))
                answers, tally = ask_shard(summary, batches(stream, rows.stop), self.plan, earlier=total)
                if writing is not None:
                    writing.result()
                writing = background.submit(self._write, shard, answers, tally)
                total = total.merged(tally)
            if writing is not None:
                writing.result()
        return total

    def merge(self) -> None:
        """Put all shards together, in their order, which ends the recording. They are read from disk, one at a time.

        Raises
        ------
        StoreError
            If some are missing; the hint has the commands that ask about them.
        """
        if self.writer.ended:
            return
        if missing := self.writer.missing(self.shards):
            several = len(missing) > 1
            raise StoreError(
                f"{len(missing)} of the {self.shards} shards of {self.writer} {'are' if several else 'is'} missing: "
                f"{shortened(map(str, missing))}.",
                hint=f"iconoscope record ... {commands_for(missing, self.shards)}; without --part one process asks about all.",
            )
        total = Tally.empty(self.plan)
        for shard in track(range(self.shards), "putting the shards together"):
            total = total.merged(self._tally(shard))
        self.writer.end(total.to_columns())

    def rows_of(self, shards: range) -> range:
        """Give the numbers of the images in some shards that follow each other."""
        return range(shards.start * self.shard, min(shards.stop * self.shard, len(self.images)))

    def _captured(self, shards: Sequence[int]) -> CapturedSummary | None:
        """Capture the network, if that pays for one of these shards."""
        if any(pays(len(self.rows_of(range(shard, shard + 1))), self.together) for shard in shards):
            return captured_summary(self.network, self.layers, self.penultimate)
        return None

    def _tally(self, shard: int) -> Tally:
        return Tally.from_columns(self.writer.read_tally(shard))

    def _is_stored(self, shard: int) -> bool:
        """Tell whether a shard is on disk. A damaged one is taken away, so that it is asked again."""
        try:
            return self.writer.is_stored(shard)
        except DamagedRecordError as error:
            warn(f"{error.message} It is asked again.")
            self.writer.discard(shard)
            return False

    def _stream(self, shards: range) -> Iterator[Batch]:
        return feed(
            self.images,
            self.network.preprocessing,
            self.rows_of(shards),
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
