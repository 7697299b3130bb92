"""The question: on which images is the network wrong? Its accuracy against what images are like, from a recording."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.measured_properties import MEASURES, measured
from iconoscope.errors import QuestionError, check_choice, check_counts
from iconoscope.exemplars.load_recording import load_recording
from iconoscope.exemplars.recorded_units import check_images, question_about
from iconoscope.occlusion.query import fitted_object
from iconoscope.results import Profile, Question
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Recording, Store, answered
from iconoscope.subject.network import Preprocessing, read_preprocessing

__all__ = ["profile"]

LEAST = 20
"""Images of a bin at the least: fewer say next to nothing."""

TELLING = 5
"""Images that are right, and that are wrong, at the least, for a trend to be told: below, the normal curve does not hold."""


@checked
def profile(
    recording: Recording | str | Path,
    properties: Sequence[str] | None = None,
    *,
    bins: int = 8,
    level: float = 0.05,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> Profile:
    """Ask on which images a network is wrong: the accuracy against brightness, contrast, sharpness, size and place.

    Images are measured as the network is shown them, and sorted into bins with equally many each. Whether accuracy goes with a
    property is tested within classes (Mantel 1963, on ranks), since classes differ in both: that airplanes are bright and easy
    says nothing about bright images. P-values are adjusted for all that was looked at (Benjamini and Hochberg 1995).

    Parameters
    ----------
    recording
        What `record` gave, or where it is. Its images are read again; those with masks or boxes are also asked about their
        objects.
    properties
        What is measured: brightness, contrast, saturation, sharpness, noise, original size, aspect, and of objects
        object size, object distance, object brightness, object contrast, object sharpness; on the command line with commas
        between. All by default.
    bins
        How many points a curve has at the most. Each has 20 images or more; equal values stay together.
    level
        Which share of the properties that are named as failing may be so by chance.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    Profile
        Curves with Wilson's 95% intervals, of all images and class by class; ``failing`` names the properties.

    Raises
    ------
    QuestionError
        If a setting is out of range, the images are not at hand, or too few are labelled.

    Examples
    --------
    >>> import tempfile, iconoscope as ico
    >>> network = ico.load_network("cars", device="cpu")
    >>> images = ico.demo_images(80, backgrounds="neutral", seed=3)
    >>> recording = ico.record(network, images, store=tempfile.mkdtemp() + "/run")
    >>> ico.profile(recording, ["brightness"], bins=2).count.tolist()
    [[40, 40]]
    """
    check_figure_name(out)
    check_counts(most=1000, bins=bins)
    if bins < 2:
        raise QuestionError(f"bins={bins} make no curve.", hint="Give 2 or more.")
    if not 0 < level < 1:
        raise QuestionError(f"level={level} must be between 0 and 1.")
    names = list(MEASURES) if properties is None else list(dict.fromkeys(name.strip() for name in properties))
    if not names:
        raise QuestionError("No property was asked for.", hint=f"There are: {', '.join(MEASURES)}.")
    for name in names:
        check_choice("properties", name, MEASURES)
    recording = load_recording(recording)
    check_images(recording)
    rows = np.flatnonzero(recording.targets >= 0)
    if len(rows) < 2 * LEAST:
        raise QuestionError(
            f"{len(rows)} of {len(recording)} images have a label that the network knows; a profile wants {2 * LEAST} or more.",
            hint="Record images with labels.",
        )
    preprocessing = read_preprocessing(recording.question.settings["preprocessing"])
    # The objects come with the images and not with the recording, so that the key has a digest of them.
    objects = _digest_of_objects(recording, rows, preprocessing) if store is not None else ""
    settings = {"properties": names, "bins": bins, "level": level, "objects": objects}
    question = question_about(recording, "profile", **settings)
    return answered(question, Profile, lambda: _profile(recording, rows, preprocessing, question), store=store, out=out)


def _digest_of_objects(recording: Recording, rows: NDArray[np.int64], preprocessing: Preprocessing) -> str:
    """Give a digest of where the objects are in the images; empty where none is known."""
    digest, count = hashlib.sha256(), 0
    for row in rows.tolist():
        mask, _ = fitted_object(preprocessing, recording.images[row])
        if mask is not None:
            digest.update(f"{row} {mask.shape}".encode() + np.packbits(mask).tobytes())
            count += 1
    return digest.hexdigest() if count else ""


def _profile(
    recording: Recording, rows: NDArray[np.int64], preprocessing: Preprocessing, question: Question
) -> Profile:
    names, bins = list(question.settings["properties"]), int(question.settings["bins"])
    values = measured(preprocessing, recording.images, rows, names)
    targets, classes = recording.targets[rows], len(recording.classes)
    right = recording.predictions[rows] == targets
    skipped: list[str] = []
    curves: dict[str, _Curve] = {}
    for name in names:
        known = np.isfinite(values[name])
        reason = _reason_to_skip(name, values[name][known])
        if reason:
            skipped.append(f"{name}: {reason}")
        else:
            curves[name] = _curve(values[name][known], right[known], targets[known], classes, bins)
    if not curves:
        raise QuestionError("None of the properties can be told: " + "; ".join(skipped) + ".")
    p_values = _adjusted(np.array([_p_value(curve.trend) for curve in curves.values()]))
    class_trends = np.stack([curve.class_trend for curve in curves.values()])
    return Profile(
        question=question,
        properties=tuple(curves),
        **{
            field: np.stack([_padded(getattr(curve, field), field, bins) for curve in curves.values()])
            for field in ("edges", "middles", "count", "right", "expected", "class_count", "class_right")
        },
        trend=np.array([curve.trend for curve in curves.values()]),
        p_value=p_values,
        class_trend=class_trends,
        class_p_value=_adjusted(_p_value(class_trends).ravel()).reshape(class_trends.shape),
        level=float(question.settings["level"]),
        classes=recording.classes,
        images=len(rows),
        correct=int(right.sum()),
        unlabelled=len(recording) - len(rows),
        skipped=tuple(skipped),
    )


def _reason_to_skip(name: str, values: NDArray[np.float64]) -> str:
    """Say why a property cannot be told; empty where it can."""
    if len(values) < 2 * LEAST:
        of_objects = "images have a known object" if name.startswith("object ") else "images can be measured"
        return f"{len(values)} {of_objects}, and {2 * LEAST} are wanted"
    return "it is the same in all images" if np.ptp(values) < 1e-6 * max(1.0, float(np.abs(values).max())) else ""


@dataclass(frozen=True)
class _Curve:
    """The accuracy in each bin of one property, as `Profile` has it."""

    edges: NDArray[np.float64]
    middles: NDArray[np.float64]
    count: NDArray[np.int64]
    right: NDArray[np.int64]
    expected: NDArray[np.float64]
    class_count: NDArray[np.int64]
    class_right: NDArray[np.int64]
    trend: float
    class_trend: NDArray[np.float64]


def _curve(
    values: NDArray[np.float64], right: NDArray[np.bool_], targets: NDArray[np.int64], classes: int, bins: int
) -> _Curve:
    """Sort images into bins of equally many, and count what is right in each, in all and class by class."""
    edges = _edges(values, bins)
    bin_of = np.searchsorted(edges[1:-1], values, side="right")
    number = max(1, len(edges) - 1)
    class_count = np.bincount(targets * number + bin_of, minlength=classes * number).reshape(classes, number)
    weights = right.astype(np.int64)
    class_right = np.bincount(targets * number + bin_of, weights, minlength=classes * number).reshape(classes, number)
    count = class_count.sum(0)
    share = class_right.sum(1) / np.maximum(class_count.sum(1), 1)
    trend, class_trend = trends(values, right, targets, classes)
    return _Curve(
        edges=edges,
        middles=np.array([np.median(values[bin_of == one]) if count[one] else np.nan for one in range(number)]),
        count=count,
        right=class_right.sum(0).astype(np.int64),
        expected=np.where(count > 0, share @ class_count / np.maximum(count, 1), np.nan),
        class_count=class_count,
        class_right=class_right.astype(np.int64),
        trend=trend,
        class_trend=class_trend,
    )


def _edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Give the edges of bins with equally many images; where many values are equal bins are joined until each has `LEAST`."""
    lowest, *inner, highest = np.unique(np.quantile(values, np.linspace(0, 1, min(bins, len(values) // LEAST) + 1)))
    kept = [lowest]
    for edge in inner:
        below, above = np.count_nonzero((values >= kept[-1]) & (values < edge)), np.count_nonzero(values >= edge)
        if min(below, above) >= LEAST:
            kept.append(edge)
    return np.array([*kept, highest])


def trends(
    values: NDArray[np.float64], right: NDArray[np.bool_], targets: NDArray[np.int64], classes: int
) -> tuple[float, NDArray[np.float64]]:
    """Say how strongly being right goes with a property within classes, in standard deviations of chance.

    Where a class's answers and its ranks were dealt out anew among its images, the sum of the ranks of those that are right
    would have a known mean and variance (Mantel 1963); sums over classes are as far from their mean as these, in squares.

    Parameters
    ----------
    values, right, targets
        (n,): the property, whether the image is answered rightly, and its class.
    classes
        How many there are.

    Returns
    -------
    float, and ndarray of float64, (classes,)
        Of all images and of each class. NaN where fewer than `TELLING` are right, or wrong.

    Examples
    --------
    >>> overall, _ = trends(np.arange(40.0), np.arange(40) >= 20, np.zeros(40, int), 1)
    >>> round(overall, 2)
    5.41
    """
    from scipy.stats import rankdata

    ranks = rankdata(values)
    excess, variance = np.zeros(classes), np.zeros(classes)
    count = np.bincount(targets, minlength=classes)
    correct = np.bincount(targets, right.astype(float), minlength=classes)
    for of_class in np.flatnonzero((correct > 0) & (correct < count)).tolist():
        of_this_class = targets == of_class
        away, share = ranks[of_this_class] - ranks[of_this_class].mean(), correct[of_class] / count[of_class]
        excess[of_class] = away[right[of_this_class]].sum()
        variance[of_class] = (away**2).sum() * share * (1 - share) * count[of_class] / (count[of_class] - 1)
    informative = variance > 0
    telling = informative & (correct >= TELLING) & (count - correct >= TELLING)
    class_trend = np.divide(excess, np.sqrt(variance), out=np.full(classes, np.nan), where=telling)
    enough = min(correct[informative].sum(), (count - correct)[informative].sum()) >= TELLING
    return (float(excess.sum() / np.sqrt(variance.sum())) if enough else float("nan")), class_trend


def _p_value(trend: Any) -> Any:
    from scipy.special import ndtr

    return 2 * ndtr(-np.abs(trend))


def _adjusted(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values for all of them that there are."""
    from iconoscope.exemplars.roc_area import stepped

    tested = np.isfinite(p_values)
    adjusted = np.full(p_values.shape, np.nan)
    if tested.any():
        adjusted[tested] = stepped(p_values[tested])
    return adjusted


def _padded(values: NDArray[Any], field: str, bins: int) -> NDArray[Any]:
    """Bring a curve with fewer bins to the length of the others: NaN, or 0 of a count."""
    length = bins + (field == "edges")
    room = [(0, 0)] * (values.ndim - 1) + [(0, length - values.shape[-1])]
    return np.pad(values, room, constant_values=0 if values.dtype.kind == "i" else np.nan)
