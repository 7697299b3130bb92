"""t-SNE (van der Maaten and Hinton 2008) by openTSNE: whole, from a sample of very many, and into a map that is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.exemplars.approximate_neighbours import nearest_among
from iconoscope.exemplars.nearest_neighbours import nearest_rows
from iconoscope.extras import imported
from iconoscope.progress import advancing

__all__ = ["FINE", "SAMPLE", "SEEDS", "WHOLE", "embed", "embed_by_sample", "place_among", "threads_for"]

SEEDS = 2**32
"""Seeds of the libraries' generators; a larger one is taken modulo."""

WHOLE = 100_000
"""Vectors up to which all are laid out from the beginning."""
SAMPLE = 50_000
"""Of more vectors, those that are laid out first."""
FINE = 10.0
"""The perplexity, at most, by which all vectors find their places around these."""

_PAIRS_A_THREAD = 50_000
"""Pairs of neighbours that make a further thread worth its waiting: on a busy machine threads without work wait for others."""

_EARLY = 250  # iterations of t-SNE in which groups are pulled together
_REPORT = 50  # iterations between two reports
_BESIDE = 3  # vectors of the sample between which another one begins


def threads_for(pairs: int) -> int:
    """Give how many threads so many pairs of neighbours are worth: no more than torch has, which reads OMP_NUM_THREADS.

    >>> threads_for(105)
    1
    """
    return max(1, min(torch.get_num_threads(), pairs // _PAIRS_A_THREAD))


def embed(near: torch.Tensor, neighbours: NDArray[Any], distances: NDArray[Any], settings: Any) -> NDArray[np.float32]:
    """Lay vectors (n, numbers) out by their neighbours and how far these are, (n, k) each, of which 3 * perplexity are used."""
    from openTSNE import initialization

    # Of any size, as t-SNE is; and the first two principal components want two numbers.
    scale = float(near.abs().max()) or 1.0
    data = torch.nn.functional.pad(near.double() / scale, (0, max(0, 2 - near.shape[1]))).numpy()
    if not distances.any():  # all vectors are the same: there is nothing to lay out, and no first principal component
        return np.zeros((len(data), 2), np.float32)
    start = initialization.pca(data, random_state=settings["seed"] % SEEDS)
    return _optimized(start, neighbours, distances / scale, settings, settings["perplexity"], early=_EARLY)


def embed_by_sample(
    near: torch.Tensor, neighbours: NDArray[Any], distances: NDArray[Any], settings: Any
) -> NDArray[np.float32]:
    """Lay out a sample of vectors (n, numbers), ``settings["embedded"]`` of them, put the others beside it, and let all settle.

    Each of the others begins at the median place of the nearest of the sample (as Kobak and Berens 2019 do with the nearest);
    then all move for the iterations that are asked for, with a smaller perplexity, so that near vectors come together which the
    sample did not know.
    """
    count, random = len(near), np.random.default_rng(settings["seed"])
    sample = np.sort(random.choice(count, settings["embedded"], replace=False))
    among = near[torch.from_numpy(sample)]
    drawn = embed(among, *nearest_rows(among, int(3 * settings["perplexity"])), settings)
    beside = nearest_among(near, among, _BESIDE)
    start = np.median(drawn[beside], 1).astype(np.float64)
    start[sample] = drawn
    # Vectors beside the same ones of the sample would never part.
    start += random.normal(scale=1e-3 * max(float(drawn.std()), 1e-12), size=start.shape)
    return _optimized(start, neighbours, distances, settings, min(FINE, settings["perplexity"]), early=0)


def _optimized(
    start: NDArray[np.float64],
    neighbours: NDArray[Any],
    distances: NDArray[Any],
    settings: Any,
    perplexity: float,
    *,
    early: int,
) -> NDArray[np.float32]:
    """Let points (n, 2) move, at first for `early` iterations in which groups are pulled together."""
    imported("openTSNE")
    import openTSNE
    from openTSNE import affinity
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    k, threads = int(3 * perplexity), threads_for(neighbours.size)
    with advancing("t-SNE", early + settings["iterations"]) as advance:
        affinities = affinity.PerplexityBasedNN(
            knn_index=PrecomputedNeighbors(neighbours[:, :k], distances[:, :k]),
            perplexity=perplexity,  # pyright: ignore[reportArgumentType] (a float is what it wants)
            n_jobs=threads,
        )
        embedding = openTSNE.TSNEEmbedding(start, affinities, n_jobs=threads, random_state=settings["seed"] % SEEDS)

        def report(iteration: int, error: float, embedding: Any) -> None:
            advance(_REPORT)

        every = {"callbacks": report, "callbacks_every_iters": _REPORT, "use_callbacks": True}
        if early:
            embedding.optimize(early, exaggeration=12, momentum=0.8, inplace=True, **every)
        embedding.optimize(settings["iterations"], exaggeration=1, momentum=0.8, inplace=True, **every)
    return np.array(embedding, np.float32)


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
