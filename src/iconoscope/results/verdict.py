"""What evidence amounts to: estimates with their intervals, and the verdict that they allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALPHA",
    "EXCESS",
    "MATTERS",
    "MIN_IMAGES",
    "VERDICTS",
    "Estimate",
    "Verdict",
    "bootstrap",
    "by_exchange",
    "by_maps",
    "image_by_exchange",
    "image_by_maps",
    "pooled",
]

VERDICTS = {
    "object": "looks at the object",
    "context": "looks at what is around the object",
    "spread": "looks at the object and at what is around it",
    "undecided": "cannot be judged by this evidence",
}

# If none of 30 images does a thing, 95% confidence says that fewer than a tenth do (rule of three: 3/30): with fewer images
# not even a perfect record would be below EXCESS.
MIN_IMAGES = 30
# Share of answers changed beyond the control from which a part of the picture counts as used. In a trial with 64 small
# networks all 40 that relied on a planted shortcut (accuracy down by 20 points without it) were above; so were 5 of 48 honest
# networks by the background alone. It is a bound for use, not a measured rate of error.
EXCESS = 0.10
# A background that changes this many times more answers than the object is the context even if the object does something. The
# other way round there is no such allowance: what would reassure is held to more than what would warn.
DOMINANT = 3.0
# Below this drop of the probability no patch matters; the same bound as `Occlusion.indifferent`.
MATTERS = 0.05
# Of the pooled test of the maps against random positions: so rarely may maps that know nothing of the object decide.
ALPHA = 0.01
# The same for a single image: smooth maps have few places that differ, so that a smaller one would hardly be reached.
ALPHA_IMAGE = 0.05
# Of the drop, under patches beside the object: more than half and it may be the context, less than a quarter and it may be the
# object. A network that needs a spot on the object as much as one beside it has about half; the demo's honest one 1%.
MOST = 0.5
LITTLE = 0.25
# Share of the patches beside the object below which that says nothing: then nearly every patch touches the object.
ROOM = 0.1
LEVEL = 0.95  # of the intervals


class Estimate(NamedTuple):
    """A mean over images with its bootstrap interval; NaN where there was nothing to average."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.0%} ({self.low:.0%} to {self.high:.0%})"


class Verdict(NamedTuple):
    """A key of `VERDICTS`, and the reason in one sentence with the numbers that decided."""

    word: str
    reason: str


def bootstrap(values: NDArray[np.floating], *, resamples: int, seed: int) -> list[Estimate]:
    """Estimate the mean of every column (images, columns) with its 95% percentile interval (Efron 1979).

    Images are resampled, all columns of an image together. NaN counts as missing.

    Examples
    --------
    >>> (found,) = bootstrap(np.array([[0.0], [1.0], [1.0], [1.0]]), resamples=200, seed=0)
    >>> found.value, 0 <= found.low <= 0.75 <= found.high <= 1
    (0.75, True)
    """
    count = len(values)
    if not count:
        return [Estimate(math.nan, math.nan, math.nan)] * values.shape[1]
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    generator = np.random.default_rng(seed)
    means: list[NDArray[np.float64]] = []
    at_once = max(1, 2_000_000 // count)  # so many resamples of all images as fit in 32 MB
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)
        means.append(_ratio(weights @ filled, weights @ there))
    whole = _ratio(filled.sum(0), there.sum(0))
    found: list[Estimate] = []
    for value, drawn in zip(whole.tolist(), np.concatenate(means).T, strict=True):
        known = drawn[~np.isnan(drawn)]
        low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(known) else (math.nan, math.nan)
        found.append(Estimate(value, float(low), float(high)))
    return found


def _ratio(total: NDArray[np.float64], count: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def pooled(ranks: NDArray[np.floating]) -> float:
    """Test whether ranks (images,), each uniform from 0 to 1 without a relation, are too high together.

    The sum of uniform numbers (Edgington 1972, the additive method) in its normal approximation, which is on the safe
    side in the tail.

    Returns
    -------
    float
        The p-value; NaN for no image.

    Examples
    --------
    >>> round(pooled(np.full(12, 0.5)), 3), pooled(np.full(12, 0.95)) < 1e-6
    (0.5, True)
    """
    if not len(ranks):
        return math.nan
    deviation = float((ranks - 0.5).sum()) / math.sqrt(len(ranks) / 12)
    return 0.5 * math.erfc(deviation / math.sqrt(2))


def by_exchange(thing: Estimate, ground: Estimate) -> Verdict:
    """Judge by the answers that change when object or background come from another class, beyond the control's.

    Parameters
    ----------
    thing, ground
        Share of the answers that another class's object, or background, changes minus the share that its own class's does.
    """
    told = (
        f"Of the answers, another class's object changes {thing} and another class's background {ground}, beyond what those of "
        "its own class change"
    )
    if thing.low > EXCESS and ground.high < EXCESS:
        return Verdict("object", f"{told}.")
    if ground.low > EXCESS and (thing.high < EXCESS or DOMINANT * thing.value <= ground.value):
        return Verdict("context", f"{told}.")
    if thing.low > EXCESS and ground.low > EXCESS:
        return Verdict("spread", f"{told}.")
    if thing.high < EXCESS and ground.high < EXCESS:
        return Verdict("undecided", f"{told}: either alone is enough for the network, or it uses neither.")
    pair = {"object": thing, "background": ground}
    unclear = " and the ".join(name for name, found in pair.items() if found.low <= EXCESS <= found.high)
    return Verdict(
        "undecided", f"{told}. Whether the {unclear} matters ({EXCESS:.0%} would) is open: ask about more images."
    )


def by_maps(
    *,
    images: int,
    matter: int,
    share: Estimate,
    area: Estimate,
    beside: Estimate,
    room: Estimate,
    p_object: float,
    p_context: float,
) -> Verdict:
    """Judge by where patches cost the network its answer.

    Parameters
    ----------
    images, matter
        How many images are judged, and before how many of them a patch matters.
    share, area
        The object's share of the drop, and of the picture.
    beside
        Share of the drop under patches that do not touch the object.
    room
        The share of all patches that these are.
    p_object, p_context
        Pooled p-values: that random positions of the object would have as much, or as little, of the drop.
    """
    if 2 * matter <= images:
        return Verdict(
            "undecided",
            f"A single patch matters before {matter} of {images} images only: what such a network looks at, only an "
            "exchange of object and background can tell.",
        )
    if room.value < ROOM:
        return Verdict(
            "undecided", f"Of the patches {room.value:.0%} do not touch the object: ask with a smaller patch."
        )
    told = (
        f"The object, {area.value:.0%} of the picture, has {share} of the drop ({_p(min(p_object, p_context))} at random "
        f"positions), and patches beside it {beside}"
    )
    if p_object < ALPHA and beside.high < LITTLE:
        return Verdict("object", f"{told}.")
    if p_context < ALPHA and beside.low > MOST:
        return Verdict("context", f"{told}.")
    return Verdict("spread", f"{told}: neither part has most of it beyond chance.")


def image_by_exchange(changed: Sequence[bool]) -> Verdict:
    """Judge one image by whether its answer changed: object other, background other, object own, background own."""
    thing, ground = changed[0] and not changed[2], changed[1] and not changed[3]
    told = f"Another class's object {_changes(changed[0])} (its own class's {_changes(changed[2])}), another class's "
    told += f"background {_changes(changed[1])} (its own class's {_changes(changed[3])})."
    word = {(True, False): "object", (False, True): "context", (True, True): "spread", (False, False): "undecided"}
    return Verdict(word[thing, ground], told)


def image_by_maps(
    *, largest: float, share: float, area: float, beside: float, room: float, p_object: float, p_context: float
) -> Verdict:
    """Judge one image by where patches cost the network its answer; the parameters are those of `by_maps`."""
    if largest < MATTERS:
        return Verdict("undecided", f"No patch costs more than {largest:.3f}: only an exchange can tell.")
    if room < ROOM:
        return Verdict("undecided", f"Of the patches {room:.0%} do not touch the object: ask with a smaller patch.")
    told = (
        f"The object, {area:.0%} of the picture, has {share:.0%} of the drop ({_p(min(p_object, p_context))} at random "
        f"positions), and patches beside it {beside:.0%}."
    )
    if p_object < ALPHA_IMAGE and beside < LITTLE:
        return Verdict("object", told)
    return Verdict("context" if p_context < ALPHA_IMAGE and beside > MOST else "spread", told)


def _changes(changed: bool) -> str:
    return "changes the answer" if changed else "does not"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"
