"""Modes of torch around a call, which are not to change its answer: they are set aside for its time, in this thread.

Torch is not imported here, as results are read without it: where nobody has imported it, nothing was told to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from iconoscope.errors import QuestionError

__all__ = ["on_device", "plain_torch"]

WITHOUT_VALUES = {"FakeTensorMode", "FunctionalTensorMode", "ProxyTorchDispatchMode"}
"""Modes with which torch traces: what it computes there are shapes and graphs."""

_set_aside: ContextVar[frozenset[str] | None] = ContextVar("set_aside", default=None)
"""Names of what this thread has set aside; None outside of a block."""


@contextmanager
def plain_torch() -> Iterator[None]:
    """Set aside what torch was told around a block: inference mode, autocast, and a default device other than the processor.

    What is decided inside the block holds, also where such blocks are nested: the outermost alone sets anything aside. Where
    gradients were off they stay off; whoever wants them says so.

    Raises
    ------
    QuestionError
        Inside a block where torch's tensors have no values, as while it traces.

    Examples
    --------
    >>> import torch
    >>> with torch.inference_mode(), plain_torch():
    ...     torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    (False, False)
    """
    torch: Any = sys.modules.get("torch")
    if _set_aside.get() is not None or torch is None:
        yield
        return
    _check_values()
    with ExitStack() as modes:
        names = set[str]()
        if torch.is_inference_mode_enabled():
            modes.enter_context(torch.inference_mode(False))
            modes.enter_context(torch.no_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            names.add("default device")
            modes.enter_context(torch.device("cpu"))
        modes.callback(_set_aside.reset, _set_aside.set(frozenset(names)))
        yield


def _check_values() -> None:
    """Raise where tensors have no values; the list of modes is private to torch, and without it none is seen."""
    stack = getattr(sys.modules.get("torch.utils._python_dispatch"), "_get_current_dispatch_mode_stack", list)
    for mode in stack():
        if (name := type(mode).__name__) in WITHOUT_VALUES:
            raise QuestionError(
                f"Nothing can be asked inside torch's {name}, where tensors have no values.",
                hint="Ask outside of that block.",
            )


def on_device(device: Any) -> AbstractContextManager[Any]:
    """Let a network make its own tensors on a torch.device, where it is, if a default device was set aside."""
    return device if "default device" in (_set_aside.get() or ()) else nullcontext()
