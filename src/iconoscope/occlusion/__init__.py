"""Region occlusion: cover a region of the photograph and ask again."""

from iconoscope.occlusion.agree import agree
from iconoscope.occlusion.attribute import attribute
from iconoscope.occlusion.compare_maps import compare_maps
from iconoscope.occlusion.curves import curves
from iconoscope.occlusion.fills import FILLS
from iconoscope.occlusion.geometry import Grid, make_grid
from iconoscope.occlusion.mean_map import mean_map
from iconoscope.occlusion.occlude import occlude, occlude_each, refine
from iconoscope.occlusion.scales import occlude_scales

__all__ = [
    "FILLS",
    "Grid",
    "agree",
    "attribute",
    "compare_maps",
    "curves",
    "make_grid",
    "mean_map",
    "occlude",
    "occlude_each",
    "occlude_scales",
    "refine",
]
