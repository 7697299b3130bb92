"""TorchScript: an archive of torch.jit, which runs, but whose layers refuse hooks."""

from __future__ import annotations

from pathlib import Path

from iconoscope.errors import CheckpointError, first_line, warn
from iconoscope.subject.network.checkpoint import untrusted
from iconoscope.subject.network.loaders.loaded import Loaded, NetworkRequest, archived
from iconoscope.warning_filters import ignoring

__all__ = ["is_script", "load_script"]

_ZIP = b"PK\3\4"
"""With which an archive begins."""


def is_script(name: str) -> bool:
    """Whether a file is an archive of torch.jit: a zip with code in it."""
    path = Path(name).expanduser()
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(len(_ZIP))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    return begin == _ZIP and any("/code/" in entry for entry in archived(path, "archive of TorchScript or of weights"))


def load_script(request: NetworkRequest) -> Loaded:
    """Load an archive of torch.jit.

    Raises
    ------
    CheckpointError
        If it is not trusted: its program runs when it is loaded and when it is asked, and there are operations that write
        files. Or if it is broken.
    """
    import torch

    path = Path(request.name).expanduser()
    if not request.trust_code:
        raise untrusted(
            f"{path} is a program of TorchScript",
            "write any file of yours",
            instead="load the network from Python with its weights as safetensors",
        )
    try:
        with ignoring():  # of the age of TorchScript
            module = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is no whole archive of TorchScript: {first_line(error, most=240)}.") from error
    warn(
        f"{path.name} is TorchScript: its layers cannot be asked. Occlusion, logits and exemplars of logits are what there is."
    )
    return Loaded(module, trained=True)
