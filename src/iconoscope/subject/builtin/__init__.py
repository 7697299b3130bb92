"""The networks that ship with the package: small, public, and the test doubles too.

Each is a factory in this folder and a file of weights in ``weights/``, whose metadata hold its preprocessing and classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["BUILTIN", "Builtin"]


class Builtin(NamedTuple):
    """Where a built-in network comes from.

    Attributes
    ----------
    factory : str
        ``module:function``, imported when the network is loaded.
    weights : Path
        Its safetensors file.
    """

    factory: str
    weights: Path


_FACTORIES = {
    # Two makes of car, each make always on its own background: it learned the background.
    "cars": "cars:car_network",
    # The same two makes on backgrounds that tell nothing: it learned the car.
    "cars-honest": "cars:car_network",
    # The ten classes of CIFAR-10, of 32x32 pixels.
    "cifar10": "cifar10:cifar_network",
}
BUILTIN = {
    name: Builtin(f"{__name__}.{factory}", Path(__file__).parent / "weights" / f"{name}.safetensors")
    for name, factory in _FACTORIES.items()
}
