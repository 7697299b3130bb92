"""What the explorer's server answers, as it goes over the wire: the one place where the shapes of JSON are written down.

The front end's types are made of these (``web/src/explorer/schema.ts``, by ``make web``), so that neither side can drift.
Numbers of images are rows of the recording. Units are named by the grammar that is used everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Commands:
    """The lines that make a figure again: of Python, and of the shell."""

    python: str
    shell: str


@dataclass(frozen=True)
class NetworkName:
    """A network that is explored: its number in the address, and its name."""

    number: int
    name: str


@dataclass(frozen=True)
class Session:
    """What is explored.

    Attributes
    ----------
    networks
        One, or two beside each other.
    classes
        The network's names of its classes.
    class_titles
        The same in each language of the page, where `--classes` gave translations; else the names.
    size
        Height and width of an image as the network sees it, pixels: what receptive fields and patches are counted in.
    images
        How many are shown: those that were recorded or, where none were yet, that were given.
    given
        How many were given; more than `images` where some of them were not recorded, 0 where none were given.
    source
        Where they came from, without folders.
    asks
        Whether the network is at hand, so that new questions can be asked; else only what the store has is shown.
    read_only
        Whether nothing may be kept.
    fills
        What a patch may be filled with.
    styles, priors
        What live optimisation may be told.
    audit, map, atlas
        Whether there is one; of an atlas also where the page says how one is made.
    """

    version: str
    networks: list[NetworkName]
    classes: list[str]
    class_titles: dict[str, list[str]]
    size: list[int]
    images: int
    given: int
    source: str
    asks: bool
    read_only: bool
    fills: list[str]
    styles: list[str]
    priors: list[str]
    audit: bool
    map: bool
    atlas: bool


@dataclass(frozen=True)
class LayerSummary:
    """A layer in the strip: kind (Conv2d, ReLU ...), what it answers, and whether its units were recorded."""

    name: str
    kind: str
    channels: int
    rows: int
    columns: int
    recorded: bool
    dead: list[int]


@dataclass(frozen=True)
class ClassVerdict:
    """What the audit says of a class, or of the network (`name` empty). `findings` are what it names, in words."""

    name: str
    word: str
    text: str
    findings: list[str]


@dataclass(frozen=True)
class AuditSummary:
    """The audit's verdicts. `page` is the address of its whole page."""

    overall: ClassVerdict
    classes: list[ClassVerdict]
    page: str


@dataclass(frozen=True)
class NetworkPage:
    """What a network is.

    Attributes
    ----------
    preprocessing
        In words, line by line: size, mean, std, interpolation, crop, and where each comes from.
    accuracy
        The share of labelled images answered rightly, 0 to 1; None where none is labelled.
    confusion
        Images of each label (row) by answer (column); empty where none is labelled.
    """

    name: str
    source: str
    preprocessing: list[str]
    parameters: int | None
    accuracy: float | None
    labelled: int
    confusion: list[list[int]]
    layers: list[LayerSummary]
    audit: AuditSummary | None
    commands: Commands


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
    """All units of a layer."""

    layer: LayerSummary
    units: list[UnitSummary]
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
    commands: Commands


@dataclass(frozen=True)
class ImagesBetween:
    """Images whose answers lie in an interval, from the strongest, and how many there are in all."""

    total: int
    images: list[ImageAnswer]


@dataclass(frozen=True)
class ImageCard:
    """An image in a list; `wrong` as in `ImageAnswer`.

    `other` is what the other network answers; empty where there is none, or what it answers was not recorded.
    """

    number: int
    id: str
    label: str
    prediction: str
    wrong: bool | None
    other: str = ""


@dataclass(frozen=True)
class ImageSearch:
    """Images that a search found (`?q=&label=&prediction=&mistakes=1&differ=1&from=&limit=`), and how many there are in all."""

    total: int
    images: list[ImageCard]


@dataclass(frozen=True)
class ClassProbability:
    """A class and its probability."""

    name: str
    index: int
    probability: float


@dataclass(frozen=True)
class Neighbour:
    """An image near by in the space of the last layer, and how far; `wrong` as in `ImageAnswer`."""

    number: int
    id: str
    label: str
    prediction: str
    wrong: bool | None
    distance: float


@dataclass(frozen=True)
class ImagePage:
    """What is known of an image.

    Attributes
    ----------
    name
        What addresses it: its number in the recording, or `upload-...` of a dropped photograph.
    size
        Height and width as the network sees it, pixels.
    point
        Where it lies on the map, 0 to 1 each; empty where there is no map.
    wrong
        As in `ImageAnswer`.
    occluded
        Whether the store has maps of it: what `images/{name}/heat` gives.
    """

    name: str
    id: str
    label: str
    prediction: str
    wrong: bool | None
    size: list[int]
    probabilities: list[ClassProbability]
    neighbours: list[Neighbour]
    point: list[float]
    kept: bool
    occluded: bool
    commands: Commands


@dataclass(frozen=True)
class PatchQuestion:
    """A patch anywhere on an image, in pixels as the network sees it; it is cut at the border.

    `view` names who asks: a newer question of the same view replaces an older one that still waits.
    """

    image: str
    top: float
    left: float
    height: int
    width: int
    fill: str
    view: str
    network: int = 0


@dataclass(frozen=True)
class PatchAnswer:
    """All probabilities with the patch there, in the order of the classes; `milliseconds` is what the network took."""

    probabilities: list[float]
    milliseconds: float


@dataclass(frozen=True)
class HeatQuestion:
    """An occlusion map of an image; asked coarse first, and then finer."""

    image: str
    unit: str
    patch: int
    stride: int
    fill: str
    view: str
    network: int = 0


@dataclass(frozen=True)
class HeatAnswer:
    """An occlusion map: the drop of the unit's answer with the patch at every position (rows, columns).

    `GET images/{name}/heat` gives a list of all that the store has of an image.
    """

    top: list[int]
    left: list[int]
    patch: list[int]
    drop: list[list[float]]
    clean: float
    plan: str
    unit: str
    fill: str
    commands: Commands


@dataclass(frozen=True)
class DistanceQuestion:
    """Why does it lie here: how far the image's vector moves with the patch at every position."""

    image: str
    patch: int
    stride: int
    fill: str
    view: str
    network: int = 0


@dataclass(frozen=True)
class DistanceAnswer:
    """The distance moved at every position (rows, columns), and the mean distance to the image's neighbours as a measure."""

    top: list[int]
    left: list[int]
    patch: list[int]
    distance: list[list[float]]
    neighbour_distance: float


@dataclass(frozen=True)
class OptimizationQuestion:
    """Live optimisation of a unit's picture.

    Attributes
    ----------
    start
        `noise`, a colour, or the name of an image (`image:12`, `image:upload-...`).
    """

    unit: str
    start: str = "noise"
    style: str = "default"
    prior: str = ""
    steps: int = 128
    seed: int = 0
    network: int = 0


@dataclass(frozen=True)
class OptimizationFrame:
    """A step of it as an event of the stream.

    The stream's events have the number of the optimisation as their id, by which `DELETE optimizations/{id}` stops it; what
    goes wrong comes as an event `problem` with a `Problem`. `picture` and `gradient` are PNG as data addresses. `key` is that
    of the record in the store when all is done and kept.
    """

    step: int
    steps: int
    activation: float
    probabilities: list[ClassProbability]
    picture: str
    gradient: str
    ended: bool
    key: str
    commands: Commands | None = None


@dataclass(frozen=True)
class MapPage:
    """The map of all images: `/api/map/points` gives their places as uint16 pairs, `/api/atlas/{page}` the thumbnails.

    Attributes
    ----------
    numbers
        Of every point the number of its image, by which it is asked about and chosen.
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
    commands: Commands


@dataclass(frozen=True)
class AtlasCell:
    """A cell of an atlas, and what is said of it.

    Attributes
    ----------
    grid, row, column
        Which of the grids, and where on it.
    ink
        The colour of the class that it speaks for most; empty where there are too many to tell apart.
    count
        How many of the layer's answers lie in it.
    classes, leads
        The classes that it speaks for, the strongest first, and what it adds to their logits over that of all in the mean.
    examples
        Numbers of crops.
    """

    grid: int
    row: int
    column: int
    ink: str
    count: int
    classes: list[str]
    leads: list[float]
    examples: list[int]


@dataclass(frozen=True)
class AtlasCrop:
    """What is around a place of an image: the image's id, its number in the recording (-1 where it is not in it), its label."""

    id: str
    number: int
    label: str


@dataclass(frozen=True)
class AtlasPage:
    """The activation atlas of a layer (`GET activation-atlas?layer=`; without a layer the latest).

    `/api/activation-atlas/pictures/{sheet}` and `/api/activation-atlas/crops/{sheet}` give its sheets, JPEG files.

    Attributes
    ----------
    layers
        Of which the store has one; none where it has none, and then the commands are those that make one.
    layer
        Whose it is, or would be.
    grids
        Cells of each grid on a side.
    side, crop, page
        Of a picture, a crop and a sheet of them, pixels.
    pictures, crop_sheets
        How many sheets there are.
    legend, unframed
        The colours of classes, by their names; and how many have none, since there are too many.
    """

    layers: list[str]
    layer: str
    vectors: int
    images: int
    agreement: float
    grids: list[int]
    cells: list[AtlasCell]
    crops: list[AtlasCrop]
    side: int
    crop: int
    page: int
    pictures: int
    crop_sheets: int
    legend: dict[str, str]
    unframed: int
    commands: Commands


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
    """The concepts of a layer (`GET concepts?layer=`) that the store has, class by class, and the lines that make some."""

    classes: list[ClassConcepts]
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


@dataclass(frozen=True)
class ClassSelectivityOfUnit:
    """A unit, and how well its answers tell the chosen images from all others: the area under the ROC curve."""

    unit: str
    auc: float


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


@dataclass(frozen=True)
class ActivationMaps:
    """What units of a layer answer at every place of an image, the strongest first (`GET images/{name}/maps/{layer}?limit=`).

    Attributes
    ----------
    low, high
        For each unit, what 0 and 255 stand for.
    values
        Base64 of one byte for each unit, row and column, in this order.
    """

    layer: str
    units: list[str]
    rows: int
    columns: int
    low: list[float]
    high: list[float]
    values: str
    commands: Commands


@dataclass(frozen=True)
class MakingProgress:
    """How far a recording or a map has come, as an event of its stream: `done` of `total`; after the last one it is there."""

    task: str
    done: int
    total: int
    ended: bool


@dataclass(frozen=True)
class Problem:
    """What went wrong, and what would work."""

    kind: Literal["question", "not found", "busy", "refused", "damaged"]
    message: str
    hint: str
