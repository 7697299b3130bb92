"""The representation: what the space of a layer holds, beyond what single units answer."""

from iconoscope.representation.activation_atlas import activation_atlas
from iconoscope.representation.circuits import feeds
from iconoscope.representation.concepts import concepts

__all__ = ["activation_atlas", "concepts", "feeds"]
