"""The pictures of an audit: images with their maps, exchanged images, exemplars, and optimised pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iconoscope.auditing.interventions import exchanged_pictures, measure
from iconoscope.auditing.nuisances import Nuisance
from iconoscope.auditing.sample import Sample
from iconoscope.auditing.segmentation import take_apart
from iconoscope.exemplars.recorded_units import recorded_pictures
from iconoscope.optimization import optimize
from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.audit_evidence import Illustrations, Interventions, OptimizedPictures
from iconoscope.results.rendering import as_bytes
from iconoscope.store import Recording, Store
from iconoscope.subject.network import Network

__all__ = ["illustrate", "make_pictures"]

_EACH = 3  # images of every class that are shown exchanged
_THUMBNAIL = 48  # pixels at most
_EXEMPLAR = 96
_EXEMPLARS = 8


def illustrate(
    recording: Recording,
    sample: Sample,
    nuisances: Sequence[Nuisance],
    conclusions: Conclusions,
    classes: tuple[int, ...],
    *,
    rows: NDArray[np.int64],
    maps: NDArray[np.float16],
) -> Illustrations:
    """Choose images of each of the classes, exchange what matters most in them, and add exemplars.

    Parameters
    ----------
    recording, sample
        The recording, and the images of it that are audited.
    nuisances
        Those that were tried.
    conclusions
        What the interventions say.
    classes
        The classes that have pictures.
    rows, maps
        (q,) and (patches, q, height, width): images that may be shown, rows of the sample, and their maps of the drop.
    """
    interventions = conclusions.interventions
    column = {row: index for index, row in enumerate(rows.tolist())}
    chosen: list[tuple[int, int]] = []  # trials, and edits of them
    for of_class in classes:
        trial = _telling_trial(conclusions, of_class)
        chosen += [(trial, edit) for edit in _telling_edits(conclusions, of_class, trial, column)]
    predicted, target = sample.evidence.predicted, sample.evidence.target
    pairs = [
        exchanged_pictures(sample.pictures, predicted, nuisances, interventions, *trial_and_edit, target=target)
        for trial_and_edit in chosen
    ]
    exchanged = [[as_bytes(picture) for picture in pair] for pair in pairs]
    trials, edits = np.array(chosen, np.int64).reshape(-1, 2).T
    shown_rows = interventions.donors.rows[edits]
    pixels = as_bytes(sample.pictures.pixels)
    height, width = sample.pictures.shape
    return Illustrations(
        rows=shown_rows,
        photographs=pixels[shown_rows],
        exchanged=np.array(exchanged, np.uint8).reshape(-1, 2, height, width, 3),
        trials=trials,
        answers=interventions.answers[trials, :, edits],
        drops=maps[:, [column[row] for row in shown_rows.tolist()]],
        thumbnails=np.stack([_shrunk(picture, _THUMBNAIL) for picture in pixels]),
        exemplars=_exemplars(recording, classes),
    )


def _telling_trial(conclusions: Conclusions, of_class: int) -> int:
    """Give the number of the trial that is shown for a class: what it relies on, else what changed most answers."""
    interventions = conclusions.interventions
    examined = [single for single in conclusions.examined[of_class] if single.name in interventions.trials]
    if not conclusions.objects_known:  # cut out where nobody knows the object, an exchange of parts shows nothing
        examined = [single for single in examined if single.name in interventions.nuisances] or examined
    names = conclusions.by_class[of_class].names
    if not examined:  # nothing is suspected: its images are shown as they are, and none of the edits matters
        return 0
    telling = next((single for single in examined if names and single.name == names[0]), examined[0])
    trials = list(zip(interventions.trials, interventions.sources, strict=True))
    return trials.index((telling.name, telling.source))


def _telling_edits(conclusions: Conclusions, of_class: int, trial: int, allowed: dict[int, int]) -> list[int]:
    """Choose edits of the trial, of images that are allowed: first those whose answer follows the exchange, not the control."""
    rows = conclusions.interventions.donors.rows
    before = conclusions.images.predicted[rows]
    answers, misclassified = conclusions.interventions.answers[trial], conclusions.images.misclassified
    candidates = [index for index in np.flatnonzero(before == of_class).tolist() if int(rows[index]) in allowed]

    def rank(index: int) -> tuple[bool, int]:
        resists, control_moves = answers[0, index] == before[index], answers[1, index] != before[index]
        return bool(misclassified[rows[index]]), int(resists) + 2 * int(control_moves)

    by_image: dict[int, int] = {}
    for index in sorted(candidates, key=rank):
        by_image.setdefault(int(rows[index]), index)
    return list(by_image.values())[:_EACH]


def _exemplars(recording: Recording, classes: tuple[int, ...]) -> NDArray[np.uint8]:
    """Give the images that the logits of some classes answer most, (classes, some, side, side, 3)."""
    ranked = recording.ranked("most")[len(recording.units) - len(recording.classes) :]
    count = min(_EXEMPLARS, len(recording))
    rows = np.stack([ranked[of_class][:count] for of_class in classes])
    pictures = recorded_pictures(recording, np.unique(rows))
    small = np.stack([_shrunk(picture, _EXEMPLAR) for picture in pictures])
    return small[np.searchsorted(np.unique(rows), rows)]


def make_pictures(
    network: Network,
    nuisances: Sequence[Nuisance],
    interventions: Interventions,
    classes: tuple[int, ...],
    following: tuple[str, ...],
    *,
    steps: int | None,
    seed: int,
    store: Store,
) -> OptimizedPictures:
    """Make the pictures that classes and units of the network answer most, and measure the nuisances on them."""
    units = [str(network.class_unit("logit", of_class)) for of_class in classes] + list(dict.fromkeys(following))
    visualization = optimize(network, units, steps=steps, seed=seed, store=store)
    pixels = as_bytes(np.ascontiguousarray(visualization.images[..., :3]))
    pictures = take_apart(pixels, [None] * len(pixels), np.full((len(pixels), 2), pixels.shape[1:3]))
    # A picture that was made has no object, no file and no other size.
    statistics = [
        measure(nuisance, pictures)
        if nuisance.needs == "nothing"
        else np.full((len(pixels), int(size)), np.nan, np.float32)
        for nuisance, size in zip(nuisances, interventions.statistic_sizes, strict=True)
    ]
    return OptimizedPictures(
        units=tuple(visualization.units),
        pictures=pixels,
        statistics=np.concatenate([np.zeros((len(pixels), 0), np.float32), *statistics], 1),
    )


def _shrunk(picture: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Give a square thumbnail: the middle of the picture, no larger than it is."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(square if side <= most else square.resize((most, most), Image.Resampling.LANCZOS))
