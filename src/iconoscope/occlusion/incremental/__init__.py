"""The incremental engines: each position computes anew only what its patch changes, exactly or nearly."""

from iconoscope.occlusion.incremental.exact import PlanCache, scan_exact
from iconoscope.occlusion.incremental.fast import FastPlanCache, scan_fast

__all__ = ["FastPlanCache", "PlanCache", "scan_exact", "scan_fast"]
