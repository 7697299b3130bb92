"""Captum's gradient methods, each with the arguments that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from iconoscope.errors import IconoscopeError, NetworkError, QuestionError, first_line
from iconoscope.extras import import_extra
from iconoscope.occlusion.geometry import pictures_at_once
from iconoscope.occlusion.rectifiers import PassedBy, Turns
from iconoscope.progress import track
from iconoscope.subject.activation_layout import read_maps
from iconoscope.subject.dispatcher import operation_calls
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LayerCall, watching
from iconoscope.subject.random_state import seeded
from iconoscope.subject.response import respond
from iconoscope.vocabulary.unit import ClassUnit, LayerUnit, Unit
from iconoscope.warning_filters import ignoring

__all__ = ["CaptumQuestion", "UnitModule", "ask_captum", "last_maps", "load_captum", "maps_of_their_own"]

NOISE = 0.15
"""Standard deviation of SmoothGrad's noise, as a share of the range of the picture (Smilkov et al. 2017: 0.1 to 0.2).

Captum is given deviations as numbers of NumPy, which have a type: from Python's it would draw noise in the default type."""

_EXPECTED_WARNINGS = (
    "Setting backward hooks on ReLU activations"
    "|Setting forward, backward hooks and attributes on non-linear"
    "|Couldn't appropriately interpolate GradCAM"
)


class UnitModule(nn.Module):
    """A network that answers as `respond` does, (images, outputs), if wished with every ReLU a module that is used once.

    Parameters
    ----------
    network
        A copy, to be worked on.
    unit
        What it answers.
    image
        (1, channels, height, width), on its device: what it is asked first.
    kinds
        Which kinds of module are made of what the network applies: ReLU, MaxPool2d.
    """

    def __init__(self, network: Network, unit: Unit, image: torch.Tensor, kinds: Sequence[str] = ()) -> None:
        super().__init__()
        self.network, self.module = network, network.module
        self.activation: nn.Module | None = None  # a module, as DeepLift has a rule for it
        self.unit = unit
        if isinstance(unit, ClassUnit) and unit.kind == "prob":
            several = network.activation == "sigmoid"
            self.activation, self.unit = nn.Sigmoid() if several else nn.Softmax(1), replace(unit, kind="logit")
        self.turns = Turns(kinds)
        leaf = image.detach().clone().requires_grad_()
        passed_by = PassedBy(self.turns, leaf)
        with torch.enable_grad(), operation_calls(passed_by):
            self(leaf)
        self.turns.complete = True
        self.passed_by = [*passed_by.names] if "ReLU" in kinds else []
        if "MaxPool2d" in kinds:  # DeepLift, which has rules for other activations too, and is exact without
            self.passed_by = [name for name in self.passed_by if name == "ReLU"] + ["MaxPool2d"] * passed_by.poolings

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Give the answers (images, outputs) to a batch in the network's input space."""
        if self.network.singly and len(batch) > 1:
            return torch.cat([self(image) for image in batch.split(1)])
        with self.turns.one_pass():
            values = respond(self.network, batch, self.unit).values
        return values if self.activation is None else self.activation(values)


@dataclass(frozen=True)
class CaptumQuestion:
    """One question to Captum.

    Attributes
    ----------
    answers
        The network that is asked.
    image
        (1, channels, height, width), in the network's input space.
    target
        The output.
    baseline
        Like the image; None where the method wants none.
    layer
        The module whose maps are weighed; None where the method weighs none.
    steps
        Points of the path, or samples; 0 for methods without either.
    seed
        Of the random numbers.
    """

    answers: UnitModule
    image: torch.Tensor
    target: int
    baseline: torch.Tensor | None
    layer: nn.Module | None
    steps: int
    seed: int

    @property
    def batch(self) -> int:
        """Number of pictures that go through the network at once."""
        return pictures_at_once(self.image.shape[2], self.image.shape[3])


Attributions = tuple[torch.Tensor, torch.Tensor | None]


def _one_pass(attr: Any, method: str, question: CaptumQuestion, **settings: Any) -> Attributions:
    """Ask one of Captum's classes, with the layer and the baseline that it takes."""
    layer = () if question.layer is None else (question.layer,)
    baseline = () if question.baseline is None else (question.baseline,)
    asked = getattr(attr, method)(question.answers, *layer).attribute
    if not baseline:
        return asked(question.image, target=question.target, **settings), None
    return asked(question.image, *baseline, target=question.target, return_convergence_delta=True, **settings)


def _integrated_gradients(attr: Any, method: str, question: CaptumQuestion) -> Attributions:
    return _one_pass(attr, method, question, n_steps=question.steps, internal_batch_size=question.batch)


def _signed_gradient(attr: Any, method: str, question: CaptumQuestion) -> Attributions:
    return _one_pass(attr, method, question, abs=False)


def _gradient_shap(attr: Any, method: str, question: CaptumQuestion) -> Attributions:
    """Ask for some samples at a time: Captum would have them all in memory at once."""
    values, deltas = torch.zeros_like(question.image), []
    with seeded(question.seed):
        for first in track(range(0, question.steps, question.batch), "samples"):
            count = min(question.batch, question.steps - first)
            shares, delta = _one_pass(attr, method, question, n_samples=count, stdevs=(np.float32(0),))
            values = values + shares * count / question.steps
            deltas.append(delta)
    return values, torch.cat(deltas).mean()


def _smooth(attr: Any, method: str, question: CaptumQuestion) -> Attributions:
    picture = question.image.detach()
    spread = NOISE * float(picture.max() - picture.min())
    with seeded(question.seed):
        gradients = attr.NoiseTunnel(attr.Saliency(question.answers)).attribute(
            question.image,
            nt_type=method.lower(),
            nt_samples=question.steps,
            nt_samples_batch_size=min(question.steps, question.batch),
            stdevs=(np.float32(spread),),
            target=question.target,
            abs=False,
        )
    return gradients, None


def _layer_grad_cam(attr: Any, method: str, question: CaptumQuestion) -> Attributions:
    weighed, _ = _one_pass(attr, method, question)
    return attr.LayerAttribution.interpolate(weighed, tuple(question.image.shape[2:]), "bilinear"), None


ASK: dict[str, Callable[[Any, str, CaptumQuestion], Attributions]] = {
    "captum:IntegratedGradients": _integrated_gradients,
    "captum:Saliency": _signed_gradient,
    "captum:InputXGradient": _one_pass,
    "captum:GuidedBackprop": _one_pass,
    "captum:Deconvolution": _one_pass,
    "captum:DeepLift": _one_pass,
    "captum:GradientShap": _gradient_shap,
    "captum:SmoothGrad": _smooth,
    "captum:VarGrad": _smooth,
    "captum:LayerGradCam": _layer_grad_cam,
    "captum:GuidedGradCam": partial(_one_pass, interpolate_mode="bilinear"),
}


def load_captum(method: str) -> Any:
    """Import Captum's attributions.

    Raises
    ------
    MissingExtraError
        If it is not installed, or cannot be imported.
    """
    return import_extra("captum.attr", "captum", f"method={method!r}")


def ask_captum(method: str, question: CaptumQuestion) -> tuple[np.ndarray, float | None]:
    """Give the attributions (height, width, channels) and, where the method says one, its convergence delta.

    Raises
    ------
    NetworkError
        If Captum cannot ask this network.
    """
    network = question.answers.network
    attr = load_captum(method)
    try:
        with ignoring(_EXPECTED_WARNINGS, UserWarning):
            attributions, delta = ASK[method](attr, method.removeprefix("captum:"), question)
    except IconoscopeError:
        raise
    # Captum runs the user's code here, and has asserts where we have errors; the traceback is kept as the cause.
    except Exception as error:
        reason = first_line(error)
        layer = "" if question.layer is None else "does the unit depend on the layer, or "
        raise NetworkError(
            f"{method} fails on {network.name}: {type(error).__name__}: {reason}",
            hint=f"It takes gradients: {layer}does the forward pass cut them, by detach or numpy? Occlusion needs none.",
        ) from error
    if attributions.ndim != 4 or attributions.shape[2:] != question.image.shape[2:]:
        raise NetworkError(
            f"{method} gives {tuple(attributions.shape)} for an image of {tuple(question.image.shape)}.",
            hint="Name a layer= that answers maps (images, channels, rows, columns).",
        )
    values = attributions[0].detach().float().permute(1, 2, 0).contiguous().cpu().numpy()
    return values, None if delta is None else float(delta.mean())


def last_maps(answers: UnitModule, image: torch.Tensor, target: int) -> str:
    """Give the name of the last layer that answers maps, larger than one pixel, on which the output depends.

    Maps of the classes themselves, a channel for each, are passed over where there are others.

    Raises
    ------
    QuestionError
        If there is none.
    """
    layers = _maps_before(answers, image, target)
    # Heads that are joined pass a gradient of 0 to each other, and so does a ReLU that is off: then a picture of noise tells.
    moved = {layer for layer, gradient in layers.items() if gradient}
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(image.shape, generator=generator, dtype=torch.float32).to(image)
    moved |= {layer for layer, gradient in _maps_before(answers, noise, target).items() if gradient}
    classes = len(answers.network.classes) if isinstance(answers.unit, ClassUnit) else 0
    ordered = sorted(
        layers, key=lambda layer: (layer in moved, layer[1] != classes)
    )  # in the order of their calls otherwise
    if not ordered:
        raise QuestionError(
            f"{answers.network.name} has no layer with maps before {answers.unit}, through which its gradient goes.",
            hint="Take a method that needs no layer, as captum:IntegratedGradients.",
        )
    return ordered[-1][0]


def _maps_before(answers: UnitModule, image: torch.Tensor, target: int) -> dict[tuple[str, int], bool]:
    """Give the layers with maps that the output reads, in the order of calls: name, channels, whether the gradient is not 0."""
    maps: list[tuple[str, torch.Tensor]] = []
    behind = (
        f"{answers.unit.layer}." if isinstance(answers.unit, LayerUnit) else "."
    )  # the unit's own layer, or inside it
    names = [name for name, _ in answers.module.named_modules() if name and not f"{name}.".startswith(behind)]

    def note(call: LayerCall) -> None:
        if isinstance(call.output, torch.Tensor) and call.output.ndim == 4 and call.output.requires_grad:
            maps.append((call.name, call.output))

    with watching(answers.network, names, note), torch.enable_grad():
        output = answers(image.detach().requires_grad_())[0, target]
    if not output.requires_grad or not maps:
        return {}
    gradients = torch.autograd.grad(output, [answer for _, answer in maps], allow_unused=True)
    layers: dict[tuple[str, int], bool] = {}
    for (name, answer), gradient in zip(maps, gradients, strict=True):
        _, channels, rows, columns = _in_order(answer, answers.module.get_submodule(name), image).shape
        if gradient is not None and rows * columns > 1:
            layers.pop((name, channels), None)
            layers[name, channels] = bool(gradient.any())
    return layers


def _in_order(maps: torch.Tensor, layer: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Give maps as (images, channels, rows, columns) where channels are last; others as they are."""
    return read_maps(maps, layer, image, "") if maps.ndim == 4 and len(maps) == len(image) else maps


class _MapsInOrder(nn.Module):
    """A layer whose maps pass, in order, through a module that Captum may watch; what follows works on a copy of them."""

    def __init__(self, layer: nn.Module, image: torch.Tensor) -> None:
        super().__init__()
        self.layer, self.maps, self.image = layer, nn.Identity(), image

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        answer = self.layer(*inputs, **settings)
        if not isinstance(answer, torch.Tensor):
            return answer
        in_order = _in_order(answer, self.layer, self.image)
        passed = self.maps(in_order)
        # With the channels last in the answer they were brought to the second axis.
        return (passed if in_order is answer else passed.permute(0, 2, 3, 1)).clone()


@contextmanager
def maps_of_their_own(answers: UnitModule, name: str, image: torch.Tensor) -> Iterator[nn.Module]:
    """Give a module whose answer is the maps of a layer, for the time of a block; the image is (1, channels, height, width)."""
    layer = answers.module.get_submodule(name)
    wrapper = _MapsInOrder(layer, image)
    _replace(answers.module, layer, wrapper)
    try:
        yield wrapper.maps
    finally:
        _replace(answers.module, wrapper, layer)


def _replace(module: nn.Module, layer: nn.Module, other: nn.Module) -> None:
    """Put another module in the place of a layer, wherever it stands: it may be used under several names."""
    for name in [name for name, inner in module.named_modules(remove_duplicate=False) if inner is layer]:
        module.set_submodule(name, other)
