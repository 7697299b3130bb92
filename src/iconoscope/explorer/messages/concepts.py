"""The concepts of a layer."""

from __future__ import annotations

from dataclasses import dataclass

from iconoscope.explorer.messages.session import Commands, DamagedRecord

__all__ = ["ClassConcepts", "ConceptExemplar", "ConceptSummary", "LayerConcepts"]


@dataclass(frozen=True)
class ConceptExemplar:
    """An image in which a concept is strong: its id, and its number in the recording (-1 where it is not in it)."""

    id: str
    number: int


@dataclass(frozen=True)
class ConceptSummary:
    """A concept of a class.

    Attributes
    ----------
    loss
        By how much the class's logit falls where its part is taken out of the layer, in the mean over the images.
    share
        Of the variance of the maps, what it alone explains.
    stability
        How alike it comes out of resamples, at most 1; None where that was not asked.
    exemplars
        The images in which it is strongest, the strongest first.
    """

    loss: float
    share: float
    stability: float | None
    exemplars: list[ConceptExemplar]


@dataclass(frozen=True)
class ClassConcepts:
    """The concepts of a class, in order of what its logit loses without each.

    `/api/concepts/{key}/{concept}/{kind}-{number}.png` gives their pictures: `made`, where there is one, each `exemplar`, and
    the `map` on each of some photographs.

    Attributes
    ----------
    images, logit, explained
        How many were asked about, the class's logit in the mean over them, and the share of variance that all concepts explain.
    made, maps
        Whether a picture was made for each, and on how many photographs its map is shown.
    """

    key: str
    class_name: str
    images: int
    logit: float
    explained: float
    made: bool
    maps: int
    concepts: list[ConceptSummary]
    commands: Commands


@dataclass(frozen=True)
class LayerConcepts:
    """The concepts of a layer (`GET concepts?layer=`) that the store has, class by class, and the lines that make some.

    `damaged` are those that cannot be read.
    """

    classes: list[ClassConcepts]
    damaged: list[DamagedRecord]
    commands: Commands
