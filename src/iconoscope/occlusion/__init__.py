"""Region occlusion: cover a region of the photograph and ask again."""

from iconoscope.occlusion.curves import curves
from iconoscope.occlusion.exchange import exchange
from iconoscope.occlusion.fills import FILLS
from iconoscope.occlusion.geometry import Grid, make_grid
from iconoscope.occlusion.look import look, looks_at_object
from iconoscope.occlusion.occlude import occlude

__all__ = ["FILLS", "Grid", "curves", "exchange", "look", "looks_at_object", "make_grid", "occlude"]
