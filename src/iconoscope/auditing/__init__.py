"""Evidence for the conclusion: does a network go by the object, or by something that comes with it?

The rule that makes a verdict of it is `iconoscope.results.decision_rule`, so that an audit can be read without torch.
"""

from iconoscope.auditing.audit import audit
from iconoscope.auditing.nuisances import NUISANCES, Nuisance
from iconoscope.auditing.profile import profile
from iconoscope.auditing.segmentation import Pictures

__all__ = ["NUISANCES", "Nuisance", "Pictures", "audit", "profile"]
