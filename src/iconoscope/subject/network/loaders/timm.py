"""``timm:name``, ``timm:hf-hub:org/name``, ``timm:local-dir:path``: the networks of timm, with its own data configuration."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from iconoscope.errors import NetworkError, NetworkNameError, first_line, nearest
from iconoscope.extras import import_extra
from iconoscope.subject.network.checkpoint import pickled_whole
from iconoscope.subject.network.loaders.loaded import UNTRAINED, Loaded, NetworkRequest, hub_quiet, unreachable

__all__ = ["configuration_of", "load_timm"]

_FOLDER = "local-dir:"
_HUB = "hf-hub:"


def load_timm(request: NetworkRequest) -> Loaded:
    """Build a network of timm's; ``@none`` behind a name is one without weights.

    With a checkpoint no weights are fetched, and the network gets as many outputs as names of classes were given, and as many
    channels as the preprocessing that was given has.
    """
    timm = import_extra("timm", "timm", request.name)
    name = request.name.removeprefix("timm:")
    untrained = name.endswith(f"@{UNTRAINED}")
    name = name.removesuffix(f"@{UNTRAINED}") if untrained else name
    plain = request.checkpoint or untrained
    settings: dict[str, Any] = {"pretrained": not plain}
    if plain and request.classes:
        settings["num_classes"] = request.classes
    if plain and request.channels:
        settings["in_chans"] = request.channels
    module = _created(timm, _checked_name(timm, name), request.name, settings)
    preprocessing, classes = configuration_of(module)
    return Loaded(
        module,
        preprocessing=preprocessing,
        classes=None if request.classes else classes,
        origin=f"timm's configuration of {name}",
        trained=not plain,
    )


def configuration_of(module: Any) -> tuple[dict[str, Any], list[str] | None]:
    """Give the preprocessing and the names of the classes that a network of timm's carries."""
    data = import_extra("timm.data", "timm", type(module).__name__)
    return _preprocessing(data.resolve_model_data_config(module)), _classes(data, module)


def _checked_name(timm: Any, name: str) -> str:
    """See that there is such a network, as far as that can be told without the net."""
    if name.startswith(_FOLDER):
        folder = Path(name.removeprefix(_FOLDER)).expanduser()
        if not (folder / "config.json").is_file():
            fault = "has no config.json" if folder.is_dir() else "is no folder"
            raise NetworkNameError(
                f"{folder} {fault}.",
                hint="A folder of timm's has config.json and model.safetensors, as timm.models.save_for_hf writes them.",
            )
        return f"{_FOLDER}{folder}"
    if not name.startswith(_HUB) and not timm.is_model(name):
        names = [*timm.list_models(), *timm.list_pretrained()]
        raise NetworkNameError(f"timm has no network {name!r}.", hint=nearest(name, names))
    return name


def _created(timm: Any, name: str, label: str, settings: dict[str, Any]) -> Any:
    try:
        with hub_quiet():
            return timm.create_model(name, **settings)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if "weights_only" in str(error):
            raise pickled_whole(label, "timm") from error
        if name.startswith(_FOLDER):
            raise NetworkError(
                f"{label} cannot be built: {type(error).__name__}: {first_line(error, most=240)}",
                hint="Is it a folder as timm.models.save_for_hf writes it, whole, and of this version of timm?",
            ) from error
        raise unreachable(
            label,
            error,
            instead="Where you have the weights as a file: checkpoint=, or --checkpoint; as a folder: timm:local-dir:path. "
            f"timm:name@{UNTRAINED} is the network without weights.",
        ) from error


def _preprocessing(configuration: dict[str, Any]) -> dict[str, Any]:
    """Read timm's configuration of the images: resize by the share that is kept, and cut."""
    _, height, width = configuration["input_size"]
    share, mode = configuration["crop_pct"], configuration["crop_mode"]
    settings = {
        "size": (height, width),
        "mean": tuple(configuration["mean"]),
        "std": tuple(configuration["std"]),
        "interpolation": "bicubic" if configuration["interpolation"] == "random" else configuration["interpolation"],
    }
    if mode not in ("center", "squash", "border"):
        raise NetworkError(
            f"timm's configuration wants images cropped in the mode {mode!r}, which is not known here.",
            hint="Say how it wants them: preprocessing= in Python, --preprocessing on the command line.",
        )
    if mode == "center" and height != width:
        mode = "cover"  # a square is resized by its short side, anything else until both sides are long enough
    down, across = math.floor(height / share), math.floor(width / share)
    resize = (down, across) if height != width else down if down > height else None
    return {**settings, "crop": mode, "resize": resize}


def _classes(data: Any, module: Any) -> list[str] | None:
    """Give the names of the classes that came with the weights or, of ImageNet's, the first of the words that timm knows."""
    configuration = module.pretrained_cfg or {}
    names = configuration.get("label_names")
    if isinstance(names, dict):  # by the number of the class
        names = [names[number] for number in sorted(names, key=int)]
    if names and len(names) == module.num_classes:
        descriptions = configuration.get("label_descriptions") or {}
        return [str(descriptions.get(name, name)) if isinstance(descriptions, dict) else str(name) for name in names]
    subset = data.infer_imagenet_subset(module)
    if subset is None:
        return None
    info = data.ImageNetInfo(subset)
    return [info.index_to_description(index).split(",")[0] for index in range(info.num_classes())]
