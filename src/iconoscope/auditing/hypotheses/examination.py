"""Hypotheses made of one half of the pictures and tested on the other, class by class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.hypotheses.fixed_pattern import layouts, marks, stamps
from iconoscope.auditing.hypotheses.photographs import Halves, Photographs, reduced
from iconoscope.auditing.hypotheses.recurring_thing import Level, levels, recurring_things
from iconoscope.auditing.hypotheses.spectrum import log_magnitudes, spectra
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
    is_near,
    split_tests,
    wants_repetition,
)
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

    @cached_property
    def pyramid(self) -> list[Level]:
        """The sizes that things are looked for at."""
        return levels(self.photographs)

    @cached_property
    def magnitudes(self) -> Floats:
        """Log magnitudes of the coefficients of every picture."""
        return log_magnitudes(self.photographs)

    def without(self, classes: Collection[int]) -> Workbench:
        """Give the same without the pictures that some classes are answered to."""
        rows = np.flatnonzero(~np.isin(self.photographs.predicted, list(classes)))
        bench = Workbench(self.photographs[rows])
        bench.answered = self.answered
        for name in ("pyramid", "magnitudes"):
            if name in vars(self):
                values = getattr(self, name)
                vars(bench)[name] = [level[rows] for level in values] if name == "pyramid" else values[rows]
        return bench

    def trials(self, kind: str, of_class: int, halves: Halves, rng: np.random.Generator) -> Iterator[Trial]:
        """Make the hypothesis of a kind about a class; nothing where the pictures are too small for it."""
        return _MAKERS[kind](self, of_class, halves, rng)


_Maker = Callable[[Workbench, int, Halves, np.random.Generator], Iterator[Trial]]
_MAKERS: dict[str, _Maker] = {
    "stamp": lambda bench, of_class, halves, rng: stamps(bench.photographs, of_class, halves, rng),
    "mark": lambda bench, of_class, halves, rng: marks(bench.photographs, of_class, halves, rng),
    "thing": lambda bench, of_class, halves, rng: recurring_things(
        bench.photographs, of_class, halves, rng, bench.pyramid
    ),
    "layout": lambda bench, of_class, halves, rng: layouts(bench.photographs, of_class, halves, rng),
    "spectrum": lambda bench, of_class, halves, rng: spectra(
        bench.photographs, of_class, halves, rng, bench.magnitudes
    ),
}


def examine_hypotheses(
    network: Network, sample: Sample, *, seed: int, parts: PartialAnswers | None = None
) -> Hypotheses:
    """Make and test every kind of hypothesis about every class that enough images are answered with.

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
        index for index, count in enumerate(counts.tolist()) if LEAST_IMAGES <= count <= len(sample) - LEAST_IMAGES
    ]
    bench = Workbench(_photographs(network, sample))
    examined: list[dict[str, NDArray[Any]]] = []
    with network.questioned(), advancing(f"looking for what decides, {network.name}", len(classes)) as advance:
        for of_class in classes:
            examined.append(parts.get_or_make(f"class-{of_class}", partial(_examined, bench, of_class, seed=seed)))
            advance(1)
        _retest(bench, {index: single["tests"] for index, single in zip(classes, examined, strict=True)}, seed=seed)
    return _joined(bench, classes, examined)


def _photographs(network: Network, sample: Sample) -> Photographs:
    """Give what hypotheses are made from: beside the objects alone, where it is known where they are."""
    pictures, object_known = sample.pictures, sample.pictures.object_known
    if object_known.mean() < OBJECTS_KNOWN:
        return Photographs(network, pictures.pixels, pictures.pixels, None, sample.evidence.predicted)
    known = object_known[:, None, None, None]
    ground = np.where(known, pictures.ground, pictures.pixels)
    free = np.where(known, 1 - pictures.soft, 1).astype(np.float32)
    return Photographs(network, pictures.pixels, ground, free, sample.evidence.predicted)


def _examined(bench: Workbench, of_class: int, *, seed: int) -> dict[str, NDArray[Any]]:
    """Test all kinds on a class: tests (kinds, splits, numbers), and what is to be looked at of each."""
    tests = np.full((len(HYPOTHESIS_KINDS), _SPLITS, len(SplitTest._fields)), np.nan, np.float32)
    pictures: list[NDArray[np.uint8]] = []
    strengths: list[NDArray[np.float16]] = []
    examples: list[NDArray[np.uint8]] = []
    for number, kind in enumerate(HYPOTHESIS_KINDS):
        first, trials = _split_test(bench, kind, of_class, seed=seed)
        tests[number, 0] = first
        repeated = wants_repetition(kind, bench.answered, first)
        if repeated:
            for split in range(1, _SPLITS):
                tests[number, split] = _split_test(bench, kind, of_class, seed=seed + 7919 * split)[0]
        pictures.append(_square(trials[0].picture) if trials else np.zeros((_SMALL, _SMALL, 3), np.uint8))
        strengths.append(_map(trials[0].strength) if trials else np.zeros((_CELLS, _CELLS), np.float16))
        examples.append(_examples(bench, of_class, trials, repeated))
    return {
        "tests": tests,
        "pictures": np.stack(pictures),
        "strengths": np.stack(strengths),
        "examples": np.stack(examples),
    }


def _split_test(bench: Workbench, kind: str, of_class: int, *, seed: int) -> tuple[SplitTest, list[Trial]]:
    """Test one hypothesis on one class both ways round; pictures are edited only where it tells the answer well enough."""
    photographs = bench.photographs
    is_class = photographs.predicted == of_class
    rng = np.random.default_rng((seed, of_class, HYPOTHESIS_KINDS.index(kind)))
    halves = Halves.drawn(photographs.predicted, seed=seed)
    made = [(one, trial) for one in (halves, halves.exchanged) for trial in bench.trials(kind, of_class, one, rng)]
    trials = [trial for _, trial in made]
    nothing = float("nan")
    if not made:
        return SplitTest(nothing, nothing, nothing, nothing, nothing), trials
    area = float(np.mean([roc_area(trial.score[one.test], is_class[one.test]) for one, trial in made]))
    if not is_near(kind, bench.answered, area):
        return SplitTest(area, nothing, nothing, nothing, nothing), trials
    lost, gained, controls = [], [], []
    for one, trial in made:
        own = np.flatnonzero(one.test & is_class)
        others = np.sort(rng.permutation(np.flatnonzero(one.test & ~is_class))[:LENT])
        for rows, edit, changes, answered in ((own, trial.take, lost, False), (others, trial.give, gained, True)):
            edited = edit(rows)
            happened = (photographs.answers(edited.pictures) == of_class) == answered
            control = np.mean([(photographs.answers(each) == of_class) == answered for each in edited.controls], 0)
            changes.append(happened - control)
            controls.append(control)
    taken, given = np.concatenate(lost), np.concatenate(gained)
    error = np.sqrt(sum((changes.var() + 1 / len(changes)) / len(changes) for changes in (taken, given))) / 2
    test = SplitTest(
        area, float(taken.mean()), float(given.mean()), float(np.concatenate(controls).mean()), float(error)
    )
    return test, trials


def _retest(bench: Workbench, tests: dict[int, NDArray[np.float32]], *, seed: int) -> None:
    """Test accused classes again without the pictures of those that are told better; changes their tests (kinds, splits, 5).

    Where one class has a mark all others are told by its absence, and to give them what the others have gives them the mark.
    """

    def accusing(index: int) -> list[HypothesisTest]:
        return [test for test in _decided(bench, tests[index]) if test.decision == "accused"]

    def telling(index: int) -> tuple[float, float]:
        means = [test.mean for test in accusing(index)]
        return max(((mean.area, mean.excess) for mean in means), default=(0.0, 0.0))

    marked: list[int] = []
    for index in sorted(tests, key=telling, reverse=True):
        rest = bench.without(marked)
        if marked and int((rest.photographs.predicted != index).sum()) >= LEAST_IMAGES:
            for test in _decided(bench, tests[index]):
                if test.decision != "cleared":
                    number = HYPOTHESIS_KINDS.index(test.kind)
                    for split in range(_SPLITS):
                        tests[index][number, split] = _split_test(rest, test.kind, index, seed=seed + 7919 * split)[0]
        if accusing(index):
            marked.append(index)


def _decided(bench: Workbench, tests: NDArray[np.float32]) -> list[HypothesisTest]:
    return [
        HypothesisTest(kind, bench.answered, split_tests(values))
        for kind, values in zip(HYPOTHESIS_KINDS, tests, strict=True)
    ]


def _examples(bench: Workbench, of_class: int, trials: list[Trial], shown: bool) -> NDArray[np.uint8]:
    """Give the pictures of a class that show a hypothesis most, as they are and without it: (examples, 2, height, width, 3)."""
    photographs = bench.photographs
    height, width = _small(photographs.pixels[0]).shape[:2]
    examples = np.zeros((_EXAMPLES, 2, height, width, 3), np.uint8)
    if shown:
        own = np.flatnonzero(photographs.predicted == of_class)
        rows = own[np.argsort(-trials[0].score[own], kind="stable")[:_EXAMPLES]]
        for number, (row, edited) in enumerate(zip(rows, trials[0].take(rows).pictures, strict=True)):
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

    whole = Image.fromarray((picture * 255).round().clip(0, 255).astype(np.uint8))
    way = Image.Resampling.NEAREST if max(whole.size) <= _SMALL else Image.Resampling.BOX
    return np.asarray(whole.resize((_SMALL, _SMALL), way))


def _small(picture: Floats) -> NDArray[np.uint8]:
    factor = -(-max(picture.shape[:2]) // _SMALL)
    return (reduced(picture[None], factor)[0] * 255).round().clip(0, 255).astype(np.uint8)
