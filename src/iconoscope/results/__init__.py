"""What was found: frozen dataclasses of NumPy arrays, their figures, and the store on disk. No torch."""

from iconoscope.results.agreement import Agreement
from iconoscope.results.exchange import CONDITIONS, Exchange
from iconoscope.results.mean_map import MeanMap
from iconoscope.results.occlusion import Occlusion
from iconoscope.results.question import Question
from iconoscope.results.result import Result
from iconoscope.results.scales import Scales
from iconoscope.results.store import KINDS, Store, load_result

__all__ = [
    "CONDITIONS", "KINDS", "Agreement", "Exchange", "MeanMap", "Occlusion", "Question", "Result", "Scales", "Store",
    "load_result",
]  # fmt: skip
