"""A self-organising map (Kohonen 1982), learnt in batches: every image at once, then every cell at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.exemplars.nearest_neighbours import distances_to, exact_distances, nearest_by_products
from iconoscope.progress import advancing

__all__ = ["SelfOrganisingMap", "cell_places", "fit_som", "principal_axes"]

LARGEST = 10_000  # cells
_CHUNK = 16_000_000  # distances that are held at once


@dataclass(frozen=True, eq=False)
class SelfOrganisingMap:
    """A map that was learnt.

    Attributes
    ----------
    weights : Tensor, (rows * columns, numbers)
        What every cell stands for, row by row.
    shape : tuple of int
        Rows and columns.
    topology : str
        A key of `iconoscope.results.image_map.TOPOLOGIES`.
    cells : ndarray of int64, (n,)
        The cell that is nearest to each vector.
    distances : ndarray of float32, (n,)
        How far it is.
    quantisation_error : float
        The mean of these distances.
    topographic_error : float
        The share of vectors whose nearest and second nearest cells are not neighbours on the map: 0 is none.
    """

    weights: torch.Tensor
    shape: tuple[int, int]
    topology: str
    cells: NDArray[np.int64]
    distances: NDArray[np.float32]
    quantisation_error: float
    topographic_error: float

    def u_matrix(self) -> NDArray[np.float32]:
        """Give the mean distance of every cell to its neighbours, (rows, columns): ridges part what is different."""
        beside = _beside(self.shape, self.topology)
        apart = exact_distances(self.weights, self.weights).cpu()
        return ((apart * beside).sum(1) / beside.sum(1)).numpy().reshape(self.shape)


def cell_places(shape: tuple[int, int], topology: str) -> NDArray[np.float32]:
    """Give where the cells' centres are on the map, across and down, in steps from cell to cell, (cells, 2).

    >>> cell_places((2, 2), "hexagonal").round(2).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.5, 0.87...], [1.5, 0.87...]]
    """
    rows, columns = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    places = np.stack([columns, rows], 1).astype(np.float32)
    if topology == "hexagonal":
        places[:, 0] += 0.5 * (rows % 2)
        places[:, 1] *= math.sqrt(3) / 2
    return places


def fit_som(
    vectors: torch.Tensor,
    shape: tuple[int, int],
    *,
    topology: str = "rectangular",
    epochs: int = 10,
) -> SelfOrganisingMap:
    """Learn a map: cells in a plane, near cells standing for near vectors.

    It starts as the plane of the first two principal components, so nothing is random. In every epoch each cell becomes the
    mean of all vectors, weighted by how near their own cells are (Gaussian). The width of that, in cells, falls from a
    twenty-fifth of the longer side, at least 1.5, to 1 in equal ratios.

    Parameters
    ----------
    vectors
        (n, numbers), on the device that is to be used.
    shape
        Rows and columns of the map.
    topology
        A key of `iconoscope.results.image_map.TOPOLOGIES`.
    epochs
        How many times all vectors are looked at.

    Raises
    ------
    QuestionError
        If there are too few cells or too many.

    Examples
    --------
    >>> line = torch.linspace(0, 1, 64)[:, None].repeat(1, 3)
    >>> learnt = fit_som(line, (1, 8))
    >>> bool(learnt.cells[:9].max() < 3), learnt.topographic_error
    (True, 0.0)
    """
    if min(shape) < 1 or shape[0] * shape[1] < 2:
        raise QuestionError(
            f"A map of {shape[0]}x{shape[1]} cells is too small.", hint="Give 2 cells or more, as 20x20."
        )
    if shape[0] * shape[1] > LARGEST:
        raise QuestionError(
            f"A map of {shape[0]}x{shape[1]} cells is too large: distances of all to all are held in memory.",
            hint=f"Give at most {LARGEST:,} cells, as 100x100.",
        )
    first = max(1.5, max(shape) / 25)
    places = torch.from_numpy(cell_places(shape, topology)).to(vectors.device)
    apart = exact_distances(places, places).square_()
    weights = _plane(vectors, places)
    with advancing(f"a map of {shape[0]}x{shape[1]} cells", epochs) as advance:
        for epoch in range(epochs):
            now = first ** (1 - epoch / (epochs - 1)) if epochs > 1 else 1.0
            nearest = _nearest(vectors, weights, 1)
            total = torch.zeros_like(weights).index_add_(0, nearest[:, 0], vectors)
            count = torch.bincount(nearest[:, 0], minlength=len(weights)).to(vectors.dtype)
            kernel = torch.exp(apart / (-2 * now * now))
            mass = (kernel @ count)[:, None]
            # A cell so far from all vectors that its weights are lost in rounding stays what it was.
            weights = torch.where(mass > 1e-6, (kernel @ total) / mass.clamp(min=1e-6), weights)
            advance(1)
    nearest = _nearest(vectors, weights, 2)
    distances = distances_to(vectors, weights, nearest[:, :1])[:, 0]
    beside = _beside(shape, topology).to(vectors.device)
    torn = ~beside[nearest[:, 0], nearest[:, 1]]
    return SelfOrganisingMap(
        weights=weights,
        shape=shape,
        topology=topology,
        cells=nearest[:, 0].cpu().numpy(),
        distances=distances.cpu().numpy(),
        quantisation_error=float(distances.double().mean()),
        topographic_error=float(torn.double().mean()),
    )


def principal_axes(products: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the two principal axes of centred vectors, longest first, and how much the vectors vary along each.

    Parameters
    ----------
    products
        (numbers, numbers): the covariance of the vectors, or any multiple of it.

    Returns
    -------
    tuple of Tensor
        The eigenvalues, (2,), and the axes, (numbers, 2), with the signs that make the sum of each positive, so that they are
        the same on every machine. Zeros where there is one number only.
    """
    values, axes = torch.linalg.eigh(products.double())
    values, axes = values[-2:].flip(0), axes[:, -2:].flip(1)
    # An axis such as (1, -1) has a sum of about nothing: then the sign of its first large number.
    sums, large = axes.sum(0), (axes.abs() > 0.5 * axes.abs().amax(0)).int().argmax(0)
    axes = axes * torch.where(sums.abs() > 1e-9, sums, axes.gather(0, large[None])[0]).sign()
    lacking = 2 - len(values)
    return torch.nn.functional.pad(values, (0, lacking)), torch.nn.functional.pad(axes, (0, lacking))


def _plane(vectors: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Lay the cells out in the plane of the first two principal components, two standard deviations to each side."""
    middle = vectors.mean(0)
    centred = vectors - middle
    # Of the covariance, which is small however many vectors there are.
    variances, axes = principal_axes((centred.T @ centred).double() / max(1, len(vectors)))
    span = places.max(0).values.clamp(min=1)
    # The longer side of the map along the longer axis of the vectors.
    axis_of_side = [0, 1] if span[0] >= span[1] else [1, 0]
    weights = middle.repeat(len(places), 1)
    for side, axis in enumerate(axis_of_side):
        reach = 2 * variances[axis].clamp(min=0).sqrt()
        along = (
            (places[:, side] / span[side] * 2 - 1)
            if places[:, side].max() > 0
            else torch.zeros(len(places), dtype=torch.float32)
        )
        weights = weights + (along.to(vectors).unsqueeze(1) * (reach * axes[:, axis]).to(vectors)[None])
    return weights


def _nearest(vectors: torch.Tensor, weights: torch.Tensor, k: int) -> torch.Tensor:
    """Give the `k` nearest cells of every vector, (n, k)."""
    chunks = vectors.split(max(1, _CHUNK // len(weights)))
    return torch.cat([nearest_by_products(chunk, weights, k) for chunk in chunks])


def _beside(shape: tuple[int, int], topology: str) -> torch.Tensor:
    """Say which cells are neighbours, (cells, cells): the eight around a cell of a rectangular map, the six of a hexagonal."""
    places = torch.from_numpy(cell_places(shape, topology))
    apart = exact_distances(places, places)
    reach = 1.5 if topology == "rectangular" else 1.1
    return (apart > 0) & (apart < reach)
