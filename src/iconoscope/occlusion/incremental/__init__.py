"""The exact incremental engine: each position computes anew only what its patch changes."""

from iconoscope.occlusion.incremental.scan import Plans, scan_exact

__all__ = ["Plans", "scan_exact"]
