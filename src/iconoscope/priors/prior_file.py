"""A prior as a file: safetensors, with JSON in its metadata that says what it is."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from iconoscope.errors import PriorError, nearest
from iconoscope.priors.diffusion import PREFIX, diffusion_prior
from iconoscope.priors.gaussian import GaussianPrior
from iconoscope.priors.prior import Prior
from iconoscope.priors.refined_prior import RefinedPrior

__all__ = ["BUILTIN", "load_prior", "read_prior", "save_prior"]

FORMAT = 1
KEY = "iconoscope"
KINDS: dict[str, type[GaussianPrior]] = {GaussianPrior.kind: GaussianPrior, RefinedPrior.kind: RefinedPrior}
BUILTIN = {path.stem: path for path in sorted((Path(__file__).parent / "weights").glob("*.safetensors"))}
"""Priors that ship, by name."""


def save_prior(prior: GaussianPrior, path: str | Path) -> Path:
    """Write a prior as a file; it is there whole or not at all.

    Parameters
    ----------
    prior
        One that was fitted.
    path
        Where; .safetensors is put behind it if it has no ending.

    Raises
    ------
    PriorError
        If it cannot be written, or the prior is of a kind that has no file.
    """
    from safetensors.torch import save

    if not isinstance(prior, tuple(KINDS.values())):
        raise PriorError(f"A prior of the kind {prior.kind} has no file of its own.")
    path = with_ending(path)
    header: dict[str, Any] = {"format": FORMAT, "kind": prior.kind, "name": prior.name}
    shipped = _shipped(prior.plain) if isinstance(prior, RefinedPrior) else None
    if isinstance(prior, RefinedPrior) and shipped is not None:
        header["over"], tensors = shipped, prior.refining()
    else:
        header, tensors = header | prior.to_header(), prior.tensors()
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    data = save(tensors, metadata={KEY: json.dumps(header)})
    write_whole(path, data)
    return path


def write_whole(path: Path, data: bytes, *, called: str = "") -> None:
    """Write a file that is there whole or not at all; `called` is what it is called if it cannot be written.

    Raises
    ------
    PriorError
        If it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise PriorError(f"{called or path} cannot be written: {error.strerror or error}.") from error


def with_ending(path: str | Path) -> Path:
    """Give the name of a prior's file its ending, if it has none."""
    path = Path(path).expanduser()
    return path if path.suffix else path.with_suffix(".safetensors")


def _shipped(prior: GaussianPrior) -> str | None:
    """Give the name of the shipped Gaussian that this one is, if it is one: what is over it need not bring it along."""
    for name in BUILTIN:
        if name == prior.name and load_prior(name).digest() == prior.digest():
            return name
    return None


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
    from safetensors import SafetensorError, safe_open

    if str(path).startswith(PREFIX):
        return diffusion_prior(str(path))
    place = BUILTIN.get(str(path), Path(path).expanduser())
    if not place.is_file():
        hint = nearest(str(path), BUILTIN) if place.parent == Path() else "iconoscope prior fit makes one."
        raise PriorError(f"{path} is neither a prior's file nor the name of one that ships.", hint=hint)
    try:
        with safe_open(place, "pt") as file:
            told = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError) as error:
        raise PriorError(f"{place} is not a safetensors file that can be read: {error}.") from error
    try:
        header: dict[str, Any] = json.loads(told or "null")
        kind = KINDS[header["kind"]]
        if header["format"] != FORMAT:
            raise PriorError(f"{place} is in format {header['format']}, and this version reads {FORMAT}.")
        if "over" in header:
            return _over(str(header["name"]), str(header["over"]), tensors)
        return kind.from_tensors(str(header["name"]), tensors, header)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise PriorError(
            f"{place} is no prior, or a damaged one: {error!r}.", hint="iconoscope prior fit makes one."
        ) from error


def _over(name: str, under: str, tensors: dict[str, Any]) -> Prior:
    if under not in BUILTIN:
        raise PriorError(f"The prior {name} is over {under}, which this version does not bring.")
    base = load_prior(under)
    assert isinstance(base, GaussianPrior)
    return RefinedPrior.over(name, base, tensors)


def read_prior(given: Prior | str | Path) -> Prior:
    """Take a prior as it is, or read it from its file or by its name."""
    return given if isinstance(given, Prior) else load_prior(given)
