"""What was found: frozen dataclasses of NumPy arrays, their figures, and the store on disk. No torch."""

from iconoscope.results.agreement import Agreement
from iconoscope.results.attribution import Attribution
from iconoscope.results.audit import Audit, ClassFinding
from iconoscope.results.compared_maps import ComparedMaps
from iconoscope.results.curves import Curves
from iconoscope.results.exchange import CONDITIONS, Exchange
from iconoscope.results.exemplars import SIDES, Exemplars
from iconoscope.results.image_map import ImageMap
from iconoscope.results.look import Finding, Look
from iconoscope.results.mean_map import MeanMap
from iconoscope.results.occlusion import Occlusion
from iconoscope.results.result import Result
from iconoscope.results.scales import Scales
from iconoscope.results.sheets import ActivationSheet, FilterSheet
from iconoscope.results.unit_search import UnitSearch
from iconoscope.results.verdict import VERDICTS, Estimate, Verdict
from iconoscope.results.visualization import Visualization
from iconoscope.store.question import Question
from iconoscope.store.recording import Recording
from iconoscope.store.store import KINDS, Store, load_result

__all__ = [
    "CONDITIONS",
    "KINDS",
    "SIDES",
    "VERDICTS",
    "ActivationSheet",
    "Agreement",
    "Attribution",
    "Audit",
    "ClassFinding",
    "ComparedMaps",
    "Curves",
    "Estimate",
    "Exchange",
    "Exemplars",
    "FilterSheet",
    "Finding",
    "ImageMap",
    "Look",
    "MeanMap",
    "Occlusion",
    "Question",
    "Recording",
    "Result",
    "Scales",
    "Store",
    "UnitSearch",
    "Verdict",
    "Visualization",
    "load_result",
]
