"""Gradient methods, beside occlusion: Captum's maps as results, to be shown and scored like ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import (
    NetworkError,
    NonFiniteError,
    QuestionError,
    check_choice,
    check_counts,
    shortened,
    warn,
)
from iconoscope.occlusion.fills import Fill, FillLike, read_fill
from iconoscope.occlusion.geometry import make_grid
from iconoscope.occlusion.query import ImageQuestion, asked_alike, is_one, labels_of, say_unlabelled, with_figures
from iconoscope.progress import track
from iconoscope.results import Attribution, Question
from iconoscope.results.rendering import rgb
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import Default, checked, complete, spelled_out
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import LayerUnit, Unit

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PillowImage

    from iconoscope.occlusion.gradients import UnitModule

__all__ = ["METHODS", "GradientMethod", "attribute", "attribute_each"]


@dataclass(frozen=True)
class Needs:
    """Needs of a method, and whether its numbers are shares.

    Attributes
    ----------
    signed
        Whether a number is a share of the answer, so that what is positive speaks for the unit. A gradient is none: its sign
        says whether the pixel should be brighter or darker.
    baseline
        The fill that the image is held against, if nothing else is said; empty where the method has no such thing.
    steps
        Points of the path, or samples, if nothing else is said; 0 for methods without either.
    layer
        Whether it weighs the maps of a layer.
    random
        Whether it draws numbers.
    modules
        The kinds of module for which it has a rule of its own; DeepLift has more, which matter less.
    """

    signed: bool
    baseline: str = ""
    steps: int = 0
    layer: bool = False
    random: bool = False
    modules: tuple[str, ...] = ()


METHODS = {
    "captum:IntegratedGradients": Needs(signed=True, baseline="zero", steps=50),
    "captum:Saliency": Needs(signed=False),
    "captum:InputXGradient": Needs(signed=True),
    "captum:GuidedBackprop": Needs(signed=False, modules=("ReLU",)),
    "captum:Deconvolution": Needs(signed=False, modules=("ReLU",)),
    "captum:DeepLift": Needs(signed=True, baseline="zero", modules=("ReLU", "MaxPool2d")),
    "captum:GradientShap": Needs(signed=True, baseline="zero", steps=50, random=True),
    "captum:SmoothGrad": Needs(signed=False, steps=50, random=True),
    "captum:VarGrad": Needs(signed=False, steps=50, random=True),
    "captum:LayerGradCam": Needs(signed=True, layer=True),
    "captum:GuidedGradCam": Needs(signed=False, layer=True, modules=("ReLU",)),
}
"""The methods by their names in Captum; SmoothGrad and VarGrad are its NoiseTunnel over Saliency."""


class GradientMethod(TypedDict, total=False):
    """The settings of a gradient method.

    Parameters
    ----------
    method
        captum:IntegratedGradients (Sundararajan et al. 2017), captum:Saliency (the gradient; Simonyan et al. 2014),
        captum:InputXGradient (Shrikumar et al. 2016), captum:GuidedBackprop (Springenberg et al. 2015), captum:Deconvolution
        (Zeiler and Fergus 2014), captum:DeepLift (Shrikumar et al. 2017), captum:GradientShap (Lundberg and Lee 2017),
        captum:SmoothGrad (Smilkov et al. 2017), captum:VarGrad (Adebayo et al. 2018), captum:LayerGradCam or
        captum:GuidedGradCam (Selvaraju et al. 2017).
    baseline
        What the image is held against by IntegratedGradients, DeepLift and GradientShap: zero, black, mean, blur, noise or
        an image, as the fill of occlude. If not given, zero.
    steps
        How many points the path of IntegratedGradients has, or how many samples GradientShap, SmoothGrad and VarGrad draw.
        If not given, 50.
    layer
        The layer whose maps LayerGradCam and GuidedGradCam weigh. If not given, the last one with maps that the unit
        depends on, those of the classes themselves aside.
    seed
        Seed of what is drawn: samples, and a random baseline.
    store
        Folder where the answer is looked for first, and kept.
    """

    method: Annotated[str, Default("captum:IntegratedGradients")]
    baseline: Annotated[FillLike | None, Default(None)]
    steps: Annotated[int | None, Default(None)]
    layer: Annotated[str | None, Default(None)]
    seed: Annotated[int, Default(0)]
    store: Annotated[Store | str | Path | None, Default(None)]


@overload
def attribute(
    network: Network,
    images: Image | PillowImage,
    unit: str | Unit | None = None,
    *,
    out: str | Path | None = None,
    **settings: Unpack[GradientMethod],
) -> Attribution: ...
@overload
def attribute(
    network: Network,
    images: Images | Sequence[Any] | Path,
    unit: str | Unit | None = None,
    *,
    out: str | Path | None = None,
    **settings: Unpack[GradientMethod],
) -> list[Attribution]: ...
@overload
def attribute(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    out: str | Path | None = None,
    **settings: Unpack[GradientMethod],
) -> Any: ...
@checked
@spelled_out
def attribute(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    out: str | Path | None = None,
    **settings: Unpack[GradientMethod],
) -> Any:
    """Ask a gradient method of Captum how much every pixel speaks for a unit.

    The maps come from Captum (Kokhlikyan et al. 2020, "Captum: A unified and generic model interpretability library for
    PyTorch"), and are results like an occlusion map: they are shown beside it, and scored by `faithfulness` alike. The network
    is copied for the time, in 32 bits, with every ReLU a module of its own, as some of the methods want it; so nothing is
    left on it.

    Parameters
    ----------
    network
        The network.
    images
        One image, or a set of them.
    unit
        The unit that is asked: prob:truck, logit:truck, layer2.0.conv1:17 and so on. If not given, the probability of the
        image's label or, if it has none, of the class that the network predicts. The gradient of a probability near 1 is
        next to nothing; ask for the logit there.
    **settings
        Those of `GradientMethod`.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp. Where there are several images, their
        places in the set are put before the ending: map-1.png, map-2.png.

    Returns
    -------
    Attribution or list of Attribution
        One for one image (an `Image`, a PIL image, an array of at most three axes), a list for a set, also of one. Images
        that cannot be read are left out with a warning.

    Raises
    ------
    QuestionError
        If a setting is no choice, or the method has no such setting.
    UnitError
        If the network has no such unit.
    MissingExtraError
        If Captum is not installed.
    NetworkError
        If the network cannot be copied, or Captum cannot ask it.
    NonFiniteError
        If the network answers NaN or infinity, or a map has them.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> attribution = ico.attribute(net, ico.demo_images(2, seed=1)[0], method="captum:IntegratedGradients")
    >>> attribution.values.shape, attribution.map.shape
    ((96, 96, 3), (96, 96))
    >>> abs(attribution.completeness) < 0.05
    True
    """
    check_figure_name(out)
    pictures = load_images(images)
    attributions = list(with_figures(attribute_each(network, pictures, unit, **settings), len(pictures), out))
    return attributions[0] if is_one(images) else attributions


def attribute_each(
    network: Network, images: Any, unit: str | Unit | None = None, **settings: Unpack[GradientMethod]
) -> Iterator[Attribution]:
    """Give one result of `attribute` after another, and keep none; what makes no sense is raised at once."""
    question = _question(network, unit, complete(GradientMethod, settings, "attribute"))
    pictures = load_images(images)
    return _ask_each(question, pictures, labels_of(network, pictures))


def _ask_each(question: _GradientQuestion, pictures: Images, labels: dict[str, int]) -> Iterator[Attribution]:
    origins: list[str] = []
    flat: list[str] = []
    for image in track(pictures.readable(), f"{question.method}, {question.network.name}", total=len(pictures)):
        attribution = question.ask(image, labels[image.id])
        origins.append(attribution.target_origin)
        if not attribution.values.any():
            flat.append(image.id)
        yield attribution
    say_unlabelled(origins)
    if flat:
        warn(
            f"The map of {shortened(flat)} is 0 everywhere, as the gradient is: it is for a probability that is 1 (ask for the "
            "logit), and for a unit behind a ReLU that is off."
        )


def _question(network: Network, unit: str | Unit | None, settings: dict[str, Any]) -> _GradientQuestion:
    method, steps, layer, seed = (settings[name] for name in ("method", "steps", "layer", "seed"))
    check_choice("method", method, METHODS)
    needs = METHODS[method]
    for name in ("baseline", "steps", "layer"):
        if settings[name] is not None and not getattr(needs, name):
            raise QuestionError(
                f"{method} has no {name}, and {name}={settings[name]!r} was given.", hint=f"Leave {name} out."
            )
    check_counts(most=10**6, steps=1 if steps is None else steps)
    if layer is not None:
        named = network.resolve(layer)
        if not isinstance(named, LayerUnit) or named.channel is not None:
            raise QuestionError(f"layer={layer!r} is no layer.", hint="iconoscope layers lists them.")
        layer = named.layer
    fill = needs.baseline if settings["baseline"] is None else settings["baseline"]
    return _GradientQuestion(
        **asked_alike(network, unit, seed, settings["store"]),
        method=method,
        needs=needs,
        baseline=read_fill(fill, network.preprocessing).for_regions() if needs.baseline else None,
        steps=steps or needs.steps,
        layer=layer,
        copies=[],
    )


@dataclass(frozen=True, kw_only=True)
class _GradientQuestion(ImageQuestion):
    """All that is asked of every image alike."""

    method: str
    needs: Needs
    baseline: Fill | None
    steps: int
    layer: str | None
    copies: list[Network]  # the copy that is worked on, once there is one

    def ask(self, image: Image, label: int) -> Attribution:
        import torch

        with self.network.questioned():
            picture, tensor = self.seen(image)
            with torch.inference_mode():
                unit, origin = self.unit_for(tensor, label)
            baseline = None if self.baseline is None else self.baseline.of(picture)
            random = self.needs.random or (baseline is not None and baseline.random)
            settings = {
                "method": self.method,
                "baseline": baseline.name if baseline else None,
                "steps": self.steps or None,
                "layer": self.layer,
                "seed": self.seed if random else None,
            }
            question = self.about("attribute", image, unit, settings)

            def answer() -> Attribution:
                return self._answer(question, picture, tensor, unit, origin, baseline)

            return self.answered(question, Attribution, answer, target_origin=origin)

    def _answer(
        self,
        question: Question,
        picture: NDArray[np.uint8],
        tensor: torch.Tensor,
        unit: Unit,
        origin: str,
        baseline: Fill | None,
    ) -> Attribution:
        import torch

        from iconoscope.occlusion.dense import clean_response
        from iconoscope.occlusion.gradients import CaptumQuestion, ask_captum, last_maps, load_captum, maps_of_their_own

        load_captum(self.method)
        if self.network.singly and "DeepLift" in self.method:
            raise NetworkError(
                f"{self.method} asks {self.network.name} for the image and the baseline together, and it answers an image "
                f"otherwise then: {self.network.singly}.",
                hint="Ask with captum:IntegratedGradients.",
            )
        with torch.inference_mode():
            clean, names, target, measure = clean_response(self.network, tensor, unit)
        baseline_image, baseline_answer = None, None
        if baseline is not None:
            preprocessing = self.network.preprocessing
            drawn = baseline.field(picture, preprocessing, make_grid(preprocessing.size).patch, self.seed)
            baseline_image = torch.from_numpy(drawn)
            with torch.inference_mode():
                baseline_answer = float(clean_response(self.network, baseline_image, unit)[0][target])
        answers = self._answers(unit, tensor)
        self._check_alike(float(clean[target]), answers, tensor, target)
        fitted = _fitted(answers, tensor)
        layer = (self.layer or last_maps(answers, fitted, target)) if self.needs.layer else ""
        with maps_of_their_own(answers, layer, fitted) if layer else nullcontext() as module:
            captum_question = CaptumQuestion(
                answers=answers,
                image=fitted.requires_grad_(),
                target=target,
                baseline=None if baseline_image is None else _fitted(answers, baseline_image),
                layer=module,
                steps=self.steps,
                seed=self.seed,
            )
            values, delta = ask_captum(self.method, captum_question)
        if not np.isfinite(values).all():
            raise NonFiniteError(
                f"The map of {question.subject} by {self.method} holds NaN or infinity.",
                hint="Its gradient overflows, or divides by nothing. Another method, or occlude, may have an answer.",
            )
        return Attribution(
            question=question,
            values=values,
            signed=self.needs.signed,
            clean=clean,
            target=target,
            target_origin=origin,
            names=names,
            measure=measure,
            picture=rgb(picture),
            method=self.method,
            baseline=baseline.name if baseline else "",
            baseline_answer=baseline_answer,
            convergence=delta,
            layer=layer,
            steps=self.steps,
        )

    def _answers(self, unit: Unit, tensor: torch.Tensor) -> UnitModule:
        """Give a copy of the network that answers about the unit, in evaluation mode."""
        from iconoscope.occlusion.gradients import UnitModule
        from iconoscope.occlusion.rectifiers import copied

        if not self.copies:
            self.copies.append(copied(self.network))
        (copy,) = self.copies
        answers = UnitModule(copy, unit, _fitted(copy, tensor), self.needs.modules)
        answers.eval()
        if answers.passed_by:
            raise QuestionError(
                f"{self.method} has a rule of its own for {' and '.join(self.needs.modules)}, which does not reach all that "
                f"{self.network.name} applies: {shortened(answers.passed_by)}.",
                hint="Write a ReLU as a module (torch.nn.ReLU) or by torch.nn.functional; for what is none, and rectifies or "
                "bends as one, there is no such rule: ask with captum:IntegratedGradients.",
            )
        return answers

    def _check_alike(self, clean: float, answers: UnitModule, tensor: torch.Tensor, target: int) -> None:
        """See that the copy answers as the network does, up to rounding, coarser where it has 16 bits."""
        import torch

        with torch.no_grad():
            of_copy = float(answers(_fitted(answers, tensor))[0, target])
        half = any(weight.dtype in (torch.float16, torch.bfloat16) for weight in self.network.module.parameters())
        if abs(of_copy - clean) > (0.1 if half else 1e-3) * max(1.0, abs(clean)):
            raise NetworkError(
                f"{self.network.name} answers {clean:.4g}, and a copy of it {of_copy:.4g}: no gradient of the one says "
                "anything of the other.",
                hint="Does it draw random numbers, or keep something from one pass for the next?",
            )


def _fitted(answers: UnitModule | Network, image: torch.Tensor) -> torch.Tensor:
    """Give an image (channels, height, width) as a batch of one where the network is, and in the type of its weights."""
    network = answers if isinstance(answers, Network) else answers.network
    return network.fitted(image[None]).clone()
