"""Region occlusion: cover a region of the photograph and ask again."""

from iconoscope.occlusion.exchange import exchange
from iconoscope.occlusion.fills import FILLS
from iconoscope.occlusion.geometry import Grid, make_grid
from iconoscope.occlusion.occlude import occlude, occlude_each

__all__ = ["FILLS", "Grid", "exchange", "make_grid", "occlude", "occlude_each"]
