"""The file of a prior: safetensors, with JSON in its metadata that says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.atomic_files import flushed_write, writing_whole
from iconoscope.errors import PriorError, StoreError, nearest
from iconoscope.reading import parse_json

if TYPE_CHECKING:
    import torch

__all__ = ["BUILTIN", "FIT_HINT", "read_prior_file", "with_ending", "write_prior_file", "write_whole"]

FORMAT = 1
KEY = "iconoscope"
FIT_HINT = "iconoscope prior fit makes one."
BUILTIN = {path.stem: path for path in sorted((Path(__file__).parent / "weights").glob("*.safetensors"))}
"""Priors that ship, by name."""


def write_prior_file(path: str | Path, header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Path:
    """Write a prior's tensors and what is said beside them; give the path, with its ending."""
    from safetensors.torch import save

    path = with_ending(path)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(tensors, metadata={KEY: json.dumps({"format": FORMAT, **header})}))
    return path


def read_prior_file(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read what is said beside a prior's tensors, and these, from its file or one that ships by its name.

    Raises
    ------
    PriorError
        If there is none, or it is of another format or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    file_path = BUILTIN.get(str(path), Path(path).expanduser())
    if not file_path.is_file():
        hint = nearest(str(path), BUILTIN) if file_path.parent == Path() else FIT_HINT
        raise PriorError(f"{path} is neither a prior's file nor the name of one that ships.", hint=hint)
    try:
        with safe_open(file_path, "pt") as file:
            metadata = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError) as error:
        raise PriorError(f"{file_path} is not a safetensors file that can be read: {error}.") from error
    header = parse_json(metadata or "null")
    for name in ("classes", "names"):
        texts = header.get(name, [])  # a refined prior has those of the prior that it refines
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"its {name} are no list of texts")
    if header["format"] != FORMAT:
        raise PriorError(f"{file_path} is in format {header['format']}, and this version reads {FORMAT}.")
    return header, tensors


def write_whole(path: Path, content: bytes, *, called: str = "") -> None:
    """Write a file that is there whole or not at all; `called` stands before its path in the message if it cannot be.

    Raises
    ------
    PriorError
        If it cannot be written.
    """
    try:
        with writing_whole(path) as hidden:
            flushed_write(hidden, content)
    except StoreError as error:
        raise PriorError(f"{called}{error.message}") from error


def with_ending(path: str | Path) -> Path:
    """Give the name of a prior's file its ending, if it has none."""
    path = Path(path).expanduser()
    return path if path.suffix else path.with_suffix(".safetensors")
