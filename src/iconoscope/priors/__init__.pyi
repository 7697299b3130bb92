"""The names of the package, each with its module: read by `__init__.py` and by type checkers."""

from .decoder import DecoderPrior as DecoderPrior
from .decoder import decoder_prior as decoder_prior
from .diffusion import diffusion_prior as diffusion_prior
from .fit import fit_prior as fit_prior
from .gaussian import GaussianPrior as GaussianPrior
from .loading import load_prior as load_prior
from .loading import read_prior as read_prior
from .prior import Prior as Prior
from .prior_images import PriorImages as PriorImages
from .refined_prior import RefinedPrior as RefinedPrior
