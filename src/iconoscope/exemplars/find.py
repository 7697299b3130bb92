"""The question: which units answer a concept, and nothing else? After Quian Quiroga et al. 2005."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError, QuestionError, UnitError, check_choice, check_counts, check_path, shortened
from iconoscope.exemplars.load_recording import load_recording
from iconoscope.exemplars.recorded_units import (
    check_images,
    optimized_picture,
    question_about,
    receptive_field,
    recorded_pictures,
)
from iconoscope.reading import read_text
from iconoscope.results import Question, UnitSearch
from iconoscope.results.folders import without_folders
from iconoscope.results.rendering import resized
from iconoscope.results.result import check_figure_name
from iconoscope.results.unit_search import CORRECTIONS
from iconoscope.signatures import checked
from iconoscope.store import Store, answered
from iconoscope.store.recording import INDEX, Recording
from iconoscope.subject.images import Images, load_images
from iconoscope.vocabulary.resolver import Names

__all__ = ["find_units"]

_MOST = 10_000  # images of either kind that are compared; of more so many are drawn
_BLOCK = 64_000_000  # bytes of answers to all images that are read at once
_FEWEST = 8  # examples from which half is held out
_SHOWN = 6  # units that are shown
_STRIP = 8  # images of a kind that are shown of each
_CONCEPT = 12  # images of the concept that are shown of each
_POINTS = 201  # of a curve
_LARGEST = 128  # pixels of an image that is kept to be shown


@checked
def find_units(
    recording: Recording | str | Path,
    concept: Any,
    others: Any = None,
    *,
    name: str = "",
    correction: str = "max",
    level: float = 0.05,
    permutations: int = 999,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> UnitSearch:
    """Find the units that answer the images of a concept and nothing else: the "Jennifer Aniston neuron".

    Every unit's answers are held against a falling threshold: which share of the concept's images is over it, where which
    share of the others is? The area under that curve is held against shuffled labels, for all units at once and corrected
    for there being many. One half of the images decides, the other half tells how good the units are.

    Parameters
    ----------
    recording
        What `record` gave, or where it is.
    concept
        A label, or a class of the network by name or index; or a folder of images that were recorded, by their ids; a list
        of ids or a .txt file with one on each line; in Python also images, or bools, one for each recorded image; or another
        recording by the same network, or its store.
    others
        What it is held against, likewise; all other recorded images by default.
    name
        What the concept is called in the answer; by default what was given.
    correction
        max: in `level` of all searches for a concept that means nothing a unit is found. bh: `level` of the units that are
        found are false (Benjamini and Hochberg 1995).
    level
        Up to which corrected p-value a unit qualifies, over 0 and under 1.
    permutations
        How many times labels are shuffled.
    seed
        Seed of the halves and of the shuffling.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    UnitSearch
        Its ``found`` is empty where no unit qualifies. Channels are searched; logits are what they are compared with.

    Raises
    ------
    QuestionError
        If there is no such label, or a setting is out of range.
    ImagesError
        If the images of the concept were not recorded, or there are fewer than two of either kind.

    Examples
    --------
    >>> import tempfile, iconoscope as ico
    >>> network = ico.load_network("cars-honest", device="cpu")
    >>> images = ico.demo_images(80, backgrounds="neutral", seed=3)
    >>> recording = ico.record(network, images, store=tempfile.mkdtemp() + "/run")
    >>> search = ico.find_units(recording, "lynx")
    >>> len(search.found) > 0, bool(search.auc_held_out[0] > 0.8)
    (True, True)
    """
    _check_settings(correction, level, permutations)
    check_figure_name(out)
    recording = load_recording(recording)
    if len(recording.units) == len(recording.classes):
        raise QuestionError(
            f"Of {recording.question.network} logits alone were recorded, and units are searched among the channels of layers.",
            hint="Record layers; those of TorchScript are out of reach.",
        )
    concept_side = _side(recording, concept)
    if name:
        concept_side = replace(concept_side, name=name)
    if others is not None:
        other_side = _side(recording, others)
    else:
        shown = concept_side.rows if concept_side.recording is recording else ()
        other_side = _Side(recording, np.setdiff1d(np.arange(len(recording)), shown), "all others")
    _check_sides(concept_side, other_side)
    check_images(recording)
    check_images(concept_side.recording)
    question = question_about(
        recording,
        "find",
        concept=concept_side.digest,
        others=other_side.digest,
        correction=correction,
        level=float(level),
        permutations=permutations,
        seed=seed,
    )

    return answered(
        question, UnitSearch, lambda: _search(recording, concept_side, other_side, question), store=store, out=out
    )


def _check_settings(correction: str, level: float, permutations: int) -> None:
    check_choice("correction", correction, CORRECTIONS)
    if not 0 < level < 1:
        raise QuestionError(f"level={level} must be over 0 and under 1.", hint="0.05 is usual.")
    check_counts(most=10**6, permutations=permutations)
    if (permutations + 1) * level < 1:
        hint = f"Give {math.ceil(1 / level) - 1} or more; 999 are usual." if level > 1e-9 else "0.05 is usual."
        raise QuestionError(f"permutations={permutations} cannot tell what is under {level:g}.", hint=hint)


@dataclass(frozen=True, eq=False)
class _Side:
    """Some images of a recording, and what they are."""

    recording: Recording
    rows: NDArray[np.int64]
    name: str

    @property
    def digest(self) -> str:
        sha = hashlib.sha256(self.recording.question.key.encode())
        sha.update(self.rows.astype("<i8").tobytes())
        return f"{self.name} {sha.hexdigest()[:16]}"


def _check_sides(concept: _Side, others: _Side) -> None:
    if concept.recording is others.recording and (shared := np.intersect1d(concept.rows, others.rows)).size:
        example = concept.recording.ids[int(shared[0])]
        raise ImagesError(f"{len(shared)} images are of the concept and of the others, for example {example}.")
    for side, role in ((concept, "the concept"), (others, "the others")):
        if len(side.rows) < 2:
            raise ImagesError(
                f"{len(side.rows)} images are too few for {role}.", hint="Give two or more; 20 are better."
            )


def _side(recording: Recording, images: Any) -> _Side:
    """Give the images that are meant by a label, a class, a path, ids, images, bools or a recording."""
    if isinstance(images, Recording):
        return _other(recording, images)
    if isinstance(images, str | Path | int) and not isinstance(images, bool):
        return _named(recording, images)
    if isinstance(images, Images):
        return _listed(recording, images.ids, images.source)
    values = np.asarray(images)
    if values.dtype == np.bool_:
        if values.shape != (len(recording),):
            raise QuestionError(f"{values.shape} bools do not fit {len(recording)} recorded images.")
        return _Side(recording, np.flatnonzero(values), "some images")
    if values.dtype.kind != "U":
        raise QuestionError(
            f"{shortened([repr(images)])} is not a concept.", hint="Give a label, ids, images, bools, or a recording."
        )
    return _listed(recording, values.tolist(), "a list")


def _named(recording: Recording, name: str | Path | int) -> _Side:
    """Give the images of a label or a class, or those of a folder, a list or a store; a label that is written just so first."""
    written = tuple(sorted({label for label in recording.labels if label is not None}))
    labels = Names(written, recording.source, "label", indexed=0)
    if name in labels.names:
        return _labelled(recording, str(name))
    check_path("concept", str(name))
    path = Path(str(name)).expanduser()
    if path.suffix == ".txt" and path.exists() and not path.is_dir():
        try:
            lines = read_text(path).splitlines()
        except (OSError, ValueError) as error:
            raise ImagesError(
                f"{path} cannot be read: {error}.", hint="It is a text with an id on each line."
            ) from error
        return _listed(recording, [line.strip() for line in lines if line.strip()], path.name)
    if path.is_dir() and ((path / INDEX).is_file() or (path / "record").is_dir()):
        return _other(recording, load_recording(path))
    if path.exists():
        return _listed(recording, load_images(path).ids, str(path))
    if isinstance(name, str) and name in labels:
        return _labelled(recording, labels.names[labels.index(name)])
    try:
        target = recording.names.index(name if isinstance(name, int) else str(name))
    except UnitError as error:
        hint = "A folder or ids of images will do too."
        raise labels.missing(name if isinstance(name, int) else str(name), hint=hint) from error
    return _Side(recording, np.flatnonzero(recording.targets == target), recording.classes[target])


def _labelled(recording: Recording, label: str) -> _Side:
    return _Side(recording, np.flatnonzero(np.array(recording.labels, object) == label), label)


def _listed(recording: Recording, ids: Any, name: str) -> _Side:
    """Find images by their ids; those of a folder within what was recorded have the shorter paths of that folder."""
    row_of = {identity: row for row, identity in enumerate(recording.ids)}
    rows = [row_of.get(identity) for identity in ids]
    if any(row is None for row in rows):
        folder = Path(name).name
        rows = [row_of.get(f"{folder}/{id}") if row is None else row for id, row in zip(ids, rows, strict=True)]
    missing = [identity for identity, row in zip(ids, rows, strict=True) if row is None]
    if missing:
        raise ImagesError(
            f"{len(missing)} of {len(rows)} images from {name} were not recorded: {shortened(missing, most=3)}.",
            hint="Record them in a store of their own by the same network, and give that store as the concept.",
        )
    return _Side(recording, np.unique(np.array(rows, np.int64)), without_folders(name))


def _other(recording: Recording, other: Recording) -> _Side:
    if other.question.weights != recording.question.weights or other.units != recording.units:
        raise QuestionError(
            f"{other.folder} holds answers of other units: they cannot be compared.",
            hint="Record both with the same network and the same layers.",
        )
    return _Side(other, np.arange(len(other)), without_folders(other.source))


def _search(recording: Recording, concept_side: _Side, other_side: _Side, question: Question) -> UnitSearch:
    from iconoscope.exemplars.roc_area import areas, curve, rank_test, recalls

    settings = question.settings
    channels = len(recording.units) - len(recording.classes)
    rng = np.random.default_rng(settings["seed"])
    drawn = [_drawn(side.rows, rng) for side in (concept_side, other_side)]
    concept, others = (
        _answers(side.recording, rows) for side, rows in zip((concept_side, other_side), drawn, strict=True)
    )
    all_images = len(concept_side.rows) + len(other_side.rows)
    held = len(concept) // 2 if min(len(concept), len(others)) >= _FEWEST else 0
    # The first part of a shuffled side is held out, if there are enough of both; the rest chooses.
    concept_held, concept_chosen = np.split(concept[rng.permutation(len(concept))], [held])
    others_held, others_chosen = np.split(others[rng.permutation(len(others))], [len(others) // 2 if held else 0])
    examples = concept_chosen[:, :channels], others_chosen[:, :channels]
    p_value = rank_test(*examples, **{name: settings[name] for name in ("correction", "permutations", "seed")})
    auc = areas(*examples)
    measured = (concept_held, others_held) if held else (concept_chosen, others_chosen)
    area, recall = areas(*measured), recalls(*measured)
    # In the order of the examples: one by what was held out would choose by it, and flatter it.
    order = np.lexsort((-recalls(*examples), -auc, p_value > settings["level"]))
    logit = channels + _own_class(concept_side)
    at = np.linspace(0, 1, _POINTS)
    best = order[:_SHOWN]
    return UnitSearch(
        question=question,
        concept=concept_side.name,
        others=other_side.name,
        examples=len(concept),
        against=len(others),
        held_out=held,
        drawn_from=all_images if all_images > len(concept) + len(others) else 0,
        units=np.array(recording.units[:channels])[order],
        auc=auc[order],
        auc_held_out=area[order] if held else np.full(channels, np.nan),
        recall=recall[order],
        p_value=p_value[order],
        correction=settings["correction"],
        level=settings["level"],
        permutations=settings["permutations"],
        logit=recording.units[logit],
        logit_auc=float(area[logit]),
        logit_recall=float(recall[logit]),
        curves=np.stack([curve(measured[0][:, unit], measured[1][:, unit], at) for unit in best]),
        curve_at=at,
        logit_curve=curve(measured[0][:, logit], measured[1][:, logit], at),
        **_pictures(recording, concept_side, best),
    )


def _drawn(rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many of some images as are compared: of more, areas are known no better than anybody would see."""
    return rows if len(rows) <= _MOST else np.sort(rng.choice(rows, _MOST, replace=False))


def _answers(recording: Recording, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read what all units answered to some images, (images, units); of the others nothing is kept in memory."""
    answers = np.empty((len(rows), len(recording.units)), np.float32)
    step = max(1, _BLOCK // (4 * len(recording)))
    for first in range(0, len(recording.units), step):
        stop = min(first + step, len(recording.units))
        answers[:, first:stop] = recording.answers(first, stop)[rows]
    return answers


def _own_class(concept: _Side) -> int:
    """Give the class of the concept: its label's or, if it has none, what the network takes most of its images for."""
    targets = concept.recording.targets[concept.rows]
    if len(set(targets.tolist())) == 1 and targets[0] >= 0:
        return int(targets[0])
    return int(np.bincount(concept.recording.predictions[concept.rows]).argmax())


def _pictures(recording: Recording, concept: _Side, units: NDArray[np.int64]) -> dict[str, Any]:
    """Gather what is shown of the first units: each picture once, however many of them answer it."""
    tables = recording.rankings
    k = min(_STRIP, recording.k, len(recording))
    sides = {side: recording.ranked(side)[units, :k] for side in ("most", "least")}
    answered = np.hstack([concept.recording.answers(unit) for unit in units.tolist()])
    answers = answered[concept.rows]
    steps = np.unique(np.linspace(0, len(answers) - 1, min(_CONCEPT, len(answers))).round().astype(np.int64))
    examples = concept.rows[np.argsort(-answers, axis=0, kind="stable")[steps].T]
    # Pictures by recording and row; the concept's may be of another recording.
    ranked_rows = np.unique(np.concatenate([sides["most"].ravel(), sides["least"].ravel()]))
    concept_rows = np.unique(examples)
    pictures = [recorded_pictures(recording, ranked_rows), recorded_pictures(concept.recording, concept_rows)]
    size = pictures[0].shape[1:3]
    scale = min(1.0, _LARGEST / max(size))
    height, width = round(size[0] * scale), round(size[1] * scale)
    shrunk = np.stack([resized(picture, height, width) for picture in np.concatenate(pictures)])
    positions = tables["most_position"][units, :k]
    fields = np.array(
        [
            [receptive_field(recording, int(unit), int(position), size) for position in line]
            for unit, line in zip(units, positions, strict=True)
        ]
    )
    optimized: dict[int, NDArray[np.uint8]] = {}  # those of one size, by the index of the unit
    for index, unit in enumerate(units):
        made = optimized_picture(recording, recording.units[unit], None)
        if made is not None and all(made.pixels.shape == pixels.shape for pixels in optimized.values()):
            optimized[index] = made.pixels
    return {
        "pictures_shown": shrunk,
        "picture_ids": np.array(
            [recording.ids[row] for row in ranked_rows] + [concept.recording.ids[row] for row in concept_rows]
        ),
        "most": np.searchsorted(ranked_rows, sides["most"]),
        "least": np.searchsorted(ranked_rows, sides["least"][:, ::-1]),
        "concept_shown": len(ranked_rows) + np.searchsorted(concept_rows, examples),
        "most_values": tables["most_value"][units, :k],
        "least_values": tables["least_value"][units, :k][:, ::-1],
        "concept_values": np.stack(
            [column[rows] for rows, column in zip(examples, answered.T, strict=True)]
        ),
        "most_fields": np.round(fields * scale).astype(np.int64),
        "optimized": np.stack(list(optimized.values())) if optimized else None,
        "optimized_of": np.array(list(optimized), np.int64) if optimized else None,
    }  # fmt: skip
