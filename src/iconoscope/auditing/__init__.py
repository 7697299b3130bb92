"""The conclusion: does a network go by the object, or by something that comes with it?"""

from iconoscope.auditing.audit import audit
from iconoscope.auditing.nuisances import NUISANCES, Nuisance
from iconoscope.auditing.segmentation import Pictures

__all__ = ["NUISANCES", "Nuisance", "Pictures", "audit"]
