"""Technique 3: which images do units answer, how does a whole set of images lie before a network, which units know a concept?"""

from iconoscope.exemplars.record import record

__all__ = ["record"]
