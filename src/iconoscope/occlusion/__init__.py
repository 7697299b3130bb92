"""Region occlusion: cover a region of the photograph and ask again."""

from iconoscope.occlusion.exchange import exchange
from iconoscope.occlusion.fills import FILLS, Fill
from iconoscope.occlusion.geometry import Grid, make_grid
from iconoscope.occlusion.occlude import occlude

__all__ = ["FILLS", "Fill", "Grid", "exchange", "make_grid", "occlude"]
