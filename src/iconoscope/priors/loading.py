"""A prior from its file, from the name of one that ships, or from a diffusion model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iconoscope.errors import PriorError, nearest
from iconoscope.priors.diffusion import PREFIX, diffusion_prior
from iconoscope.priors.gaussian import GaussianPrior
from iconoscope.priors.prior import Prior
from iconoscope.priors.prior_file import BUILTIN, FORMAT, read_file
from iconoscope.priors.refined_prior import RefinedPrior

__all__ = ["load_prior", "read_prior"]

KINDS: dict[str, type[GaussianPrior]] = {GaussianPrior.kind: GaussianPrior, RefinedPrior.kind: RefinedPrior}


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
    file = BUILTIN.get(str(path), Path(path).expanduser())
    if not file.is_file():
        hint = nearest(str(path), BUILTIN) if file.parent == Path() else "iconoscope prior fit makes one."
        raise PriorError(f"{path} is neither a prior's file nor the name of one that ships.", hint=hint)
    try:
        header, tensors = read_file(file)
        kind = KINDS[header["kind"]]
        if header["format"] != FORMAT:
            raise PriorError(f"{file} is in format {header['format']}, and this version reads {FORMAT}.")
        if "over" in header:
            return _over(str(header["name"]), str(header["over"]), tensors)
        return kind.from_tensors(str(header["name"]), tensors, header)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise PriorError(
            f"{file} is no prior, or a damaged one: {error!r}.", hint="iconoscope prior fit makes one."
        ) from error


def _over(name: str, under: str, tensors: dict[str, Any]) -> Prior:
    if under not in BUILTIN:
        raise PriorError(f"The prior {name} is over {under}, which this version does not bring.")
    base = load_prior(under)
    assert isinstance(base, GaussianPrior)
    return RefinedPrior.over(name, base, tensors)


def read_prior(prior: Prior | str | Path) -> Prior:
    """Take a prior as it is, or read it from its file or by its name."""
    return prior if isinstance(prior, Prior) else load_prior(prior)
