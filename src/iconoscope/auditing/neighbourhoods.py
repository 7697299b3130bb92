"""The third kind of evidence: what lies near what in the network's last layer, and which units follow a property."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iconoscope.exemplars import find_units
from iconoscope.results import Audit
from iconoscope.store import Recording, Store

__all__ = ["Followers", "followers", "lay_out_sample", "neighbourhoods"]

_NEAREST = 10
_UNITS = 3  # that are shown of a property
_PROPERTIES = 2  # that units are looked for
_FEWEST = 20  # images on either side, for units to be looked for
_CLEAR = 0.9  # area under the curve, on images held out, from which a unit follows a property


@dataclass(frozen=True)
class Followers:
    """Units that tell one side of a property from the other, and how well on images that were held out."""

    units: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    areas: tuple[float, ...] = ()


def neighbourhoods(
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
    >>> neighbourhoods(np.repeat(vectors, 6, 0), np.repeat([0, 0, 1, 1], 6), [np.arange(24) % 2 == 0]).round(2)
    array([[1.  , 0.48],
           [0.4..., 0.48]], dtype=float32)
    """
    from iconoscope.exemplars.nearest_neighbours import metric_vectors, nearest_rows

    if len(vectors) < 3:
        return np.full((1 + len(sides), 2), np.nan, np.float32)
    near, _ = nearest_rows(metric_vectors(vectors, "cosine"), _NEAREST)
    found = []
    for groups in (predicted, *(side.astype(np.int64) for side in sides)):
        counts = np.bincount(groups)[groups]
        found.append(((groups[near] == groups[:, None]).mean(), (counts - 1).mean() / (len(groups) - 1)))
    return np.array(found, np.float32)


def lay_out_sample(vectors: NDArray[np.float32], *, seed: int) -> NDArray[np.float32]:
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


def followers(audit: Audit, recording: Recording, store: Store, *, seed: int) -> Followers:
    """Look for units that follow what the network relies on: the images with most of it against those with least."""
    names = [name for name in audit.overall.names if name in audit.families]
    wholes = {audit.within[audit.families.index(name)] for name in names}
    names = [name for name in names if name not in wholes][:_PROPERTIES]
    found: list[tuple[str, str, float]] = []
    for name in names:
        values = audit.strongest_number(name)
        low, high = np.quantile(values, (1 / 3, 2 / 3))
        most, least = (audit.ids[some].tolist() for some in (values > high, values < low))
        if min(len(most), len(least)) < _FEWEST:
            continue
        search = find_units(recording, most, least, name=name, permutations=99, seed=seed, store=store)
        units = search.units.tolist()
        inner = [at for at, unit in enumerate(units) if not unit.startswith("logit:")]
        area = [max(float(search.auc_held_out[at]), 1 - float(search.auc_held_out[at])) for at in inner]
        best = [(units[at], name, held) for held, at in sorted(zip(area, inner, strict=True), reverse=True)]
        found += [each for each in best[:_UNITS] if each[2] >= _CLEAR]
    return Followers(
        tuple(unit for unit, _, _ in found),
        tuple(family for _, family, _ in found),
        tuple(area for _, _, area in found),
    )
