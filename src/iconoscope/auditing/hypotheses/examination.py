"""Hypotheses made of one half of the pictures and tested on the other, class by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.answers import asked_often
from iconoscope.auditing.hypotheses.fixed_pattern import cell_means, layouts, marks, stamps
from iconoscope.auditing.hypotheses.photographs import Halves, Photographs, reduced
from iconoscope.auditing.hypotheses.recurring_thing import levels, recurring_things
from iconoscope.auditing.hypotheses.spectrum import log_magnitudes, log_magnitudes_of_margin, log_maxima, spectra
from iconoscope.auditing.hypotheses.telling_pixels import telling_pixels
from iconoscope.auditing.hypotheses.tone import colour_moments, tones
from iconoscope.auditing.hypotheses.trial import Trial, roc_area
from iconoscope.auditing.sample import Sample
from iconoscope.progress import advancing
from iconoscope.results.audit_evidence import Hypotheses
from iconoscope.results.decision_rule import LEAST_IMAGES, OBJECTS_KNOWN
from iconoscope.results.hypothesis_rule import (
    HYPOTHESIS_KINDS,
    LENT,
    HypothesisTest,
    SplitTest,
    error_of_excess,
    is_near,
    split_tests,
    wants_repetition,
)
from iconoscope.results.rendering import as_bytes
from iconoscope.store.store import PartialAnswers
from iconoscope.subject.network import Network

__all__ = ["Workbench", "examine_hypotheses"]

Floats = NDArray[np.floating]

_SPLITS = 3  # divisions into halves, where the first comes near to accusing
_EXAMPLES = 5  # pictures of the class that show it most
_SMALL = 96  # pixels: what is kept to be looked at is no larger
_CELLS = 32  # of the map of where it is


class Workbench:
    """Photographs and what is worked out of them once, for every class."""

    def __init__(self, photographs: Photographs) -> None:
        self.photographs = photographs
        self.answered = int((np.bincount(photographs.predicted) >= LEAST_IMAGES).sum())
        self._measured = cache(lambda measure: measure(photographs))

    def trials(self, kind: str, of_class: int, halves: Halves, rng: np.random.Generator) -> Iterator[Trial]:
        """Make the hypothesis of a kind about a class; nothing where the pictures are too small for it."""
        make, *measures = _MAKERS[kind]
        return make(self.photographs, of_class, halves, rng, *map(self._measured, measures))


_MAKERS: dict[str, tuple[Callable[..., Iterator[Trial]], *tuple[Callable[[Photographs], Any], ...]]] = {
    "stamp": (stamps,),
    "mark": (marks,),
    "thing": (recurring_things, levels),
    "pixels": (telling_pixels, levels, log_magnitudes, log_maxima),
    "layout": (layouts, cell_means),
    "tone": (tones, colour_moments),
    "spectrum": (spectra, log_magnitudes, log_magnitudes_of_margin),
}
"""What makes each kind, and what it takes that is worked out of all photographs once."""


def examine_hypotheses(
    network: Network, sample: Sample, *, seed: int, parts: PartialAnswers | None = None
) -> Hypotheses:
    """Make and test every kind of hypothesis about every class of interest that enough images are answered with.

    Parameters
    ----------
    network, sample
        The network, and the images that are audited.
    seed
        Of the division into halves.
    parts
        Where what is known of a class is kept, for a process that is ended.
    """
    parts = PartialAnswers(None) if parts is None else parts
    predicted = sample.evidence.predicted
    counts = np.bincount(predicted, minlength=len(network.classes))
    classes = [
        index
        for index, count in enumerate(counts.tolist())
        if LEAST_IMAGES <= count <= len(sample) - LEAST_IMAGES and sample.evidence.interests(index)
    ]
    bench = Workbench(_photographs(network, sample))
    examined: list[dict[str, NDArray[Any]]] = []
    with (
        asked_often(network, bench.photographs.pixels[0]),
        advancing(f"looking for what decides, {network.name}", len(classes)) as advance,
    ):
        for of_class in classes:
            examined.append(parts.get_or_make(f"tests-{of_class}", partial(_examined, bench, of_class, seed=seed)))
            advance(1)
        _retest(bench, {index: single["tests"] for index, single in zip(classes, examined, strict=True)}, seed=seed)
    return _joined(bench, classes, examined)


def _photographs(network: Network, sample: Sample) -> Photographs:
    """Give what hypotheses are made from: beside the objects alone, where it is known where they are."""
    pictures, object_known = sample.pictures, sample.pictures.object_known
    if object_known.mean() < OBJECTS_KNOWN:
        return Photographs(network, pictures.pixels, pictures.pixels, None, sample.evidence.predicted)
    has_object = object_known[:, None, None, None]
    ground = np.where(has_object, pictures.ground, pictures.pixels)
    free = np.where(has_object, 1 - pictures.soft, 1).astype(np.float32)
    return Photographs(network, pictures.pixels, ground, free, sample.evidence.predicted)


def _examined(bench: Workbench, of_class: int, *, seed: int) -> dict[str, NDArray[Any]]:
    """Test all kinds on a class: tests (kinds, splits, numbers), and what is to be looked at of each."""
    tests = np.full((len(HYPOTHESIS_KINDS), _SPLITS, len(SplitTest._fields)), np.nan, np.float32)
    pictures: list[NDArray[np.uint8]] = []
    strengths: list[NDArray[np.float16]] = []
    examples: list[NDArray[np.uint8]] = []
    for number, kind in enumerate(HYPOTHESIS_KINDS):
        first, trials = _split_test(bench, kind, of_class, seed=seed, split=0)
        tests[number, 0] = first
        repeated = wants_repetition(kind, bench.answered, first)
        if repeated:
            for split in range(1, _SPLITS):
                tests[number, split] = _split_test(bench, kind, of_class, seed=seed, split=split)[0]
        pictures.append(_square(trials[0].picture) if trials else np.zeros((_SMALL, _SMALL, 3), np.uint8))
        strengths.append(_map(trials[0].strength) if trials else np.zeros((_CELLS, _CELLS), np.float16))
        examples.append(_examples(bench, of_class, trials[0] if repeated else None))
    return {
        "tests": tests,
        "pictures": np.stack(pictures),
        "strengths": np.stack(strengths),
        "examples": np.stack(examples),
    }


def _split_test(
    bench: Workbench, kind: str, of_class: int, *, seed: int, split: int, without: Collection[int] = ()
) -> tuple[SplitTest, list[Trial]]:
    """Test one hypothesis on one class both ways round; pictures are edited only where it tells the answer well enough.

    Pictures that some other classes are answered to can be left out.
    """
    photographs, seed = bench.photographs, seed + 7919 * split
    is_class = photographs.predicted == of_class
    rng = np.random.default_rng((seed, of_class, HYPOTHESIS_KINDS.index(kind)))
    first = Halves.drawn(photographs.predicted, seed=seed, without=without)
    halves_and_trials = [
        (halves, trial) for halves in (first, first.exchanged) for trial in bench.trials(kind, of_class, halves, rng)
    ]
    trials = [trial for _, trial in halves_and_trials]
    area = _mean_area((trial.score, is_class, halves) for halves, trial in halves_and_trials)
    if not is_near(kind, bench.answered, area):
        return SplitTest(area, math.nan, math.nan, math.nan, math.nan), trials
    margin = _mean_area(
        (trial.margin, is_class, halves) for halves, trial in halves_and_trials if trial.margin is not None
    )
    losses, gains, controls = [], [], []
    for halves, trial in halves_and_trials:
        members = np.flatnonzero(halves.test & is_class)
        others = np.sort(rng.permutation(np.flatnonzero(halves.test & ~is_class))[:LENT])
        for rows, edit, changes, answered in ((members, trial.take, losses, False), (others, trial.give, gains, True)):
            edited = edit(rows)
            happened = (photographs.answers(edited.pictures) == of_class) == answered
            control = np.mean(
                [(photographs.answers(version) == of_class) == answered for version in edited.controls], 0
            )
            changes.append(happened - control)
            controls.append(control)
    lost, gained = np.concatenate(losses), np.concatenate(gains)
    error = error_of_excess((lost.var(), len(lost)), (gained.var(), len(gained)))
    control = np.concatenate(controls).mean().item()
    return SplitTest(area, lost.mean().item(), gained.mean().item(), control, error, margin), trials


def _mean_area(scores: Iterable[tuple[Floats, NDArray[np.bool_], Halves]]) -> float:
    """Give the mean area under the curve by which scores tell a class on the half that is tested on; NaN of no scores."""
    areas = [roc_area(score[halves.test], is_class[halves.test]) for score, is_class, halves in scores]
    return float(np.mean(areas)) if areas else math.nan


def _retest(bench: Workbench, tests: dict[int, NDArray[np.float32]], *, seed: int) -> None:
    """Test accused classes again without the pictures of those that are told better; changes their tests (kinds, splits, 6).

    Where one class has a mark all others are told by its absence, and to give them what the others have gives them the mark.
    """

    def accusing(index: int) -> list[HypothesisTest]:
        return [test for test in _decided(bench, tests[index]) if test.decision == "accused"]

    def telling(index: int) -> tuple[float, float]:
        means = [test.mean for test in accusing(index)]
        return max(((mean.area, mean.excess) for mean in means), default=(0.0, 0.0))

    marked: list[int] = []
    predicted = bench.photographs.predicted
    for index in sorted(tests, key=telling, reverse=True):
        if marked and int((~np.isin(predicted, [*marked, index])).sum()) >= LEAST_IMAGES:
            for number, test in enumerate(_decided(bench, tests[index])):
                if test.decision != "cleared":
                    for split in range(_SPLITS):
                        retested = _split_test(bench, test.kind, index, seed=seed, split=split, without=marked)[0]
                        tests[index][number, split] = retested
        if accusing(index):
            marked.append(index)


def _decided(bench: Workbench, tests: NDArray[np.float32]) -> list[HypothesisTest]:
    return [
        HypothesisTest(kind, bench.answered, split_tests(values))
        for kind, values in zip(HYPOTHESIS_KINDS, tests, strict=True)
    ]


def _examples(bench: Workbench, of_class: int, trial: Trial | None) -> NDArray[np.uint8]:
    """Give the pictures of a class that show a hypothesis most, as they are and without it: (examples, 2, height, width, 3)."""
    photographs = bench.photographs
    height, width = _small(photographs.pixels[0]).shape[:2]
    examples = np.zeros((_EXAMPLES, 2, height, width, 3), np.uint8)
    if trial is not None:
        members = np.flatnonzero(photographs.predicted == of_class)
        rows = members[np.argsort(-trial.score[members], kind="stable")[:_EXAMPLES]]
        for number, (row, edited) in enumerate(zip(rows, trial.take(rows).pictures, strict=True)):
            examples[number] = _small(photographs.pixels[row]), _small(edited)
    return examples


def _joined(bench: Workbench, classes: list[int], examined: list[dict[str, NDArray[Any]]]) -> Hypotheses:
    kinds = len(HYPOTHESIS_KINDS)
    if not classes:
        small = _small(np.zeros((*bench.photographs.shape, 3), np.float32)).shape
        examined = [{
            "tests": np.zeros((0, _SPLITS, len(SplitTest._fields)), np.float32),
            "pictures": np.zeros((0, _SMALL, _SMALL, 3), np.uint8),
            "strengths": np.zeros((0, _CELLS, _CELLS), np.float16),
            "examples": np.zeros((0, _EXAMPLES, 2, *small), np.uint8),
        }]  # fmt: skip
    joined = {name: np.concatenate([single[name] for single in examined]) for name in examined[0]}
    return Hypotheses(
        answered=bench.answered,
        kinds=HYPOTHESIS_KINDS * len(classes),
        classes=np.repeat(classes, kinds).astype(np.int64),
        **joined,
    )


def _map(strength: Floats) -> NDArray[np.float16]:
    """Give a map in 32 by 32 cells, the strongest 1."""
    from PIL import Image

    resized = Image.fromarray(strength.astype(np.float32)).resize((_CELLS, _CELLS), Image.Resampling.BOX)
    values = np.asarray(resized)
    return (values / max(float(values.max()), 1e-9)).astype(np.float16)


def _square(picture: Floats) -> NDArray[np.uint8]:
    """Give what a hypothesis says in a square that can be looked at."""
    from PIL import Image

    image = Image.fromarray(as_bytes(picture))
    resampling = Image.Resampling.NEAREST if max(image.size) <= _SMALL else Image.Resampling.BOX
    return np.asarray(image.resize((_SMALL, _SMALL), resampling))


def _small(picture: Floats) -> NDArray[np.uint8]:
    return as_bytes(reduced(picture[None], -(-max(picture.shape[:2]) // _SMALL))[0])
