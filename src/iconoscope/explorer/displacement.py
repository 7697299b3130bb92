"""Why does an image lie where it lies on the map? How far its vector moves with a patch at every position.

Where it moves far, the covered region is what put the image among its neighbours (Zeiler and Fergus 2013 ask it of classes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iconoscope.exemplars.activation_summary import reading_vectors
from iconoscope.exemplars.recordable_layers import choose_layers
from iconoscope.occlusion import Grid, make_grid
from iconoscope.occlusion.fills import FillLike, read_fill
from iconoscope.occlusion.geometry import pictures_at_once
from iconoscope.progress import track
from iconoscope.subject.images import Image
from iconoscope.subject.network import Network

__all__ = ["Displacement", "displace", "vector_before_logits"]


@dataclass(frozen=True, eq=False)
class Displacement:
    """How far the vector before the logits moves.

    Attributes
    ----------
    grid
        The positions of the patch.
    distance : ndarray of float32, (grid rows, grid columns)
        Between the directions of the vectors with and without the patch: 0 is none, 2 the opposite, as on a map by cosine.
    vector : ndarray of float32, (numbers,)
        With nothing covered.
    """

    grid: Grid
    distance: NDArray[np.float32]
    vector: NDArray[np.float32]


def vector_before_logits(network: Network, image: Image) -> NDArray[np.float32]:
    """Give the vector before the logits (numbers,), as a recording has it."""
    import torch

    tensor = network.preprocessing.normalise(network.preprocessing.shown(image)[None]).to(network.device)
    network.notice_changes()
    with network.questioned(), torch.inference_mode():
        _, penultimate = choose_layers(network, ["logits"])
        with reading_vectors(network, penultimate) as read:
            return read(tensor)[0].cpu().numpy()


def displace(
    network: Network,
    image: Image,
    *,
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: FillLike = "mean",
    seed: int = 0,
) -> Displacement:
    """Cover one region of an image after another, and see how far its vector before the logits moves.

    Settings are those of `occlude`.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net, image = ico.load_network("cars-honest", device="cpu"), ico.demo_images(2, seed=1)[0]
    >>> displace(net, image, patch=24, stride=24).distance.shape
    (4, 4)
    """
    import torch

    grid = make_grid(network.preprocessing.size, patch=patch, stride=stride)
    picture = network.preprocessing.shown(image)
    tensor = network.preprocessing.normalise(picture[None])[0].to(network.device)
    network.notice_changes()
    with network.questioned(), torch.inference_mode():
        _, penultimate = choose_layers(network, ["logits"])
        cover = read_fill(fill, network.preprocessing).of(picture).cover(picture, network.preprocessing, grid, seed)
        cover = cover.to(tensor)
        parts: list[torch.Tensor] = []
        with reading_vectors(network, penultimate) as read:
            vector = read(tensor[None])
            clean = torch.nn.functional.normalize(vector, dim=1)
            at_once = pictures_at_once(*grid.size)
            for first in track(range(0, len(grid), at_once), "positions"):
                positions = range(first, min(first + at_once, len(grid)))
                covered = torch.stack([cover.over(tensor, grid, position) for position in positions])
                moved = torch.nn.functional.normalize(read(covered), dim=1)
                parts.append((moved - clean).norm(dim=1))
    return Displacement(grid, torch.cat(parts).reshape(grid.shape).cpu().numpy(), vector[0].cpu().numpy())
