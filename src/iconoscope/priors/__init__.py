"""Learned priors: distributions of images, learnt from images. They are a parameterization of technique 2, and know no network.

The names are resolved when they are first used, so that help is there without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "DecoderPrior": "decoder",
    "GaussianPrior": "gaussian",
    "Prior": "prior",
    "PriorImages": "prior_images",
    "RefinedPrior": "refined_prior",
    "decoder_prior": "decoder",
    "diffusion_prior": "diffusion",
    "fit_prior": "fit",
    "load_prior": "loading",
    "read_prior": "loading",
}

__all__ = [
    "DecoderPrior",
    "GaussianPrior",
    "Prior",
    "PriorImages",
    "RefinedPrior",
    "decoder_prior",
    "diffusion_prior",
    "fit_prior",
    "load_prior",
    "read_prior",
]

if TYPE_CHECKING:
    from iconoscope.priors.decoder import DecoderPrior, decoder_prior
    from iconoscope.priors.diffusion import diffusion_prior
    from iconoscope.priors.fit import fit_prior
    from iconoscope.priors.gaussian import GaussianPrior
    from iconoscope.priors.loading import load_prior, read_prior
    from iconoscope.priors.prior import Prior
    from iconoscope.priors.prior_images import PriorImages
    from iconoscope.priors.refined_prior import RefinedPrior


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'iconoscope.priors' has no attribute {name!r}")
    return getattr(importlib.import_module(f"iconoscope.priors.{_HOME[name]}"), name)
