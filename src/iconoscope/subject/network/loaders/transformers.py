"""``hf:org/name[@revision]`` or a folder: image classifiers of the library transformers, with their processor and id2label."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iconoscope.errors import NetworkError, NetworkNameError, first_line
from iconoscope.extras import import_extra
from iconoscope.subject.network.checkpoint import pickled_whole, untrusted
from iconoscope.subject.network.loaders.loaded import LOADING, Loaded, NetworkRequest, hub_quiet, unreachable

__all__ = ["is_transformers_folder", "load_transformers"]

_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of filters, as processors write them."""

_ATTENTION = "attn_implementation"
"""In the names of settings that may name code on the hub, as org/name, which the library fetches and runs unasked."""

_PROBLEMS = {"multi_label_classification": "sigmoid", "single_label_classification": "softmax"}


def is_transformers_folder(name: str) -> bool:
    """Whether a path is a folder with a configuration of transformers in it."""
    path = Path(name).expanduser()
    return path.is_dir() and (path / "config.json").is_file()


def load_transformers(request: NetworkRequest) -> Loaded:
    """Load a classifier from the hub or a folder; code that comes with it is run only if that was asked for."""
    from safetensors import SafetensorError

    transformers = import_extra("transformers", "hf", request.name)
    name, revision = _folder_or_revision(request.name)
    version = {"revision": revision} if revision else {}
    settings = {"trust_remote_code": request.trust_code, **version}
    with _quiet(transformers), hub_quiet():
        try:
            if not request.trust_code:
                _check_attention(transformers.PretrainedConfig.get_config_dict(name, **version)[0], request.name)
            module = transformers.AutoModelForImageClassification.from_pretrained(name, **settings)
            processor = transformers.AutoImageProcessor.from_pretrained(name, **settings)
        except (
            OSError,
            ValueError,
            KeyError,
            ImportError,
            RuntimeError,
            SafetensorError,
            pickle.UnpicklingError,
        ) as error:
            raise _refusal(request, name, error) from error
    configuration = module.config
    return Loaded(
        module,
        preprocessing=_preprocessing(processor.to_dict(), configuration),
        classes=None if request.classes else dict(configuration.id2label),
        activation=_PROBLEMS.get(configuration.problem_type or ""),
        origin=f"the configuration and the processor of {name}",
        trained=True,
    )


def _folder_or_revision(name: str) -> tuple[str, str]:
    name = name.removeprefix("hf:")
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path), ""
    if name.startswith((".", "/", "~")):
        raise NetworkNameError(f"{path} is no folder.", hint="hf: wants a folder, or a name on the hub: hf:org/name.")
    name, _, revision = name.partition("@")
    return name, revision


def _refusal(request: NetworkRequest, name: str, error: Exception) -> NetworkError:
    reason = first_line(error, most=240)
    if "trust_remote_code" in str(error):
        return untrusted(
            f"{request.name} brings Python code of its own",
            "run any program with your rights",
            instead="take a network whose architecture the library has",
        )
    if isinstance(error, pickle.UnpicklingError):
        return pickled_whole(request.name, "transformers")
    if Path(name).is_dir():
        return NetworkError(
            f"{request.name} cannot be loaded: {type(error).__name__}: {reason}",
            hint="The folder holds config.json, preprocessor_config.json and the weights, as save_pretrained writes them.",
        )
    return unreachable(
        request.name, error, instead="Is the name right? A folder that was downloaded will do: hf:path/to/folder."
    )


def _check_attention(configuration: Any, label: str) -> None:
    """See that no part of a configuration names attention whose code is on the hub."""
    parts = [configuration]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += part.values()
            named = [f"{name}={code}" for name, code in part.items() if _ATTENTION in name and "/" in str(code)]
            if named:
                raise untrusted(
                    f"{label} asks for code of the hub ({named[0]})",
                    "run any program with your rights",
                    instead="take that out of its config.json",
                )


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep the library from writing of its progress for the time of a block."""
    logging = transformers.utils.logging
    with LOADING:
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        try:
            logging.set_verbosity_error()
            logging.disable_progress_bar()
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


def _preprocessing(processor: dict[str, Any], configuration: Any) -> dict[str, Any] | None:
    """Read how a processor treats images: what it resizes, what it cuts, what it takes off and divides by."""
    size, crop = processor.get("size") or {}, processor.get("crop_size") or {}
    filters = {"interpolation": _FILTERS.get(int(processor.get("resample") or 2), "bilinear")}
    normal = processor.get("do_normalize", True)
    channels = int(getattr(configuration, "num_channels", 3))
    settings = {
        "mean": tuple(processor["image_mean"]) if normal else (0.0,) * channels,
        "std": tuple(processor["image_std"]) if normal else (1.0,) * channels,
        **filters,
        "middle": "down",
    }
    if processor.get("do_rescale", True) and abs(float(processor.get("rescale_factor", 1 / 255)) * 255 - 1) > 1e-6:
        return None  # not of 0..1: nobody knows, and it must be said
    cut = processor.get("do_center_crop", bool(crop)) and crop
    short = size.get("shortest_edge")
    if cut:
        height, width = _sides(crop)
        if short:
            return {
                **settings,
                "size": (height, width),
                "crop": "center",
                "resize": max(int(short), min(height, width)),
            }
        return {**settings, "size": (height, width), "crop": "squash", "resize": min(_sides(size))}
    if short and "crop_pct" in processor:  # ConvNeXt: below 384 pixels resized by that share, and cut
        share = 1.0 if short >= 384 else float(processor["crop_pct"] or 224 / 256)
        kind = "none" if short >= 384 else "center"
        return {**settings, "size": int(short), "crop": kind, "resize": int(short / share) if share < 1 else None}
    if short:
        return {**settings, "size": int(short), "crop": "center"}
    return {**settings, "size": _sides(size), "crop": "none"} if size else None


def _sides(sides: Any) -> tuple[int, int]:
    return (int(sides), int(sides)) if isinstance(sides, int) else (int(sides["height"]), int(sides["width"]))
