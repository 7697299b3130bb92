"""Origin of code: Python's own, torch's and NumPy's, an installed library's, or the user's."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import types
from typing import Any

import numpy as np

__all__ = ["file_of", "is_heap", "is_installed", "is_library", "is_outside", "is_replaced", "name_outside"]

_OUTSIDE = ("torch", "numpy", "scipy", "PIL", "iconoscope")
"""Packages whose parts go in by name: they are what the network runs on."""
_LIBRARIES = tuple(
    os.path.realpath(path) + os.sep
    for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_INSTALLED = tuple(
    os.path.realpath(path) + os.sep for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
)


def is_heap(kind: type) -> bool:
    """Tell whether a class was made by Python code: one of C may hold what Python does not see."""
    return bool(kind.__flags__ & (1 << 9)) and file_of(kind).endswith((".py", ">"))


def file_of(kind: type) -> str:
    """Give the file of the code that made a class; ``<typed in>`` where it has none, empty where Python itself has it."""
    module = sys.modules.get(kind.__module__)
    # What was typed in, or made from a file that was run, has no module; it is of Python all the same.
    return getattr(module, "__file__", None) or ("" if kind.__module__ in sys.builtin_module_names else "<typed in>")


@functools.lru_cache(4096)
def is_library(file: str) -> bool:
    """Tell whether a file is of Python's library or of an installed one; what has no file is of Python."""
    return os.path.realpath(file).startswith(_LIBRARIES) if file else True


@functools.lru_cache(4096)
def is_installed(file: str) -> bool:
    """Tell whether a file is of an installed library."""
    return os.path.realpath(file).startswith(_INSTALLED)


def is_outside(module: str, file: str) -> bool:
    """Tell whether code goes in by name: torch's, NumPy's and Python's own, where it is what its name says."""
    if module.partition(".")[0] in _OUTSIDE:
        return file.startswith("<") or is_library(file) or module.startswith("iconoscope")
    return is_library(file) and not is_installed(file) and not file.startswith("<")


def is_replaced(attribute: Any) -> bool:
    """Tell whether a function of one's own stands in a class of torch's or of Python's."""
    code = getattr(attribute, "__code__", None)
    return code is not None and not is_outside(attribute.__module__ or "", code.co_filename)


def name_outside(value: Any) -> str | None:
    """Give the name of what C or torch provides: a builtin, a ufunc, an operator; None for anything else."""
    import torch

    if isinstance(
        value, torch._ops.OpOverload | torch._ops.OpOverloadPacket | torch._ops.HigherOrderOperator | np.ufunc
    ):
        return str(value)
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType | type):
            return f"{value.__module__}.{value.__qualname__}"
        return None
    if isinstance(value, types.WrapperDescriptorType | types.MethodDescriptorType | types.ClassMethodDescriptorType):
        return f"{value.__objclass__.__qualname__}.{value.__name__}"
    return None
