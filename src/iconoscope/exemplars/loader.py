"""The loader: images are read, decoded and fitted in worker processes, a batch at a time, always in the same batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from iconoscope.errors import ImageFileError, ImagesError, QuestionError
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

    def __getitem__(self, index: int) -> tuple[list[int], Any, dict[str, str], tuple[int, int]]:
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
        If a worker process is killed, as for lack of memory.
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
    loader = DataLoader(batches, batch_size=None, num_workers=workers, generator=draw, **settings)
    try:
        for numbers, pixels, failed, (count, end) in loader:
            readable = np.zeros((0, 1, 1, 3), np.uint8) if pixels is None else pixels.numpy()
            yield Batch(np.array(numbers, np.int64), readable, failed, count, end)
    except RuntimeError as error:
        if "worker" not in str(error):
            raise
        raise ImagesError(
            f"A process that reads images ended: {str(error).splitlines()[0]}",
            hint="workers=0 reads them in this process.",
        ) from error


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
