"""What the space of a layer holds: the concepts of a class, and what feeds a unit."""

from iconoscope.representation.circuits import feeds
from iconoscope.representation.concepts import concepts

__all__ = ["concepts", "feeds"]
