"""What is shown of an audit: images with their maps, exchanged images, exemplars, and optimised pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iconoscope.auditing.interventions import Donors, changed_picture, measure
from iconoscope.auditing.nuisances import Family
from iconoscope.auditing.sample import Sample
from iconoscope.auditing.segmentation import take_apart
from iconoscope.exemplars.recorded_units import recorded_pictures
from iconoscope.optimization import optimize
from iconoscope.results import Audit
from iconoscope.results.decision_rule import Examined
from iconoscope.store import Recording, Store
from iconoscope.subject.network import Network

__all__ = ["illustrate", "make_pictures"]

_EACH = 3  # images of every class that are shown exchanged
_THUMBNAIL = 48  # pixels at most
_EXEMPLAR = 96
_EXEMPLARS = 8


def illustrate(
    network: Network, recording: Recording, sample: Sample, families: tuple[Family, ...], found: Audit
) -> Audit:
    """Choose images of every class that is shown, exchange what matters most in them, and add exemplars."""
    donors = Donors(found.rows, found.other, found.same)
    values = {family: found.values_of(family) for family in found.families}
    place = {int(row): at for at, row in enumerate(found.occluded)}
    shown: list[int] = []
    changed: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    by: list[int] = []
    answers: list[NDArray[np.int64]] = []
    for of_class in found.shown_classes:
        trial = _telling(found, of_class)
        for at in _chosen(found, of_class, trial, place):
            pair = changed_picture(
                sample.pictures, found.predicted, families, values, donors, (found.trials[trial], found.ways[trial]), at
            )
            shown.append(int(found.rows[at]))
            changed.append((_bytes(pair[0]), _bytes(pair[1])))
            by.append(trial)
            answers.append(found.answers[trial, :, at])
    pixels = _bytes(sample.pictures.pixels)
    height, width = sample.pictures.shape
    return replace(
        found,
        shown=np.array(shown, np.int64),
        photographs=pixels[shown] if shown else np.zeros((0, height, width, 3), np.uint8),
        changed=np.array(changed, np.uint8).reshape(-1, 2, height, width, 3),
        changed_by=np.array(by, np.int64),
        changed_answers=np.array(answers, np.int64).reshape(-1, 2),
        shown_drops=found.shown_drops[:, [place[row] for row in shown]],
        thumbnails=np.stack([_shrunk(picture, _THUMBNAIL) for picture in pixels]),
        exemplars=_exemplars(recording, found.shown_classes),
    )


def _telling(found: Audit, of_class: int) -> int:
    """Give the place of the trial that is shown for a class: what it relies on, else what changed most answers."""
    tested: list[Examined] = found.tested[of_class]
    if not found.sure:  # cut out where nobody knows the object, an exchange of parts shows nothing
        tested = [each for each in tested if each.name in found.families] or tested
    names = found.conclusions[of_class].names
    chosen = next((each for each in tested if names and each.name == names[0]), tested[0])
    return list(zip(found.trials, found.ways, strict=True)).index((chosen.name, chosen.way))


def _chosen(found: Audit, of_class: int, trial: int, place: dict[int, int]) -> list[int]:
    """Choose rows of the trial: images that were covered, first those whose answer follows the exchange, not the control."""
    before = found.predicted[found.rows]
    mine = [at for at in np.flatnonzero(before == of_class).tolist() if int(found.rows[at]) in place]
    answers = found.answers[trial]
    wrong = (found.target >= 0) & (found.target != found.predicted)

    def rank(at: int) -> tuple[bool, int]:
        return bool(wrong[found.rows[at]]), int(answers[0, at] == before[at]) + 2 * int(answers[1, at] != before[at])

    first = sorted(mine, key=rank)
    once: dict[int, int] = {}
    for at in first:
        once.setdefault(int(found.rows[at]), at)
    return list(once.values())[:_EACH]


def _exemplars(recording: Recording, classes: tuple[int, ...]) -> NDArray[np.uint8]:
    """Give the images that the logits of some classes answer most, (classes, some, side, side, 3)."""
    ranked = recording.ranked("most")[len(recording.units) - len(recording.classes) :]
    count = min(_EXEMPLARS, len(recording))
    rows = np.stack([ranked[each][:count] for each in classes])
    pictures = recorded_pictures(recording, np.unique(rows))
    at = np.searchsorted(np.unique(rows), rows)
    small = np.stack([_shrunk(picture, _EXEMPLAR) for picture in pictures])
    return small[at]


def make_pictures(
    network: Network, families: tuple[Family, ...], found: Audit, *, steps: int | None, seed: int, store: Store
) -> Audit:
    """Make the pictures that the shown classes and the units of 3 answer most, and measure the properties of these."""
    units = [str(network.class_unit("logit", each)) for each in found.shown_classes] + list(dict.fromkeys(found.units))
    made = optimize(network, units, steps=steps, seed=seed, store=store)
    pixels = _bytes(np.ascontiguousarray(made.images[..., :3]))
    height, width = pixels.shape[1:3]
    pictures = take_apart(pixels, [None] * len(pixels), np.full((len(pixels), 2), (height, width)))
    values = [
        np.full((len(pixels), int(count)), np.nan, np.float32)
        if family.needs in ("object", "sizes", "native")
        else measure(family, pictures)
        for family, count in zip(families, found.numbers, strict=True)
    ]
    return replace(
        found,
        made=pixels,
        made_units=tuple(made.units),
        made_values=np.concatenate(values, 1) if values else np.zeros((len(pixels), 0), np.float32),
    )


def _bytes(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (pixels * 255).round().clip(0, 255).astype(np.uint8)


def _shrunk(picture: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Give a square thumbnail: the middle of the picture, no larger than it is."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(square if side <= most else square.resize((most, most), Image.Resampling.LANCZOS))
