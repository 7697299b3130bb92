"""The ways to lay vectors out on the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.exemplars.som import SelfOrganisingMap, cell_places, fit_som, principal_axes
from iconoscope.extras import imported
from iconoscope.progress import advancing

__all__ = ["LAYOUTS", "Placed", "in_plane", "place_among"]

SEEDS = 2**32
"""Seeds of the libraries' generators; a larger one is taken modulo."""

_PAIRS_A_THREAD = 50_000
"""Pairs of neighbours that make a further thread worth its waiting: on a busy machine threads without work wait for others."""

_EARLY = 250  # iterations of t-SNE in which groups are pulled together


class Placed(NamedTuple):
    """Where a method puts the images, and what else it says of them."""

    points: NDArray[np.float32]
    som: SelfOrganisingMap | None = None


def threads_for(pairs: int) -> int:
    """Give how many threads so many pairs of neighbours are worth: no more than torch has, which reads OMP_NUM_THREADS.

    >>> threads_for(105)
    1
    """
    return max(1, min(torch.get_num_threads(), pairs // _PAIRS_A_THREAD))


def _tsne(near: torch.Tensor, neighbours: NDArray[Any], distances: NDArray[Any], settings: Any) -> Placed:
    imported("openTSNE")
    import openTSNE
    from openTSNE import affinity, initialization
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    # Of any size, as t-SNE is; and the first two principal components want two numbers.
    scale = float(near.abs().max()) or 1.0
    data = torch.nn.functional.pad(near.double() / scale, (0, max(0, 2 - near.shape[1]))).numpy()
    distances = distances / scale
    perplexity, seed = settings["perplexity"], settings["seed"] % SEEDS
    threads = threads_for(neighbours.size)
    if not distances.any():  # all vectors are the same: there is nothing to lay out, and no first principal component
        return Placed(np.zeros((len(data), 2), np.float32))
    with advancing("t-SNE", _EARLY + settings["iterations"]) as advance:
        if neighbours.shape[1] >= int(3 * perplexity):
            nearest = PrecomputedNeighbors(neighbours[:, : int(3 * perplexity)], distances[:, : int(3 * perplexity)])
            affinities = affinity.PerplexityBasedNN(knn_index=nearest, perplexity=perplexity, n_jobs=threads)
        else:
            affinities = affinity.PerplexityBasedNN(
                data, perplexity=perplexity, method="annoy", metric="euclidean", n_jobs=threads, random_state=seed
            )
        start = initialization.pca(data, random_state=seed)
        embedding = openTSNE.TSNEEmbedding(start, affinities, n_jobs=threads, random_state=seed)

        def report(iteration: int, error: float, embedding: Any) -> None:
            advance(50)

        every = {"callbacks": report, "callbacks_every_iters": 50, "use_callbacks": True}
        embedding.optimize(_EARLY, exaggeration=12, momentum=0.8, inplace=True, **every)
        embedding.optimize(settings["iterations"], exaggeration=1, momentum=0.8, inplace=True, **every)
    return Placed(np.array(embedding, np.float32))


def _umap(near: torch.Tensor, neighbours: NDArray[Any], distances: NDArray[Any], settings: Any) -> Placed:
    import umap  # pyright: ignore[reportMissingImports]

    count = max(2, min(len(near) - 1, round(settings["perplexity"])))
    with advancing("UMAP", None):
        reducer = umap.UMAP(n_neighbors=count, metric="euclidean", random_state=settings["seed"] % SEEDS, n_jobs=1)
        return Placed(np.asarray(reducer.fit_transform(near.numpy()), np.float32))


def _pacmap(near: torch.Tensor, neighbours: NDArray[Any], distances: NDArray[Any], settings: Any) -> Placed:
    import pacmap  # pyright: ignore[reportMissingImports]

    with advancing("PaCMAP", None):
        reducer = pacmap.PaCMAP(n_components=2, random_state=settings["seed"] % SEEDS)
        return Placed(np.asarray(reducer.fit_transform(near.numpy(), init="pca"), np.float32))


def _pca(near: torch.Tensor, neighbours: NDArray[Any], distances: NDArray[Any], settings: Any) -> Placed:
    return Placed(in_plane(near, near))


def in_plane(vectors: torch.Tensor, of: torch.Tensor) -> NDArray[np.float32]:
    """Give where vectors (n, numbers) lie in the plane in which others, `of`, vary most, (n, 2)."""
    middle = of.mean(0)
    centred = of - middle
    _, axes = principal_axes(centred.T @ centred)
    return (vectors - middle).matmul(axes.float()).numpy()


def _som(near: torch.Tensor, neighbours: NDArray[Any], distances: NDArray[Any], settings: Any) -> Placed:
    shape = tuple(settings["shape"])
    som = fit_som(near, (shape[0], shape[1]), topology=settings["topology"], epochs=settings["epochs"])
    return Placed(_around_cells(som), som)


def _around_cells(som: SelfOrganisingMap) -> NDArray[np.float32]:
    """Put the images of a cell around its centre in a spiral, the nearest to it in the middle, so that all are seen."""
    order = np.lexsort((som.distances, som.cells))
    counts = np.bincount(som.cells, minlength=len(som.weights))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)  # within the cell, (n,)
    share = np.sqrt(rank / np.repeat(np.maximum(counts, 1), counts))
    angle = rank * np.pi * (3 - np.sqrt(5))  # the golden angle, as seeds of a sunflower
    points = cell_places(som.shape, som.topology)[som.cells]
    points[order] += (0.45 * share[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)).astype(np.float32)
    return points


LAYOUTS: dict[str, Callable[..., Placed]] = {
    "tsne": _tsne, "umap": _umap, "pacmap": _pacmap, "pca": _pca, "som": _som,
}  # fmt: skip


def place_among(
    mapped: torch.Tensor, new: torch.Tensor, points: NDArray[np.float32], perplexity: float, *, seed: int
) -> NDArray[np.float32]:
    """Place new vectors (m, numbers) into a map by t-SNE of others (n, numbers), whose points (n, 2) stay where they are."""
    imported("openTSNE")
    import openTSNE
    from openTSNE import affinity

    with advancing("placing", None):
        affinities = affinity.PerplexityBasedNN(
            mapped.numpy(),
            perplexity=perplexity,  # pyright: ignore[reportArgumentType] (a float is what it wants)
            method="annoy" if len(mapped) > 1000 else "exact",
            metric="euclidean",
            n_jobs=threads_for(len(new) * round(3 * perplexity)),
            random_state=seed % SEEDS,
        )
        embedding = openTSNE.TSNEEmbedding(
            points.astype(np.float64), affinities, n_jobs=affinities.n_jobs, random_state=seed % SEEDS
        )
        return np.array(embedding.transform(new.numpy()), np.float32)
