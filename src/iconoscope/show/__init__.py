"""How results are read: the report. It reads the store and nothing else."""

from iconoscope.show.page import report

__all__ = ["report"]
