"""The public names of iconoscope, each with the module that it comes from.

`__init__.py` reads this file to import a name when it is first used; type checkers, editors and the documentation read it too.
A public name has one line here and an entry on one page of docs/api/.
"""

__version__: str
__all__: list[str]

# What is questioned: networks, images, units.
from .subject.network import load_network as load_network
from .subject.images import load_images as load_images
from .demo import demo_images as demo_images
from .subject.predict import predict as predict
from .subject.network import layers as layers
from .subject.network import Network as Network
from .subject.network import Preprocessing as Preprocessing
from .subject.images import Image as Image
from .subject.images import Images as Images
from .vocabulary.unit import Unit as Unit

# Technique 1: region occlusion, and gradient methods beside it.
from .occlusion import occlude as occlude
from .occlusion import occlude_each as occlude_each
from .occlusion import refine as refine
from .occlusion import attribute as attribute
from .occlusion import faithfulness as faithfulness

# Technique 2: input optimisation, along learned priors.
from .optimization import optimize as optimize
from .optimization import compare_styles as compare_styles
from .optimization import dream as dream
from .optimization import invert as invert
from .optimization import fool as fool
from .optimization import unit as unit
from .optimization import direction as direction
from .optimization import region as region
from .optimization import interpolate as interpolate
from .optimization import Objective as Objective
from .priors import fit_prior as fit_prior
from .priors import decoder_prior as decoder_prior
from .priors import diffusion_prior as diffusion_prior
from .priors import load_prior as load_prior
from .priors import Prior as Prior

# Technique 3: exemplars.
from .exemplars import record as record
from .exemplars import load_recording as load_recording
from .exemplars import top_images as top_images
from .exemplars import map_images as map_images
from .exemplars import place_images as place_images
from .exemplars import find_units as find_units
from .exemplars import activation_maps as activation_maps
from .subject.network.filters import first_filters as first_filters

# What the space of a layer holds.
from .representation import concepts as concepts
from .representation import activation_atlas as activation_atlas
from .representation import feeds as feeds

# The conclusion.
from .auditing import audit as audit
from .auditing import profile as profile
from .auditing import Nuisance as Nuisance
from .auditing import NUISANCES as NUISANCES

# Results, the store, and pages.
from .results import Occlusion as Occlusion
from .results import OcclusionSeries as OcclusionSeries
from .results import Attribution as Attribution
from .results import MeanMap as MeanMap
from .results import Faithfulness as Faithfulness
from .results import Visualization as Visualization
from .results import StyleComparison as StyleComparison
from .results import Inversion as Inversion
from .results import FoolingPictures as FoolingPictures
from .store import Recording as Recording
from .results import TopImages as TopImages
from .results import ImageMap as ImageMap
from .results import UnitSearch as UnitSearch
from .results import Concepts as Concepts
from .results import ActivationAtlas as ActivationAtlas
from .results import Profile as Profile
from .results import Circuit as Circuit
from .results import Audit as Audit
from .results import grid as grid
from .results import Question as Question
from .store import Store as Store
from .store import load_result as load_result
from .show import report as report
from .explorer import explore as explore

# Errors, progress, the language, the demo.
from .errors import IconoscopeError as IconoscopeError
from .errors import IconoscopeWarning as IconoscopeWarning
from . import errors as errors
from .progress import show_progress as show_progress
from .language import set_language as set_language
from . import demo as demo
