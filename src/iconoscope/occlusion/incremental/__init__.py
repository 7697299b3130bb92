"""The incremental engines: each position computes anew only what its patch changes, exactly or nearly."""

from iconoscope.occlusion.incremental.exact import Plans, scan_exact
from iconoscope.occlusion.incremental.fast import Shortcuts, scan_fast

__all__ = ["Plans", "Shortcuts", "scan_exact", "scan_fast"]
