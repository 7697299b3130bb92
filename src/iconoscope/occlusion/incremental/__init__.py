"""The incremental engines: each position computes anew only what its patch changes, exactly or nearly.

In the order of reading: `iconoscope.subject.captured` makes of a module a graph of steps, each of which says how a change
passes through it; `plan` decides which positions run together and `windows` where their changed pixels lie; `instructions` are
the indices that gather these pixels, and `engine` computes them. `exact` and `fast` decide whether that pays, check it against
the dense engine, and fall back to it.

A patch of 4x4 pixels before a convolution of 3x3 changes a window of 6x6 of its map, one pixel further on every side; a pooling
of 2x2 after it makes at most 4x4 of these. So early layers compute few pixels anew, and only late ones whole maps.
"""

from iconoscope.occlusion.incremental.exact import PlanCache, scan_exact
from iconoscope.occlusion.incremental.fast import scan_fast

__all__ = ["PlanCache", "scan_exact", "scan_fast"]
