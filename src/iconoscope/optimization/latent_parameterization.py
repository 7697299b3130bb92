"""The parameterization by a prior's latent: a picture is changed by its latent alone, and only as far as it stays likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.optimization.objective import Objective
from iconoscope.optimization.parameterization import Draws, Parameters, Shape
from iconoscope.optimization.style import Style
from iconoscope.vocabulary.resolver import plain_name

if TYPE_CHECKING:
    import torch

    from iconoscope.optimization.reference_activations import ReferenceImages
    from iconoscope.priors import Prior
    from iconoscope.subject.network import Network

__all__ = [
    "CAP",
    "STEPS",
    "LatentParameterization",
    "real_images",
    "sampled_images",
    "style_with_prior",
]

CAP = 1.2
"""With a prior pictures are asked for so many times what real images answer, if nothing else is said."""

STEPS = 100, 200
"""Numbers of steps that suit a latent of small pictures, and of large ones."""


@dataclass(frozen=True)
class LatentParameterization:
    """A latent of a prior; from a picture, what its latent does not say of it stays as it is.

    Attributes
    ----------
    prior : Prior
        What pictures may be.
    weight : float
        What it costs that a latent is as unlikely as they are on average, in standard deviations of the unit's answers to real
        images; to samples of the prior, if there are none.
    limits : float
        What it costs, in the same unit, by how much pixels lie outside of 0..1 in the mean.
    spread : float
        Standard deviation of the latents at the start, in units of the prior's: less is closer to its mean.
    labels : tuple of int
        Which class of the prior each picture is of, -1 for none; empty for none at all.
    """

    prior: Prior
    weight: float = 1.5
    limits: float = 15.0
    spread: float = 1.0
    labels: tuple[int, ...] = ()
    rate: float = 0.05
    keeps_limits: ClassVar[bool] = True
    STEPS: ClassVar[tuple[int, int]] = STEPS

    def __post_init__(self) -> None:
        for name in ("weight", "limits", "spread"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise QuestionError(f"{name}={getattr(self, name)} must be at least 0.")

    def labelled(self, network_classes: Sequence[str], objectives: Sequence[Objective]) -> LatentParameterization:
        """Say which class of the prior each picture is of: the one that is asked for, if the prior knows one of that name."""
        units = [objective.sole_class for objective in objectives]
        names = ["" if unit is None or unit.index is None else network_classes[unit.index] for unit in units]
        return replace(self, labels=tuple(_classes_of(names, self.prior.classes)))

    def begin(self, shape: Shape, draws: Draws, start: torch.Tensor | None) -> Parameters:
        """Begin at raw pictures, or at likely latents; raw pictures are those of the prior less a half."""
        import torch

        prior = self.prior
        if tuple(shape[1:]) != prior.shape:
            raise QuestionError(
                f"The pictures of {prior!r} are no others, and {shape[2]}x{shape[3]} with {shape[1]} channels were asked for.",
                hint="Leave size out.",
            )
        labels = self.labels or (-1,) * shape[0]
        residual: torch.Tensor | float = 0.0
        with torch.no_grad():
            if start is None:
                latents = prior.begin(draws, labels, spread=self.spread)
            else:
                latents = prior.encode(start + 0.5)
                residual = start + 0.5 - prior.decode(latents, labels)
        pace = prior.pace
        scaled = (latents / pace).detach().contiguous().requires_grad_()
        pictures: torch.Tensor | None = None  # of the last call of `raw`, which `cost` is about

        def raw() -> torch.Tensor:
            nonlocal pictures
            pictures = prior.decode(scaled * pace, labels) + residual
            return pictures - 0.5

        def cost() -> torch.Tensor:
            decoded = raw() + 0.5 if pictures is None else pictures
            beyond = (decoded - decoded.clamp(0, 1)).abs().mean((1, 2, 3))
            return self.weight * prior.cost(scaled * pace, labels) + self.limits * beyond

        return Parameters((scaled,), raw, cost)

    def standing_of(self, pictures: torch.Tensor, scaled: torch.Tensor) -> dict[str, NDArray[Any]]:
        """Say of finished pictures how likely they are, and what real images are nearest, by the names in `Visualization`."""
        import torch

        latents = (scaled.detach() * self.prior.pace).cpu()
        with torch.inference_mode():
            arrays: dict[str, NDArray[Any]] = {"likelihood": self.prior.score(latents).numpy()}
        comparison, reference = self.prior.comparison, self.prior.reference
        if comparison is None or reference is None:
            return arrays
        against = comparison.compare(pictures.cpu(), latents, self.labels)
        return arrays | {
            "likelier_than": against.likelier_than,
            "neighbour_distance": against.distance,
            "natural_spread": against.spread,
            "neighbours": reference.pixels[against.neighbours],
            "neighbour_names": np.array(reference.names)[against.neighbours],
        }


def _classes_of(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Give the index of the class of each name, however it is spelt, -1 where there is none."""
    indices = {plain_name(name): index for index, name in enumerate(classes)}
    return [indices.get(plain_name(name), -1) for name in names]


def style_with_prior(prior: Prior | str | Path, style: Style | str) -> Style:
    """Give a style whose pictures are changed along a prior.

    Parameters
    ----------
    prior
        A prior, its file, or the name of one that ships.
    style
        default, or a style: its transforms, regularizers, rate and fade are taken, and its parameterization if it is an
        `LatentParameterization`.

    Raises
    ------
    QuestionError
        If another style is asked for by name, or its pictures are written down otherwise.
    PriorError
        If the file cannot be read.
    """
    from iconoscope.priors import read_prior

    prior = read_prior(prior)
    parameterization = LatentParameterization(prior)
    if style == "default":
        style = Style(fade=0.1, parameterization=parameterization)
    if not isinstance(style, Style):
        raise QuestionError(
            f"style={style!r} says how pictures are written down, and so does a prior.", hint="Leave one out."
        )
    if isinstance(style.parameterization, LatentParameterization):
        parameterization = replace(style.parameterization, prior=prior)
    return replace(style, parameterization=parameterization, colours=np.eye(prior.shape[0]), limits="penalty")


SAMPLES = 32
"""The number of pictures that are drawn to see how a unit's answers vary, where there are no real images."""


def sampled_images(prior: Prior, network: Network) -> ReferenceImages:
    """Give pictures that a prior draws, as a network is shown them."""
    from iconoscope.optimization.reference_activations import ReferenceImages

    drawn = prior.sample(SAMPLES)
    return ReferenceImages(np.stack([network.preprocessing.fit(picture) for picture in drawn]), np.full(len(drawn), -1))


def real_images(prior: Prior, network: Network) -> ReferenceImages | None:
    """Give the real images that a prior keeps, as a network is shown them, if it keeps any."""
    from iconoscope.optimization.reference_activations import ReferenceImages

    reference = prior.reference
    if reference is None or not len(reference.pixels):
        return None
    classes = np.array([*_classes_of(prior.classes, network.classes), -1])
    fitted = np.stack([network.preprocessing.fit(picture) for picture in reference.pixels])
    return ReferenceImages(fitted, classes[reference.labels])
