"""The loader: images are read, decoded and fitted in worker processes, a batch at a time, always in the same batches."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from iconoscope.errors import IconoscopeError, ImageFileError, ImagesError, QuestionError, first_line
from iconoscope.subject.images import Images
from iconoscope.subject.images.decoding import image_reason
from iconoscope.subject.network import Preprocessing

__all__ = ["Batch", "feed", "worker_count"]

_FEW = 256  # images: for so few, starting processes takes longer than decoding


@dataclass(frozen=True, eq=False)
class Batch:
    """Some images, ready for the network.

    Attributes
    ----------
    rows : ndarray of int64, (images,)
        Their numbers in the set.
    pixels : ndarray of uint8, (images, height, width, channels)
        Fitted to the network's input.
    failed : dict of str to str
        The ids of those that could not be read, and why.
    count : int
        How many images the batch stands for, with those that failed.
    end : int
        The number after the last of them.
    """

    rows: np.ndarray
    pixels: np.ndarray
    failed: dict[str, str]
    count: int
    end: int


class _Batches(Dataset):
    def __init__(self, images: Images, preprocessing: Preprocessing, ranges: list[range]) -> None:
        self._images, self._preprocessing, self._ranges = images, preprocessing, ranges

    def __len__(self) -> int:
        return len(self._ranges)

    def __getitem__(self, index: int) -> Any:
        """Give a batch or, in a worker process, what brings it to the other process; a text says why it cannot go there.

        What the loader itself could not hand over, it would drop in a thread of its own, and wait for it for ever.
        """
        if get_worker_info() is None:
            return self._read(index)
        try:
            batch = self._read(index)
        except IconoscopeError as error:  # the loader would put our error's words into one of its own
            batch = error
        try:
            return bytes(ForkingPickler.dumps(batch))
        except Exception as error:  # noqa: BLE001 -- of the system, of torch, of memory
            return first_line(error, most=240)

    def _read(self, index: int) -> tuple[list[int], torch.Tensor | None, dict[str, str], tuple[int, int]]:
        rows, pixels, failed = [], [], {}
        batch = self._ranges[index]
        for row in batch:
            image = self._images[row]
            try:
                pixels.append(self._preprocessing.shown(image))
                rows.append(row)
            except ImageFileError as error:
                failed[image.id] = image_reason(error, image.id)
        # As a tensor: between processes it goes through shared memory.
        return rows, torch.from_numpy(np.stack(pixels)) if pixels else None, failed, (len(batch), batch.stop)


def feed(
    images: Images, preprocessing: Preprocessing, rows: range, *, batch: int, workers: int, shard: int
) -> Iterator[Batch]:
    """Yield the images of some rows in batches that never reach over the end of a shard.

    Raises
    ------
    ImagesError
        If a worker process is killed, as for lack of memory, cannot be started, or cannot hand over what it has read.
    """
    ranges = [
        range(at, min(at + batch, first + shard, rows.stop))
        for first in range(rows.start, rows.stop, shard)
        for at in range(first, min(first + shard, rows.stop), batch)
    ]
    settings: dict[str, Any] = {"prefetch_factor": 4} if workers else {}
    # The loader draws a seed for its workers, who need none: not from the generator of the whole process.
    draw = torch.Generator()
    batches = _Batches(images, preprocessing, ranges)
    loader = DataLoader(
        batches, batch_size=None, num_workers=workers, generator=draw, collate_fn=_unchanged, **settings
    )
    try:
        for sent in loader:
            if isinstance(sent, str):
                raise OSError(sent)
            batch_read = pickle.loads(sent) if isinstance(sent, bytes) else sent  # noqa: S301 -- of our own process
            if isinstance(batch_read, IconoscopeError):
                raise batch_read
            numbers, pixels, failed, (count, end) = batch_read
            readable = np.zeros((0, 1, 1, 3), np.uint8) if pixels is None else pixels.numpy()
            yield Batch(np.array(numbers, np.int64), readable, failed, count, end)
    except (RuntimeError, OSError, EOFError) as error:
        if not workers:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[-1]  # the lines before it are where it happened
        raise ImagesError(
            f"The processes that read images cannot go on: {reason.rstrip('.')[:240]}.",
            hint="They need shared memory (/dev/shm), open files (ulimit) and a short path of temporary files (TMPDIR). "
            "workers=0 reads images in this process.",
        ) from error


def _unchanged(sent: Any) -> Any:
    return sent


def worker_count(workers: int | None, images: Images) -> int:
    """Give how many processes read images. Raises `QuestionError` for a count that is none."""
    if workers is not None:
        if isinstance(workers, bool) or workers < 0:
            raise QuestionError(
                f"workers={workers!r} is not a number of processes.", hint="0 reads images in this process."
            )
        return workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if len(images) < _FEW else max(0, min(cores - 1, 8))
