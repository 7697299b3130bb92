"""Exact nearest neighbours, and how well a map keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.progress import advancing, track

__all__ = [
    "distances_to", "exact_distances", "kept_class", "metric_vectors", "nearest_by_products", "nearest_points", "nearest_rows",
    "trustworthiness",
]  # fmt: skip

_CHUNK = 32_000_000  # distances that are held at once, four bytes each
_LOST = 1e-4  # of a vector's squared length: less than this, a product of float32 has lost three digits


def metric_vectors(vectors: NDArray[np.float32], metric: str) -> torch.Tensor:
    """Give vectors whose Euclidean distances have the order of the metric: for the angle, vectors of length one.

    They are centred for the Euclidean distance, which changes no distance and loses fewer digits.
    """
    copied = torch.from_numpy(np.array(vectors, np.float32))
    if metric == "cosine":
        return torch.nn.functional.normalize(copied, dim=1)
    return copied - copied.mean(0)


def exact_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Give the distances of all to all, (first, second), as differences and not as products of matrices.

    Above 25 vectors `torch.cdist` would take products, by which a vector is not at distance 0 from itself.
    """
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def nearest_by_products(
    chunk: torch.Tensor, vectors: torch.Tensor, k: int, *, own_rows: torch.Tensor | None = None
) -> torch.Tensor:
    """Give the `k` nearest of vectors (vectors, numbers) to each of a chunk, (chunk, k), the nearest first.

    Products of float32 choose, and products of double precision where what is nearest is nearer than these can tell, as within
    groups that lie far apart. Of a chunk that is of the vectors themselves `own_rows`, (chunk,), says which they are: none is
    its own neighbour.
    """

    def chosen(rows: torch.Tensor, among: torch.Tensor, own_rows: torch.Tensor | None) -> Any:
        distances = _distances(rows, among)
        if own_rows is not None:
            distances[torch.arange(len(rows)), own_rows] = torch.inf
        # The minimum is much faster to find than the first of a ranking.
        return distances.min(1, keepdim=True) if k == 1 else distances.topk(k, 1, largest=False)

    values, indices = chosen(chunk, vectors, own_rows)
    lengths = chunk.square().sum(1)
    lost = (values[:, 0] + lengths < _LOST * lengths).nonzero()[:, 0]
    if len(lost):
        lost_rows = None if own_rows is None else own_rows[lost]
        indices[lost] = chosen(chunk[lost].double(), vectors.double(), lost_rows).indices
    return indices


def distances_to(vectors: torch.Tensor, others: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Give how far every vector (n, numbers) is from some of the others, `rows` (n, k), (n, k), by their differences."""
    step = max(1, _CHUNK // max(1, rows.shape[1] * vectors.shape[1]))
    chunks = zip(vectors.split(step), rows.split(step), strict=True)
    return torch.cat([torch.linalg.vector_norm(others[near] - chunk[:, None], dim=2) for chunk, near in chunks])


def _distances(chunk: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Give squared distances (chunk, vectors), short of the squared length of each of the chunk's: the order is the same."""
    return torch.addmm(vectors.square().sum(1), chunk, vectors.T, alpha=-2)


def nearest_rows(vectors: torch.Tensor, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Give the `k` nearest others of every vector, the nearest first, and how far they are (Euclidean), (n, k) each.

    Exact: every pair is looked at.

    Examples
    --------
    >>> rows, distances = nearest_rows(torch.tensor([[0.0], [1.0], [3.0]]), 1)
    >>> rows.ravel(), distances.ravel()
    (array([1, 0, 1]), array([1., 1., 2.], dtype=float32))
    """
    count = len(vectors)
    k = min(k, count - 1)
    rows = torch.empty((count, k), dtype=torch.int64)
    step = max(1, _CHUNK // count)
    with advancing("looking for neighbours", count) as advance:
        for first in range(0, count, step):
            chunk = vectors[first : first + step]
            rows[first : first + step] = nearest_by_products(
                chunk, vectors, k, own_rows=torch.arange(first, first + len(chunk))
            )
            advance(len(chunk))
    distances, order = distances_to(vectors, vectors, rows).sort(dim=1, stable=True)
    return rows.gather(1, order).numpy(), distances.numpy()


def nearest_points(points: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Give the `k` nearest others of every point of a plane, the nearest first, (n, k).

    >>> nearest_points(np.float32([[0, 0], [1, 0], [3, 0]]), 1).ravel()
    array([1, 0, 1])
    """
    from scipy.spatial import KDTree

    rows = np.asarray(KDTree(points).query(points, k + 1)[1])
    # Of points at one place any may come first: the point itself is taken out wherever it stands, or else the last.
    excess = rows == np.arange(len(points))[:, None]
    excess[~excess.any(1), -1] = True
    return rows[~excess].reshape(len(points), k).astype(np.int64)


def trustworthiness(
    vectors: torch.Tensor, points: torch.Tensor, k: int = 15, *, sample: int = 2000, seed: int = 0
) -> float:
    """Say how far a map can be trusted: are those that are near in it near in truth? (Venna and Kaski 2001)

    Parameters
    ----------
    vectors, points
        The truth (n, numbers) and the map (n, 2).
    k
        How many neighbours in the map are looked at.
    sample
        How many images are asked for their neighbours among all; all if there are no more.
    seed
        Seed of the choice.

    Returns
    -------
    float
        1 if all `k` nearest in the map are among the `k` nearest in truth; about 0.5 for a map at random.

    Examples
    --------
    >>> points = torch.rand(100, 2, generator=torch.Generator().manual_seed(0))
    >>> trustworthiness(torch.cat([points, 0 * points], 1), points, 5)
    1.0
    """
    count = len(vectors)
    k = min(k, max(1, (count - 2) // 2))
    # Products lose digits far from the origin; distances are the same around it.
    vectors, points = vectors - vectors.mean(0), points.double() - points.double().mean(0)
    chosen = np.arange(count)
    if sample < count:
        chosen = np.sort(np.random.default_rng(seed).choice(count, sample, replace=False))
    penalty = 0
    step = max(1, _CHUNK // 4 // count)
    for first in track(range(0, len(chosen), step), "measuring the map"):
        rows = torch.from_numpy(chosen[first : first + step])
        line = torch.arange(len(rows))
        near = exact_distances(points[rows], points)
        near[line, rows] = torch.inf
        neighbours = near.topk(k, 1, largest=False).indices
        truth = _distances(vectors[rows], vectors)
        truth[line, rows] = -torch.inf
        for neighbour in neighbours.T:
            # How many are nearer in truth, the image itself, which is nearest, among them: so the nearest has rank 1. Of those
            # that are as far the earlier come first, as in scikit-learn.
            reference = truth[line, neighbour][:, None]
            earlier = torch.arange(count) < neighbour[:, None]
            rank = ((truth < reference) | ((truth == reference) & earlier)).sum(1)
            penalty += int((rank - k).clamp_(min=0).sum())
    return 1 - 2 * penalty / (len(chosen) * k * (2 * count - 3 * k - 1))


def kept_class(neighbours: NDArray[np.integer[Any]], classes: NDArray[np.int64]) -> float | None:
    """Give the share of neighbours, (n, k), that have an image's own class, over the images that have one; None if none has."""
    labelled = classes >= 0
    if not labelled.any():
        return None
    same = classes[neighbours] == classes[:, None]
    return float(same[labelled].mean())
