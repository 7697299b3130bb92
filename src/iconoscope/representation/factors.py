"""Non-negative factors of vectors: few directions, of which every vector is nearly a sum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.extras import imported
from iconoscope.warning_filters import ignoring

__all__ = ["amounts", "cosines_to", "factorize", "stability"]

Vectors = NDArray[np.float32]

MOST_FITTED = 20_000
"""Vectors at most that factors are fitted to, drawn at random: few factors are known well from these."""
ROUNDS = 1000
"""Rounds of coordinate descent at most; a few dozen are usual."""


def factorize(vectors: Vectors, count: int, *, seed: int, rounds: int = ROUNDS) -> Vectors:
    """Find directions of which vectors are nearly sums with weights that are not negative (NMF, Lee and Seung 1999).

    They are scikit-learn's, by coordinate descent from the start that Boutsidis and Gallopoulos (2008) take from the singular
    vectors, so no luck is in them.

    Parameters
    ----------
    vectors
        (n, channels), nowhere below zero.
    count
        How many directions.
    seed
        Of the vectors that are drawn where there are over `MOST_FITTED`.
    rounds
        At most.

    Returns
    -------
    ndarray of float32, (count, channels)
        Each of length 1.

    Raises
    ------
    QuestionError
        If the vectors are sums of fewer.
    """
    if len(vectors) > MOST_FITTED:
        vectors = vectors[np.random.default_rng(seed).choice(len(vectors), MOST_FITTED, replace=False)]
    if count > min(vectors.shape):
        raise QuestionError(
            f"count={count} concepts cannot be made of {len(vectors)} places with {vectors.shape[1]} channels.",
            hint=f"Ask for {min(vectors.shape)} or fewer, or give more images.",
        )
    model = imported("sklearn.decomposition").NMF(count, init="nndsvda", random_state=seed % 2**32, max_iter=rounds)
    with ignoring("Maximum number of iterations"):
        model.fit(vectors)
    lengths = np.linalg.norm(model.components_, axis=1)
    if not lengths.all():
        raise QuestionError(
            f"Of count={count} concepts only {np.count_nonzero(lengths)} are anything at all.", hint="Ask for fewer."
        )
    return (model.components_ / lengths[:, None]).astype(np.float32)


def amounts(vectors: Vectors, directions: Vectors) -> Vectors:
    """Say how much of each direction is in vectors (n, channels): the non-negative least squares, (n, directions)."""
    with ignoring("Maximum number of iterations"):
        factors, _, _ = imported("sklearn.decomposition").non_negative_factorization(
            vectors,
            H=directions.astype(vectors.dtype),
            n_components=len(directions),
            init=None,
            update_H=False,
            max_iter=ROUNDS,
            tol=1e-6,
        )
    return factors.astype(np.float32)


def cosines_to(directions: Vectors, others: Vectors) -> Vectors:
    """Match directions of length 1 with others, one to one and the nearest in sum; give the cosines, (directions,)."""
    from scipy.optimize import linear_sum_assignment

    cosines = directions @ others.T
    rows, columns = linear_sum_assignment(-cosines)
    matched = np.zeros(len(directions), np.float32)
    matched[rows] = cosines[rows, columns]
    return matched


def stability(maps: Sequence[Vectors], directions: Vectors, *, resamples: int, seed: int) -> Vectors:
    """Say how alike directions come out of other images: the mean cosine with those of resamples of the images.

    Parameters
    ----------
    maps
        The vectors of every image, (places, channels) each; images are drawn from them with replacement.
    directions
        What `factorize` made of all of them.
    resamples
        How many times.
    seed
        Of the draws.

    Returns
    -------
    ndarray of float32, (directions,)
        0..1; NaN where nothing was drawn or there is one image.
    """
    if not resamples or len(maps) < 2:
        return np.full(len(directions), np.nan, np.float32)
    draws = np.random.default_rng(seed)
    # Of each image so many places that a resample is as large as what is fitted.
    share = max(1, MOST_FITTED // len(maps))
    cosines = np.zeros((resamples, len(directions)), np.float32)
    for number in range(resamples):
        images = draws.integers(0, len(maps), len(maps))
        drawn = [
            maps[image] if len(maps[image]) <= share else maps[image][draws.choice(len(maps[image]), share, False)]
            for image in images
        ]
        cosines[number] = cosines_to(directions, factorize(np.concatenate(drawn), len(directions), seed=seed))
    return cosines.mean(0)
