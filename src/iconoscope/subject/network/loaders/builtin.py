"""The networks that come with the package."""

from __future__ import annotations

import importlib

from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.network.checkpoint import read_checkpoint
from iconoscope.subject.network.loaders.loaded import Loaded, NetworkRequest

__all__ = ["load_builtin"]


def load_builtin(request: NetworkRequest) -> Loaded:
    """Build a network of ours; its weights say the rest."""
    builtin = BUILTIN[request.name]
    module, _, factory = builtin.factory.partition(":")
    return Loaded(getattr(importlib.import_module(module), factory)(), read_checkpoint(builtin.weights))
