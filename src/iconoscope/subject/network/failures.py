"""A network that fails when it runs: its own error and a hint, where its words tell what is wrong, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from iconoscope.errors import NetworkError
from iconoscope.user_code import failure

if TYPE_CHECKING:
    pass

__all__ = ["failed_run", "printing_no_code"]

_CALL = "_wrapped_call"

_HINTS = (
    (
        r"Inference tensors cannot be saved",
        "It was made under torch.inference_mode(), whose tensors take no part in gradients: build or load it outside.",
    ),
    (
        r"missing \d+ required|takes \d+ positional|takes from \d+",
        "It is called with one tensor alone: images, channels, height, width.",
    ),
    (
        r"to have \d+ channels|running_mean should contain|weight should contain",
        "Have mean and std of the preprocessing one value for each channel of its input?",
    ),
    (
        r"input to conv|Expected \d\S* .*input|input to be \d",
        "A network of images takes a tensor of images, channels, height, width.",
    ),
    (
        r"mat1 and mat2|size of tensor|[Ss]izes of tensors|invalid for input of size|Kernel size can't be greater|divisible"
        r"|put size is too small|match model|normalized_shape|expanded size|[Ss]ize mismatch|[Ee]xpected size|shape mismatch",
        "Is the preprocessing's size the one that it was trained with?",
    ),
)
"""What the words of an error tell, the first that fits."""


def failed_run(name: str, shape: tuple[int, ...], device: str, error: BaseException, *, opaque: bool) -> NetworkError:
    """Give the error of a network that failed on an input of some shape; `opaque` is TorchScript."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return NetworkError(
            f"{name} does not fit in the memory of {device} with {shape[0]} images at once.",
            hint="Ask with a smaller batch, or a smaller memory.",
        )
    text = failure(error, located=False)
    if opaque and (lines := str(error).strip().splitlines()):  # TorchScript begins with its own stack
        text = f"{type(error).__name__}: {lines[-1]}"
    hint = next((hint for words, hint in _HINTS if re.search(words, text)), "")
    return NetworkError(f"{name} fails on an input of shape {shape}: {text}", hint=hint)


@contextmanager
def printing_no_code(module: Any) -> Iterator[None]:
    """Keep graphs of torch.fx in a module from printing the code that they were made of, if they fail in a block."""
    import torch

    parts = module.modules() if isinstance(module, torch.nn.Module) else ()
    graphs = [
        vars(part)
        for part in parts
        if isinstance(part, torch.fx.GraphModule)
        and type(part).__mro__[1] is torch.fx.GraphModule
        and _CALL not in vars(part)
    ]
    try:
        for attributes in graphs:
            attributes[_CALL] = torch.nn.Module.__call__  # stands before that of the class, which calls this and prints
        yield
    finally:
        for attributes in graphs:
            attributes.pop(_CALL, None)
