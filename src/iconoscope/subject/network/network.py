"""The network: a module with its preprocessing, its class names and a device."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from iconoscope.errors import (
    IconoscopeError,
    NetworkError,
    NonFiniteError,
    QuestionError,
    UnitError,
    warn,
    written,
)
from iconoscope.reading import parse_json, read_text
from iconoscope.subject.network.digest import digest_module
from iconoscope.subject.network.failures import failed_run, printing_no_code
from iconoscope.subject.network.logits import ACTIVATIONS, find_logits, mirrored, undone
from iconoscope.subject.network.preprocessing import Preprocessing
from iconoscope.torch_modes import on_device, plain_torch
from iconoscope.user_code import failure, user_code
from iconoscope.vocabulary.resolver import Names, resolve
from iconoscope.vocabulary.unit import ClassUnit, Unit
from iconoscope.warning_filters import ignoring

if TYPE_CHECKING:
    import torch
    from torch import nn

    from iconoscope.subject.network.steadiness import Steadiness

__all__ = ["DEVICES", "Network", "find_device", "uncompiled_forms"]

DEVICES = ("auto", "cpu", "cuda", "mps")
_WITNESSED = 4096
"""Numbers of a witness: the logits of a network that has no more, else sums of some of them with signs drawn at random."""


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
    activation : str
        A key of `ACTIVATIONS`: how logits become probabilities.
    activation_origin : str
        Who said so, in words.
    ending : str
        A key of `ACTIVATIONS` if the network itself has turned its logits into probabilities so; then they are turned back.
    loaded_by : dict
        What `load_network` was given, by the names of its arguments, so that it can be written down; empty where that was a
        module. Of the same weights on any device, so without that.
    names : Names
        The classes, as they are looked up.
    """

    module: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    name: str
    classes_origin: str = "given"
    activation: str = "softmax"
    activation_origin: str = "usual"
    ending: str = ""
    loaded_by: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    names: Names = field(init=False, repr=False)
    _measured: list[Steadiness] = field(default_factory=list, repr=False)  # once it was asked; a copy is as steady
    _measured_as: list[str] = field(default_factory=list, repr=False)  # the digest of all but its weights then
    _asking: list[bool] = field(default_factory=list, repr=False)  # for every question that is within another

    def __post_init__(self) -> None:
        if longest := next((name for name in self.classes if len(name) > LONGEST_NAME), None):
            raise QuestionError(
                f"The class name {written(longest)} has {len(longest):,} characters ({self.classes_origin}).",
                hint=f"A name is written beside bars and pictures: give one of {LONGEST_NAME} or fewer.",
            )
        object.__setattr__(self, "names", Names(self.classes, self.name))

    def __repr__(self) -> str:
        height, width = self.preprocessing.size
        return f"<Network {self.name}: {len(self.classes)} classes, input {height}x{width}, on {self.device}>"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        import torch

        first = next(chain(self.module.parameters(), self.module.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    def digest(self) -> str:
        """Give the SHA-256, in hexadecimal, of all that can be seen to decide its answers: see `digest_module`.

        Where something may decide them that cannot be seen, it is another at every call, begins with ``?`` and says what that
        is, so that no store keeps an answer. It is taken anew at every call: the module is the user's, who may train it between
        two questions.
        """
        with self.reserved():  # another thread's question may have put layers into another form
            self.notice_changes()
            return digest_module(self.module).key

    def notice_changes(self) -> None:
        """Forget whether it has one answer to an image, if anything but its weights has changed since that was measured.

        A hook or a layer that came later may draw random numbers, or look at the batch. A question begins with it.
        """
        with self.reserved():
            if self._asking:  # what has changed now are the hooks of that question
                return
            now = digest_module(self.module, weights=False).sha256
            if self._measured_as != [now]:
                self._measured.clear()
                self._measured_as[:] = [now]

    def witness(self) -> tuple[float, ...]:
        """Give its logits for one image of random pixels, always the same; nothing if it has no answer to that.

        A store keeps them beside its answers and compares them before it gives one: what decides an answer and is no part of
        the module, as a file that is read meanwhile, shows here.
        """
        import torch

        height, width = self.preprocessing.size
        pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 4 if self.channels == 4 else 3), np.uint8)
        try:
            with self.questioned(), torch.inference_mode():
                answer = self.answer(self.preprocessing.normalise(pixels).to(self.device))
        except IconoscopeError:
            return ()
        logits = answer.reshape(-1).double().cpu().numpy()
        if len(logits) > _WITNESSED:
            signed = logits * np.random.default_rng(0).choice([-1.0, 1.0], len(logits))
            logits = np.bincount(np.arange(len(logits)) % _WITNESSED, signed)
        return tuple(float(f"{logit:.6g}") for logit in logits) if np.isfinite(logits).all() else ()

    @property
    def classes_digest(self) -> str:
        """Digest of the class names and the activation, which decide what a unit like ``prob:truck`` means."""
        words = [*self.classes, *([] if self.activation == "softmax" else ["", self.activation])]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]

    @property
    def channels(self) -> int:
        """The number of channels of its input."""
        return self.preprocessing.channels

    @property
    def opaque(self) -> bool:
        """Whether its layers cannot be asked, as those of TorchScript."""
        import torch

        return isinstance(self.module, torch.jit.ScriptModule)

    @property
    def singly(self) -> str:
        """Why it is asked one image at a time: it answers an image otherwise together with others. Empty if it is not so.

        That is found when it is asked for the first time, and a warning says it.
        """
        return self._measured[0].singly if self._measured else ""

    def class_index(self, name: str | int) -> int:
        """Give the index of a class by its name or index, as `Names.index` does.

        Raises
        ------
        UnitError
            If there is no such class, or if two classes share the name.
        """
        return self.names.index(name)

    def class_unit(self, kind: Literal["logit", "prob"], index: int) -> ClassUnit:
        """Give the unit of a class by its index, written with its name or, if that is not unique, its index."""
        return self.names.unit(kind, index)

    def resolve(self, unit: str | Unit) -> Unit:
        """Give the unit with the full name of its layer, or the class's own name.

        Raises
        ------
        UnitError
            If the network has no such layer or class; the hint gives the nearest. Channels and positions are checked
            when the layer first answers, since a layer does not always know its own shape.
        """
        return resolve(unit, self.names, self._layer_names)

    def _layer_names(self) -> list[str]:
        if self.opaque:
            raise UnitError(
                f"{self.name} is TorchScript, whose layers cannot be asked.",
                hint="Ask logit: or prob: and a class. For layers load it from Python, or as .pt2 of torch.export.",
            )
        return [name for name, _ in self.module.named_modules() if name]

    def fitted(self, batch: torch.Tensor) -> torch.Tensor:
        """Give input of any shape on the device and in the type of the weights."""
        return batch.to(self.device, self._type_of_weights(batch))

    def _type_of_weights(self, batch: torch.Tensor) -> torch.dtype:
        """Give the type of the weights; that of the batch if there are none."""
        return next((value for value in self.module.parameters() if value.is_floating_point()), batch).dtype

    def blank(self, images: int = 1) -> torch.Tensor:
        """Give input of zeros, (images, channels, height, width) on its device, to see what layers answer."""
        import torch

        return torch.zeros(images, self.channels, *self.preprocessing.size, device=self.device, dtype=torch.float32)

    def run(self, batch: torch.Tensor) -> Any:
        """Run the module on its normalised input (n, channels, height, width); its own errors become a `NetworkError`.

        The module is given a copy of its own, in the type of its weights: it may work in place. Where it is asked one image at
        a time, the answer to the last is given.
        """
        if self.singly:
            return [self._run(image) for image in batch.split(1)][-1]
        return self._run(batch)

    def _run(self, batch: torch.Tensor) -> Any:
        import torch

        shape = tuple(batch.shape)
        with ExitStack() as modes:
            modes.enter_context(self.reserved())
            modes.enter_context(on_device(self.device))
            if self.opaque and torch.is_inference_mode_enabled():
                # What TorchScript has compiled for gradients keeps tensors for them, which inference mode forbids.
                modes.enter_context(torch.inference_mode(False))
                modes.enter_context(torch.no_grad())
            device = str(self.device)
            modes.enter_context(
                user_code(lambda error: failed_run(self.name, shape, device, error, opaque=self.opaque))
            )
            return self.module(batch.to(self._type_of_weights(batch), copy=True))

    def answer(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network on its normalised input (n, channels, height, width); give its logits as they are, unchecked.

        They are read out of a dict, a tuple or an object that the network may answer; of a network of two classes with one
        output both logits are given.

        Raises
        ------
        NetworkError
            If the network fails, or there are no logits in what it answers.
        """
        import torch

        if self.singly:
            return torch.cat([self._logits_of(self._run(image)) for image in batch.split(1)])
        return self._logits_of(self.run(batch))

    def answering(self, batch: torch.Tensor) -> nn.Module:
        """Give a module that answers logits (n, classes), for tracing: the network's own if it answers just them to a batch."""
        import torch

        answer = self.run(batch)
        if isinstance(answer, torch.Tensor) and self._logits_of(answer) is answer:
            return self.module
        return self.traceable(lambda batch: self._logits_of(self.module(batch)))

    def traceable(self, answer: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
        """Give a module that answers by a function of the input, which runs this network's own; it shares the weights."""
        from torch import nn

        network = self.module

        class Traceable(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, batch: torch.Tensor) -> torch.Tensor:
                return answer(batch)

        return Traceable().eval()

    def _logits_of(self, answer: Any) -> torch.Tensor:
        logits = find_logits(answer, len(self.classes))
        if isinstance(logits, str):
            raise NetworkError(f"{self.name} answers {logits}; a classifier answers (images, classes).")
        if self.ending:
            logits = undone(logits, self.ending)
        single = self.activation == "sigmoid" and len(self.classes) == 2 and logits.shape[1:].numel() == 1
        return mirrored(logits) if single else logits

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits (n, classes) into probabilities."""
        return ACTIVATIONS[self.activation][0](logits)

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits (n, classes) into the logarithms of probabilities."""
        return ACTIVATIONS[self.activation][1](logits)

    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network on its normalised input (n, channels, height, width); give the logits (n, classes).

        Raises
        ------
        NetworkError
            If the network fails, answers something else than (n, classes), or if there are not as many answers as classes.
        NonFiniteError
            If an answer is NaN or infinite.
        """
        import torch

        logits = self.answer(batch)
        if logits.ndim != 2 or len(logits) != len(batch):
            raise NetworkError(f"{self.name} answers {tuple(logits.shape)}; a classifier answers (images, classes).")
        if logits.shape[1] != len(self.classes):
            raise NetworkError(
                f"{self.name} has {logits.shape[1]} outputs, but {len(self.classes)} class names were given "
                f"({self.classes_origin}).",
                hint="Give as many names as outputs, in their order: classes= in Python, --classes on the command line."
                + (" One output for two classes wants the activation sigmoid." if logits.shape[1] == 1 else ""),
            )
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteError(
                f"{self.name} answers NaN or infinity.",
                hint="Look at the weights, and at whether mean and std of the preprocessing are its own.",
            )
        return logits

    def reserved(self) -> AbstractContextManager[None]:
        """Keep the module, and what shares a part with it, to one thread for the time of a block; see `reservation`.

        A question changes the module for its time (its mode, hooks, the form of its layers), and what another thread asked
        meanwhile would be answered by a mixture of both.
        """
        from iconoscope.subject.network.reservation import reserved

        return reserved(self.module)

    @contextmanager
    def questioned(self, *, steady: bool = True) -> Iterator[nn.Module]:
        """Put the module in evaluation mode for the time of a question; give it back as it was.

        Modes are kept module by module: part of a network may be in train mode, and part not. The module is not moved. What is
        compiled in it runs uncompiled, and what torch was told around the call is set aside. Other threads wait.

        Parameters
        ----------
        steady
            Whether the question wants one answer to an image. Then the network is asked some times, when that is asked for
            first, whether it has one.

        Raises
        ------
        NetworkError
            If it answers the same image otherwise the second time.
        """
        with self.reserved(), plain_torch(), printing_no_code(self.module):
            if steady and not self._measured:
                self.notice_changes()
            # What torch.jit.freeze made has no mode, and is as in evaluation.
            modes = [(module, getattr(module, "training", False)) for module in self.module.modules()]
            self._asking.append(steady)
            try:
                with user_code(lambda error: NetworkError(f"{self.name} fails in eval(): {failure(error)}.")):
                    self.module.eval()
                # What torch.compile has made of a module would not notice our hooks.
                with _uncompiled(self.module), self._unchanged() if steady and self._changed() else nullcontext():
                    yield self.module
            finally:
                self._asking.pop()
                for module, training in modes:
                    module.training = training

    def _changed(self) -> bool:
        """Give whether a pass changes tensors of the module; and measure before whether it has one answer to an image."""
        from iconoscope.subject.network.steadiness import measure_steadiness

        if not self._measured:
            steadiness = measure_steadiness(self.module, self.answer, self.fitted(self.blank()))
            self._measured.append(steadiness)
            if steadiness.singly:
                warn(
                    f"{self.name} answers an image otherwise together with others than alone: {steadiness.singly}. It is asked "
                    "one image at a time, which takes longer."
                )
        if self._measured[0].refusal:
            raise NetworkError(
                f"{self.name} has no one answer to an image. {self._measured[0].refusal}.",
                hint="In evaluation mode a network should draw nothing and keep nothing: F.dropout(x, training=self.training), "
                "and modules in nn.ModuleList, which eval() reaches.",
            )
        return self._measured[0].changed

    def _unchanged(self) -> AbstractContextManager[Any]:
        from iconoscope.subject.network.steadiness import unchanged

        return unchanged(self.module)


def uncompiled_forms(network: nn.Module) -> list[tuple[dict[str, Any], str, Any]]:
    """Give the attributes that let what is compiled in a network do what it was made of: whose they are, names and values.

    Each module's own attributes do, and not torch's switch, which is the whole process's.
    """
    forms: list[tuple[dict[str, Any], str, Any]] = []
    for module in network.modules():
        attributes = vars(module)
        if attributes.get("_compiled_call_impl") is not None:  # of `module.compile()`
            forms.append((attributes, "_compiled_call_impl", None))
        forward = getattr(module, "forward", None)
        original = getattr(forward, "_torchdynamo_orig_callable", None)  # of a function
        if original is not None and isinstance(forward, MethodType):
            original = partial(original, module)
        if "_orig_mod" in attributes.get("_modules", ()):  # of `torch.compile(module)`
            original = attributes["_modules"]["_orig_mod"]
        if original is not None:
            forms.append((attributes, "forward", original))
    return forms


@contextmanager
def _uncompiled(network: nn.Module) -> Iterator[None]:
    # Torch would warn that hooks fire for the compiled module too, which does not run.
    with ExitStack() as stack, ignoring("Using `torch.compile"):
        for attributes, name, value in uncompiled_forms(network):
            undo = partial(attributes.__setitem__, name, attributes[name]) if name in attributes else None
            stack.callback(undo or partial(attributes.pop, name, None))
            attributes[name] = value
        yield


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
        return torch.device(next(device for device, present in available.items() if present()))
    kind, _, number = name.partition(":")
    if kind not in available or (number and not re.fullmatch(r"\d{1,9}", number)):
        raise QuestionError(f"{name!r} is not a device.", hint=f"There are: {', '.join(DEVICES)}.")
    if not available[kind]() or (kind == "cuda" and number and int(number) >= torch.cuda.device_count()):
        raise QuestionError(f"This machine has no device {name!r}.", hint="device='auto' takes the best that is there.")
    return torch.device(name)


LONGEST_NAME = 1000
"""Characters of a class's name: room for all the synonyms of a word."""

LONGEST_LIST = 2**24
"""Bytes of a file of class names: ImageNet's 21,000 take one 40th."""


def class_names(names: Any) -> tuple[str, ...]:
    """Read the names of the classes: a sequence, JSON text, a JSON file, or a text file with one name a line.

    >>> class_names(["lynx", "bison"])
    ('lynx', 'bison')
    """
    if isinstance(names, str | Path):
        inline = str(names).lstrip().startswith(("[", "{"))
        path = "the text given" if inline else Path(names).expanduser()
        try:
            text = str(names) if isinstance(path, str) else read_text(path, most=LONGEST_LIST)
            names = parse_json(text) if text.lstrip().startswith(("[", "{")) else text.splitlines()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise QuestionError(
                f"The class names in {path} cannot be read: {reason}.",
                hint="Give a JSON list of names, or a text file with one name a line.",
            ) from error
    if isinstance(names, dict):  # id2label, as transformers writes it
        try:
            names = [names[key] for key in sorted(names, key=int)]
        except ValueError as error:
            raise QuestionError("Class names as an object want the indices as keys.") from error
    stripped = tuple(str(name).strip() for name in names if str(name).strip())
    if not stripped:
        raise QuestionError("There is no class name in what was given.")
    return stripped
