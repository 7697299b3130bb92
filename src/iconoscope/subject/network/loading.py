"""Names of networks, and who loads them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from iconoscope.errors import IconoscopeWarning, NetworkError, NetworkNameError, QuestionError, nearest
from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.network.checkpoint import Checkpoint, load_weights, read_checkpoint
from iconoscope.subject.network.network import Network, class_names, find_device
from iconoscope.subject.network.preprocessing import Preprocessing, read_preprocessing, unknown_preprocessing

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LOADERS", "load_network"]


class Loaded(NamedTuple):
    """What a loader finds under a name: a module, and a checkpoint that belongs to it."""

    module: nn.Module
    checkpoint: Checkpoint | None = None


class Loader(NamedTuple):
    """One way to name a network."""

    form: str
    matches: Callable[[str], bool]
    load: Callable[[str], Loaded]


def load_network(
    network: str | nn.Module | Network,
    *,
    checkpoint: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
    preprocessing: dict[str, Any] | Preprocessing | str | None = None,
    device: str = "auto",
    trust_pickle: bool = False,
) -> Network:
    """Load a trained network, with its preprocessing and class names.

    Both are taken from the first that gives them: this call; the checkpoint (metadata ``iconoscope`` of a safetensors
    file); the module's own attributes ``preprocessing`` and ``classes``. Nothing is guessed.

    Parameters
    ----------
    network
        A built-in network (cars, cars-honest, cifar10), path/to/file.py:factory, or in Python a torch.nn.Module.
    checkpoint
        Its weights: a safetensors file, or a state dict saved by torch.
    classes
        Names of its outputs in order: a JSON list, a file with one, or a text file with a name a line (in Python a list).
    preprocessing
        How it wants its images: size, mean, std (for RGB in 0..1), interpolation, crop, resize; as JSON or a JSON file.
    device
        auto, cpu, cuda or mps.
    trust_pickle
        Let a pickled checkpoint run the code that it contains.

    Returns
    -------
    Network
        On its device. A module that was given stays the same object, in its own mode; it is moved only if `device` is
        not ``"auto"``.

    Raises
    ------
    NetworkNameError
        If no loader understands the name.
    CheckpointError, PreprocessingError, NetworkError
        If the weights do not load, nobody gives the preprocessing, or the factory fails.

    Examples
    --------
    >>> net = load_network("cars", device="cpu")
    >>> net.classes
    ('lynx', 'bison')
    """
    if isinstance(network, Network):
        if any(setting is not None for setting in (checkpoint, classes, preprocessing)) or device != "auto":
            raise QuestionError(
                f"{network.name} is loaded already, and keeps its weights, classes, preprocessing and device.",
                hint="Load it anew with other settings: load_network(net.module, ...).",
            )
        return network
    given_module = not isinstance(network, str)
    found = Loaded(network) if given_module else _loader(network).load(network)
    name = type(network).__name__ if given_module else re.sub(r".*[/\\](?=[^/\\]+\.py:)", "", network)
    _check_module(found.module, name)
    file = found.checkpoint
    if checkpoint is not None:
        file = read_checkpoint(checkpoint, trust_pickle=trust_pickle)
    if file is not None:
        load_weights(found.module, file)
    elif not given_module:
        warnings.warn(
            f"No checkpoint was given for {name}: its weights are those that the factory makes.",
            IconoscopeWarning,
            stacklevel=2,
        )
    if any(value.is_meta for value in (*found.module.parameters(), *found.module.buffers())):
        raise NetworkError(
            f"{name} has no weights yet (it is on the device 'meta').", hint="Give a checkpoint, or load it whole."
        )
    configuration = file.configuration if file else {}
    names, names_origin = _classes(classes, configuration, found.module, name)
    loaded = Network(
        module=found.module,
        preprocessing=_preprocessing(preprocessing, configuration, found.module, name),
        classes=names,
        name=name,
        classes_origin=names_origin,
    )
    if not (given_module and device == "auto"):
        loaded.module.to(find_device(device))
    if not given_module:
        loaded.module.eval()
    return loaded


def _check_module(module: Any, name: str) -> None:
    from torch import nn

    if not isinstance(module, nn.Module):
        kind = (
            f"an instance of {type(module).__name__}"
            if not isinstance(module, type)
            else f"the class {module.__name__}"
        )
        raise QuestionError(f"{name} gives {kind}; a network is a torch.nn.Module.", hint=_forms())


def _preprocessing(given: Any, configuration: dict[str, Any], module: nn.Module, name: str) -> Preprocessing:
    # Only where it is meant so: a network may well have a layer of that name.
    own = getattr(module, "preprocessing", None)
    own = own if isinstance(own, Mapping | Preprocessing) else None
    for settings, origin in (
        (given, "the call"),
        (configuration.get("preprocessing"), "the checkpoint"),
        (own, f"the module {type(module).__name__}"),
    ):
        if settings is not None:
            return read_preprocessing(settings, origin=origin)
    raise unknown_preprocessing(name)


def _classes(given: Any, configuration: dict[str, Any], module: nn.Module, name: str) -> tuple[tuple[str, ...], str]:
    own = getattr(module, "classes", None)
    own = own if isinstance(own, list | tuple | Mapping) else None
    for names, origin in (
        (given, "the call"),
        (configuration.get("classes"), "the checkpoint"),
        (own, f"the module {type(module).__name__}"),
    ):
        if names is not None:
            return class_names(names), origin
    raise QuestionError(
        f"Nobody names the classes of {name}: neither the call, nor the checkpoint, nor the module.",
        hint="Give them in the order of the outputs: classes= in Python; on the command line --classes and a JSON list, a file "
        "with one, or a file with a name a line.",
    )


def _load_builtin(name: str) -> Loaded:
    builtin = BUILTIN[name]
    module, _, factory = builtin.factory.partition(":")
    return Loaded(getattr(importlib.import_module(module), factory)(), read_checkpoint(builtin.weights))


def _load_file(name: str) -> Loaded:
    """Run a Python file of the user's and call the factory named after the last colon."""
    text, colon, factory = name.rpartition(":")
    if not colon or factory.endswith(".py"):  # a colon may also belong to a path, as in C:\\networks\\mine.py
        raise NetworkNameError(f"{name} does not say which function builds the network.", hint=f"Write {name}:factory.")
    path = Path(text).expanduser()
    if not path.is_file():
        siblings = [entry.name for entry in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise NetworkNameError(f"{path} does not exist.", hint=nearest(path.name, siblings))
    spec = importlib.util.spec_from_file_location(f"iconoscope_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise NetworkNameError(f"{path} is not a Python file.")
    source = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = source  # dataclasses and pickling inside the file look themselves up there
    # As for a script, what lies beside the file can be imported by it.
    before, imported = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(source)
        build = getattr(source, factory, None)
        if not callable(build):
            # What the file itself defines, not what it imported.
            names = [
                key
                for key, value in vars(source).items()
                if callable(value) and getattr(value, "__module__", "") == spec.name
            ]
            raise NetworkNameError(f"{path.name} has no factory {factory!r}.", hint=nearest(factory, names))
        _check_factory(build, factory, path)
        module: Any = build()
        return Loaded(module)
    except NetworkNameError:
        raise
    # The user's own code may raise anything, or leave; it is told where, and the traceback is kept as the cause.
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise NetworkError(
            f"{path.name}:{factory} fails: {type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})."
        ) from error
    finally:
        sys.path[:] = before
        # Another file's "blocks.py" is another module: what was found beside this one is not kept for the next.
        for key in set(sys.modules) - imported:
            if Path(getattr(sys.modules[key], "__file__", None) or "/").parent == path.parent.resolve():
                del sys.modules[key]


def _check_factory(build: Callable[..., Any], factory: str, path: Path) -> None:
    try:
        wanted = [
            parameter.name
            for parameter in inspect.signature(build).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        ]
    except (TypeError, ValueError):  # built in C: it is called, and says itself what it lacks
        return
    if wanted:
        raise NetworkNameError(
            f"{path.name}:{factory} wants arguments ({', '.join(wanted)}); a factory is called without any.",
            hint=f"Add to the file: def my_network(): return {factory}(...), and name that.",
        )


LOADERS = {
    "built-in": Loader(" or ".join(BUILTIN), lambda name: name in BUILTIN, _load_builtin),
    "file": Loader("path/to/file.py:factory", lambda name: ".py:" in name or name.endswith(".py"), _load_file),
}


def _forms() -> str:
    return f"A network is named: {'; '.join(loader.form for loader in LOADERS.values())}; in Python also a torch.nn.Module."


def _loader(name: str) -> Loader:
    for loader in LOADERS.values():
        if loader.matches(name):
            return loader
    if name.endswith((".safetensors", ".pt", ".pth", ".ckpt", ".bin")):
        raise NetworkNameError(
            f"{name} is a file of weights, which does not say what network they are of.",
            hint=f"Name the architecture, and give the file as checkpoint: path/to/file.py:factory, checkpoint={name!r}.",
        )
    prefix, colon, _ = name.partition(":")
    if colon:
        raise NetworkNameError(f"{name!r} names no network: there is no prefix {prefix + ':'!r}.", hint=_forms())
    if name.count("/") == 1 and not Path(name).exists():
        raise NetworkNameError(f"{name!r} looks like a name on a hub, but does not say which.", hint=_forms())
    close = nearest(name, BUILTIN)
    raise NetworkNameError(
        f"{name!r} names no network.", hint=f"{close} {_forms()}" if close.startswith("Did") else _forms()
    )
