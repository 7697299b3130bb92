"""Inverting a code: what of a photograph is left in what a layer answers to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import QuestionError, UnitError, check_choice, check_counts, warn
from iconoscope.optimization.latent_parameterization import (
    LatentParameterization,
    real_images,
    sampled_images,
    style_with_prior,
)
from iconoscope.optimization.regularizers import TotalVariation
from iconoscope.optimization.style import STYLES, Style
from iconoscope.optimization.synthesis import check_pictures
from iconoscope.progress import track
from iconoscope.results import Inversion, Question
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import LayerUnit

if TYPE_CHECKING:
    import torch

    from iconoscope.optimization.code_distance import CodeDistance
    from iconoscope.optimization.initial_image import Start, StartLike
    from iconoscope.priors import Prior

__all__ = ["invert"]

INVERTING = Style(transforms=None, regularizers=(TotalVariation(0.1),), rate=0.05, fade=0.1)
"""How inversions are made where nothing else is said: along the spectrum, and differences of neighbouring pixels cost a little.
They are not moved about, as the code says where things are."""

STEPS = 200
"""Steps that suit most layers."""

OTHERS = 32
"""The number of other images whose codes are looked at."""

ONE_COLOUR = 1 / 255
"""Of 0..1: a picture whose pixels differ by less has no phases to shuffle."""

SHUFFLED = 8
"""How often the photograph's phases are shuffled, where there are no other images."""


@checked
def invert(
    network: Network,
    image: StartLike,
    layers: Sequence[str] | None = None,
    *,
    count: int = 1,
    style: Style | str = "default",
    prior: Prior | str | Path | None = None,
    steps: int = STEPS,
    compare: Any = None,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> Inversion:
    """Make pictures that a layer answers as it does a photograph: what of the photograph is left there?

    A picture is changed, from noise, until the layer's answer to it is that to the photograph (Mahendran and Vedaldi 2015,
    "Understanding Deep Image Representations by Inverting Them"). What two such pictures have in common is left in the code,
    and what they differ in is not. How near the code of a picture comes is said as the squared distance from that of the
    photograph over its square, beside the same of other images.

    Parameters
    ----------
    network
        The network; its weights are not touched.
    image
        The photograph: a file; in Python also an array or a PIL image.
    layers
        Which layers, separated by commas on the command line; logits is one of them. If not given, what comes out of the blocks
        of the network, in order, and the logits.
    count
        How many pictures of each layer, from different starts.
    style
        How pictures are made: default, or as of `optimize`.
    prior
        What pictures may be, as of `optimize`: cifar10, cifar10-refined, or the file of one. It fills what the code leaves open
        with what is likely.
    steps
        How many steps.
    compare
        Other images, whose codes are the measure: a folder, a file, arrays. If not given, those that the prior keeps or,
        without one, the photograph with its phases shuffled, in which colours and contrast are the same and things are not.
    seed
        Seed of the starts.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    Inversion
        The pictures, layer by layer. Ctrl-C gives the layers that were done by then, with a warning.

    Raises
    ------
    UnitError
        If the network has no such layer.
    QuestionError
        If the image is not one photograph, a layer answers nothing to it, or a setting is no choice.
    NonFiniteError
        If the network answers NaN or infinity.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> inversion = ico.invert(net, ico.demo_images(2, seed=1)[0], ["relu1", "relu4"], steps=4)
    >>> inversion.layers, inversion.images.shape, inversion.distance.shape
    (('relu1', 'relu4'), (2, 1, 96, 96, 3), (2, 1))
    """
    from iconoscope.optimization.initial_image import read_photograph

    check_figure_name(out)
    check_counts(most=10**4, count=count)
    check_counts(most=10**6, steps=steps)
    chosen = _style(style, prior)
    photograph = read_photograph(image, network.preprocessing)
    size = network.preprocessing.size
    latent = chosen.parameterization if isinstance(chosen.parameterization, LatentParameterization) else None
    if latent is not None and latent.prior.shape != (network.channels, *size):
        raise QuestionError(
            f"Pictures of {latent.prior!r} are of another size than the input of {network.name}, {size[0]}x{size[1]}.",
            hint="A code is that of a picture of the network's size: fit a prior of it.",
        )
    names = _layers(network, layers)
    check_pictures(count * len(names), channels=network.channels, size=size, steps=steps)
    others, measure = _other_images(network, photograph, compare, latent)
    if store is not None:
        chosen.check_storable()
    inverting = _Inverting(
        network=network,
        photograph=photograph,
        layers=names,
        count=count,
        style=chosen.fitted(size, network.channels),
        steps=steps,
        seed=seed,
        others=others,
        measure=measure,
    )
    inversion = _kept(inverting, None if store is None else Store.at(store, witness=network.witness))
    if out is not None:
        inversion.save(out)
    return inversion


def _kept(inverting: _Inverting, store: Store | None) -> Inversion:
    """Give the answer that the store has, or else ask; what Ctrl-C has ended is not kept."""
    question = inverting.question
    if store is None:
        return inverting.answer(question)[0]
    stored = store.find(question, Inversion)
    if stored is not None:
        return stored
    store.prepare()
    inversion, ended = inverting.answer(question)
    if ended:
        store.keep(inversion)
    return inversion


def _style(style: Style | str, prior: Prior | str | Path | None) -> Style:
    """Give the style, along a prior if there is one; a named one is moved about only if its name says so."""
    if isinstance(style, str):
        check_choice("style", style, STYLES)
    if prior is not None:
        along = style_with_prior(prior, style)
        return replace(along, transforms=None) if style == "default" else along
    return style if isinstance(style, Style) else INVERTING if style == "default" else STYLES[style]


def _layers(network: Network, layers: Sequence[str] | None) -> tuple[str, ...]:
    """Give the full names of the layers; where none are named, of the blocks, and the logits."""
    from iconoscope.subject.usual_layers import layer_answers, usual_among

    if layers is None:
        if network.opaque:
            return ("logits",)
        with network.questioned():
            answers, _ = layer_answers(network)
        return (*usual_among(network, answers), "logits")
    names: list[str] = []
    for name in [layers] if isinstance(layers, str) else layers:
        unit = None if name == "logits" else network.resolve(name)
        if unit is not None and (not isinstance(unit, LayerUnit) or unit.channel is not None):
            raise UnitError(
                f"{name!r} is a unit; what is inverted is the code of a whole layer.",
                hint=f"Give {name.partition(':')[0]!r}." if isinstance(unit, LayerUnit) else "Give 'logits'.",
            )
        names.append(name if unit is None else str(unit))
    if not names:
        raise QuestionError("No layer was named.", hint="Leave layers out, and all blocks are inverted.")
    return tuple(dict.fromkeys(names))


def _other_images(
    network: Network, photograph: Start, compare: Any, latent: LatentParameterization | None
) -> tuple[torch.Tensor, str]:
    """Give pictures (n, channels, height, width) of 0..1 whose codes are the measure, and what they are in words."""
    from iconoscope.optimization.initial_image import pictures_of_channels
    from iconoscope.optimization.reference_activations import read_reference

    reference = read_reference(network, compare) if compare is not None else None
    if reference is None and latent is not None:
        reference = real_images(latent.prior, network)
    if reference is None:
        assert photograph.pictures is not None
        picture = photograph.pictures[0]
        if float((picture.amax((1, 2)) - picture.amin((1, 2))).max()) < ONE_COLOUR:
            raise QuestionError(
                f"{photograph.name} has one colour: with its phases shuffled it stays as it is, so that there is nothing to "
                "hold the distance of its inversions against.",
                hint="Name other images that it is compared with: compare=images, --compare FOLDER.",
            )
        return _shuffled(picture), "the photograph with its phases shuffled"
    pixels = reference.pixels[:: max(1, len(reference.pixels) // OTHERS)][:OTHERS]
    return pictures_of_channels(pixels, network.channels), f"{len(pixels)} other images"


def _shuffled(picture: torch.Tensor) -> torch.Tensor:
    """Turn the phases of a picture (channels, height, width) at random, those of all channels alike: colours stay together."""
    import torch

    spectrum = torch.fft.rfft2(picture)
    draws = torch.Generator().manual_seed(0)
    noise = torch.rand((SHUFFLED, 1, *picture.shape[1:]), generator=draws)
    # The phases of noise are those of some real picture, so that no frequency is turned against its own mirror image.
    phases = torch.fft.rfft2(noise).angle()
    phases[..., 0, 0] = 0
    return torch.fft.irfft2(spectrum * torch.polar(torch.ones_like(phases), phases), s=picture.shape[1:]).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class _Inverting:
    """All that is asked of every layer alike."""

    network: Network
    photograph: Start
    layers: tuple[str, ...]
    count: int
    style: Style
    steps: int
    seed: int
    others: torch.Tensor
    measure: str

    @property
    def question(self) -> Question:
        return Question(
            technique="invert",
            network=self.network.name,
            weights=self.network.digest(),
            subject=self.photograph.name,
            pixels=self.photograph.digest,
            unit="; ".join(self.layers),
            settings={
                "preprocessing": self.network.preprocessing.to_json(),
                "classes": self.network.classes_digest,
                "style": self.style.to_json(),
                "others": sha256(self.others.numpy().tobytes()).hexdigest(),
                **{name: getattr(self, name) for name in ("count", "steps", "seed")},
            },
            version=__version__,
        )

    def answer(self, question: Question) -> tuple[Inversion, bool]:
        """Invert one layer after another; say also whether all steps of all of them were done."""
        rows: list[dict[str, NDArray[Any]]] = []
        ended = False
        for layer in track(self.layers, f"inverting, {self.network.name}"):
            try:
                row, ended = self._invert(layer)
            except KeyboardInterrupt:
                row, ended = None, False
            if row is not None and (ended or not rows):
                rows.append(row)
            if not ended:
                break
        if not rows:
            raise KeyboardInterrupt
        if not ended:
            warn(f"Interrupted: {len(rows)} of {len(self.layers)} layers, the last one perhaps unfinished.")
            question = replace(question, unit="; ".join(self.layers[: len(rows)]))
        return self._result(question, rows), ended

    def _result(self, question: Question, rows: list[dict[str, NDArray[Any]]]) -> Inversion:
        from iconoscope.optimization.classification import class_probabilities
        from iconoscope.optimization.loop import channels_last

        assert self.photograph.pictures is not None
        arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        latent = self.style.parameterization
        prior = repr(latent.prior).strip("<>") if isinstance(latent, LatentParameterization) else ""
        return Inversion(
            question=question,
            layers=self.layers[: len(rows)],
            photograph=channels_last(self.photograph.pictures[0]),
            classes=self.network.classes,
            photograph_probabilities=class_probabilities(self.network, self.photograph.pictures)[0],
            measure=self.measure,
            style=f"{self.style.describe()}; {self.steps} steps",
            prior=prior,
            **arrays,
        )

    def _invert(self, layer: str) -> tuple[dict[str, NDArray[Any]], bool]:
        """Invert a layer; give its row of the arrays of an `Inversion`, and whether all steps were done."""
        from iconoscope.optimization.canvas import begin_canvas
        from iconoscope.optimization.classification import class_probabilities
        from iconoscope.optimization.code_distance import CodeDistance
        from iconoscope.optimization.loop import Loss, adam, ascend, channels_last, score
        from iconoscope.subject.probe import LOGITS

        network, style = self.network, self.style
        assert self.photograph.pictures is not None and isinstance(style.colours, np.ndarray) and style.rate is not None
        assert style.fade is not None
        assert not isinstance(style.transforms, str)
        read = LOGITS if layer == "logits" else layer
        draws = [self._generator(number) for number in range(self.count)]
        shape = (self.count, network.channels, *network.preprocessing.size)
        with network.questioned():
            scores = CodeDistance(read, self._code(read), layer)
            canvas = begin_canvas(style.parameterization, shape, draws, None, root=style.colours, limits=style.limits)
            ascent = ascend(
                network,
                scores,
                canvas,
                loss=Loss(regularizers=style.regularizers, price=self._price(scores)),
                transforms=style.transforms,
                draws=draws,
                stepper=adam(style.rate, steps=self.steps, fade=style.fade),
                blur=style.blur,
                steps=self.steps,
                frames=2,
            )
            distance = -score(network, scores, ascent.pictures)
            others = -score(network, scores, self.others)
        return {
            "images": channels_last(ascent.pictures),
            "objective": ascent.scores.cpu().numpy(),
            "distance": distance.cpu().numpy(),
            "other_distance": np.asarray(others.median().item(), np.float32),
            "probabilities": class_probabilities(network, ascent.pictures),
        }, ascent.ended

    def _generator(self, number: int) -> torch.Generator:
        """Give random numbers for a picture, the same for every layer and whatever else is made with it."""
        import torch

        digest = sha256(f"{self.seed} inversion {number}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

    def _code(self, layer: str) -> torch.Tensor:
        """Give what a layer answers to the photograph, (1, ...)."""
        import torch

        from iconoscope.optimization.loop import normalising
        from iconoscope.subject.probe import probe

        assert self.photograph.pictures is not None
        with probe(self.network, [layer]) as read, torch.inference_mode():
            return read(normalising(self.network)(self.photograph.pictures))[layer].clone()

    def _price(self, scores: CodeDistance) -> float:
        """Give how much the distance varies over pictures that a prior draws: what counts as much or little; 1 without one."""
        import torch

        from iconoscope.optimization.initial_image import pictures_of_channels
        from iconoscope.optimization.loop import score

        parameterization = self.style.parameterization
        if not isinstance(parameterization, LatentParameterization):
            return 1.0
        pixels = sampled_images(parameterization.prior, self.network).pixels
        drawn = pictures_of_channels(pixels, self.network.channels)
        distances = torch.cat([score(self.network, scores, part) for part in drawn.split(8)])
        return float(distances.std()) or 1.0
