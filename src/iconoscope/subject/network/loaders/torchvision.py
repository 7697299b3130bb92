"""``tv:resnet50[@WEIGHTS]``: torchvision's networks, with the images' treatment and the classes that their weights name."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from iconoscope.errors import NetworkNameError, nearest
from iconoscope.extras import import_extra
from iconoscope.subject.network.checkpoint import read_checkpoint
from iconoscope.subject.network.loaders.loaded import UNTRAINED, Loaded, NetworkRequest, unreachable
from iconoscope.warning_filters import ignoring

__all__ = ["load_torchvision"]


def load_torchvision(request: NetworkRequest) -> Loaded:
    """Build a classifier of torchvision's; ``@none`` is one without weights.

    Weights are fetched into torch's own cache; a file that lies there already is refused if it holds more than weights and is
    not trusted. With a checkpoint none are fetched, the network gets as many outputs as names of
    classes were given, and its images are treated as those of torchvision's best weights are.
    """
    models = import_extra("torchvision.models", "torchvision", request.name)
    name, _, tag = request.name.removeprefix("tv:").partition("@")
    names = models.list_models(module=models)
    if name not in names:
        raise NetworkNameError(f"torchvision has no classifier {name!r}.", hint=nearest(name, names))
    listed = models.get_model_weights(name)
    if tag and tag not in (UNTRAINED, "DEFAULT") and tag not in listed.__members__:
        raise NetworkNameError(
            f"torchvision's {name} has no weights {tag!r}.", hint=nearest(tag, [*listed.__members__, UNTRAINED])
        )
    weights = listed.DEFAULT if tag in ("", "DEFAULT", UNTRAINED) else listed[tag]
    plain = request.checkpoint or tag == UNTRAINED
    outputs = request.classes if plain and request.classes else len(weights.meta["categories"])
    with ignoring(category=FutureWarning):  # of slow ways to draw weights that are overwritten
        if plain:
            module = models.get_model(name, weights=None, num_classes=outputs)
        else:
            if not request.trust_code:
                _check_cached(weights.url)
            try:
                module = models.get_model(name, weights=weights, progress=False)
            except (OSError, RuntimeError) as error:
                raise unreachable(
                    f"{request.name} ({weights.name})",
                    error,
                    instead=f"Where you have them as a file: checkpoint=, or --checkpoint. Or {weights.url} in torch's cache "
                    f"of hub/checkpoints. tv:{name}@{UNTRAINED} is the network without weights.",
                ) from error
    return Loaded(
        module,
        preprocessing=_preprocessing(weights.transforms()),
        classes=None if request.classes else weights.meta["categories"],
        origin=f"torchvision's {weights}",
        trained=not plain,
    )


def _check_cached(url: str) -> None:
    """See that a file in torch's cache holds weights alone: anybody may have put it there, and torchvision unpickles it."""
    from torch import hub

    file = Path(hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if file.is_file():
        read_checkpoint(file)


def _preprocessing(transforms: Any) -> dict[str, Any]:
    """Read the transforms that come with weights: resize the short side, cut the middle, normalise."""
    (resize,), (size,) = (list(side) for side in (transforms.resize_size, transforms.crop_size))
    return {
        "size": size,
        "resize": resize,
        "crop": "center",
        "interpolation": transforms.interpolation.value,
        "mean": tuple(transforms.mean),
        "std": tuple(transforms.std),
    }
