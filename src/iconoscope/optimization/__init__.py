"""Technique 2: input optimisation, pictures of what a unit looks for.

Objective x parameterization x transforms x regularizers x loop, one file each, as in lucid.
"""

from iconoscope.optimization.blur import Blur
from iconoscope.optimization.canvas import square_root
from iconoscope.optimization.compare_styles import compare_styles
from iconoscope.optimization.dream import dream
from iconoscope.optimization.fool import fool
from iconoscope.optimization.invert import invert
from iconoscope.optimization.latent_parameterization import LatentParameterization
from iconoscope.optimization.objective import Objective, direction, interpolate, region, unit
from iconoscope.optimization.optimize import optimize
from iconoscope.optimization.parameterization import Fourier, Network2D, Phase, Pixels, Pyramid, natural_magnitude
from iconoscope.optimization.regularizers import L1, L2, Alignment, Frequency, OutOfRange, TotalVariation
from iconoscope.optimization.style import STYLES, Style
from iconoscope.optimization.transforms import Transforms

__all__ = [
    "L1",
    "L2",
    "STYLES",
    "Alignment",
    "Blur",
    "Fourier",
    "Frequency",
    "LatentParameterization",
    "Network2D",
    "Objective",
    "OutOfRange",
    "Phase",
    "Pixels",
    "Pyramid",
    "Style",
    "TotalVariation",
    "Transforms",
    "compare_styles",
    "direction",
    "dream",
    "fool",
    "interpolate",
    "invert",
    "natural_magnitude",
    "optimize",
    "region",
    "square_root",
    "unit",
]
