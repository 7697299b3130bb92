"""A module as its library made it: the configuration that it carries."""

from __future__ import annotations

from iconoscope.subject.network.loaders.loaded import Loaded

__all__ = ["configured"]


def configured(loaded: Loaded) -> Loaded:
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
