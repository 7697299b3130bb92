"""What the space of a layer holds: the concepts of a class."""

from iconoscope.representation.concepts import concepts

__all__ = ["concepts"]
