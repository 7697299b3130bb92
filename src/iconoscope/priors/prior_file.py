"""The file of a prior: safetensors, with JSON in its metadata that says what it is."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import PriorError

if TYPE_CHECKING:
    import torch

__all__ = ["BUILTIN", "FORMAT", "read_file", "with_ending", "write_file", "write_whole"]

FORMAT = 1
KEY = "iconoscope"
BUILTIN = {path.stem: path for path in sorted((Path(__file__).parent / "weights").glob("*.safetensors"))}
"""Priors that ship, by name."""


def write_file(path: str | Path, header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Path:
    """Write a prior's header and tensors; the file is there whole or not at all.

    Raises
    ------
    PriorError
        If it cannot be written.
    """
    from safetensors.torch import save

    path = with_ending(path)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(contiguous, metadata={KEY: json.dumps({"format": FORMAT, **header})}))
    return path


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Give the header and the tensors of a prior's file.

    Raises
    ------
    PriorError
        If it is not a safetensors file, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError) as error:
        raise PriorError(f"{path} is not a safetensors file that can be read: {error}.") from error
    return json.loads(metadata or "null"), tensors


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
