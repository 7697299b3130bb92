"""Priors from their files, from those that ship, and from diffusion models."""

from __future__ import annotations

from pathlib import Path

from iconoscope.errors import PriorError
from iconoscope.priors.diffusion import PREFIX, diffusion_prior
from iconoscope.priors.gaussian import GaussianPrior
from iconoscope.priors.prior import Prior
from iconoscope.priors.prior_file import BUILTIN, FIT_HINT, read_prior_file
from iconoscope.priors.refined_prior import RefinedPrior
from iconoscope.signatures import checked

__all__ = ["load_prior", "read_prior"]

KINDS: dict[str, type[GaussianPrior]] = {GaussianPrior.kind: GaussianPrior, RefinedPrior.kind: RefinedPrior}


@checked
def load_prior(path: str | Path) -> Prior:
    """Read a prior from its file, one that ships by its name, or a diffusion model: hf: and its name or its folder.

    Parameters
    ----------
    path
        The file, or the name.

    Raises
    ------
    PriorError
        If there is none, or the file is not a prior or is damaged.

    Examples
    --------
    >>> load_prior("cifar10").shape
    (3, 32, 32)
    """
    if str(path).startswith(PREFIX):
        return diffusion_prior(str(path))
    try:
        header, tensors = read_prior_file(path)
        kind = KINDS[header["kind"]]
        if "over" in header and header["over"] not in BUILTIN:
            raise PriorError(f"The prior {header['name']} is over {header['over']}, which this version does not bring.")
        return kind.from_tensors(str(header["name"]), tensors, header)
    except (ValueError, TypeError, KeyError, RuntimeError, AttributeError, OverflowError) as error:
        raise PriorError(f"{path} is no prior, or a damaged one: {error!r}.", hint=FIT_HINT) from error


def read_prior(prior: Prior | str | Path) -> Prior:
    """Take a prior as it is, or read it from its file or by its name."""
    return prior if isinstance(prior, Prior) else load_prior(prior)
