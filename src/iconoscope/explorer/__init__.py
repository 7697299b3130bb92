"""The explorer: move about in what was found of a network, and ask it the rest."""

from iconoscope.explorer.explore import explore, open_session

__all__ = ["explore", "open_session"]
