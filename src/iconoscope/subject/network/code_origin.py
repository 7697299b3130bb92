"""Origin of code: Python's own, torch's and NumPy's, an installed library's, or the user's."""

from __future__ import annotations

import functools
import math
import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = [
    "file_of", "is_as_shipped", "is_installed", "is_library", "is_of_python", "is_outside", "is_own", "name_outside",
    "replacements", "unwrapped",
]  # fmt: skip

_OUTSIDE = ("torch", "numpy", "scipy", "PIL", "iconoscope")
"""Packages whose parts go in by name: they are what the network runs on."""
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
"""Folders of installed libraries: those of this environment, of the one it is built on, and of the user."""
_PYTHON = tuple(
    os.path.realpath(path) + os.sep for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
)


def is_of_python(kind: type) -> bool:
    """Tell whether a class adds nothing but attributes to its base: what C adds, Python may not see.

    That shows in the size of its objects, which is that of a dictionary, a list of references and slots; so `copyreg` tells it.

    >>> import operator
    >>> is_of_python(os.PathLike), is_of_python(operator.itemgetter), is_of_python(dict)
    (True, False, False)
    """
    members, pointer = vars(kind), object.__basicsize__ // 2
    slots = members.get("__slots__", ())
    pointers = len({*([slots] if isinstance(slots, str) else slots)} - {"__dict__", "__weakref__"})
    pointers += ("__weakref__" in members and kind.__weakrefoffset__ > 0) + (
        "__dict__" in members and kind.__dictoffset__ > 0
    )
    base = kind.__base__ or kind
    return kind.__basicsize__ <= base.__basicsize__ + pointer * pointers and kind.__itemsize__ == base.__itemsize__


def file_of(kind: type) -> str:
    """Give the file of the code that made a class; ``<typed in>`` where it has none, empty where Python itself has it."""
    module = sys.modules.get(kind.__module__)
    # What was typed in, or made from a file that was run, has no module; it is of Python all the same.
    return getattr(module, "__file__", None) or ("" if kind.__module__ in sys.builtin_module_names else "<typed in>")


@functools.lru_cache(4096)
def is_library(file: str) -> bool:
    """Tell whether a file is of Python's library or of an installed one; what has no file is of Python."""
    if not file or file.startswith("<"):  # what was typed in has no file; parts of Python are frozen into it
        return not file or file.startswith("<frozen ")
    return is_installed(file) or os.path.realpath(file).startswith(_PYTHON)


@functools.lru_cache(4096)
def is_installed(file: str) -> bool:
    """Tell whether a file is of an installed library."""
    return not file.startswith("<") and any(folder in os.path.realpath(file) for folder in _PACKAGES)


def is_outside(module: str, file: str) -> bool:
    """Tell whether code goes in by name: torch's, NumPy's and Python's own, where it is what its name says."""
    if module.partition(".")[0] in _OUTSIDE:
        return file.startswith("<") or is_library(file) or module.startswith("iconoscope")
    return is_library(file) and not is_installed(file)


def is_own(code: Any) -> bool:
    """Tell whether a function, or an object by its class, is the user's: of neither Python, torch nor an installed library."""
    function = unwrapped(code)
    if isinstance(function, types.FunctionType):
        file = function.__code__.co_filename
        return not is_outside(function.__module__ or "", file) and not is_installed(file)
    kind = function if isinstance(function, type) else type(function)
    return not is_outside(kind.__module__, file_of(kind)) and not is_installed(file_of(kind))


def unwrapped(attribute: Any) -> Any:
    """Give the function in a method, a property, or a partial one."""
    while True:
        if isinstance(attribute, staticmethod | classmethod | types.MethodType):
            attribute = attribute.__func__
        elif isinstance(attribute, property):
            attribute = attribute.fget
        elif isinstance(attribute, functools.cached_property | functools.partial):
            attribute = attribute.func
        else:
            return attribute


def replacements() -> Iterator[tuple[str, Any]]:
    """Give what stands in the namespaces that networks call under the name of something else: the user's, or another's."""
    import torch

    namespaces = (
        torch,
        torch.nn.functional,
        vars(torch._C)["_nn"],
        torch.linalg,
        torch.special,
        torch.fft,
        math,
        np,
    )
    for namespace in namespaces:
        for name, value in vars(namespace).items():
            if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
                # Some of torch's stand there under a second name, as `torch.special.expit`, and always have.
                if value.__name__ != name or (isinstance(value, types.FunctionType) and is_own(value)):
                    yield f"{namespace.__name__}.{name}", value
            elif isinstance(value, functools.partial | types.MethodType) or (
                callable(value) and not isinstance(value, type) and is_own(value)
            ):
                yield f"{namespace.__name__}.{name}", value


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
    if isinstance(value, type(np.sum)):
        return f"numpy.{value.__name__}"
    if isinstance(value, types.WrapperDescriptorType | types.MethodDescriptorType | types.ClassMethodDescriptorType):
        return f"{value.__objclass__.__qualname__}.{value.__name__}"
    return None


def is_as_shipped(name: str, member: Any) -> bool:
    """Tell whether a member of a library says nothing: it is torch's or Python's under its name, or may be anything."""
    import torch

    if isinstance(
        member, bool | int | float | complex | torch.Tensor | np.ndarray | functools.partial | types.MethodType
    ):
        return False
    if isinstance(member, type):
        return is_outside(member.__module__, file_of(member))
    if isinstance(member, types.FunctionType):
        return member.__name__ == name and is_outside(member.__module__ or "", member.__code__.co_filename)
    shipped = name_outside(member)
    return not is_own(member) if shipped is None else shipped.rpartition(".")[2] == name
