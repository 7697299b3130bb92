"""Functions of the user's as objectives: from what layers answer to one picture to the number that is made large."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from iconoscope.errors import QuestionError, written
from iconoscope.subject.network.digest import digest_object
from iconoscope.user_code import failure, user_code
from iconoscope.vocabulary.unit import LayerUnit

if TYPE_CHECKING:
    import torch

    from iconoscope.subject.network.network import Network

__all__ = ["NETWORK_ANSWER", "FunctionTarget", "ObjectiveFunction"]

NETWORK_ANSWER = "logits"
"""The name by which a function reads the answer of the network itself."""

_NO_LAYER = ""  # as `subject.probe` has it, which imports torch

ObjectiveFunction = Callable[[Mapping[str, Any]], Any]
"""From what layers answer to one picture, tensors by their names, to one number, a tensor with a gradient."""


@dataclass(frozen=True, eq=False)
class FunctionTarget:
    """The answer of one function; two are equal only if they are the same.

    Attributes
    ----------
    function : callable
        The user's.
    read : tuple of (str, str)
        The layers that it reads, as it names them and in full; empty before it is resolved.
    """

    function: ObjectiveFunction
    read: tuple[tuple[str, str], ...] = ()
    unit: ClassVar[None] = None  # which other targets have

    def __str__(self) -> str:
        layers = dict.fromkeys(layer or NETWORK_ANSWER for _, layer in self.read)
        return f"{self.name}({', '.join(layers)})"

    @property
    def name(self) -> str:
        """The function's name."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return "lambda" if name == "<lambda>" else name

    @property
    def layers(self) -> tuple[str, ...]:
        """Full names of the layers that it reads; the empty name is the network's answer."""
        return tuple(dict.fromkeys(layer for _, layer in self.read))

    @property
    def key(self) -> str:
        """Digest of the function and of all that its code reads, as `NetworkDigest.key` has it."""
        return digest_object(self.function).key

    def resolved(self, network: Network) -> FunctionTarget:
        """Try the function on what the network answers to a blank picture, and give it with the layers that it read.

        Raises
        ------
        UnitError
            If the network has no layer that it reads.
        QuestionError
            If it fails, or its value is not one number with a gradient.
        """
        import torch

        self._check_parameters()
        with network.questioned():
            trial = _Trial(network)
            with torch.enable_grad():
                value = self._value(trial)
        if not trial.read:
            raise QuestionError(
                f"The objective {self.name} reads no layer.",
                hint='It is given a mapping: lambda answers: answers["layer3"][17].mean(); "logits" is the network\'s answer.',
            )
        if any(answer.grad is not None for answer in trial.given):
            raise QuestionError(
                f"The objective {self.name} takes its gradient itself, and then there is none left to take.",
                hint="Leave out .backward(), and give the number.",
            )
        if not value.requires_grad:
            raise QuestionError(
                f"The objective {self.name} has no gradient: what it gives does not vary with what it reads.",
                hint="Leave out .item(), .detach(), argmax and comparisons.",
            )
        return replace(self, read=tuple(trial.read.items()))

    def __call__(self, answers: Mapping[str, torch.Tensor], picture: int) -> torch.Tensor:
        """Give the value for one picture of a batch, from what layers answer to all, by their full names."""
        of_picture = {name: answers[layer][picture].float() for name, layer in self.read}
        return self._value(_Answers(of_picture, self.name))

    def _check_parameters(self) -> None:
        try:
            inspect.signature(self.function).bind({})
        except TypeError as error:
            raise QuestionError(
                f"The objective {self.name} cannot be called with one argument: {error}.",
                hint='It is given the answers of layers: lambda answers: answers["layer3"][17].mean().',
            ) from None
        except ValueError:  # what is written in C may tell no signature
            return

    def _value(self, answers: Mapping[str, torch.Tensor]) -> torch.Tensor:
        import torch

        with user_code(lambda error: QuestionError(f"The objective {self.name} fails: {failure(error)}.")):
            value: Any = self.function(answers)
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.is_floating_point():
            given = (
                f"a tensor of shape {tuple(value.shape)} and type {value.dtype}"
                if isinstance(value, torch.Tensor)
                else written(value)
            )
            raise QuestionError(
                f"The objective {self.name} gives {given}; it must give one number, as a tensor.",
                hint="It is asked about one picture: a map is (channels, rows, columns). End in .mean() or .sum().",
            )
        return value.reshape(()).float()


class _Answers(Mapping[str, "torch.Tensor"]):
    """The answers of layers to one picture, by the names by which a function read them when it was tried."""

    def __init__(self, answers: Mapping[str, torch.Tensor], function: str) -> None:
        self._answers, self._function = answers, function

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._answers:
            raise QuestionError(
                f"The objective {self._function} reads {written(name)}, which it did not when it was tried.",
                hint=f"Let it read the same layers each time. It read {', '.join(self._answers)}.",
            )
        return self._answers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)


class _Trial(Mapping[str, "torch.Tensor"]):
    """The answers to a blank picture: any layer by any name that means it, each a leaf that wants a gradient."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._answers: dict[str, torch.Tensor] = {}
        self.read: dict[str, str] = {}
        """Full names of layers, by the names they were read by."""

    def __getitem__(self, name: str) -> torch.Tensor:
        from iconoscope.subject.response import activations

        layer = _NO_LAYER if name == NETWORK_ANSWER else self._layer(name)
        if layer not in self._answers:
            answer = activations(self._network, self._network.blank(), layer)[0]
            self._answers[layer] = answer.detach().float().requires_grad_()
        self.read[name] = layer
        return self._answers[layer]

    @property
    def given(self) -> Iterable[torch.Tensor]:
        """The answers that were read."""
        return self._answers.values()

    def _layer(self, name: Any) -> str:
        unit = self._network.resolve(name) if isinstance(name, str) else None
        if not isinstance(unit, LayerUnit) or unit.channel is not None:
            raise QuestionError(
                f"{written(name)} is not the name of a layer.",
                hint='Read the layer and take its channel: answers["layer3"][17]; of the classes answers["logits"][5].',
            )
        return unit.layer

    def __iter__(self) -> Iterator[str]:
        return iter([NETWORK_ANSWER, *(name for name, _ in self._network.module.named_modules() if name)])

    def __len__(self) -> int:
        return sum(1 for _ in self)
