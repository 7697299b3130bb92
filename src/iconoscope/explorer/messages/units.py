"""A layer's units as tiles, the page of one of them, and the units that tell a class."""

from __future__ import annotations

from dataclasses import dataclass, field

from iconoscope.explorer.messages.network import LayerSummary
from iconoscope.explorer.messages.session import Commands, DamagedRecord

__all__ = [
    "ClassSelectivity",
    "Histogram",
    "ImageAnswer",
    "ImagesBetween",
    "LayerPage",
    "UnitFound",
    "UnitLink",
    "UnitPage",
    "UnitSummary",
    "UnitsFound",
]


@dataclass(frozen=True)
class UnitSummary:
    """A unit as a tile.

    Attributes
    ----------
    unit, number
        Its full name, and its channel (or class).
    dead
        Whether it answered nothing to any image.
    class_name, selectivity
        The class that its answers tell best, and the area under the ROC curve, 0 to 1; empty and None where no image is
        labelled.
    answered
        The share of images to which its maximum is above zero.
    strongest
        The image that it answers most, and the receptive field of the maximum: top, left, bottom, right, pixels.
    optimized
        The address of an optimised picture in the store below `/api/`, `pictures/{key}/{number}.png`; empty where there is
        none.
    likeness
        Correlation of its answers with those of the unit that was chosen, -1 to 1; None where none was.
    """

    unit: str
    number: int
    dead: bool
    class_name: str
    selectivity: float | None
    answered: float
    maximum: float
    strongest: int
    field: list[int]
    optimized: str
    likeness: float | None = None


@dataclass(frozen=True)
class LayerPage:
    """All units of a layer; `damaged` are pictures of them that cannot be read."""

    layer: LayerSummary
    units: list[UnitSummary]
    damaged: list[DamagedRecord]
    commands: Commands


@dataclass(frozen=True)
class UnitLink:
    """Another unit, and how strongly it belongs to this one: a correlation, a cosine of weights, or a weight."""

    unit: str
    strength: float


@dataclass(frozen=True)
class ImageAnswer:
    """An image, what a unit answers to it, and where on it: top, left, bottom, right; empty where that is not known.

    `wrong` is whether the network answers it wrongly; null where its label is no class of the network, so that nobody knows.
    """

    number: int
    id: str
    label: str
    prediction: str
    wrong: bool | None
    value: float
    rank: int
    field: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Histogram:
    """Counts between edges, one more edge than counts."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class ClassSelectivity:
    """How well a unit's answers tell one class from all others."""

    name: str
    auc: float
    mean: float


@dataclass(frozen=True)
class UnitPage:
    """What is known of a unit.

    Attributes
    ----------
    optimized
        Addresses of optimised pictures in the store below `/api/`: `pictures/{key}/{number}.png`.
    optimized_from
        The ids of the images from which these began; empty where it was noise.
    most, least
        Images with the strongest and the weakest answers.
    histogram
        Of its answers to all images.
    alike
        Units of the same layer whose answers correlate most, `alike_by_weights` whose incoming weights do.
    feeds, fed_by
        The strongest weights to the layer behind and from the layer before; empty where no weights lie between.
    damaged
        Records of pictures that cannot be read.
    """

    unit: str
    layer: str
    number: int
    dead: bool
    optimized: list[str]
    optimized_from: list[str]
    most: list[ImageAnswer]
    least: list[ImageAnswer]
    histogram: Histogram
    classes: list[ClassSelectivity]
    alike: list[UnitLink]
    alike_by_weights: list[UnitLink]
    fed_by: list[UnitLink]
    feeds: list[UnitLink]
    damaged: list[DamagedRecord]
    commands: Commands


@dataclass(frozen=True)
class ImagesBetween:
    """Images whose answers lie in an interval, from the strongest, and how many there are in all."""

    total: int
    images: list[ImageAnswer]


@dataclass(frozen=True)
class UnitFound:
    """A unit, and how well its answers tell a class from all others.

    Attributes
    ----------
    auc
        The area under the ROC curve on the images by which the units were chosen, 0 to 1.
    auc_held_out
        The same on images that were held out: choosing does not flatter it. None where none were.
    recall
        The share of the class that it answers more than all but 1% of the others, on images held out; None where that was
        not tested.
    alone
        Whether it answers the class and little else, which no chance explains; None where that was not tested.
    """

    unit: str
    auc: float
    auc_held_out: float | None = None
    recall: float | None = None
    alone: bool | None = None


@dataclass(frozen=True)
class UnitsFound:
    """Units that tell a class from the others, the best first (`GET find?class=&layer=&limit=`; without a layer, of all).

    Attributes
    ----------
    tested
        Whether they were searched as `find_units` does. Else, in an export of many classes or where images are not at hand,
        their areas are those on all images, by which they were chosen.
    held_out
        How many images of the class were held out.
    alone
        The units, of whatever layer, that answer the class and little else; often there is none.
    """

    class_name: str
    units: list[UnitFound]
    tested: bool
    held_out: int
    alone: list[str]
    commands: Commands
