"""Results as data frames: columns of plain values, in whichever library of frames is there."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iconoscope.errors import MissingExtraError, check_choice
from iconoscope.extras import import_extra

__all__ = ["LIBRARIES", "Columns", "frame_of", "repeated", "stacked"]

LIBRARIES = {"polars": "DataFrame of polars", "pandas": "DataFrame of pandas"}

Columns = dict[str, Any]
"""Columns by name, arrays or lists of one length."""


def frame_of(columns: Mapping[str, Any], library: str | None = None) -> Any:
    """Make a data frame of columns.

    Parameters
    ----------
    columns
        Arrays or lists of one length, by name. Numbers of 32 bits stay so; None is a missing value, and so is NaN.
    library
        A key of `LIBRARIES`; if not given, the one that is imported already, else the first that is installed.

    Raises
    ------
    QuestionError
        If there is no such library.
    MissingExtraError
        If it is not installed.
    """
    if library is None:
        present = [name for name in LIBRARIES if name in sys.modules]
        present = present or [name for name in LIBRARIES if importlib.util.find_spec(name) is not None]
        if not present:
            raise MissingExtraError(
                "A data frame wants the package polars, or pandas; neither is installed.",
                hint="pip install 'iconoscope[frames]', in a clone pip install '.[frames]'",
            )
        library = present[0]
    check_choice("library", library, LIBRARIES)
    frames = import_extra(library, "frames", "A data frame")
    return frames.DataFrame({name: _plain(values) for name, values in columns.items()})


def _plain(values: Any) -> Any:
    """Give texts as a list, since libraries of frames read arrays of them each in its own way."""
    return values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "UO" else values


def stacked(tables: Sequence[Columns]) -> Columns:
    """Put tables with the same columns one below another."""
    return {name: [value for table in tables for value in table[name]] for name in tables[0]}


def repeated(count: int, **values: Any) -> Columns:
    """Give columns of which each has one value, so many times.

    >>> repeated(2, network="cars")
    {'network': ['cars', 'cars']}
    """
    return {name: [value] * count for name, value in values.items()}
