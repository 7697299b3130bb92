"""What was captured of a network, held against the network itself: it may answer for it only where both agree.

A network can decide by what an image shows in ways that no tracer sees, and what it decided then is the same for every image in
what was captured. So the answers to every untouched image are compared, and those to some covered pictures of the first.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.occlusion.geometry import Cover, Grid
from iconoscope.subject.network import Network
from iconoscope.subject.network.steadiness import rounding_share
from iconoscope.subject.response import Response, respond
from iconoscope.vocabulary.unit import ClassUnit, Unit

__all__ = ["TOLERANCE", "clean_error", "covered_error", "values_of"]

TOLERANCE = 1e-4
"""Of a probability, or of the largest logit: what the answers may differ by from naive ones."""


def values_of(network: Network, answers: torch.Tensor, unit: Unit) -> torch.Tensor:
    """Turn the network's own answers into what is asked for."""
    return network.probabilities(answers) if isinstance(unit, ClassUnit) and unit.kind == "prob" else answers


def clean_error(
    network: Network, image: torch.Tensor, unit: Unit, answers: torch.Tensor, clean: Response | None
) -> float:
    """Give how far apart the network and what was captured of it answer an untouched image; 0 if that is tolerated.

    Parameters
    ----------
    network, unit
        The question.
    image
        (channels, height, width), in the network's input space.
    answers
        (1, outputs): those of what was captured, as `values_of` takes them.
    clean
        What the network itself answers, where it was asked already.
    """
    clean = respond(network, image[None], unit) if clean is None else clean
    answers = answers.float()
    error = _relative_error(values_of(network, answers, unit), clean.values)
    if error <= TOLERANCE and clean.logits is not None and not network.ending:
        # A probability near 0 or 1 stays there whatever becomes of its logit. Of a network that ends in an activation the
        # logits are worked out from such probabilities, and there they are mostly rounding.
        of_logits = _relative_error(answers, clean.logits)
        return of_logits if of_logits > rounding_share(image.dtype, device=image.device) else 0.0
    return error if error > TOLERANCE else 0.0


def covered_error(
    network: Network, image: torch.Tensor, cover: Cover, grid: Grid, unit: Unit, occluded: NDArray[np.float32]
) -> float:
    """Give the largest difference from naive answers: at the corners, in the centre and at two places drawn at random."""
    rows, columns = grid.shape
    corners = [0, columns - 1, (rows - 1) * columns, rows * columns - 1]
    drawn = np.random.default_rng(0).integers(len(grid), size=2).tolist()
    error = 0.0
    for position in dict.fromkeys([*corners, (rows // 2) * columns + columns // 2, *drawn]):
        naive = respond(network, cover.over(image, grid, position)[None], unit).values[0].cpu()
        error = max(error, _relative_error(torch.from_numpy(occluded[divmod(position, columns)]), naive))
    return error


def _relative_error(answers: torch.Tensor, naive: torch.Tensor) -> float:
    """Give the largest difference, of the largest answer where that is over 1; infinity where one of them is no number."""
    error = float((answers - naive).abs().max()) / max(1.0, float(naive.abs().max()))
    return error if np.isfinite(error) else float("inf")
