"""A whole set of images covered region by region, and the mean map of every class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError
from iconoscope.results import MeanMap, Occlusion

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
    sums: dict[int, _Sums] = {}  # by class; -1 is all images
    pixels, fills = hashlib.sha256(), hashlib.sha256()
    unlabelled, one_fill = 0, True
    first: Occlusion | None = None
    for occlusion in occlusions:
        first = occlusion if first is None else first
        fill = occlusion.question.settings["fill"]
        pixels.update(f"{occlusion.question.pixels} {occlusion.question.unit}\n".encode())
        fills.update(f"{fill}\n".encode())
        one_fill &= fill == first.question.settings["fill"]
        unlabelled += occlusion.target_origin == "prediction"
        for group in (-1, occlusion.target):
            sums.setdefault(group, _Sums(occlusion.drop.shape)).add(occlusion)
    if first is None:
        raise ImagesError("There are no images to take a mean over.")
    fill = first.question.settings["fill"]
    if not one_fill:  # a function drew them
        fill = f"{fill.rpartition(' ')[0]} {fills.hexdigest()[:16]}"
    groups = [sums[group] for group in range(-1, classes) if group in sums]
    count = np.array([group.count for group in groups], np.int64)
    question = replace(
        first.question,
        technique="mean_map",
        subject=f"{count[0]} images from {source}",
        pixels=pixels.hexdigest(),
        unit="",
        settings={**first.question.settings, "fill": fill},
    )
    return MeanMap(
        question=question,
        top=first.top,
        left=first.left,
        patch=first.patch,
        size=(first.picture.shape[0], first.picture.shape[1]),
        classes=tuple(first.names[group] for group in range(classes) if group in sums),
        count=count,
        unlabelled=unlabelled,
        clean=np.array([group.clean for group in groups]) / count,
        changed=np.array([group.changed for group in groups]) / count,
        mean=np.stack([group.mean for group in groups]),
        deviation=np.stack([np.sqrt(group.squares / group.count) for group in groups]),
        minima=np.stack([group.minima for group in groups]),
    )


class _Sums:
    """Sums over the images of a class so far: as much for a million as for one."""

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
