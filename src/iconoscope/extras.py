"""Packages that are not always installed: imported where they are used, and missed with the line that installs them."""

from __future__ import annotations

import importlib
import os
import random
import sys
import threading
from typing import Any

from iconoscope.errors import MissingExtraError, first_line

__all__ = ["import_extra"]


_IMPORTING = threading.RLock()


def imported(module: str) -> Any:
    """Import a module that sets environment variables or draws random numbers meanwhile, which are put back as they were.

    Of those known, scikit-learn sets ``KMP_INIT_AT_FORK``, and torch's compiler ``TORCHINDUCTOR_CACHE_DIR``.

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
            return importlib.import_module(module)
        finally:
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})
            random.setstate(state)


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
