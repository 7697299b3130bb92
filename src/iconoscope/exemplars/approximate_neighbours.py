"""Nearest neighbours of very many vectors by an index, and how many of them are the true ones."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import IconoscopeWarning
from iconoscope.exemplars.nearest_neighbours import distances_to, nearest_by_products, nearest_rows
from iconoscope.extras import import_extra
from iconoscope.progress import advancing

__all__ = ["EXACT", "approximate_rows", "nearest_among", "neighbour_recall", "neighbour_settings", "neighbours_of"]

EXACT = 50_000
"""Vectors up to which every pair is looked at: some ten seconds of a core, and four times as long for twice as many."""

_LINKS = 16  # of a vector in the graph
_LOOKED_AT = 64  # vectors that are held while one is added or looked for, at least
_CHUNK = 8192  # vectors between two reports


def has_index() -> bool:
    """Tell whether the package is installed that finds neighbours approximately."""
    return find_spec("usearch") is not None


def neighbour_settings(count: int) -> dict[str, str]:
    """Say how neighbours of so many vectors are looked for, as a question has it: nothing where it is every pair in any case.

    >>> neighbour_settings(100)
    {}
    """
    if count <= EXACT:
        return {}
    return {"neighbours": "approximate" if has_index() else "exact"}


def neighbours_of(vectors: torch.Tensor, k: int) -> tuple[NDArray[np.integer[Any]], NDArray[np.float32]]:
    """Give neighbours as `nearest_rows` does: exact up to `EXACT` vectors, beyond that by the index, if it is installed."""
    if len(vectors) <= EXACT:
        return nearest_rows(vectors, k)
    if has_index():
        return approximate_rows(vectors, k)
    warnings.warn(
        f"Neighbours of {len(vectors):,} images are looked for among all pairs, which takes four times as long for twice "
        "as many. An index finds them sooner: pip install 'iconoscope[large]', in a clone pip install '.[large]'.",
        IconoscopeWarning,
        stacklevel=2,
    )
    return nearest_rows(vectors, k)


def approximate_rows(vectors: torch.Tensor, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Give about the `k` nearest others of every vector, the nearest first, and how far they are (Euclidean), (n, k) each.

    By hierarchical navigable small worlds (Malkov and Yashunin 2018). The graph is built by one thread, so that it is the same
    in every run; usearch brings no OpenMP of its own, which beside torch's ends the process on macOS and Windows.

    Raises
    ------
    MissingExtraError
        If usearch is not installed.

    Examples
    --------
    >>> rows, distances = approximate_rows(torch.tensor([[0.0, 0], [1, 0], [3, 0]]), 1)
    >>> rows.ravel(), distances.ravel()
    (array([1, 0, 1], dtype=int32), array([1., 1., 2.], dtype=float32))
    """
    count = len(vectors)
    k = min(k, count - 1)
    data = vectors.numpy()
    index = _index(vectors, k + 1)
    rows = np.empty((count, k), np.int32)
    distances = np.empty((count, k), np.float32)
    with advancing("looking for neighbours", count) as advance:
        for first in range(0, count, _CHUNK):
            chunk = vectors[first : first + _CHUNK]
            matches = index.search(data[first : first + _CHUNK], k + 1, threads=torch.get_num_threads())
            chosen = _others(matches.keys.astype(np.int64), first, k)
            lost = np.flatnonzero(
                matches.counts <= k
            )  # the graph may be in parts, where very many vectors are the same
            for row in lost.tolist():
                chosen[row] = nearest_by_products(
                    chunk[row : row + 1], vectors, k, own_rows=torch.tensor([first + row])
                ).numpy()
            apart, order = distances_to(chunk, vectors, torch.from_numpy(chosen)).sort(dim=1, stable=True)
            rows[first : first + len(chunk)] = np.take_along_axis(chosen, order.numpy(), 1)
            distances[first : first + len(chunk)] = apart.numpy()
            advance(len(chunk))
    return rows, distances


def nearest_among(vectors: torch.Tensor, others: torch.Tensor, k: int) -> NDArray[np.int64]:
    """Give about the `k` nearest of others (m, numbers) to each of some vectors (n, numbers), (n, k); exact without the index.

    >>> nearest_among(torch.tensor([[0.2, 0], [2.9, 0]]), torch.tensor([[0.0, 0], [1, 0], [3, 0]]), 1).ravel()
    array([0, 2])
    """
    nearest = np.empty((len(vectors), k), np.int64)
    index = _index(others, k) if has_index() else None
    with advancing("looking for neighbours in the sample", len(vectors)) as advance:
        for first in range(0, len(vectors), _CHUNK):
            chunk = vectors[first : first + _CHUNK]
            matches = index and index.search(chunk.numpy(), k, threads=torch.get_num_threads())
            if matches and (matches.counts == k).all():
                nearest[first : first + len(chunk)] = matches.keys
            else:
                parts = [nearest_by_products(part, others, k).numpy() for part in chunk.split(512)]
                nearest[first : first + len(chunk)] = np.concatenate(parts)
            advance(len(chunk))
    return nearest


def _index(vectors: torch.Tensor, k: int) -> Any:
    """Give usearch's index of vectors (n, numbers), in which `k` of them are looked for."""
    index_type = import_extra("usearch.index", "large", "a map of many images").Index
    index = index_type(
        ndim=vectors.shape[1],
        metric="l2sq",
        dtype="f32",
        connectivity=_LINKS,
        expansion_add=_LOOKED_AT,
        expansion_search=max(_LOOKED_AT, k),
    )
    with advancing("an index of neighbours", len(vectors)) as advance:
        for first in range(0, len(vectors), _CHUNK):
            chunk = vectors[first : first + _CHUNK].numpy()
            index.add(np.arange(first, first + len(chunk)), chunk, threads=1)
            advance(len(chunk))
    return index


def _others(matches: NDArray[np.int64], first: int, k: int) -> NDArray[np.int64]:
    """Take each vector itself out of its matches (n, k + 1), of which the first is that of row `first`; or else the last."""
    own = matches == np.arange(first, first + len(matches))[:, None]
    own[~own.any(1), -1] = True
    return matches[~own].reshape(len(matches), k)


def neighbour_recall(
    vectors: torch.Tensor, neighbours: NDArray[np.integer[Any]], k: int, *, sample: int = 1000, seed: int = 0
) -> float:
    """Give the share of the `k` nearest of a vector that are among its `k` first neighbours (n, k or more), over a sample.

    One that is as near as the farthest of the true ones counts as one of these.

    Examples
    --------
    >>> vectors = torch.tensor([[0.0], [1.0], [3.0], [3.1]])
    >>> neighbour_recall(vectors, np.array([[1], [0], [3], [0]]), 1)
    0.75
    """
    count = len(vectors)
    chosen = np.arange(count)
    if sample < count:
        chosen = np.sort(np.random.default_rng(seed).choice(count, sample, replace=False))
    matched = 0
    for part in np.array_split(chosen, -(-len(chosen) // 50)):  # distances of 50 to all are held at once
        rows = torch.from_numpy(part)
        true = nearest_by_products(vectors[rows], vectors, k, own_rows=rows)
        farthest = distances_to(vectors[rows], vectors, true).amax(1, keepdim=True)
        apart = distances_to(vectors[rows], vectors, torch.from_numpy(neighbours[part, :k].astype(np.int64)))
        matched += int((apart <= farthest).sum())
    return matched / (len(chosen) * k)
