"""The question: which images does a unit answer?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.exemplars.load_recording import load_recording
from iconoscope.exemplars.recorded_units import (
    OptimizedPicture,
    check_images,
    optimized_picture,
    question_about,
    receptive_field,
    recorded_pictures,
    unit_index,
)
from iconoscope.results import Question, TopImages
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Recording, Store, answered

__all__ = ["selectivity", "top_images"]

_BINS = 40


@checked
def top_images(
    recording: Recording | str | Path,
    unit: str,
    k: int = 9,
    *,
    steps: int = 9,
    whole: bool = False,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> TopImages:
    """Show the images that a unit answers most and least, and steps between: the whole spectrum (Olah et al. 2017).

    Beside them stands the picture that was made for the unit, if `optimize` has one in the store.

    Parameters
    ----------
    recording
        What `record` gave, or where it is.
    unit
        A channel that was recorded, or a logit: ``layer3.2.relu2:17``, ``logit:truck``.
    k
        How many images on either side; of fewer recorded images all.
    steps
        How many images between, at equal steps of the order; 0 for none.
    whole
        Show whole images with the receptive field of the maximum drawn in. Otherwise of the most and the least only that is
        shown; images between are always whole, since the place of their maximum is not kept.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    TopImages
        The images, the labels of the strongest, and how selective the unit is for a class.

    Raises
    ------
    UnitError
        If the unit was not recorded.
    QuestionError
        If `k` is more than were ranked, or the images are not at hand.

    Examples
    --------
    >>> import tempfile, iconoscope as ico
    >>> network = ico.load_network("cars", device="cpu")
    >>> recording = ico.record(network, ico.demo_images(60, seed=3), store=tempfile.mkdtemp() + "/run")
    >>> top = ico.top_images(recording, "logit:lynx", 3, steps=2)
    >>> top.labels[:3], top.sides
    (('lynx', 'lynx', 'lynx'), ('most', 'most', 'most', 'between', 'between', 'least', 'least', 'least'))
    """
    check_figure_name(out)
    recording = load_recording(recording)
    index = unit_index(recording, unit)
    k = min(k, len(recording))  # of fewer images all are shown
    if not 1 <= k <= recording.k:
        raise QuestionError(
            f"k={k!r} is not possible: {recording.k} images of every unit are ranked on either side.",
            hint=f"Give 1 to {recording.k}, or record again with a larger k.",
        )
    if not 0 <= steps <= 100:
        raise QuestionError(f"steps={steps!r} is not possible.", hint="Give 0 to 100 images.")
    name = recording.units[index]
    check_images(recording)
    optimized = optimized_picture(recording, name, store)
    key = optimized.key if optimized else ""
    question = question_about(recording, "top", unit=name, k=k, steps=steps, whole=bool(whole), made=key)

    return answered(
        question, TopImages, lambda: _top_images(recording, index, question, optimized), store=store, out=out
    )


def _top_images(recording: Recording, unit: int, question: Question, optimized: OptimizedPicture | None) -> TopImages:
    values = recording.answers(unit)[:, 0]
    count = len(recording)
    k, steps = min(question.settings["k"], count), question.settings["steps"]
    shown, sides, ranks, positions = _spectrum(recording, unit, values, k, steps)
    is_channel = unit < len(recording.units) - len(recording.classes)
    of_tokens = is_channel and recording.layer_at(unit)[0].tokens > 0
    pictures = recorded_pictures(recording, shown)
    answers = values
    lowest = float(values.min())
    if is_channel:  # its mean over the map, and the least of all places that were sampled
        answers = recording.answers(unit, pooling="mean")[:, 0]
        lowest = min(float(recording.rankings["lowest"][unit]), float(answers.min()))
    means, index, ccmas, refusal = selectivity(answers, recording.targets, len(recording.classes), lowest)
    # Of few images the strongest hundred would be all of them.
    ranked = min(recording.k, max(1, count // 4))
    targets = recording.targets[recording.ranked("most")[unit, :ranked]]
    counts, edges = np.histogram(values, bins=_BINS)
    return TopImages(
        question=question,
        ids=tuple(recording.ids[row] for row in shown),
        labels=tuple(recording.labels[row] for row in shown),
        predictions=tuple(recording.classes[recording.predictions[row]] for row in shown),
        sides=sides,
        ranks=ranks,
        values=values[shown],
        pictures_shown=pictures,
        fields=np.array(
            [receptive_field(recording, unit, int(position), pictures.shape[1:3]) for position in positions],
            np.int64,
        ).reshape(-1, 4),
        crop=not (question.settings["whole"] or of_tokens),
        of_tokens=of_tokens,
        images=count,
        ranked=ranked,
        classes=recording.classes,
        top_classes=np.bincount(targets[targets >= 0], minlength=len(recording.classes)).astype(np.int64),
        class_means=means,
        class_selectivity=index,
        ccmas=ccmas,
        refused=refusal,
        edges=edges.astype(np.float64),
        counts=counts.astype(np.int64),
        silent=float((values == 0).mean()) if is_channel else 0.0,
        optimized=optimized.pixels if optimized else None,
        optimized_style=optimized.style if optimized else "",
    )


def _spectrum(
    recording: Recording, unit: int, values: NDArray[np.float32], k: int, steps: int
) -> tuple[NDArray[np.int64], tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Choose the `k` images on either side and `steps` between, each image once, from the strongest answer to the weakest.

    Returns
    -------
    tuple
        Rows in the recording, sides, ranks, and positions of the maximum, (n,) each.
    """
    count = len(recording)
    most, least = (recording.ranked(side)[unit, :k] for side in ("most", "least"))
    ordered = np.argsort(-values, kind="stable")
    # Equal steps of the order, strictly between the k on either side.
    ranks = np.unique(np.linspace(k - 1, count - k, steps + 2).round().astype(np.int64)[1:-1])
    ranks = ranks[(ranks >= k) & (ranks < count - k)]
    # The weakest last. Of equal answers some are among the most and the least.
    strongest = set(most.tolist())
    weakest = [column for column in range(min(k, count - k)) if int(least[column]) not in strongest][::-1]
    chosen = strongest | {int(least[column]) for column in weakest}
    ranks = np.array([rank for rank in ranks.tolist() if int(ordered[rank]) not in chosen], np.int64)
    tables = recording.rankings
    strongest_at, weakest_at = (tables[f"{side}_position"][unit, :k] for side in ("most", "least"))
    return (
        np.concatenate([most, ordered[ranks], least[weakest]]).astype(np.int64),
        ("most",) * k + ("between",) * len(ranks) + ("least",) * len(weakest),
        np.concatenate([np.arange(k), ranks, count - 1 - np.array(weakest, np.int64)]),
        np.concatenate([strongest_at, np.full(len(ranks), -1), weakest_at[weakest]]),
    )


def selectivity(
    answers: NDArray[np.floating[Any]], targets: NDArray[np.int64], classes: int, lowest: float
) -> tuple[NDArray[np.float32], float | None, float | None, str]:
    """Give the mean answer to every class, the class selectivity index, CCMAS, and why there are none.

    Parameters
    ----------
    answers
        What a unit answers to every image, (images,).
    targets
        The images' classes, -1 where there is none, (images,).
    classes
        How many classes there are.
    lowest
        The least that the unit answers anywhere; both measures want answers that are never below zero.

    Examples
    --------
    >>> selectivity(np.array([3.0, 3.0, 1.0, 0.0]), np.array([0, 0, 1, 2]), 3, 0.0)[1:]
    (0.714..., 0.714..., '')
    """
    labelled = targets >= 0
    count = np.bincount(targets[labelled], minlength=classes)
    total = np.bincount(targets[labelled], answers[labelled].astype(np.float64), minlength=classes)
    means = np.divide(total, count, out=np.full(classes, np.nan), where=count > 0)
    present = np.flatnonzero(count)
    refusal = ""
    if len(present) < 2:
        refusal = "it takes labelled images of at least two classes"
    elif lowest < 0:
        refusal = f"the unit answers below zero (down to {lowest:.3g}), where a share of means has no sense"
    elif means[present].max() == 0:
        refusal = "the unit answers nothing to any of them"
    if refusal:
        return means.astype(np.float32), None, None, refusal
    best = present[np.argmax(means[present])]
    others = present[present != best]
    by_class = float(means[others].mean())
    by_image = float(total[others].sum() / count[others].sum())
    index, ccmas = ((means[best] - other) / (means[best] + other) for other in (by_class, by_image))
    return means.astype(np.float32), float(index), float(ccmas), ""
