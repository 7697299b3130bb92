"""Packages that are not always installed: imported where they are used, and missed with the line that installs them."""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

from iconoscope.errors import MissingExtraError, first_line

__all__ = ["import_extra", "imported", "interrupted_afterwards"]


_IMPORTING = threading.RLock()


def imported(module: str) -> Any:
    """Import a module that sets environment variables or draws random numbers meanwhile, which are put back as they were.

    Of those known, scikit-learn sets ``KMP_INIT_AT_FORK``, and torch's compiler ``TORCHINDUCTOR_CACHE_DIR``. Ctrl-C takes
    effect when the module is whole: of torch's compiler half would stay behind, and every later import of it fail.

    Examples
    --------
    >>> imported("json").loads("[1]")
    [1]
    """
    if module in sys.modules:
        return importlib.import_module(module)
    with _IMPORTING:
        environment, state = dict(os.environ), random.getstate()
        try:
            with interrupted_afterwards():
                return importlib.import_module(module)
        finally:
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})
            random.setstate(state)


@contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until a block is left, where this thread is the one that they interrupt."""
    handlers: dict[int, Callable[..., Any]] = {}
    waiting: dict[int, FrameType | None] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        waiting.setdefault(number, frame)

    try:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(
                    handler
                ):  # one of Python's; what the system does by itself ends the process, and spoils nothing
                    handlers[number] = handler
                    signal.signal(number, wait)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with ExitStack() as calls:  # all are called, also where one raises
            for number, frame in reversed(waiting.items()):
                calls.callback(handlers[number], number, frame)


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Import a module of a package that an extra of ours installs.

    Parameters
    ----------
    module
        Its full name.
    extra
        As in ``pip install 'iconoscope[extra]'``.
    purpose
        What wants it, for the message.

    Raises
    ------
    MissingExtraError
        If it is not there, or cannot be imported; torchvision fails with a RuntimeError where it was built for another torch.

    Examples
    --------
    >>> import_extra("json", "nothing", "a test").loads("[1]")
    [1]
    """
    package = module.partition(".")[0]
    try:
        imported(package)
        return imported(module)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        raise MissingExtraError(
            f"{purpose} wants the package {missing}, which is not installed.",
            hint=f"pip install 'iconoscope[{extra}]', in a clone pip install '.[{extra}]'",
        ) from error
    except (ImportError, RuntimeError, AttributeError) as error:
        reason = first_line(error)
        fit = "torch and torchvision" if "torchvision" in reason else f"torch and {package}"
        raise MissingExtraError(
            f"{purpose} wants the package {package}, which is installed but cannot be imported: {reason}.",
            hint=f"Do {fit} fit each other? Both come from one index, for one kind of processor: a torch for CPUs wants a "
            "torchvision for CPUs.",
        ) from error
