"""The network: a module with its preprocessing, its class names and a device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iconoscope.errors import NetworkError, NonFiniteError, QuestionError, UnitError, nearest
from iconoscope.subject.network.preprocessing import Preprocessing
from iconoscope.subject.unit import ClassUnit, LayerUnit, Unit, parse_unit

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["DEVICES", "Network", "find_device"]

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network, ready to be questioned.

    Attributes
    ----------
    module : torch.nn.Module
        The user's own module; every question leaves it as it was.
    preprocessing : Preprocessing
        How it wants its images.
    classes : tuple of str
        The names of its outputs in order.
    name : str
        How it was named when it was loaded.
    classes_origin : str
        Who gave the names of the classes, in words.
    """

    module: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    name: str
    classes_origin: str = "given"
    _index: dict[str, list[int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index: dict[str, list[int]] = {}
        for position, name in enumerate(self.classes):
            index.setdefault(_plain(name), []).append(position)
        object.__setattr__(self, "_index", index)

    def __repr__(self) -> str:
        height, width = self.preprocessing.size
        return f"<Network {self.name}: {len(self.classes)} classes, input {height}x{width}, on {self.device}>"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        import torch

        tensors = (*self.module.parameters(), *self.module.buffers())
        return tensors[0].device if tensors else torch.device("cpu")

    def digest(self) -> str:
        """Give the SHA-256 of the architecture's printed form and of all weights, in hexadecimal.

        It is taken anew at every call: the module is the user's, who may train it between two questions.
        """
        import torch

        digest = hashlib.sha256(repr(self.module).encode())
        for name, value in sorted(self.module.state_dict().items()):
            if not isinstance(value, torch.Tensor):
                continue
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            if flat.numel():
                digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @property
    def classes_digest(self) -> str:
        """Digest of the class names, which decide what a unit like ``prob:truck`` means."""
        return hashlib.sha256("\n".join(self.classes).encode()).hexdigest()[:16]

    def class_index(self, name: str | int) -> int:
        """Give the index of a class by its name or index.

        Names are compared without regard to case, and with ``_`` and ``-`` as spaces.

        Raises
        ------
        UnitError
            If there is no such class, or if two classes share the name.
        """
        found = self._index.get(_plain(str(name)), [])
        if len(found) == 1:
            return found[0]
        if found:
            raise UnitError(
                f"{len(found)} classes of {self.name} are called {name!r}.",
                hint=f"Give the index: one of {', '.join(map(str, found))}.",
            )
        if str(name).isdecimal():
            if int(name) < len(self.classes):
                return int(name)
            raise UnitError(f"{self.name} has no class {name}: its classes are 0 to {len(self.classes) - 1}.")
        raise UnitError(f"{self.name} has no class {name!r}.", hint=nearest(str(name), self.classes))

    def resolve(self, unit: str | Unit) -> Unit:
        """Give the unit with the full name of its layer, or the class's own name.

        Raises
        ------
        UnitError
            If the network has no such layer or class; the hint gives the nearest. Channels and positions are checked
            when the layer first answers, since a layer does not always know its own shape.
        """
        parsed = parse_unit(unit)
        if isinstance(parsed, ClassUnit):
            index = self.class_index(parsed.name)
            unique = len(self._index[_plain(self.classes[index])]) == 1
            return ClassUnit(parsed.kind, self.classes[index] if unique else str(index))
        return LayerUnit(self._layer(parsed.layer), parsed.channel, parsed.position)

    def _layer(self, name: str) -> str:
        names = [full for full, _ in self.module.named_modules() if full]
        if name in names:
            return name
        found = [full for full in names if full.endswith(f".{name}")]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnitError(
                f"{len(found)} layers of {self.name} end in {name!r}.", hint=f"Say which: {', '.join(found)}."
            )
        raise UnitError(f"{self.name} has no layer {name!r}.", hint=nearest(name, names))

    def run(self, batch: torch.Tensor) -> Any:
        """Run the module on its normalised input (n, 3, height, width); its own errors become a `NetworkError`."""
        try:
            return self.module(batch)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise NetworkError(
                f"{self.name} fails on an input of shape {tuple(batch.shape)}: {reason}",
                hint="Is the preprocessing's size the one that it was trained with?",
            ) from error

    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network on its normalised input (n, 3, height, width); give the logits (n, classes).

        Raises
        ------
        NetworkError
            If the network fails, answers something else than (n, classes), or if there are not as many answers as classes.
        NonFiniteError
            If an answer is NaN or infinite.
        """
        import torch

        logits = self.run(batch)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(batch):
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise NetworkError(f"{self.name} answers {shape}; a classifier answers (images, classes).")
        if logits.shape[1] != len(self.classes):
            raise NetworkError(
                f"{self.name} has {logits.shape[1]} outputs, but {len(self.classes)} class names were given "
                f"({self.classes_origin}).",
                hint="Give as many names as outputs, in their order: classes=[...], or --classes FILE.",
            )
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteError(
                f"{self.name} answers NaN or infinity.",
                hint="Look at the weights, and at whether mean and std of the preprocessing are its own.",
            )
        return logits

    @contextmanager
    def questioned(self) -> Iterator[nn.Module]:
        """Put the module in evaluation mode for the time of a question; give it back as it was.

        Modes are kept module by module: part of a network may be in train mode, and part not. The module is not moved.
        """
        modes = [(module, module.training) for module in self.module.modules()]
        try:
            self.module.eval()
            yield self.module
        finally:
            for module, training in modes:
                module.training = training


def find_device(name: str) -> torch.device:
    """Give the device of that name; ``auto`` is the first of cuda, mps and cpu that is there.

    Raises
    ------
    QuestionError
        If the name is not a device, or there is no such device here.
    """
    import torch

    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there()))
    kind, _, number = name.partition(":")
    if kind not in available or (number and not number.isdecimal()):
        raise QuestionError(f"{name!r} is not a device.", hint=f"There are: {', '.join(DEVICES)}.")
    if not available[kind]() or (kind == "cuda" and number and int(number) >= torch.cuda.device_count()):
        raise QuestionError(f"This machine has no device {name!r}.", hint="device='auto' takes the best that is there.")
    return torch.device(name)


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def class_names(given: Any) -> tuple[str, ...]:
    """Read the names of the classes: a sequence, or a JSON file with a list, or a text file with one name a line.

    >>> class_names(["lynx", "bison"])
    ('lynx', 'bison')
    """
    import json
    from pathlib import Path

    if isinstance(given, str | Path):
        path = Path(given)
        try:
            text = path.read_text(encoding="utf-8")
            given = json.loads(text) if text.lstrip().startswith(("[", "{")) else text.splitlines()
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise QuestionError(
                f"The class names in {path} cannot be read: {error}.",
                hint="Give a JSON list of names, or a text file with one name a line.",
            ) from error
    if isinstance(given, dict):  # id2label, as transformers writes it
        try:
            given = [given[key] for key in sorted(given, key=int)]
        except ValueError as error:
            raise QuestionError("Class names as an object want the indices as keys.") from error
    names = tuple(str(name).strip() for name in given if str(name).strip())
    if not names:
        raise QuestionError("There is no class name in what was given.")
    return names
