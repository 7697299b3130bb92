"""Does the network look at the object? The maps of many images and the exchange, held together."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import IconoscopeWarning, ImagesError, QuestionError, shortened
from iconoscope.occlusion.evidence import MapEvidence, map_evidence
from iconoscope.occlusion.exchange import exchange
from iconoscope.occlusion.fills import read_fill
from iconoscope.occlusion.geometry import make_grid
from iconoscope.occlusion.object_masks import Objects
from iconoscope.occlusion.occlude import METHOD, METHODS, occlude_each
from iconoscope.results import Exchange, Look, Occlusion, Question
from iconoscope.store import Store
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network

__all__ = ["look", "looks_at_object"]

_SHOWN = 6  # images that are kept in the result to be looked at


def looks_at_object(
    results: Occlusion | Iterable[Occlusion],
    regions: Any,
    *,
    exchanged: Exchange | None = None,
    confidence: float = 0.5,
    resamples: int = 2000,
    seed: int = 0,
) -> Look:
    """Judge from maps, and better from maps and an exchange, whether a network looks at the object.

    Of every map: whether the patch that costs most has its centre on the object (the pointing game, Zhang et al. 2016); the
    object's share of the drop against its share of the picture, tested against all places where the object could be; and the
    share of the drop under patches that do not touch it. Of the exchange: the answers that another class's object or
    background changes, less those that its own class's does. Over images: means with bootstrap intervals, by class and in
    all. Where there is an exchange it decides, since a patch cannot move the mean of a background, nor reveal a cue
    whose absence is informative.

    Parameters
    ----------
    results
        Maps of a class's probability, of one network: what `occlude` gives. They may come one at a time; none is kept.
    regions
        Where the object is: images with masks or boxes, matched by id. Or, one per result and in the size of its
        picture, masks (n, height, width), one mask (height, width), or boxes (left, top, right, bottom) in pixels.
    exchanged
        What `exchange` gives for the same network and images, matched by id. Without it there is a verdict only where
        single patches matter.
    confidence
        The probability from which a right answer is sure enough to be judged, 0 to 1.
    resamples
        How many times the images are resampled for the intervals.
    seed
        Seed of the resampling.

    Returns
    -------
    Look
        The verdict is ``object``, ``context``, ``spread`` or ``undecided``; images that are answered wrongly, not surely
        enough, without a label or without an object do not count.

    Raises
    ------
    QuestionError
        If the results are not of one network, not of a class's probability, or do not fit the regions or the exchange.
    ImagesError
        If no image has an object.

    Examples
    --------
    >>> import iconoscope as ico
    >>> images = ico.demo_images(4, seed=1)
    >>> found = ico.occlude(ico.load_network("cars-honest", device="cpu"), images, patch=24, stride=12, fill="mean")
    >>> judged = ico.looks_at_object(found, images)
    >>> judged.area.round(2), judged.beside.round(2)
    (array([0.18, 0.08, 0.09, 0.12]), array([...]))
    >>> judged.verdict  # four images are too few
    'undecided'
    """
    if not 0 <= confidence <= 1 or resamples < 1 or seed < 0:
        raise QuestionError(
            f"confidence={confidence} must be from 0 to 1, resamples={resamples} at least 1, and seed={seed} at least 0."
        )
    objects = Objects(regions)
    gathered = _Gathered(confidence=float(confidence), exchanged=exchanged)
    for result in [results] if isinstance(results, Occlusion) else results:
        gathered.add(result, *objects.of(result))
    objects.close()
    return gathered.look(resamples=resamples, seed=seed)


def look(
    network: Network,
    images: Images | Any,
    *,
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: str | Path | NDArray[Any] = "mean",
    method: str = METHOD,
    confidence: float = 0.5,
    seed: int = 0,
    store: Store | str | Path | None = None,
) -> Look:
    """Ask whether the network looks at the object: cover every image patch by patch, exchange objects and backgrounds, judge.

    The verdict is object, context (what is around it), spread (both) or undecided, for every class and in all, with the
    numbers that decided. What they are is told by `looks_at_object`.

    Parameters
    ----------
    network
        The network.
    images
        A set of images with labels and with masks or boxes of the object, of at least two classes; 30 or more of each class
        that is to be judged.
    patch
        Side of the patch, or height and width as 8x12 (in Python (8, 12)), in pixels of the network's input. If not given,
        a sixth of its short side.
    stride
        Step from one position to the next, in pixels, likewise. If not given, half of the patch.
    fill
        What covers a patch, as in occlude: zero, black, mean, blur, noise, or an image. A whole object or background is
        hidden in black, as in exchange.
    method
        exact or dense, as in occlude.
    confidence
        The probability from which a right answer is sure enough to be judged, 0 to 1.
    seed
        Seed of the choice of donors, of the random fill and of the intervals.
    store
        Folder where the answers are looked for first, and kept: that of the exchange, and this one. The maps are not kept.

    Returns
    -------
    Look
        The evidence and the verdicts.

    Raises
    ------
    ImagesError
        If masks or labels are missing, or a class has fewer than two images.
    QuestionError
        If the patch does not fit, or a setting is no choice.

    Examples
    --------
    >>> import iconoscope as ico
    >>> images = ico.demo_images(80, backgrounds="telling", seed=1)
    >>> ico.look(ico.load_network("cars", device="cpu"), images, patch=24, stride=24).verdict
    'context'
    """
    if not 0 <= confidence <= 1:
        raise QuestionError(f"confidence={confidence} must be from 0 to 1.")
    if method not in METHODS:
        raise QuestionError(f"method={method!r} is not a choice.", hint=f"There are: {', '.join(METHODS)}.")
    patch = make_grid(network.preprocessing.size, patch=patch).patch
    if stride is None:
        stride = (max(1, patch[0] // 2), max(1, patch[1] // 2))
    grid = make_grid(network.preprocessing.size, patch=patch, stride=stride)
    filling = read_fill(fill, network.preprocessing)
    images = load_images(images)
    # It leaves out, and names, the images that cannot take part.
    exchanged = exchange(network, images, seed=seed, store=store)
    question = replace(
        exchanged.question,
        technique="look",
        settings={
            "preprocessing": network.preprocessing.to_json(),
            "classes": network.classes_digest,
            "patch": grid.patch,
            "top": grid.top.tolist(),
            "left": grid.left.tolist(),
            "fill": filling.name,
            "method": method,
            "confidence": float(confidence),
            "seed": seed,
            "exchange": exchanged.question.key,
        },
    )

    def ask() -> Look:
        place = {id: place for place, id in enumerate(images.ids)}
        # Labelled by the index of the class, so that nobody matches names, and warns, again.
        cast = load_images(images[[place[id] for id in exchanged.ids]], labels=exchanged.target.tolist())
        maps = occlude_each(network, cast, patch=patch, stride=stride, fill=fill, method=method, seed=seed)
        found = looks_at_object(maps, cast, exchanged=exchanged, confidence=confidence, seed=seed)
        return replace(found, question=question)

    return ask() if store is None else Store.at(store).answer(question, Look, ask)


@dataclass
class _Gathered:
    """What is kept of results that come one after another."""

    confidence: float
    exchanged: Exchange | None
    question: Question | None = None
    names: tuple[str, ...] = ()
    row: dict[str, int] = field(default_factory=dict)  # of the exchange, by id
    ids: dict[str, None] = field(default_factory=dict)
    standings: list[str] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    clean: list[float] = field(default_factory=list)
    maps: list[MapEvidence] = field(default_factory=list)
    without: dict[str, str] = field(default_factory=dict)  # images without an object, and why
    examples: list[tuple[int, NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, result: Occlusion, mask: NDArray[np.bool_] | None, reason: str) -> None:
        """Take what is needed of a result and of the object in its picture, or of the reason why there is none."""
        self._check(result)
        subject = result.question.subject
        place = len(self.ids)
        self.ids[subject] = None
        self.digest.update(result.question.key.encode())
        self.digest.update(b"" if mask is None else np.packbits(mask).tobytes())
        if mask is None:
            self.without[subject] = reason
        target, standing = self._standing(result, mask is not None)
        self.standings.append(standing)
        self.targets.append(target)
        self.clean.append(float(result.clean[target]))
        missing = float("nan")
        self.maps.append(MapEvidence(*[missing] * 8) if mask is None else map_evidence(result, mask))
        of_class = sum(self.targets[shown[0]] == target for shown in self.examples)
        room = len(self.examples) < _SHOWN and of_class < max(2, _SHOWN // len(self.names))
        if room and standing == "judged" and mask is not None:
            self.examples.append((place, result.picture, mask, result.drop_by_pixel().astype(np.float32)))

    def _check(self, result: Occlusion) -> None:
        if not isinstance(result, Occlusion):
            raise QuestionError(
                f"A {type(result).__name__} is no map.", hint="Give what occlude gives: ico.occlude(network, images)."
            )
        question = result.question
        if result.measure != "probability":
            raise QuestionError(
                f"The map of {question.subject} is of the {result.measure} of {question.unit}, not of a class's probability.",
                hint="Ask occlude without a unit, or for prob:CLASS.",
            )
        if question.subject in self.ids:
            raise QuestionError(
                f"There are two maps of {question.subject}.", hint="Give one per image: of one patch and one fill."
            )
        if self.question is None:
            self.question, self.names = question, result.names
            if self.exchanged is not None:
                _check_same(question, self.exchanged.question, "the exchange")
                self.row = {id: row for row, id in enumerate(self.exchanged.ids)}
        _check_same(self.question, question, f"the map of {question.subject}")

    def _standing(self, result: Occlusion, has_object: bool) -> tuple[int, str]:
        """Give the right class as far as it is known, and whether the image is judged."""
        target, known = result.target, result.target_origin != "prediction"
        row = self.row.get(result.question.subject)
        if self.exchanged is not None and row is not None:
            target = int(self.exchanged.target[row])
            if known and target != result.target:
                raise QuestionError(
                    f"The map of {result.question.subject} is of {self.names[result.target]}, and its right class is "
                    f"{self.names[target]} in the exchange.",
                    hint="Ask occlude without a unit: it takes the label.",
                )
            known = True
        if not has_object:
            return target, "no object"
        if not known:
            return target, "unlabelled"
        if int(result.clean.argmax()) != target:
            return target, "wrong"
        return target, "judged" if result.clean[target] >= self.confidence else "unsure"

    def look(self, *, resamples: int, seed: int) -> Look:
        """Give the result."""
        if self.question is None:
            raise QuestionError("There is no map among the results.", hint="Give what occlude gives.")
        self._say_what_is_missing()
        conditions = () if self.exchanged is None else self.exchanged.conditions
        answers, probabilities = self._exchanged(len(conditions))
        columns = np.array(self.maps, np.float64).reshape(-1, len(MapEvidence._fields)).T
        settings = self.question.settings
        asked = replace(
            self.question,
            technique="looks_at_object",
            subject=f"{len(self.ids)} images" if len(self.ids) > 1 else self.question.subject,
            pixels=self.digest.hexdigest(),
            unit="",
            settings={
                "preprocessing": settings.get("preprocessing"),
                "classes": settings.get("classes"),
                "confidence": self.confidence,
                "resamples": resamples,
                "seed": seed,
                "exchange": None if self.exchanged is None else self.exchanged.question.key,
            },
            version=__version__,
        )
        size = (len(self.examples), *(self.examples[0][1].shape[:2] if self.examples else (0, 0)))
        places, pictures, masks, drops = zip(*self.examples, strict=True) if self.examples else ((), (), (), ())
        return Look(
            question=asked,
            ids=tuple(self.ids),
            classes=self.names,
            standings=tuple(self.standings),
            target=np.array(self.targets, np.int64),
            clean=np.array(self.clean, np.float32),
            **dict(zip(MapEvidence._fields, np.ascontiguousarray(columns), strict=True)),
            conditions=conditions,
            answers=answers,
            probabilities=probabilities,
            confidence=self.confidence,
            resamples=resamples,
            seed=seed,
            shown=np.array(places, np.int64),
            pictures_shown=np.array(pictures, np.uint8).reshape(*size, 3),
            objects_shown=np.array(masks, np.bool_).reshape(size),
            drops_shown=np.array(drops, np.float32).reshape(size),
        )

    def _exchanged(self, conditions: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give predicted class and probability of the right class (images, conditions), in the order of the results."""
        answers = np.full((len(self.ids), conditions), -1, np.int64)
        probabilities = np.full((len(self.ids), conditions), np.nan, np.float32)
        if self.exchanged is not None:
            for place, identity in enumerate(self.ids):
                if (row := self.row.get(identity)) is not None:
                    answers[place] = self.exchanged.answers[:, row]
                    probabilities[place] = self.exchanged.probabilities[:, row, self.targets[place]]
        return answers, probabilities

    def _say_what_is_missing(self) -> None:
        if self.without:
            named = shortened(f"{name} ({reason})" for name, reason in self.without.items())
            message = f"{len(self.without)} of {len(self.ids)} images have no object to look at: {named}."
            if len(self.without) == len(self.ids):
                raise ImagesError(
                    message, hint="Are the regions those of these images? Say where the object is: masks or boxes."
                )
            warnings.warn(message, IconoscopeWarning, stacklevel=4)
        if self.exchanged is not None:
            outside = [identity for identity in self.ids if identity not in self.row]
            message = f"{len(outside)} of {len(self.ids)} images are not in the exchange: {shortened(outside)}."
            if len(outside) == len(self.ids):
                raise QuestionError(message, hint=f"In the exchange are {shortened(self.row, most=3)}.")
            if outside:
                warnings.warn(message, IconoscopeWarning, stacklevel=4)


def _check_same(first: Question, second: Question, what: str) -> None:
    """See that two questions were put to one network, prepared and named alike."""
    if first.weights != second.weights:
        raise QuestionError(
            f"{what[0].upper()}{what[1:]} is of another network than the first map: {second.network} "
            f"({second.weights[:12]}) and {first.network} ({first.weights[:12]}).",
            hint="Results are judged together if they are of one network; ask for each network by itself.",
        )
    for name in ("preprocessing", "classes"):
        if first.settings.get(name) != second.settings.get(name):
            raise QuestionError(
                f"{what[0].upper()}{what[1:]} was asked with other {name} than the first map.",
                hint="Ask both with the network loaded in the same way.",
            )
