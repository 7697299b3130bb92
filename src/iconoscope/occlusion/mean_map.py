"""A whole set of images covered region by region, and the mean map of every class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError
from iconoscope.results import MeanMap, Occlusion, Question

__all__ = ["average_maps"]


def average_maps(occlusions: Iterable[Occlusion], source: str, classes: int) -> MeanMap:
    """Average the drop of the right class's probability, over all images and over those of each class; none is kept.

    Mean and variance are taken in one pass (Welford 1962, "Note on a method for calculating corrected sums of squares and
    products"), in float64.

    Parameters
    ----------
    occlusions
        Of one network, with one patch and one fill.
    source
        Where the images are from, for people.
    classes
        How many the network has.

    Raises
    ------
    ImagesError
        If there is no image.
    """
    sums = _Sums()
    for occlusion in occlusions:
        sums.add(occlusion)
    return sums.mean_map(source, classes)


class _Sums:
    """Sums over the images so far: as much for a million as for one."""

    def __init__(self) -> None:
        self.groups: dict[int, _Group] = {}  # by class; -1 is all images
        self.digest = hashlib.sha256()
        self.fills = hashlib.sha256()
        self.unlabelled = 0
        self.first: Occlusion | None = None
        self.one_fill = True

    def add(self, occlusion: Occlusion) -> None:
        if self.first is None:
            self.first = occlusion
        self.digest.update(f"{occlusion.question.pixels} {occlusion.question.unit}\n".encode())
        fill = occlusion.question.settings["fill"]
        self.fills.update(f"{fill}\n".encode())
        self.one_fill &= fill == self.first.question.settings["fill"]
        self.unlabelled += occlusion.target_origin == "prediction"
        for group in (-1, occlusion.target):
            self.groups.setdefault(group, _Group(occlusion.drop.shape)).add(occlusion)

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

    def add(self, occlusion: Occlusion) -> None:
        self.count += 1
        self.clean += float(occlusion.clean[occlusion.target])
        self.changed += bool((occlusion.winner != occlusion.clean.argmax()).any())
        self.minima[occlusion.minimum] += 1
        before = occlusion.drop - self.mean
        self.mean += before / self.count
        self.squares += before * (occlusion.drop - self.mean)
