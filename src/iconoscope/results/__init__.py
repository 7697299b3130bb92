"""Results: frozen dataclasses of NumPy arrays with the question that they answer, and their figures. No torch."""

from iconoscope.results.activation_atlas import ActivationAtlas
from iconoscope.results.attribution import Attribution
from iconoscope.results.audit import Audit, ClassVerdict
from iconoscope.results.circuit import Circuit
from iconoscope.results.concepts import Concepts
from iconoscope.results.curves import Curves
from iconoscope.results.faithfulness import Faithfulness
from iconoscope.results.fooling_pictures import FoolingPictures
from iconoscope.results.grid import ResultGrid, grid
from iconoscope.results.image_map import ImageMap
from iconoscope.results.inversion import Inversion
from iconoscope.results.mean_map import MeanMap
from iconoscope.results.occlusion import Occlusion
from iconoscope.results.occlusion_series import OcclusionSeries
from iconoscope.results.profile import Profile
from iconoscope.results.question import Question
from iconoscope.results.result import Result
from iconoscope.results.sheets import ActivationSheet, FilterSheet
from iconoscope.results.style_comparison import StyleComparison
from iconoscope.results.top_images import SIDES, TopImages
from iconoscope.results.unit_search import UnitSearch
from iconoscope.results.visualization import Visualization

__all__ = [
    "SIDES",
    "ActivationAtlas",
    "ActivationSheet",
    "Attribution",
    "Audit",
    "Circuit",
    "ClassVerdict",
    "Concepts",
    "Curves",
    "Faithfulness",
    "FilterSheet",
    "FoolingPictures",
    "ImageMap",
    "Inversion",
    "MeanMap",
    "Occlusion",
    "OcclusionSeries",
    "Profile",
    "Question",
    "Result",
    "ResultGrid",
    "StyleComparison",
    "TopImages",
    "UnitSearch",
    "Visualization",
    "grid",
]
