"""How results are read: the report, made of the store and nothing else, the page of an audit, and the page of a map."""

from iconoscope.show.audit_page import audit_page
from iconoscope.show.map import map_page
from iconoscope.show.page import report

__all__ = ["audit_page", "map_page", "report"]
