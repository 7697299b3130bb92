"""Files of weights: safetensors first, ``.pt``/``.pth`` without unpickling code, and what wraps a state dict.

A safetensors file may carry its own configuration: the metadata key ``iconoscope`` holds JSON with ``preprocessing`` and
``classes``. The built-in networks are shipped that way.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from iconoscope.errors import CheckpointError, first_line, nearest, printable, shortened, warn, written
from iconoscope.reading import parse_json
from iconoscope.user_code import failure, user_code
from iconoscope.warning_filters import ignoring

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["METADATA_KEY", "Checkpoint", "load_weights", "pickled_whole", "read_checkpoint", "untrusted"]

METADATA_KEY = "iconoscope"
_SETTINGS: dict[str, tuple[Any, str]] = {
    "preprocessing": (dict, "an object"),
    "classes": (list | dict, "a list of names"),
    "activation": (str, "softmax or sigmoid"),
}
"""What the metadata may set: its kind, and the kind in words."""
_AGAIN = "Download or save it again; its size may tell."
_ANYTHING = "run any program with your rights"
_SAFE = "save the state dict as safetensors where it was made"
# Where training scripts put the state dict, the one meant for use first (an average of weights is what is evaluated).
_DEEPEST = 8
WRAPPERS = ("model_ema", "state_dict_ema", "state_dict", "model_state_dict", "model")


_READING = threading.Lock()


class _Inert:
    """Stand-in for what training keeps beside the weights: it takes whatever it is built of, and does nothing with it."""

    def __new__(cls, *_: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


_INERT = [
    type(name, (_Inert,), {"__module__": module})
    for module, names in {
        "numpy": ("dtype", "ndarray"),
        "numpy.core.multiarray": ("scalar", "_reconstruct"),
        "numpy._core.multiarray": ("scalar", "_reconstruct"),
        "argparse": ("Namespace",),
        "pathlib": ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"),
        "pathlib._local": ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"),
    }.items()
    for name in names
]
"""Under the names that a pickle calls them by. NumPy's own would follow pointers that a crafted type of numbers gives."""


@dataclass(frozen=True)
class Checkpoint:
    """A state dict and the configuration that came with it.

    Attributes
    ----------
    path : Path
        The file.
    weights : dict of str to torch.Tensor
        The state dict, out of its wrappers.
    configuration : dict
        ``preprocessing`` and ``classes`` where the file has them.
    """

    path: Path
    weights: dict[str, torch.Tensor]
    configuration: dict[str, Any] = field(default_factory=dict)


def untrusted(subject: str, could: str, *, instead: str) -> CheckpointError:
    """Say that a file is refused because it may run code: what it is, what its code could do, and what needs no trust."""
    return CheckpointError(
        f"{subject}, which could {could}: it is refused.",
        hint=f"If you trust who made it: trust_code=True, or --trust-code on the command line. Else {instead}.",
    )


def pickled_whole(name: str, library: str) -> CheckpointError:
    """Say that a network's own weights are refused by the library that reads them, which has no flag for them."""
    return CheckpointError(
        f"{name} has pickled weights that hold more than tensors, which could {_ANYTHING}: {library} does not read them.",
        hint="Save them as safetensors where they were made. If you trust who made them, build the network without weights and "
        "give the file as checkpoint, with trust_code=True, or --checkpoint and --trust-code on the command line.",
    )


def read_checkpoint(path: str | Path, *, trust_code: bool = False, trust_pickle: bool = False) -> Checkpoint:
    """Read a file of weights.

    Parameters
    ----------
    path : str or Path
        ``.safetensors``, or ``.pt``, ``.pth``, ``.bin``, ``.ckpt`` as ``torch.save`` writes them.
    trust_code : bool
        Let a pickled file run the code it contains. Only for files of people you trust; without it such a file is refused.
    trust_pickle : bool
        A former name of trust_code.

    Raises
    ------
    CheckpointError
        If the file is missing, broken, refused as unsafe, or holds no state dict.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        folder = path if path.is_dir() else path.parent
        kinds = {".safetensors", ".pt", ".pth", ".bin", ".ckpt", path.suffix}
        siblings = [entry.name for entry in folder.iterdir() if entry.suffix in kinds] if folder.is_dir() else []
        fault = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"The checkpoint {path} {fault}.", hint=nearest(path.name, siblings))
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {error.strerror}.") from error
    if not start:
        raise CheckpointError(f"The checkpoint {path} is empty.", hint=_AGAIN)
    if start.isascii() and start.replace(b"\n", b"").replace(b"\r", b"").replace(b"\t", b"").decode().isprintable():
        raise CheckpointError(
            f"The checkpoint {path} is a text file; it begins with {start[:24].decode()!r}.", hint=_AGAIN
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_torch(path, trust_code=trust_code or trust_pickle)


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a dict)
    # Of types that this torch does not have, and of numbers of bytes that are too large.
    except (
        SafetensorError,
        OSError,
        ValueError,
        TypeError,
        RuntimeError,
        OverflowError,
        AttributeError,
        KeyError,
    ) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file: {first_line(error, most=240)}.", hint=_AGAIN
        ) from error
    return Checkpoint(path, _plain(weights, path), _configuration(metadata.get(METADATA_KEY, "{}"), path))


def _configuration(text: str, path: Path) -> dict[str, Any]:
    """Read the metadata of a file, and see that each setting is of its kind."""
    try:
        configuration = parse_json(text)
    except ValueError as error:
        raise CheckpointError(f"The metadata {METADATA_KEY!r} of {path} is not a JSON object: {error}.") from error
    if not isinstance(configuration, dict):
        raise CheckpointError(
            f"The metadata {METADATA_KEY!r} of {path} is not a JSON object: {written(configuration)}."
        )
    for setting, (kinds, expected) in _SETTINGS.items():
        entry = configuration.get(setting)
        names = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ()
        nested = setting == "classes" and not all(isinstance(name, str | int) for name in names)
        if entry is not None and (not isinstance(entry, kinds) or nested):
            raise CheckpointError(
                f"The metadata {METADATA_KEY!r} of {path} has {setting}={written(entry)}; it wants {expected}.",
                hint="Write the file again with other metadata.",
            )
    return configuration


def _read_torch(path: Path, *, trust_code: bool) -> Checkpoint:
    import pickle
    import re

    try:
        loaded = _loaded(path, trust_code=trust_code)
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{path} holds objects of the module {error.name!r}, which cannot be imported here.",
            hint="Save the state dict alone where that module is at hand, best as safetensors.",
        ) from error
    except pickle.UnpicklingError as error:
        if trust_code:
            raise CheckpointError(f"{path} cannot be unpickled: {first_line(error).rstrip('.')}.") from error
        global_name = re.search(r"GLOBAL ([\w.]+)", str(error))
        uses = f"uses {global_name[1]}" if global_name else "holds more than weights, or is no file of weights"
        raise untrusted(f"{path} is a pickle that {uses}", _ANYTHING, instead=_SAFE) from error
    # torch.load lets its zip reader's, its storage reader's and, with trust_code, the file's own errors through.
    except Exception as error:
        if "TorchScript" in str(error) and not trust_code:
            raise untrusted(f"{path} is a program of TorchScript", "write any file of yours", instead=_SAFE) from error
        raise CheckpointError(
            f"{path} is not a whole file of weights ({path.stat().st_size:,} bytes): {type(error).__name__}.",
            hint=_AGAIN,
        ) from error
    # With trust_code it may be anything, also what raises when it is asked.
    with user_code(lambda error: CheckpointError(f"{path} holds no state dict: {failure(error)}.")):
        return Checkpoint(path, _plain(_without_wrappers(loaded, path), path))


def _loaded(path: Path, *, trust_code: bool) -> Any:
    """Give what `torch.save` has written."""
    import pickle

    import torch

    with ignoring(category=UserWarning):  # of the age of the pickle's protocol, which is nobody's concern here
        if trust_code:
            # The unpickler that is written in C sets aside gigabytes where a damaged byte numbers an object.
            unpickler = pickle._Unpickler
            module: Any = SimpleNamespace(
                __name__="pickle", Unpickler=unpickler, load=lambda file, **settings: unpickler(file, **settings).load()
            )
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if not any(f"{kind.__module__}.{kind.__name__} " in f"{error} " for kind in _INERT):
                raise
        with (
            _READING,
            torch.serialization.safe_globals(_INERT),
        ):  # a list of the whole process, so only where it is needed
            return torch.load(path, map_location="cpu", weights_only=True)


def _plain(weights: dict[Any, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """See that weights have names, and are tensors with numbers of their own."""
    import torch

    if unnamed := [name for name in weights if not isinstance(name, str)]:
        raise CheckpointError(
            f"{path} holds no state dict: among its keys are {shortened(map(written, unnamed))}, which are no names.",
            hint="A state dict has a text for each tensor, as module.state_dict() gives it.",
        )
    for name, tensor in weights.items():
        faults = {
            "has no numbers (it is on the device 'meta')": tensor.is_meta,
            "has no numbers (it is of a lazy layer)": torch.nn.parameter.is_lazy(tensor),
            f"is sparse ({tensor.layout})": tensor.layout != torch.strided,
            "is quantised": tensor.is_quantized,
            "is nested": tensor.is_nested,
        }
        for fault in (fault for fault, present in faults.items() if present):
            raise CheckpointError(
                f"{path}: the tensor {printable(name, most=200)} {fault}.",
                hint="Save the state dict with dense tensors of floats, or of whole numbers.",
            )
    return weights


def _without_wrappers(loaded: Any, path: Path) -> dict[str, torch.Tensor]:
    import torch
    from torch import nn

    for _ in range(_DEEPEST):
        if isinstance(loaded, nn.Module):  # only with trust_code
            loaded = loaded.state_dict()
        if not isinstance(loaded, dict):
            raise CheckpointError(f"{path} holds a {type(loaded).__name__}, not a state dict.")
        if loaded and all(isinstance(value, torch.Tensor) for value in loaded.values()):
            return dict(loaded)
        wrappers = [name for name in WRAPPERS if isinstance(loaded.get(name), dict | nn.Module) and loaded[name]]
        if len(wrappers) > 1:
            warn(f"{path.name} holds several sets of weights ({', '.join(wrappers)}); {wrappers[0]} was taken.")
        if wrappers:
            loaded = loaded[wrappers[0]]
        else:
            keys = shortened(printable(str(name), most=100) for name in loaded)
            raise CheckpointError(
                f"{path} holds no state dict: its keys are {keys or 'none'}.",
                hint=f"A state dict is looked for at the top and under {', '.join(WRAPPERS)}.",
            )
    raise CheckpointError(f"{path} holds no state dict within {_DEEPEST} wrappers; perhaps it holds itself.")


def load_weights(module: nn.Module, checkpoint: Checkpoint) -> nn.Module:
    """Put the checkpoint's weights into the module, every one of them and nothing else.

    Half-precision weights are widened to the module's own type.

    Raises
    ------
    CheckpointError
        If names are missing or unexpected, or shapes differ; the message lists them, shortened.
    """
    from torch.nn.parameter import is_lazy

    entries = module.state_dict()
    weights = _without_prefixes(checkpoint.weights, set(entries))
    missing = [name for name in entries if name not in weights and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in weights if name not in entries]
    shapes = [
        f"{name} {tuple(weights[name].shape)} in the file, {tuple(value.shape)} in the network"
        for name, value in entries.items()
        if name in weights and not is_lazy(value) and weights[name].shape != value.shape
    ]
    complex_numbers = [
        name for name, value in entries.items() if name in weights and weights[name].is_complex() > value.is_complex()
    ]
    findings = [
        f"{len(names)} {fault}: {shortened(names)}"
        for names, fault in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (shapes, "of another shape"),
            (complex_numbers, "complex"),
        )
        if names
    ]
    if findings:
        raise CheckpointError(
            f"{checkpoint.path.name} does not fit {type(module).__name__}: {'; '.join(findings)}.",
            hint=f"The network has {len(entries)} entries, the file {len(weights)}. Is it the file of another network, or "
            "does it want other settings (the number of classes, which the names of the classes tell, or its width)?",
        )
    module.load_state_dict(weights, strict=False)
    return module


def _without_prefixes(weights: dict[str, torch.Tensor], entries: set[str]) -> dict[str, torch.Tensor]:
    """Take off what DataParallel, torch.compile, torch's averaged model and Lightning put before every name.

    The prefix is the one behind which most of the network's entries are; a Lightning module holds more than its network, such
    as the weights of a loss, which is left out with a warning.
    """
    # Only what does not fit as it is: a network may well have a child of its own that is called "module".
    if entries & set(weights):
        return {name: value for name, value in weights.items() if name != "n_averaged" or name in entries}
    prefixes: dict[str, int] = {}
    for name in weights:
        for end in [at + 1 for at, letter in enumerate(name) if letter == "."]:
            if name[end:] in entries:
                prefixes[name[:end]] = prefixes.get(name[:end], 0) + 1
    if not prefixes:
        return weights
    prefix = max(prefixes, key=lambda prefix: prefixes[prefix])
    left_out = [name for name in weights if not name.startswith(prefix) and name != "n_averaged"]
    if left_out:
        warn(
            f"The network's weights are those under {prefix}*; {len(left_out)} others were left out: {shortened(left_out)}."
        )
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
