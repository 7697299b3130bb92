"""The conclusion: does a network go by the object, or by something that comes with it?"""

from iconoscope.auditing.audit import audit
from iconoscope.auditing.nuisances import FAMILIES, Family
from iconoscope.auditing.segmentation import Pictures

__all__ = ["FAMILIES", "Family", "Pictures", "audit"]
