"""What one map of an occlusion says of the object, as `looks_at_object` takes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.results import Occlusion
from iconoscope.results.object_evidence import object_evidence

__all__ = ["MapEvidence", "map_evidence"]


class MapEvidence(NamedTuple):
    """The fields of `ObjectEvidence`, and the largest drop; NaN where no patch costs anything."""

    largest: float
    hit: float
    share: float
    area: float
    beside: float
    beside_positions: float
    p_object: float
    p_context: float


def map_evidence(result: Occlusion, mask: NDArray[np.bool_]) -> MapEvidence:
    """Hold a map against the mask (height, width) of the object."""
    evidence = object_evidence(result, mask)
    return MapEvidence(
        largest=float(result.drop.max()),
        hit=float("nan") if evidence.pointing is None else float(evidence.pointing),
        share=evidence.share,
        area=evidence.area,
        beside=evidence.beside,
        beside_positions=evidence.patches_beside,
        p_object=evidence.p_object,
        p_context=evidence.p_context,
    )
