"""What the explorer's server answers, as it goes over the wire: the one place where the shapes of JSON are written down.

The front end's types are made of these (``web/src/explorer/schema.ts``, by ``make web``), so that neither side can drift.
Numbers of images are rows of the recording. Units are named by the grammar that is used everywhere.
"""

from iconoscope.explorer.messages.activation_atlas import AtlasCell, AtlasCrop, AtlasPage
from iconoscope.explorer.messages.concepts import ClassConcepts, ConceptExemplar, ConceptSummary, LayerConcepts
from iconoscope.explorer.messages.image_map import (
    AnswerCount,
    AuditOutlook,
    AuditProgress,
    ClassSelectivityOfUnit,
    MapPage,
    MeanHeatAnswer,
    MeanHeatQuestion,
    Mistakes,
    Selection,
    SelectionPage,
)
from iconoscope.explorer.messages.images import (
    ActivationMaps,
    ClassProbability,
    ImageCard,
    ImagePage,
    ImageSearch,
    Neighbour,
)
from iconoscope.explorer.messages.network import AuditSummary, ClassVerdict, LayerSummary, NetworkPage
from iconoscope.explorer.messages.optimization import OptimizationFrame, OptimizationQuestion
from iconoscope.explorer.messages.patches import (
    DistanceAnswer,
    DistanceQuestion,
    HeatAnswer,
    HeatQuestion,
    KeptHeats,
    PatchAnswer,
    PatchQuestion,
)
from iconoscope.explorer.messages.session import Commands, DamagedRecord, MakingProgress, NetworkName, Problem, Session
from iconoscope.explorer.messages.units import (
    ClassSelectivity,
    Histogram,
    ImageAnswer,
    ImagesBetween,
    LayerPage,
    UnitFound,
    UnitLink,
    UnitPage,
    UnitsFound,
    UnitSummary,
)

__all__ = [
    "ActivationMaps",
    "AnswerCount",
    "AtlasCell",
    "AtlasCrop",
    "AtlasPage",
    "AuditOutlook",
    "AuditProgress",
    "AuditSummary",
    "ClassConcepts",
    "ClassProbability",
    "ClassSelectivity",
    "ClassSelectivityOfUnit",
    "ClassVerdict",
    "Commands",
    "ConceptExemplar",
    "ConceptSummary",
    "DamagedRecord",
    "DistanceAnswer",
    "DistanceQuestion",
    "HeatAnswer",
    "HeatQuestion",
    "Histogram",
    "ImageAnswer",
    "ImageCard",
    "ImagePage",
    "ImageSearch",
    "ImagesBetween",
    "KeptHeats",
    "LayerConcepts",
    "LayerPage",
    "LayerSummary",
    "MakingProgress",
    "MapPage",
    "MeanHeatAnswer",
    "MeanHeatQuestion",
    "Mistakes",
    "Neighbour",
    "NetworkName",
    "NetworkPage",
    "OptimizationFrame",
    "OptimizationQuestion",
    "PatchAnswer",
    "PatchQuestion",
    "Problem",
    "Selection",
    "SelectionPage",
    "Session",
    "UnitFound",
    "UnitLink",
    "UnitPage",
    "UnitSummary",
    "UnitsFound",
]
