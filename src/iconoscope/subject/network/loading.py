"""From a name to a network: its module by one of the loaders, its weights, its preprocessing and its classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import (
    NetworkError,
    NetworkNameError,
    PreprocessingError,
    QuestionError,
    check_choice,
    check_path,
    nearest,
    warn,
)
from iconoscope.progress import advancing
from iconoscope.signatures import checked
from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.network.checkpoint import Checkpoint, load_weights, read_checkpoint
from iconoscope.subject.network.loaders import LOADERS, Loaded, Loader, NetworkRequest
from iconoscope.subject.network.loaders.loaded import nearest_file
from iconoscope.subject.network.logits import ACTIVATIONS
from iconoscope.subject.network.network import Network, class_names, find_device
from iconoscope.subject.network.pass_memory import check_pass
from iconoscope.subject.network.preprocessing import (
    ASSUMED,
    Preprocessing,
    merged,
    read_preprocessing,
    settings_of,
    unknown_preprocessing,
)
from iconoscope.subject.random_state import drawn_in_vain
from iconoscope.user_code import failure, user_code

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_network"]


@checked
def load_network(
    network: str | nn.Module | Network,
    *,
    checkpoint: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
    preprocessing: dict[str, Any] | Preprocessing | str | None = None,
    activation: str | None = None,
    device: str = "auto",
    trust_code: bool = False,
    trust_pickle: bool = False,
    trust_remote_code: bool = False,
) -> Network:
    """Load a trained network, with its preprocessing and class names.

    Both are taken from the first that gives them: this call; the checkpoint (metadata ``iconoscope`` of a safetensors
    file); the module's own attributes ``preprocessing`` and ``classes``, or the configuration that came with the weights.
    Nothing is guessed, and who said it is kept beside it.

    Parameters
    ----------
    network
        A built-in network (cars, cars-honest, cifar10); tv:resnet50[@WEIGHTS] of torchvision; timm:name, timm:hf-hub:org/name
        or timm:local-dir:path; hf:org/name[@revision] or a folder of transformers; model.pt2 of torch.export; model.onnx; a
        file of TorchScript; path/to/file.py:factory; or in Python a torch.nn.Module. tv:name@none and timm:name@none are
        networks without weights, as a control.
    checkpoint
        Its weights: a safetensors file, a state dict saved by torch, or a checkpoint of Lightning.
    classes
        Names of its outputs in order: a JSON list, a file with one, or a text file with a name a line (in Python a list).
    preprocessing
        How it wants its images: size, mean, std (for RGB in 0..1; one value for grey, four for four channels), interpolation,
        crop, resize; as size=64,crop=none, as JSON or a JSON file. Where the network has its own and not all of size, mean
        and std are given, what is given replaces that of it, and what is not stays: size=64 alone will do.
    activation
        How its logits become probabilities. softmax: one class is right. sigmoid: each class is there or not, as in a network
        of several labels, or of two classes and one output. If not given, what its configuration says; else sigmoid for one
        output, and softmax.
    device
        auto, cpu, cuda or mps.
    trust_code
        Let files run the code that they contain: TorchScript, model.pt2, pickled checkpoints, and the Python files of a
        network of transformers. They could do whatever you can; without this they are refused. A path/to/file.py that is
        named is run in any case.
    trust_pickle
        A former name of trust_code.
    trust_remote_code
        A former name of trust_code.

    Returns
    -------
    Network
        On its device. A module that was given stays the same object, in its own mode; it is moved only if `device` is
        not ``"auto"``. Of one that is wrapped (DataParallel, torch.compile) the module inside is asked.

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
        if any(setting is not None for setting in (checkpoint, classes, preprocessing, activation)) or device != "auto":
            raise QuestionError(
                f"{network.name} is loaded already, and keeps its weights, classes, preprocessing, activation and device.",
                hint="Load it anew with other settings: load_network(net.module, ...).",
            )
        return network
    trusted = trust_code or trust_pickle or trust_remote_code
    names = None if classes is None else class_names(classes)
    if isinstance(network, str):
        check_path("network", network)
        name = _short(network)
        request = NetworkRequest(
            network,
            checkpoint=checkpoint is not None,
            classes=None if names is None else len(names),
            channels=_channels(preprocessing),
            trust_code=trusted,
        )
        loaded = _load(request, name)
    else:
        name, loaded = type(_unwrapped(network)).__name__, Loaded(network, trained=True)
    _check_module(loaded.module, name)
    file = loaded.checkpoint if checkpoint is None else read_checkpoint(checkpoint, trust_code=trusted)
    # The module's attributes, and what it does when it is moved, may be code of the user's.
    with user_code(lambda error: NetworkError(f"{name} fails while it is loaded: {failure(error)}.")):
        module = _unwrapped(loaded.module)
        loaded = loaded._replace(module=module)
        _fill(loaded, name, file)
        loaded = _configured(loaded)
        result = _network(loaded, name, file.configuration if file else {}, names, preprocessing, activation)
        check_pass(result)
        if isinstance(network, str) or device != "auto":
            module.to(find_device(device))
        if isinstance(network, str):
            module.eval()
    if checkpoint is not None and loaded.origin and result.preprocessing.origin.endswith(loaded.origin):
        warn(
            f"Nobody says how the network of {Path(checkpoint).name} wants its images: they are treated as {loaded.origin} has "
            "it. If it was trained otherwise, give its preprocessing."
        )
        assumed = replace(result.preprocessing, origin=f"{ASSUMED}{result.preprocessing.origin}")
        result = replace(result, preprocessing=assumed)
    _settle(result)
    arguments = {
        "network": network,
        "checkpoint": checkpoint,
        "classes": classes,
        "preprocessing": preprocessing,
        "activation": activation,
        "trust_code": trust_code or None,
        "trust_pickle": trust_pickle or None,
        "trust_remote_code": trust_remote_code or None,
    }
    typed = {name: value for name, value in arguments.items() if value is not None} if isinstance(network, str) else {}
    return replace(_with_its_ending(result), loaded_by=typed)


def _load(request: NetworkRequest, name: str) -> Loaded:
    """Load a module; the random numbers of its first weights are drawn in vain if others are to come."""
    modules: list[Loaded] = []

    def untrained() -> bool:
        return not request.checkpoint and any(not (loaded.trained or loaded.checkpoint) for loaded in modules)

    # Weights may have to be fetched, and a hub out of reach takes its time.
    with (
        advancing(f"loading {name}", 1),
        drawn_in_vain(unless=untrained),
        # Of a damaged file, or a configuration of another kind, the libraries let through whatever breaks first.
        user_code(lambda error: NetworkError(f"{name} cannot be loaded: {failure(error)}.")),
    ):
        modules.append(_loader(request.name).load(request))
    return modules[0]


def _fill(loaded: Loaded, name: str, file: Checkpoint | None) -> None:
    """Put the weights of a file into a module; without one, see that it has weights."""
    from torch.nn.parameter import is_lazy

    if file is not None:
        load_weights(loaded.module, file)
    elif not loaded.trained:
        weights = "its weights are those that it was built with"
        learned = "nothing was learned" if loaded.origin else "whether they were learned is not known"
        warn(f"No checkpoint was given for {name}: {weights}, and {learned}.")
    tensors = [*loaded.module.parameters(), *loaded.module.buffers()]
    if any(map(is_lazy, tensors)):
        raise NetworkError(
            f"{name} has lazy layers, which have no weights before their first input.",
            hint="Give a checkpoint, or run it once on an image of its size before it is given.",
        )
    if any(value.is_meta for value in tensors):
        raise NetworkError(
            f"{name} has no weights yet (it is on the device 'meta').", hint="Give a checkpoint, or load it whole."
        )


def _settle(network: Network) -> None:
    """Run a network once whose lazy layers take their form from the first input: no question is to change it."""
    import torch
    from torch.nn.modules.lazy import LazyModuleMixin

    if any(isinstance(module, LazyModuleMixin) for module in network.module.modules()):
        with network.questioned(), torch.no_grad():
            network.run(network.blank())


def _network(
    loaded: Loaded,
    name: str,
    configuration: dict[str, Any],
    classes: tuple[str, ...] | None,
    preprocessing: dict[str, Any] | Preprocessing | str | None,
    activation: str | None,
) -> Network:
    """Give a module its preprocessing, classes and activation, each from the first that says it."""
    names, names_origin = _first_said(
        "classes", classes, configuration, loaded, lambda value: isinstance(value, list | tuple | Mapping)
    )
    if names is None:
        raise QuestionError(
            f"Nobody names the classes of {name}: neither the call, nor the checkpoint, nor the module.",
            hint="Give them in the order of the outputs: classes= in Python; on the command line --classes and a JSON list, a "
            "file with one, or a file with a name a line.",
        )
    chosen, origin = _first_said(
        "activation", activation, configuration, loaded, lambda value: isinstance(value, str) and value in ACTIVATIONS
    )
    if chosen is not None:
        check_choice("activation", chosen, ACTIVATIONS)
    return Network(
        module=loaded.module,
        preprocessing=_preprocessing(preprocessing, configuration, loaded, name),
        classes=_both(class_names(names)),
        name=name,
        classes_origin=names_origin,
        activation=chosen or "softmax",
        activation_origin=origin or "usual",
    )


def _configured(loaded: Loaded) -> Loaded:
    """Add what a network of timm or transformers says of itself, unless its loader has said it; of any other there is nothing.

    A network of transformers knows its classes, but not how its images are treated: that is its processor's, and must be given.
    """
    if loaded.origin:
        return loaded
    module = loaded.module
    library = type(module).__module__.partition(".")[0]
    if library == "timm" and getattr(module, "pretrained_cfg", None):
        from iconoscope.subject.network.loaders.timm import configuration_of

        preprocessing, classes = configuration_of(module)
        return loaded._replace(preprocessing=preprocessing, classes=classes, origin="timm's configuration of it")
    names = getattr(getattr(module, "config", None), "id2label", None)
    if library == "transformers" and names:
        return loaded._replace(classes=dict(names), origin="its configuration's id2label")
    return loaded


def _first_said(
    setting: str, call: Any, configuration: dict[str, Any], loaded: Loaded, meant: Callable[[Any], bool]
) -> tuple[Any, str]:
    """Give a setting from the first that says it, and who that is; None and nothing if nobody does.

    A module may well have a layer of that name: `meant` tells whether its attribute is the setting.
    """
    attribute = getattr(loaded.module, setting, None)
    sources = (
        (call, "the call"),
        (configuration.get(setting), "the checkpoint"),
        (attribute if meant(attribute) else None, f"the module {type(loaded.module).__name__}"),
        (getattr(loaded, setting), loaded.origin),
    )
    return next(((value, origin) for value, origin in sources if value is not None), (None, ""))


def _short(name: str) -> str:
    """Leave out the folders before a file or a folder that a name ends in.

    >>> _short("timm:hf-hub:org/name"), _short("networks/mine.py:net")
    ('timm:hf-hub:org/name', 'mine.py:net')
    """
    named = re.sub(r".*[/\\](?=[^/\\]+\.py:)", "", name)
    scheme, _, path = named.rpartition(":")
    if named == name and re.search(r"[/\\]", path) and (path[0] in "/~" or Path(path).expanduser().exists()):
        named = f"{scheme}:{Path(path).name}".removeprefix(":")
    return named


def _unwrapped(module: Any) -> Any:
    """Give the module inside of DataParallel and of torch.compile: they share its weights, and its layers take hooks."""
    from torch import nn

    while isinstance(module, nn.Module):
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif "_orig_mod" in vars(module).get("_modules", {}):
            module = module._orig_mod
        else:
            break
    return module


def _both(names: tuple[str, ...]) -> tuple[str, ...]:
    """Give one class its opposite: a network that finds one thing, or does not."""
    return names if len(names) != 1 else (f"not {names[0]}", *names)


def _channels(preprocessing: Any) -> int | None:
    mean = None if preprocessing is None else settings_of(preprocessing).get("mean")
    return len(mean) if isinstance(mean, Sequence) else None


def _check_module(module: Any, name: str) -> None:
    from torch import nn

    if not isinstance(module, nn.Module):
        kind = (
            f"an instance of {type(module).__name__}"
            if not isinstance(module, type)
            else f"the class {module.__name__}"
        )
        raise QuestionError(f"{name} gives {kind}; a network is a torch.nn.Module.", hint=_forms())


def _preprocessing(call: Any, configuration: dict[str, Any], loaded: Loaded, name: str) -> Preprocessing:
    own, own_origin = _first_said(
        "preprocessing", None, configuration, loaded, lambda value: isinstance(value, Mapping | Preprocessing)
    )
    settings, origin = (own, own_origin) if call is None else (call, "the call")
    if settings is None:
        raise unknown_preprocessing(name)
    # Who gives all that a preprocessing cannot do without describes another one: weights that were trained otherwise.
    if call is not None and own is not None and not settings_of(call).keys() >= {"size", "mean", "std"}:
        settings = merged(call, own)
        origin = f"the call ({', '.join(settings_of(call)) or 'nothing'}), the rest from {own_origin}"
    if loaded.size is None:
        return read_preprocessing(settings, origin=origin)
    preprocessing = read_preprocessing({"size": loaded.size, **settings_of(settings)}, origin=origin)
    if preprocessing.size != loaded.size:
        height, width = preprocessing.size
        raise PreprocessingError(
            f"{name} was exported for images of {loaded.size[0]}x{loaded.size[1]} pixels, and takes no other; "
            f"{origin} says {height}x{width}.",
            hint="Leave the size out, or export the network anew.",
        )
    return preprocessing


def _with_its_ending(network: Network) -> Network:
    """Run a network once, where its modules leave a doubt, and say how its answers are to be read.

    What fails here fails again, with its reason, when the first question is asked.
    """
    import torch
    from torch import nn

    from iconoscope.subject.probe import LayerCall, watching

    activations: dict[type[nn.Module], str] = {nn.Softmax: "softmax", nn.Sigmoid: "sigmoid"}
    modules = {} if network.opaque else dict(network.module.named_modules())
    endings = [name for name, module in modules.items() if type(module) in activations]
    single = len(network.classes) == 2 and any(
        1 in (getattr(module, "out_features", 0), getattr(module, "out_channels", 0))
        for module in network.module.modules()
    )
    if not (endings or single or (network.opaque and len(network.classes) == 2)):
        return network
    calls: list[LayerCall] = []
    try:
        with network.questioned(steady=False), watching(network, endings, calls.append), torch.inference_mode():
            answer = network.answer(network.blank())
    except NetworkError:
        return network
    usual = network.activation_origin == "usual"
    if calls and torch.equal(answer, calls[-1].output):
        ending = activations[type(calls[-1].module)]
        network = replace(network, ending=ending)
        if usual:
            origin = f"the network, which ends in a {ending}"
            return replace(network, activation=ending, activation_origin=origin)
    elif usual and len(network.classes) == 2 and answer.shape[1:].numel() == 1:
        return replace(
            network, activation="sigmoid", activation_origin="the network, which has one output for two classes"
        )
    return network


def _forms() -> str:
    return f"A network is named: {'; '.join(loader.form for loader in LOADERS.values())}; in Python also a torch.nn.Module."


def _loader(name: str) -> Loader:
    if name.endswith((".pt2", ".onnx", ".pt", ".ts")) and not Path(name).expanduser().exists():
        raise NetworkNameError(f"There is no file {name}.", hint=nearest_file(Path(name).expanduser()))
    for loader in LOADERS.values():
        if loader.matches(name):
            return loader
    if name.endswith((".safetensors", ".pt", ".pth", ".ckpt", ".bin")):
        raise NetworkNameError(
            f"{name} is a file of weights, which does not say what network they are of.",
            hint="Name the architecture, and give the file as checkpoint: path/to/file.py:factory, tv:resnet50 or timm:name, "
            f"and checkpoint={name!r}.",
        )
    prefix, colon, _ = name.partition(":")
    if colon:
        raise NetworkNameError(f"{name!r} names no network: there is no prefix {prefix + ':'!r}.", hint=_forms())
    if name.count("/") == 1 and not Path(name).exists():
        raise NetworkNameError(f"{name!r} looks like a name on a hub, but does not say which.", hint=_forms())
    close = nearest(name, BUILTIN)
    if not close.startswith("Did") and re.fullmatch(r"[\w.]+", name):
        close = f"Did you mean timm:{name} or tv:{name}?"
    raise NetworkNameError(
        f"{name!r} names no network.", hint=f"{close} {_forms()}" if close.startswith("Did") else _forms()
    )
