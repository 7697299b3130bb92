"""A whole set of images covered region by region, and the mean map of every class."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError
from iconoscope.occlusion.fills import FillLike
from iconoscope.occlusion.occlude import METHOD, occlude_each
from iconoscope.results import MeanMap, Occlusion, Question
from iconoscope.store import Store
from iconoscope.subject.images import load_images
from iconoscope.subject.network import Network

__all__ = ["mean_map"]


def mean_map(
    network: Network,
    images: Any,
    *,
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: FillLike = "zero",
    method: str = METHOD,
    memory: str | int | None = None,
    seed: int = 0,
    store: Store | str | Path | None = None,
) -> MeanMap:
    """Slide a patch over every image of a set and average, class by class: where does the network look as a rule?

    A single map may be an accident; the mean over a class shows a cue that is always in one place, such as a tag in the corner.
    Images are asked one after another and not kept in memory. With a store every image's answer is kept there, and a run that
    was ended goes on where it was: what was answered is not asked again.

    Parameters
    ----------
    network
        The network; it must stay as it is until all are asked.
    images
        A set of images. Each is asked about the probability of its label or, if it has none, of the class that is predicted.
    patch
        Side of the patch, or height and width as 8x12 (in Python (8, 12)), in pixels of the network's input. If not given,
        a sixth of its short side.
    stride
        Step from one position to the next, in pixels, likewise. If not given, a quarter of the patch.
    fill
        What covers the region: zero, black, mean, patch-mean, blur, noise, or an image, as for `occlude`.
    method
        exact, fast or dense, as for `occlude`.
    memory
        Bound on the memory that the network's inputs and maps take: 500MB, 2GB, 1.5GiB, or bytes.
    seed
        Seed of the random fill.
    store
        Folder where every image's answer is looked for first, and kept, and the mean map too.

    Returns
    -------
    MeanMap
        Count, mean and standard deviation of the drop at every position, for all images and for every class.

    Raises
    ------
    QuestionError
        If the patch does not fit, or a setting is no choice.
    ImagesError
        If no image can be read.

    Notes
    -----
    Mean and variance are taken in one pass (Welford 1962, "Note on a method for calculating corrected sums of squares and
    products"), in float64.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> found = ico.mean_map(net, ico.demo_images(6, seed=1), patch=32, stride=32, fill="mean")
    >>> found.classes, found.count.tolist(), found.mean.shape
    (('lynx', 'bison'), [6, 3, 3], (3, 3, 3))
    """
    kept = None if store is None else Store.at(store)
    pictures = load_images(images)
    sums = _Sums()
    each = occlude_each(
        network, pictures, patch=patch, stride=stride, fill=fill, method=method, memory=memory, seed=seed, store=kept
    )
    for result in each:
        sums.add(result)
    found = sums.mean_map(pictures.source, len(network.classes))
    return found if kept is None else kept.answer(found.question, MeanMap, lambda: found)


class _Sums:
    """What is kept of the images that were asked so far: as much for a million as for one."""

    def __init__(self) -> None:
        self.groups: dict[int, _Group] = {}  # by class; -1 is all images
        self.digest = hashlib.sha256()
        self.fills = hashlib.sha256()
        self.unlabelled = 0
        self.first: Occlusion | None = None
        self.one_fill = True

    def add(self, result: Occlusion) -> None:
        if self.first is None:
            self.first = result
        self.digest.update(f"{result.question.pixels} {result.question.unit}\n".encode())
        fill = result.question.settings["fill"]
        self.fills.update(f"{fill}\n".encode())
        self.one_fill &= fill == self.first.question.settings["fill"]
        self.unlabelled += result.target_origin == "prediction"
        for group in (-1, result.target):
            self.groups.setdefault(group, _Group(result.drop.shape)).add(result)

    def mean_map(self, source: str, classes: int) -> MeanMap:
        if self.first is None:
            raise ImagesError("There are no images to take a mean over.")
        first = self.first
        groups = [self.groups[group] for group in range(-1, classes) if group in self.groups]
        count = np.array([group.count for group in groups], np.int64)
        return MeanMap(
            question=self._question(first.question, f"{count[0]} images from {source}"),
            top=first.top,
            left=first.left,
            patch=first.patch,
            size=(first.picture.shape[0], first.picture.shape[1]),
            classes=tuple(first.names[group] for group in range(classes) if group in self.groups),
            count=count,
            unlabelled=self.unlabelled,
            clean=np.array([group.clean for group in groups]) / count,
            changed=np.array([group.changed for group in groups]) / count,
            mean=np.stack([group.mean for group in groups]),
            deviation=np.stack([np.sqrt(group.squares / group.count) for group in groups]),
            minima=np.stack([group.minima for group in groups]),
        )

    def _question(self, first: Question, subject: str) -> Question:
        fill = first.settings["fill"]
        if not self.one_fill:  # a function drew them
            fill = f"{fill.rpartition(' ')[0]} {self.fills.hexdigest()[:16]}"
        return replace(
            first,
            technique="mean_map",
            subject=subject,
            pixels=self.digest.hexdigest(),
            unit="",
            settings={**first.settings, "fill": fill},
        )


class _Group:
    """Sums over the images of a class."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = self.changed = 0
        self.clean = 0.0
        self.mean: NDArray[np.float64] = np.zeros(shape)
        self.squares: NDArray[np.float64] = np.zeros(shape)  # of the differences from the mean
        self.minima: NDArray[np.int64] = np.zeros(shape, np.int64)

    def add(self, result: Occlusion) -> None:
        self.count += 1
        self.clean += float(result.clean[result.target])
        self.changed += bool((result.winner != result.clean.argmax()).any())
        self.minima[result.minimum] += 1
        before = result.drop - self.mean
        self.mean += before / self.count
        self.squares += before * (result.drop - self.mean)
