"""Evidence from the last layer: which images lie near each other, and which units follow a property."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.sample import Sample
from iconoscope.exemplars import find_units
from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.audit_evidence import Neighbourhoods
from iconoscope.store import Recording, Store

__all__ = ["look_at_neighbourhoods"]

_NEAREST = 10
_UNITS = 3  # that are shown of a property
_PROPERTIES = 2  # that units are looked for
_FEWEST = 20  # images on either side, for units to be looked for
_CLEAR = 0.9  # area under the curve, on images held out, from which a unit follows a property


def look_at_neighbourhoods(
    recording: Recording, sample: Sample, conclusions: Conclusions, *, seed: int, store: Store
) -> Neighbourhoods:
    """Look at the neighbourhoods in the last layer's space, and for units that follow what the network relies on."""
    vectors = np.nan_to_num(np.array(recording.vectors("penultimate")[sample.rows], np.float32))
    sides: list[NDArray[np.bool_]] = []
    for nuisance in conclusions.interventions.nuisances:
        values = conclusions.best_values(nuisance)
        sides.append(values > np.median(values))
    units = following_units(conclusions, recording, store, seed=seed)
    return Neighbourhoods(
        points=lay_out(vectors, seed=seed),
        shared=shared_by_neighbours(vectors, sample.evidence.predicted, sides),
        units=tuple(unit for unit, _, _ in units),
        unit_nuisances=tuple(nuisance for _, nuisance, _ in units),
        unit_areas=np.array([area for _, _, area in units], np.float32),
    )


def shared_by_neighbours(
    vectors: NDArray[np.float32], predicted: NDArray[np.int64], sides: list[NDArray[np.bool_]]
) -> NDArray[np.float32]:
    """Say what neighbours in a space share: the answer, and the side of every property; each with what chance would give.

    Parameters
    ----------
    vectors
        (n, numbers); near means a small angle.
    predicted
        (n,): the answers.
    sides
        For every property (n,) bool: on which side of its middle each image is.

    Returns
    -------
    ndarray of float32, (1 + properties, 2)
        The share of the ten nearest that have the image's own, and the share of all images that do.

    Examples
    --------
    >>> vectors = np.float32([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    >>> shared_by_neighbours(np.repeat(vectors, 6, 0), np.repeat([0, 0, 1, 1], 6), [np.arange(24) % 2 == 0]).round(2)
    array([[1.  , 0.48],
           [0.4..., 0.48]], dtype=float32)
    """
    from iconoscope.exemplars.nearest_neighbours import metric_vectors, nearest_rows

    if len(vectors) < 3:
        return np.full((1 + len(sides), 2), np.nan, np.float32)
    near, _ = nearest_rows(metric_vectors(vectors, "cosine"), _NEAREST)
    shares = []
    for groups in (predicted, *(side.astype(np.int64) for side in sides)):
        counts = np.bincount(groups)[groups]
        shares.append(((groups[near] == groups[:, None]).mean(), (counts - 1).mean() / (len(groups) - 1)))
    return np.array(shares, np.float32)


def lay_out(vectors: NDArray[np.float32], *, seed: int) -> NDArray[np.float32]:
    """Put images on the plane, near each other where the vectors are: t-SNE, or for very few the principal axes."""
    from iconoscope.exemplars.layouts import LAYOUTS
    from iconoscope.exemplars.nearest_neighbours import metric_vectors, nearest_rows

    near = metric_vectors(vectors, "cosine")
    if len(vectors) < 30:
        few = np.zeros((len(vectors), 2), np.float32)
        return few if len(vectors) < 3 else LAYOUTS["pca"](near, None, None, {}).points
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    rows, distances = nearest_rows(near, int(3 * perplexity))
    return LAYOUTS["tsne"](near, rows, distances, {"perplexity": perplexity, "iterations": 250, "seed": seed}).points


def following_units(
    conclusions: Conclusions, recording: Recording, store: Store, *, seed: int
) -> list[tuple[str, str, float]]:
    """Look for units that follow what the network relies on: the images with most of it against those with least.

    Returns
    -------
    list of tuple of str, str, float
        A unit, the nuisance, and the area under the curve on images that were held out.
    """
    evidence, ids = conclusions.interventions, conclusions.images.ids
    wholes = {evidence.within[evidence.nuisances.index(name)] for name in conclusions.relied_on}
    following: list[tuple[str, str, float]] = []
    for name in [name for name in conclusions.relied_on if name not in wholes][:_PROPERTIES]:
        values = conclusions.best_values(name)
        low, high = np.quantile(values, (1 / 3, 2 / 3))
        most, least = ids[values > high].tolist(), ids[values < low].tolist()
        if min(len(most), len(least)) < _FEWEST:
            continue
        search = find_units(recording, most, least, name=name, permutations=99, seed=seed, store=store)
        units = search.units.tolist()
        inner = [index for index, unit in enumerate(units) if not unit.startswith("logit:")]
        areas = [max(float(search.auc_held_out[index]), 1 - float(search.auc_held_out[index])) for index in inner]
        ranked = sorted(zip(areas, inner, strict=True), reverse=True)[:_UNITS]
        following += [(units[index], name, area) for area, index in ranked if area >= _CLEAR]
    return following
