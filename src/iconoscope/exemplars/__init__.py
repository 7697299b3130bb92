"""Technique 3: what every unit answers to every image of a set. What is asked of the recording is still to come."""

from iconoscope.exemplars.record import record

__all__ = ["record"]
