"""Warnings name the line of whoever called, and not one of the package's own."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning

PREPROCESSING: dict[str, Any] = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}


def _network(*, batch_statistics: bool = False) -> ico.Network:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, track_running_stats=not batch_statistics)
    layers = (nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return ico.load_network(nn.Sequential(*layers).eval(), classes=["a", "b"], preprocessing=PREPROCESSING)


def _pictures(folder: Path) -> Path:
    from PIL import Image

    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes(b"no picture")
    return folder


def _of_a_factory(folder: Path) -> None:
    (folder / "net.py").write_text("from torch import nn\ndef build():\n    return nn.Conv2d(3, 2, 3)\n")
    ico.load_network(f"{folder}/net.py:build", classes=["a", "b"], preprocessing=PREPROCESSING)


def _not_kept(folder: Path) -> None:
    network = _network()
    network.module.unseen = memoryview(b"weights")  # pyright: ignore[reportArgumentType]
    network.module.register_forward_pre_hook(lambda module, inputs: None if module.unseen else inputs)
    ico.occlude(network, ico.load_images(_pictures(folder))[0], "prob:a", patch=8, store=folder / "run")


CALLS: dict[str, Callable[[Path], object]] = {
    "a factory without a checkpoint": _of_a_factory,
    "statistics of the batch": lambda folder: ico.predict(_network(batch_statistics=True), _pictures(folder) / "0.png"),
    "an unreadable image": lambda folder: ico.predict(_network(), _pictures(folder)),
    "an unreadable image, recorded": lambda folder: ico.record(_network(), _pictures(folder), store=folder / "run"),
    "an answer that is not kept": _not_kept,
    "no labels": lambda folder: [*ico.occlude_each(_network(), _pictures(folder), patch=8)],
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_warning_names_the_line_of_whoever_called(call: Callable[[Path], object], tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(tmp_path)
    named = {Path(warning.filename).name for warning in caught if warning.category is IconoscopeWarning}
    assert named == {Path(__file__).name}
