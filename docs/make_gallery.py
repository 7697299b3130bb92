"""Make the pictures of docs/gallery.md: ``make gallery``. Takes some minutes on two cores.

SqueezeNet, its photographs and CIFAR-10 are read from a folder of data; without it only what the package brings is made.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import iconoscope as ico
from iconoscope.optimization import (
    Alignment,
    Fourier,
    Frequency,
    Network2D,
    Phase,
    Pixels,
    Pyramid,
    Style,
    Transforms,
    natural_magnitude,
)

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "images" / "gallery"
STRONG = Transforms(jitter=6, scale=(0.8, 1.25), rotation=15)
"""How far pictures are moved that are to become something else."""


def sheet(pictures: Sequence[NDArray[np.uint8]], columns: int, *, side: int, gap: int = 4) -> Image.Image:
    """Put pictures of one size into rows."""
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (side + gap) - gap, rows * (side + gap) - gap), "white")
    for place, pixels in enumerate(pictures):
        small = max(pixels.shape[:2]) < side
        drawn = Image.fromarray(pixels).resize(
            (side, side), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
        )
        page.paste(drawn, (place % columns * (side + gap), place // columns * (side + gap)))
    return page


def keep(page: Image.Image, name: str, *, quality: int = 82) -> None:
    """Write a page of pictures; what is fine and faint is lost below a quality of 95."""
    OUT.mkdir(parents=True, exist_ok=True)
    page.save(OUT / f"{name}.webp", quality=quality, method=6)


def pictures_of(found: ico.Visualization) -> list[NDArray[np.uint8]]:
    """Give all pictures as 0..255."""
    return [found.bytes_of(place) for place in range(len(found))]


def classes() -> None:
    """Draw the ten classes of the built-in network, six of each."""
    network = ico.load_network("cifar10", device="cpu")
    found = ico.optimize(network, [f"logit:{name}" for name in network.classes], count=6)
    keep(sheet(pictures_of(found), 6, side=96), "classes")


def styles() -> None:
    """Draw the field's comparison on one unit, three seeds each, then the parameterizations."""
    network = ico.load_network("cifar10", device="cpu")
    compared = ico.compare_styles(network, "logit:deer", count=3)
    keep(sheet([pixels for found in compared.values() for pixels in pictures_of(found)], 3, side=96), "styles")
    ways = (Pixels(), Fourier(), Phase(), Pyramid(), Network2D())
    made = [ico.optimize(network, "logit:deer", style=Style(parameterization=way), count=3, steps=256) for way in ways]
    keep(sheet([pixels for found in made for pixels in pictures_of(found)], 3, side=96), "parameterizations")


def truck(data: Path) -> None:
    """Let an airplane become a truck: naively, and moved about strongly; with the last gradient at the end."""
    network = resnet20(data)
    plane = sorted((data / "cifar10" / "folder" / "airplane").glob("*.jpg"))[3]
    rows: list[NDArray[np.uint8]] = []
    strong = Style(transforms=STRONG, regularizers=(Frequency(200.0),))
    for style, steps in (("none", 128), (strong, 512)):
        found = ico.optimize(network, "logit:truck", start=plane, style=style, steps=steps)
        frames = found.frames[0][:: max(1, len(found.frames[0]) // 8)]
        rows += [*list(frames)[:8], found.bytes_of(0), found.gradient_picture(0)]
    keep(sheet(rows, 10, side=80), "truck")


def priors(data: Path) -> None:
    """Draw ten classes with and without a prior beside real images, airplanes that become trucks, and classes of ImageNet."""
    network = resnet20(data)
    seen = ico.load_images(data / "cifar10" / "train.parquet", limit=3000)
    units = [f"logit:{name}" for name in network.classes]
    real: dict[str, NDArray[np.uint8]] = {}
    for image in seen:
        real.setdefault(str(image.label), image.pixels)
    rows: list[NDArray[np.uint8]] = []
    ways: list[dict[str, Any]] = [{}, {"cap": 1.2}, {"prior": "cifar10"}]
    ways += [{"prior": "cifar10-refined"}, {"prior": "cifar10-refined", "seed": 1}]
    for way in ways:
        rows += pictures_of(ico.optimize(network, units, compare=seen, **way))
    keep(sheet([*rows, *(real[name] for name in network.classes)], 10, side=84), "priors")
    planes = sorted((data / "cifar10" / "folder" / "airplane").glob("*.jpg"))[:6]
    images = [image.pixels for plane in planes for image in ico.load_images(plane)]
    found = ico.optimize(network, "logit:truck", start=np.stack(images), prior="cifar10", cap=float("inf"))
    keep(sheet([frame for frames in found.frames for frame in frames[:8]], 8, side=84), "trucks")
    large = squeezenet1(data)
    photographs = ico.fit_prior(data / "imagenet" / "images", size=227)
    names = ("goldfinch", "African elephant", "daisy")
    asked = [f"logit:{name}" for name in names if name in large.names]
    shown = [pictures_of(ico.optimize(large, asked)), pictures_of(ico.optimize(large, asked, prior=photographs))]
    keep(sheet([*shown[0], *shown[1]], 3, side=227), "photographs", quality=95)


def resnet20(data: Path) -> ico.Network:
    """Load ResNet-20 for CIFAR-10."""
    return ico.load_network(
        f"{ROOT / 'examples' / 'resnet20.py'}:resnet20",
        checkpoint=data / "weights" / "resnet20_cifar10.safetensors",
        device="cpu",
    )


def squeezenet1(data: Path) -> ico.Network:
    """Load SqueezeNet 1.1 for ImageNet."""
    return ico.load_network(
        f"{ROOT / 'examples' / 'squeezenet.py'}:squeezenet",
        checkpoint=data / "weights" / "squeezenet1_1.safetensors",
        classes=data / "imagenet" / "classes.json",
        device="cpu",
    )


def squeezenet(data: Path) -> None:
    """Draw a layer of SqueezeNet, some classes, a dream, a path between two units, and the phase of natural images."""
    network = squeezenet1(data)
    photographs = sorted((data / "imagenet" / "images").glob("*.jpg"))
    found = ico.optimize(network, "features.6:0-127", size=128, steps=128)
    keep(sheet(pictures_of(found), 16, side=72, gap=2), "layer")
    names = ("tench", "great white shark", "goldfinch", "tree frog", "African elephant", "daisy")
    found = ico.optimize(network, [f"logit:{name}" for name in names if name in network.names])
    keep(sheet(pictures_of(found), 3, side=227), "imagenet")
    dreamt = ico.dream(network, photographs[40], "features.10", size=288)
    keep(sheet(list(dreamt.frames[0][[0, 2, -1]]), 3, side=260), "dream")
    path = ico.interpolate("features.12:0", "features.12:10", 6)
    aligned = Style(regularizers=(Alignment(500.0),))
    keep(
        sheet(pictures_of(ico.optimize(network, path, style=aligned, steps=192, size=160)), 6, side=130),
        "interpolation",
    )
    magnitude = natural_magnitude([image.pixels for image in ico.load_images(photographs)], size=(227, 227))
    maco = Style(parameterization=Phase(magnitude))
    keep(sheet(pictures_of(ico.optimize(network, "logit:tench", style=maco, count=3)), 3, side=227), "phase")


def main() -> None:
    """Make all, or those whose names are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="classes, styles, truck, squeezenet, priors; all if none is given")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ICONOSCOPE_DATA", "../shared/data")))
    asked = parser.parse_args()
    with ico.show_progress():
        for name, make in {"classes": classes, "styles": styles}.items():
            if not asked.names or name in asked.names:
                make()
        for name, draw in {"truck": truck, "squeezenet": squeezenet, "priors": priors}.items():
            if asked.data.is_dir() and (not asked.names or name in asked.names):
                draw(asked.data)


if __name__ == "__main__":
    main()
