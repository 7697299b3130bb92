"""The first kind of evidence: where covering costs the answer, near the border or on the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iconoscope.auditing.sample import Sample
from iconoscope.occlusion import occlude_each
from iconoscope.store import Store
from iconoscope.subject.images import load_images
from iconoscope.subject.network import Network

__all__ = ["Covered", "cover", "near_border", "small"]

_BORDER = 0.125  # of either side
_MATTERS = 0.02  # a drop below this is no drop, and has no place
_SMALL = 48  # pixels: the maps that are kept are no larger


@dataclass(frozen=True, eq=False)
class Covered:
    """What patches of several sizes cost, for q images; see `iconoscope.results.Audit` for the shapes."""

    patches: tuple[int, ...]
    rows: NDArray[np.int64]
    maps: NDArray[np.float16]  # (patches, q, height, width)
    border: NDArray[np.float32]
    on_object: NDArray[np.float32]
    largest: NDArray[np.float32]


def cover(
    network: Network,
    sample: Sample,
    predicted: NDArray[np.int64],
    rows: NDArray[np.int64],
    patches: tuple[int, ...],
    store: Store,
) -> Covered:
    """Slide patches of several sizes over some of the images and see where the answer's probability falls."""
    aside = near_border(sample.pictures.shape)
    shape = (len(patches), len(rows))
    border, on_object = (np.full(shape, np.nan, np.float32) for _ in range(2))
    largest = np.zeros(shape, np.float32)
    size = small(np.zeros(sample.pictures.shape, np.float32)).shape
    maps = np.zeros((*shape, *size), np.float16)
    place = {sample.images.ids[row]: at for at, row in enumerate(rows.tolist())}
    # Labelled with what is answered: the audit asks what the answers go by, right or wrong.
    asked = load_images(sample.images[rows], labels=predicted[rows].tolist())
    for which, patch in enumerate(patches):
        settings: dict[str, Any] = {"patch": patch, "stride": max(1, patch // 2), "fill": "mean", "store": store}
        for found in occlude_each(network, asked, **settings):
            at = place[found.question.subject]
            drop = found.drop_by_pixel().astype(np.float32)
            maps[which, at] = small(drop)
            largest[which, at] = found.drop.max()
            cost = drop.clip(0)
            if found.drop.max() >= _MATTERS:
                border[which, at] = cost[aside].sum() / cost.sum()
                if sample.pictures.known[rows[at]]:
                    on_object[which, at] = cost[sample.pictures.object[rows[at]]].sum() / cost.sum()
    return Covered(patches, rows, maps, border, on_object, largest)


def near_border(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Give the pixels within an eighth of either side from the border.

    >>> float(near_border((32, 32)).mean())
    0.4375
    """
    height, width = shape
    down, across = max(1, round(_BORDER * height)), max(1, round(_BORDER * width))
    aside = np.ones(shape, np.bool_)
    aside[down : height - down, across : width - across] = False
    return aside


def small(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Give a map in no more pixels than are looked at."""
    height, width = values.shape
    if max(height, width) <= _SMALL:
        return values.astype(np.float16)
    share = _SMALL / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX)).astype(np.float16)
