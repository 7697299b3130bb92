"""The store: results filed under their questions, recordings, and what long questions have answered so far. No torch."""

from iconoscope.store.recording import Recording
from iconoscope.store.store import KINDS, Store, answered, load_question, load_result

__all__ = ["KINDS", "Recording", "Store", "answered", "load_question", "load_result"]
