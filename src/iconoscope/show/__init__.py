"""Pages that results are read on: the page of a store, of audits, or of a map."""

from iconoscope.show.report import report

__all__ = ["report"]
