"""How results are read: the report, made of the store and nothing else, and the page of a map."""

from iconoscope.show.map import map_page
from iconoscope.show.page import report

__all__ = ["map_page", "report"]
