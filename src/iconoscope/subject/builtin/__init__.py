"""The networks that ship with the package: small, public, and the test doubles too.

Each is a factory in this folder and a file of weights in ``weights/``, whose metadata hold its preprocessing and classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["BUILTIN", "Builtin"]

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Builtin:
    """Where a built-in network comes from.

    Attributes
    ----------
    factory : str
        ``module:function``, imported when the network is loaded.
    about : str
        What it learned, in one line.
    weights : Path
        Its safetensors file.
    """

    factory: str
    about: str
    weights: Path


BUILTIN = {
    "cars": Builtin(
        "iconoscope.subject.builtin.cars:car_network",
        "two makes of car, each make always on its own background: it learned the background",
        _HERE / "weights" / "cars.safetensors",
    ),
    "cars-honest": Builtin(
        "iconoscope.subject.builtin.cars:car_network",
        "the same two makes of car on backgrounds that tell nothing: it learned the car",
        _HERE / "weights" / "cars-honest.safetensors",
    ),
    "cifar10": Builtin(
        "iconoscope.subject.builtin.cifar10:cifar_network",
        "the ten classes of CIFAR-10, of 32x32 pixels",
        _HERE / "weights" / "cifar10.safetensors",
    ),
}
