"""Parts of a question that are alike for every technique that asks about one image after another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from iconoscope import __version__
from iconoscope.errors import IconoscopeWarning
from iconoscope.results import Question, Result
from iconoscope.results.result import Finding, figure_names
from iconoscope.store import Store
from iconoscope.subject.images import Image
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    import torch

__all__ = ["answered", "is_one", "question_of", "save_figures", "say_unlabelled", "unit_of"]

Answer = TypeVar("Answer", bound=Result)


def is_one(images: Any) -> bool:
    """Tell one image from a set of one, by what was given: an `Image`, a PIL image, or pixels without an axis for images."""
    return isinstance(images, Image) or hasattr(images, "getexif") or getattr(images, "ndim", 4) <= 3


def unit_of(network: Network, image: torch.Tensor, label: int) -> tuple[Unit, str]:
    """Give the unit that an image (3, height, width) is asked about where none is named, and why that one.

    It is the probability of its label's class or, where `label` is -1, of the class that the network predicts.
    """
    if label >= 0:
        return network.class_unit("prob", label), "label"
    predicted = int(network.logits(image[None].to(network.device))[0].argmax())
    return network.class_unit("prob", predicted), "prediction"


def question_of(
    technique: str, network: Network, weights: str, image: Image, unit: Unit, settings: dict[str, Any]
) -> Question:
    """Give the question that a technique puts to a network (`weights` is their digest) about an image."""
    return Question(
        technique=technique,
        network=network.name,
        weights=weights,
        subject=image.id,
        pixels=network.preprocessing.digest_of(image),
        unit=str(unit),
        settings={
            "preprocessing": network.preprocessing.to_json(),
            "classes": network.classes_digest,
            **settings,
        },
        version=__version__,
    )


def answered(
    question: Question, kind: type[Answer], answer: Callable[[], Answer], store: Store | None, **now: Any
) -> Answer:
    """Give the answer that the store has already, or else ask, and let the store keep it.

    The fields `now` are as they were asked for this time: the same question may have been asked for another reason before.
    """
    return answer() if store is None else replace(store.answer(question, kind, answer), **now)


def save_figures(findings: Sequence[Finding], out: str | Path | None) -> None:
    """Write the figure of each finding under its name, if there is one."""
    if out is not None:
        for finding, name in zip(findings, figure_names(len(findings), out), strict=True):
            finding.save(name)


def say_unlabelled(origins: Sequence[str]) -> None:
    """Warn where some of the images, but not all, were asked about what the network predicts."""
    unlabelled = sum(origin == "prediction" for origin in origins)
    if 0 < unlabelled < len(origins):
        warnings.warn(
            f"{unlabelled} of {len(origins)} images have no label that the network knows: they were asked about the class "
            "that it predicts.",
            IconoscopeWarning,
            stacklevel=3,
        )
