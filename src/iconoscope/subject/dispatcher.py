"""Torch's operations one by one, as its dispatcher runs them: below functions, so that what a function is made of is seen too.

This is the one file that knows the dispatcher's mode, which is private to torch; no layer is read with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from iconoscope.subject.probe import FunctionCalls

try:
    from torch.utils._python_dispatch import TorchDispatchMode
except ImportError:
    TorchDispatchMode = None

__all__ = ["operation_calls"]


Handler = Callable[[Any, Sequence[Any], Mapping[str, Any]], Any]
"""From an operation, its arguments and its keyword arguments to what stands for its answer."""


def operation_calls(handler: Handler) -> AbstractContextManager[Any]:
    """Hand every operation inside a ``with`` block to a handler, but those that the handler itself asks for.

    Where this torch has no such mode, the functions that are called are handed over in their place.
    """
    if TorchDispatchMode is None:
        return FunctionCalls(handler)
    return _mode("torch._dynamo" in sys.modules)(handler)


@cache
def _mode(compiler: bool) -> Any:
    """Give the mode, made once: a class for every block would be left to the garbage collector.

    Where the compiler is there, it has to leave the handler alone. Torch would import it for that, which takes a second; but
    where nobody has imported it, nothing is compiled.
    """

    class OperationCalls(TorchDispatchMode):  # pyright: ignore[reportGeneralTypeIssues]
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return compiler

        def __init__(self, handler: Handler) -> None:
            super().__init__()
            self._handler = handler

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            return self._handler(func, args, kwargs or {})

    return OperationCalls
