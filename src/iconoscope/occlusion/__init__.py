"""Region occlusion: cover a region of the photograph and ask again."""

from iconoscope.occlusion.attribute import attribute
from iconoscope.occlusion.faithfulness import faithfulness
from iconoscope.occlusion.fills import FILLS
from iconoscope.occlusion.geometry import Grid, make_grid
from iconoscope.occlusion.occlude import occlude, occlude_each, refine

__all__ = [
    "FILLS",
    "Grid",
    "attribute",
    "faithfulness",
    "make_grid",
    "occlude",
    "occlude_each",
    "refine",
]
