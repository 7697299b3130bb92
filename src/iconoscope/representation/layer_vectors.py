"""Vectors of a layer: what it answers at random places of many images, and what each vector adds to the logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from iconoscope.errors import ImagesError, NetworkError, NonFiniteError, UnitError, shortened, warn
from iconoscope.exemplars.loader import feed, worker_count
from iconoscope.progress import advancing
from iconoscope.subject.activation_layout import read_maps, tensor_of, token_grid
from iconoscope.subject.images import Images
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LayerCall, replacing
from iconoscope.warning_filters import ignoring

__all__ = ["LayerVectors", "read_vectors"]

_BATCH = 64
_INNER = 4
"""Rows and columns from which on a map's border is left out: there a layer sees what lies beyond the image."""


@dataclass(frozen=True, eq=False)
class LayerVectors:
    """Vectors of a layer: n of them.

    Attributes
    ----------
    rows : ndarray of int64, (n,)
        The images, by their numbers in the set.
    positions : ndarray of int64, (n, 2)
        The row and the column of the layer's map; -1 of a layer that answers one vector.
    shape : tuple of int
        Rows and columns of that map; (1, 1) of vectors.
    vectors : ndarray of float32, (n, channels)
        What the layer answers there.
    attributions : ndarray of float32, (n, classes)
        The gradient of each logit at the vector, times the vector.
    """

    rows: NDArray[np.int64]
    positions: NDArray[np.int64]
    shape: tuple[int, int]
    vectors: NDArray[np.float32]
    attributions: NDArray[np.float32]


def read_vectors(network: Network, images: Images, layer: str, *, each: int, seed: int) -> LayerVectors:
    """Read a layer at some places of every image, drawn at random, and ask what each vector adds to the logits.

    What it adds is linear: the gradients of all logits at the vector times the vector, which is one derivative along it
    (forward mode), however many classes there are.

    Parameters
    ----------
    network, images
        What is asked about what.
    layer
        Full name.
    each
        Places of an image; of a layer that answers fewer all of them.
    seed
        Of the places, which depend on nothing else but the number of the image.

    Raises
    ------
    UnitError
        If the layer answers no maps, tokens or vectors.
    NetworkError
        If the logits do not come by the layer.
    NonFiniteError
        If an answer is NaN or infinite.
    ImagesError
        If no image can be read. Those that cannot are left out, and a warning names them.
    """
    batch = 1 if network.singly else _BATCH
    parts: list[tuple[NDArray[Any], ...]] = []
    failed: dict[str, str] = {}
    shape = (1, 1)
    numbers = range(len(images))
    workers = worker_count(None, images)
    with advancing(f"reading {layer}", len(images)) as advance:
        for read in feed(images, network.preprocessing, numbers, batch=batch, workers=workers, shard=len(images)):
            failed |= read.failed
            if len(read.rows):
                tensor = network.preprocessing.normalise(read.pixels).to(network.device)
                places = _Places(read.rows, each, seed, (int(tensor.shape[2]), int(tensor.shape[3])))
                for vectors, attributions in _derivatives(network, tensor, layer, places):
                    parts.append((read.rows, places.positions, vectors, attributions))
                shape = places.shape
            advance(read.count)
    if not parts:
        raise ImagesError(f"None of the {len(images)} images from {images.source} can be read.")
    if failed:
        listed = shortened((f"{name} ({reason})" for name, reason in failed.items()), most=5)
        warn(f"{len(failed)} of {len(images)} images could not be read and were left out: {listed}.")
    rows, positions, vectors, attributions = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return LayerVectors(rows, positions, shape, vectors, attributions)


class _Places:
    """Where a layer is read on the images of a batch: one place of each after another."""

    def __init__(self, rows: NDArray[np.int64], each: int, seed: int, size: tuple[int, int]) -> None:
        self._rows, self._each, self._seed, self._size = rows, each, seed, size
        self._drawn: NDArray[np.int64] | None = None  # (images, places) into the allowed ones
        self.turn = 0
        self.count = 1
        self.shape = (1, 1)
        self.positions = np.full((len(rows), 2), -1, np.int64)

    def index(self, maps: torch.Tensor) -> tuple[Any, ...]:
        """Give what picks the vectors (images, channels) of this turn out of a layer's answer."""
        images = torch.arange(len(maps))
        if maps.ndim == 2:
            return (images,)
        first = 0
        self.shape = (int(maps.shape[2]), int(maps.shape[-1]))
        if maps.ndim == 3:
            grid = token_grid(int(maps.shape[2]), self._size)
            if grid is None:
                raise UnitError(f"{maps.shape[2]} tokens are no patches of a picture, and have no places.")
            first, self.shape = grid.prefix, (grid.rows, grid.columns)
        self.positions = self._draw()
        row, column = torch.from_numpy(self.positions).unbind(1)
        if maps.ndim == 3:
            return images, slice(None), first + row * self.shape[1] + column
        return images, slice(None), row, column

    def _draw(self) -> NDArray[np.int64]:
        lines = [range(1, length - 1) if length >= _INNER else range(length) for length in self.shape]
        allowed = np.array([(row, column) for row in lines[0] for column in lines[1]], np.int64)
        if self._drawn is None:
            self.count = min(self._each, len(allowed))
            draws = (np.random.default_rng([self._seed, int(row)]) for row in self._rows)
            self._drawn = np.stack([draw.choice(len(allowed), self.count, replace=False) for draw in draws])
        return allowed[self._drawn[:, self.turn]]


@contextmanager
def _differentiable_forward() -> Iterator[None]:
    """Let torch take derivatives forward, for the time of a block.

    What is fastest for transformers on a processor has none; and what torch imports for derivatives warns of itself.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with (
            ignoring("`torch.jit", DeprecationWarning),
            torch.no_grad(),
            forward_ad.dual_level(),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _derivatives(
    network: Network, tensor: torch.Tensor, layer: str, places: _Places
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Give the vectors at each of the places of a batch, and the derivatives of the logits along them."""
    read: list[torch.Tensor] = []

    def along_itself(call: LayerCall) -> torch.Tensor | None:
        if read:  # a layer may be used twice; it is read the first time
            return None
        answer = tensor_of(call.output)
        maps = read_maps(answer, call.module, tensor, layer)
        index = places.index(maps)
        vectors = maps[index]
        read.append(vectors.float())
        tangent = torch.zeros_like(answer)
        read_maps(tangent, call.module, tensor, layer)[index] = vectors  # which is a view of the tangent
        return forward_ad.make_dual(answer, tangent)

    while places.turn < places.count:
        read.clear()
        with _differentiable_forward(), replacing(network, layer, along_itself):
            change = forward_ad.unpack_dual(network.logits(tensor)).tangent
        if not read:
            raise NetworkError(f"{layer} was not reached when {network.name} ran: no unit of it can answer.")
        if change is None:
            raise NetworkError(
                f"The logits of {network.name} do not come by {layer}.", hint="Take a layer before the logits."
            )
        vectors, change = read[0].cpu().numpy(), change.float().cpu().numpy()
        if not (np.isfinite(vectors).all() and np.isfinite(change).all()):
            raise NonFiniteError(f"{layer} of {network.name} answers NaN or infinity, or its gradient is such.")
        yield vectors, change
        places.turn += 1
