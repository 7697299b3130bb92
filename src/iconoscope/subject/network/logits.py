"""From what a network answers to its logits, and from logits to probabilities.

Libraries answer in dicts, tuples and objects of their own; a network of two classes may have one output, and one that finds
several things in a picture gives each a probability of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iconoscope.errors import shortened

if TYPE_CHECKING:
    import torch

__all__ = ["ACTIVATIONS", "find_logits", "mirrored", "undone"]

NAMES = ("logits", "output", "outputs", "out", "scores", "prediction", "predictions", "pred", "class_logits", "y")
"""Under which names the logits are looked for, in this order."""


def _log_sigmoid(logits: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import logsigmoid

    return logsigmoid(logits)


ACTIVATIONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]] = {
    "softmax": (lambda logits: logits.softmax(1), lambda logits: logits.log_softmax(1)),
    "sigmoid": (lambda logits: logits.sigmoid(), _log_sigmoid),
}
"""Ways from logits (images, classes) to probabilities, and to their logarithms: one class is right, and the probabilities sum
up to one; or each class is there or is not, whatever the others are."""


def find_logits(answer: Any, classes: int) -> torch.Tensor | str:
    """Give the tensor of logits in a network's answer, or in words what there is instead.

    Parameters
    ----------
    answer
        A tensor; or an object, a mapping or a sequence that holds it, under one of `NAMES` or as the first that fits.
    classes
        How many there are.
    """
    import torch

    if isinstance(answer, torch.Tensor):
        return answer
    named = _named(answer)
    for name in NAMES:
        if isinstance(named.get(name), torch.Tensor):
            return named[name]
    values = list(answer) if isinstance(answer, Sequence) and not isinstance(answer, str) else list(named.values())
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    outputs = {classes, 1} if classes == 2 else {classes}
    fitting = [value for value in tensors if value.ndim == 2 and value.shape[1] in outputs]
    if fitting:
        return fitting[0]
    if len(tensors) == 1:
        return tensors[0]
    entries = [f"{name}: {_kind(value)}" for name, value in named.items()] or [_kind(value) for value in values]
    return f"a {type(answer).__name__}" + (f" of {shortened(entries, most=5)}" if entries else "")


def _named(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Mapping):
        return {str(name): value for name, value in answer.items()}
    if hasattr(answer, "_asdict"):  # a named tuple
        return dict(answer._asdict())
    return dict(vars(answer)) if hasattr(answer, "__dict__") else {}


def _kind(value: Any) -> str:
    return str(tuple(value.shape)) if hasattr(value, "shape") else type(value).__name__


def mirrored(logits: torch.Tensor) -> torch.Tensor:
    """Give both logits (images, 2) of a network that has one output (images, 1) or (images,): of the second of two classes.

    The first is the negative of the second, so that the sigmoids of both sum up to one.
    """
    import torch

    single = logits.reshape(-1, 1)  # not by its length, which a trace would take for a fixed number
    return torch.cat([-single, single], 1)


def undone(probabilities: torch.Tensor, activation: str) -> torch.Tensor:
    """Give logits of which an activation makes the probabilities; those of a softmax are known up to a constant alone.

    Where a probability has been rounded to 0 or 1, the logit is that of the nearest number that is neither.
    """
    import torch

    least = torch.finfo(probabilities.dtype).tiny
    if activation == "softmax":
        return probabilities.clamp_min(least).log()
    return probabilities.clamp(least, 1 - torch.finfo(probabilities.dtype).eps).logit()
