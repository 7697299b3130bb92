"""Evidence from occlusion: where covering costs the answer, near the border or on the object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iconoscope.auditing.sample import Sample
from iconoscope.errors import IconoscopeWarning
from iconoscope.occlusion import occlude_each
from iconoscope.results import Occlusion
from iconoscope.results.audit_evidence import OcclusionEvidence
from iconoscope.store import Store
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network
from iconoscope.warning_filters import ignoring

__all__ = ["near_border", "occlude_sample", "shrunken"]

_BORDER = 0.125  # of either side
_MATTERS = 0.02  # a drop below this is no drop, and lies nowhere
_SMALL = 48  # pixels: the maps that are kept are no larger


def occlude_sample(
    network: Network,
    sample: Sample,
    classes: tuple[int, ...],
    *,
    most: int,
    patches: tuple[int, ...],
    store: Store,
) -> tuple[OcclusionEvidence, NDArray[np.float16]]:
    """Slide patches of several sizes over some images of each of the classes and see where the answer's probability falls.

    Returns
    -------
    tuple of OcclusionEvidence and ndarray of float16, (patches, q, height, width)
        The evidence, and the map of every image, small, of which only those that are shown are kept.
    """
    predicted, objects, object_known = sample.evidence.predicted, sample.pictures.object, sample.evidence.object_known
    rows = _choose_rows(sample, classes, most)
    near = near_border(sample.pictures.shape)
    shape = (len(patches), len(rows))
    border_share, object_share, pointing = (np.full(shape, np.nan, np.float32) for _ in range(3))
    largest_drop = np.zeros(shape, np.float32)
    maps = np.zeros((*shape, *shrunken(np.zeros(sample.pictures.shape, np.float32)).shape), np.float16)
    column = {sample.images.ids[row]: index for index, row in enumerate(rows.tolist())}
    # Labelled with what is answered: the audit asks what the answers go by, right or wrong.
    labelled = load_images(sample.images[rows], labels=predicted[rows].tolist())
    for line, patch in enumerate(patches):
        for occlusion in _occlusions(network, labelled, patch, store):
            at = line, column[occlusion.question.subject]
            drop = occlusion.drop_by_pixel().astype(np.float32)
            maps[at] = shrunken(drop)
            largest_drop[at] = occlusion.drop.max()
            cost = drop.clip(0)
            if occlusion.drop.max() >= _MATTERS:
                border_share[at] = cost[near].sum() / cost.sum()
                row = rows[at[1]]
                if object_known[row]:
                    object_share[at] = cost[objects[row]].sum() / cost.sum()
                    pointing[at] = occlusion.held_against(objects[row]).pointing
    means = [maps[:, predicted[rows] == of_class].astype(np.float32).mean(1).astype(np.float16) for of_class in classes]
    evidence = OcclusionEvidence(
        patches=patches,
        rows=rows,
        border_share=border_share,
        object_share=object_share,
        largest_drop=largest_drop,
        pointing=pointing,
        border_area=float(near.mean()),
        object_area=np.where(object_known[rows], objects[rows].mean((1, 2)), np.nan).astype(np.float32),
        mean_drops=np.stack(means, 1),
    )
    return evidence, maps


def _occlusions(network: Network, images: Images, patch: int, store: Store) -> Iterator[Occlusion]:
    with ignoring("The object of", IconoscopeWarning):  # whose mask cannot be used has been said of all audited images
        yield from occlude_each(network, images, patch=patch, stride=max(1, patch // 2), fill="mean", store=store)


def _choose_rows(sample: Sample, classes: tuple[int, ...], most: int) -> NDArray[np.int64]:
    """Choose so many images of the classes in all, of each alike many, those that are answered rightly before others."""
    count, misclassified = max(2, most // len(classes)), sample.evidence.misclassified
    of_classes = [np.flatnonzero(sample.evidence.predicted == of_class) for of_class in classes]
    return np.concatenate([rows[np.argsort(misclassified[rows], kind="stable")][:count] for rows in of_classes])


def near_border(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Give the pixels within an eighth of either side from the border.

    >>> float(near_border((32, 32)).mean())
    0.4375
    """
    height, width = shape
    down, across = max(1, round(_BORDER * height)), max(1, round(_BORDER * width))
    near = np.ones(shape, np.bool_)
    near[down : height - down, across : width - across] = False
    return near


def shrunken(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Give a map in no more pixels than are looked at."""
    height, width = values.shape
    if max(height, width) <= _SMALL:
        return values.astype(np.float16)
    share = _SMALL / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX)).astype(np.float16)
