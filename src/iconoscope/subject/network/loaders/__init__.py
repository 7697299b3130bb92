"""One file for each way to have a network, and the table of them all."""

from __future__ import annotations

import importlib

from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.network.checkpoint import read_checkpoint
from iconoscope.subject.network.loaders.exported import load_exported
from iconoscope.subject.network.loaders.factory import load_factory
from iconoscope.subject.network.loaders.loaded import Loaded, Loader, NetworkRequest
from iconoscope.subject.network.loaders.onnx import load_onnx
from iconoscope.subject.network.loaders.script import is_script, load_script
from iconoscope.subject.network.loaders.timm import load_timm
from iconoscope.subject.network.loaders.torchvision import load_torchvision
from iconoscope.subject.network.loaders.transformers import is_transformers_folder, load_transformers

__all__ = ["LOADERS", "Loaded", "Loader", "NetworkRequest"]


def load_builtin(request: NetworkRequest) -> Loaded:
    """Build a network of ours; its weights say the rest."""
    module, _, factory = BUILTIN[request.name].factory.partition(":")
    build = getattr(importlib.import_module(module), factory)
    return Loaded(build(), read_checkpoint(BUILTIN[request.name].weights))


LOADERS = {
    "built-in": Loader(" or ".join(BUILTIN), lambda name: name in BUILTIN, load_builtin),
    "torchvision": Loader("tv:resnet50[@WEIGHTS]", lambda name: name.startswith("tv:"), load_torchvision),
    "timm": Loader("timm:name", lambda name: name.startswith("timm:"), load_timm),
    "transformers": Loader(
        "hf:org/name[@revision] or a folder of transformers",
        lambda name: name.startswith("hf:") or is_transformers_folder(name),
        load_transformers,
    ),
    "torch.export": Loader("model.pt2", lambda name: name.endswith(".pt2"), load_exported),
    "ONNX": Loader("model.onnx", lambda name: name.endswith(".onnx"), load_onnx),
    "TorchScript": Loader("a file of TorchScript", is_script, load_script),
    "file": Loader("path/to/file.py:factory", lambda name: ".py:" in name or name.endswith(".py"), load_factory),
}
"""Ways to name a network, in the order in which they are tried."""
