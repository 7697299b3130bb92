"""Parts of a question that are alike for every technique that asks about one image after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import ImagesError, check_seed, warn
from iconoscope.language import in_language
from iconoscope.results import Question, Result
from iconoscope.results.result import Finding, figure_names
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images
from iconoscope.subject.network import Network, Preprocessing
from iconoscope.vocabulary.labels import match_labels
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    import torch

__all__ = [
    "NO_OBJECT", "ImageQuestion", "asked_alike", "fitted_object", "is_one", "labels_of", "save_figures", "say_unlabelled",
    "with_figures",
]  # fmt: skip

# What the object may be of the picture: of a speck, or of all but a speck, there is nothing to tell.
_OBJECT_SHARE = (0.002, 0.998)

NO_OBJECT = "neither mask nor box"

Answer = TypeVar("Answer", bound=Result)
FindingT = TypeVar("FindingT", bound=Finding)


def is_one(images: Any) -> bool:
    """Tell one image from a set of one, by what was given: an `Image`, a PIL image, or pixels without an axis for images."""
    return isinstance(images, Image) or hasattr(images, "getexif") or getattr(images, "ndim", 4) <= 3


def labels_of(network: Network, images: Images) -> dict[str, int]:
    """Give the index of the class that the label of each image names, by the image's id; -1 where it names none."""
    return dict(zip(images.ids, match_labels(network.names, images.labels).tolist(), strict=True))


def asked_alike(
    network: Network, unit: str | Unit | None, seed: int, store: Store | str | Path | None
) -> dict[str, Any]:
    """Give the fields of `ImageQuestion`, read.

    Raises
    ------
    QuestionError
        If the seed is below zero; or of the unit, as `Network.resolve` raises it.
    """
    check_seed(seed)
    return {
        "network": network,
        "weights": network.digest(),
        "unit": None if unit is None else network.resolve(unit),
        "seed": seed,
        "store": None if store is None else Store.at(store, witness=network.witness),
    }


@dataclass(frozen=True, kw_only=True)
class ImageQuestion:
    """All that every technique asks of every image alike.

    Attributes
    ----------
    network, weights
        The network, and the digest of its weights.
    unit
        Resolved; None is the probability of each image's own class.
    seed
        Of what is drawn.
    store
        Where answers are looked for first, and kept.
    """

    network: Network
    weights: str
    unit: Unit | None
    seed: int
    store: Store | None

    def seen(self, image: Image) -> tuple[NDArray[np.uint8], torch.Tensor]:
        """Give the picture (height, width, channels) that the network sees, and its input (channels, height, width)."""
        picture = self.network.preprocessing.shown(image)
        return picture, self.network.preprocessing.normalise(picture[None])[0]

    def unit_for(self, tensor: torch.Tensor, label: int) -> tuple[Unit, str]:
        """Give the unit that an image (channels, height, width) is asked about, and why that one.

        Where none is named it is the probability of the label's class or, where `label` is -1, of the class that the network
        predicts.
        """
        if self.unit is not None:
            return self.unit, "asked"
        if label >= 0:
            return self.network.class_unit("prob", label), "label"
        predicted = int(self.network.logits(tensor[None].to(self.network.device))[0].argmax())
        return self.network.class_unit("prob", predicted), "prediction"

    def about(self, technique: str, image: Image, unit: Unit, settings: dict[str, Any]) -> Question:
        """Give the question that a technique puts about an image."""
        preprocessing = self.network.preprocessing
        common = {"preprocessing": preprocessing.to_json(), "classes": self.network.classes_digest}
        return Question(
            technique=technique,
            network=self.network.name,
            weights=self.weights,
            subject=image.id,
            pixels=preprocessing.digest_of(image),
            unit=str(unit),
            settings={**common, **settings},
            version=__version__,
        )

    def answered(self, question: Question, kind: type[Answer], answer: Callable[[], Answer], **now: Any) -> Answer:
        """Give the answer that the store has already, or else ask, and let the store keep it.

        The fields `now` are as they were asked for this time: the same question may have been asked for another reason before.
        """
        return answer() if self.store is None else replace(self.store.answer(question, kind, answer), **now)


def fitted_object(preprocessing: Preprocessing, image: Image) -> tuple[NDArray[np.bool_] | None, str]:
    """Give the object's mask (height, width) at the network's size; or None, and the reason why there is none to speak of."""
    try:
        mask = image.mask
    except ImagesError as error:
        return None, error.message
    if mask is None:
        return None, NO_OBJECT
    fitted = preprocessing.fit_mask(mask)
    share = float(fitted.mean())
    if not _OBJECT_SHARE[0] <= share <= _OBJECT_SHARE[1]:
        return None, f"{share:.1%} of what the network sees is object: nothing to tell apart"
    return fitted, ""


def save_figures(findings: Sequence[Finding], out: str | Path | None) -> None:
    """Write the figure of each finding under its name, if there is one."""
    for _ in with_figures(findings, len(findings), out):
        pass


def with_figures(
    findings: Iterable[FindingT], count: int, out: str | Path | None, lang: str | None = None
) -> Iterator[FindingT]:
    """Give one finding after another, the figure of each written under its name, if there is one, before the next is asked for.

    `count` is that of the images that are asked about; of several, figures have their numbers before the ending.
    """
    names = repeat(None) if out is None else figure_names(count, out)
    for finding, name in zip(findings, names, strict=False):
        if name is not None:
            with in_language(lang):
                finding.save(name)
        yield finding


def say_unlabelled(origins: Sequence[str]) -> None:
    """Warn where some of the images, but not all, were asked about what the network predicts."""
    unlabelled = sum(origin == "prediction" for origin in origins)
    if 0 < unlabelled < len(origins):
        warn(
            f"{unlabelled} of {len(origins)} images have no label that the network knows: they were asked about the class "
            "that it predicts."
        )
