"""The ways to lay vectors out on the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.exemplars.som import SelfOrganisingMap, cell_places, fit_som, principal_axes
from iconoscope.exemplars.tsne import SEEDS, embed, embed_by_sample
from iconoscope.progress import advancing

__all__ = ["LAYOUTS", "Placed", "in_plane"]


class Placed(NamedTuple):
    """Where a method puts the images, and what else it says of them."""

    points: NDArray[np.float32]
    som: SelfOrganisingMap | None = None


def _tsne(near: torch.Tensor, neighbours: NDArray[Any], distances: NDArray[Any], settings: Any) -> Placed:
    ask = embed_by_sample if "embedded" in settings else embed
    return Placed(ask(near, neighbours, distances, settings))


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
