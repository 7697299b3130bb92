"""The map of all images, and what is common to those that are chosen on it."""

from __future__ import annotations

from dataclasses import dataclass

from iconoscope.explorer.messages.images import ClassProbability
from iconoscope.explorer.messages.network import AuditSummary
from iconoscope.explorer.messages.session import Commands, DamagedRecord

__all__ = [
    "AnswerCount",
    "AuditOutlook",
    "AuditProgress",
    "ClassSelectivityOfUnit",
    "MapPage",
    "MeanHeatAnswer",
    "MeanHeatQuestion",
    "Mistakes",
    "Selection",
    "SelectionPage",
]


@dataclass(frozen=True)
class MapPage:
    """The map of all images: `/api/map/points` gives their places as uint16 pairs, `/api/atlas/{page}` the thumbnails.

    Attributes
    ----------
    numbers
        Of every point the number of its image, by which it is asked about and chosen.
    damaged
        Maps that cannot be read; an earlier one, or one that was made anew, stands for them.
    """

    count: int
    numbers: list[int]
    method: str
    quality: dict[str, float]
    side: int
    page: int
    pages: int
    neighbours: int
    labels: list[int]
    predictions: list[int]
    wrong: list[bool]
    ids: list[str]
    classes: list[str]
    colours: list[str]
    damaged: list[DamagedRecord]
    commands: Commands


@dataclass(frozen=True)
class Selection:
    """Numbers of images that were chosen on the map, by search, or in a spectrum."""

    images: list[int]


@dataclass(frozen=True)
class Mistakes:
    """Images of one class that are taken for another; `share` is that of all with this label."""

    label: str
    prediction: str
    count: int
    share: float


@dataclass(frozen=True)
class AnswerCount:
    """How many images are answered with a class."""

    name: str
    count: int


@dataclass(frozen=True)
class AuditOutlook:
    """Of which classes an audit of chosen images could judge: those that enough are answered with, and enough otherwise.

    Attributes
    ----------
    least
        How many are enough.
    judged
        The classes that can be judged; none where the network or the images are not at hand.
    few
        The classes that too few are answered with.
    one_sided
        The class that enough are answered with, but too few otherwise; there is one at most.
    others_lacking
        How many more that are answered otherwise it would take to judge that one.
    """

    least: int
    judged: list[AnswerCount]
    few: list[AnswerCount]
    one_sided: AnswerCount | None = None
    others_lacking: int = 0


@dataclass(frozen=True)
class ClassSelectivityOfUnit:
    """A unit, and how well its answers tell the chosen images from all others: the area under the ROC curve."""

    unit: str
    auc: float


@dataclass(frozen=True)
class SelectionPage:
    """What is common to chosen images: classes, confusion, and the units that tell them from the others."""

    count: int
    labels: list[ClassProbability]
    wrong: int
    mistakes: list[Mistakes]
    units: list[ClassSelectivityOfUnit]
    audit: AuditOutlook
    commands: Commands


@dataclass(frozen=True)
class AuditProgress:
    """How far the audit of chosen images has come (`POST selection/audit`), as an event: the last one has the audit."""

    task: str
    done: int
    total: int
    audit: AuditSummary | None
    commands: Commands | None


@dataclass(frozen=True)
class MeanHeatQuestion:
    """Where do chosen images matter to the network, on average? (`POST selection/heat`)"""

    images: list[int]
    patch: int
    stride: int
    fill: str
    view: str
    network: int = 0


@dataclass(frozen=True)
class MeanHeatAnswer:
    """The mean drop of the probability of each image's own class, with the patch at every position (rows, columns).

    Attributes
    ----------
    count
        The number of images that were covered: of many some, evenly.
    size
        Height and width as the network sees them, pixels.
    """

    count: int
    top: list[int]
    left: list[int]
    patch: list[int]
    size: list[int]
    mean: list[list[float]]
    commands: Commands
