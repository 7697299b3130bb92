"""The networks that come with the package."""

from __future__ import annotations

import importlib

from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.network.checkpoint import read_checkpoint
from iconoscope.subject.network.loaders.loaded import Asked, Loaded

__all__ = ["load_builtin"]


def load_builtin(asked: Asked) -> Loaded:
    """Build a network of ours; its weights say the rest."""
    builtin = BUILTIN[asked.name]
    module, _, factory = builtin.factory.partition(":")
    return Loaded(getattr(importlib.import_module(module), factory)(), read_checkpoint(builtin.weights))
