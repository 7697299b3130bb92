"""Exemplars: what every unit answers to every image of a set, and what those images tell."""

from iconoscope.exemplars.find import find_units
from iconoscope.exemplars.load_recording import load_recording
from iconoscope.exemplars.map import map_images, place_images
from iconoscope.exemplars.record import record
from iconoscope.exemplars.sheets import activation_maps
from iconoscope.exemplars.top import top_images

__all__ = [
    "activation_maps",
    "find_units",
    "load_recording",
    "map_images",
    "place_images",
    "record",
    "top_images",
]
