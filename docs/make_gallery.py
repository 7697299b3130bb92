"""Make the pictures of docs/gallery.md, and the figures of the other pages: ``make gallery``. Takes some minutes on two cores.

SqueezeNet, its photographs and CIFAR-10 are read from a folder of data; without it only what the package brings is made.
The pictures of pages (report.png, map-page.webp, first/occlusion.webp, first/audit.webp) are photographed in a browser.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
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
IMAGES = ROOT / "docs" / "images"
OUT = IMAGES / "gallery"
STRONG = Transforms(jitter=6, scale=(0.8, 1.25), rotation=15)
"""How far pictures are moved that are to become something else."""


def sheet(pictures: Sequence[NDArray[np.uint8]], columns: int, *, side: int, gap: int = 4) -> Image.Image:
    """Put pictures of one size into rows."""
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (side + gap) - gap, rows * (side + gap) - gap), "white")
    for index, pixels in enumerate(pictures):
        small = max(pixels.shape[:2]) < side
        drawn = Image.fromarray(pixels).resize(
            (side, side), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
        )
        page.paste(drawn, (index % columns * (side + gap), index // columns * (side + gap)))
    return page


def keep(page: Image.Image, name: str, *, quality: int = 82) -> None:
    """Write a page of pictures; what is fine and faint is lost below a quality of 95."""
    OUT.mkdir(parents=True, exist_ok=True)
    page.save(OUT / f"{name}.webp", quality=quality, method=6)


def pictures_of(visualization: ico.Visualization) -> list[NDArray[np.uint8]]:
    """Give all pictures as 0..255."""
    return [visualization.bytes_of(index) for index in range(len(visualization))]


def figures() -> None:
    """Draw the figures of docs/occlusion.md that show cars."""
    network = ico.load_network("cars-honest", device="cpu")
    for seed, id, ask, name in (
        (0, "lynx-0003", ico.occlude, "occlusion"),
        (1, "bison-0003", ico.faithfulness, "curves"),
    ):
        photographs = ico.demo_images(80, seed=seed)
        ask(network, photographs[photographs.ids.index(id)], patch=24, stride=4).save(IMAGES / f"{name}.png")


def figures_of_data(data: Path) -> None:
    """Draw the figures of docs/occlusion.md and docs/exemplars.md that show photographs; a minute or two."""
    leopard = ico.load_images(data / "imagenet" / "images" / "288_leopard.jpg")[0]
    gradients = [f"captum:{method}" for method in ("IntegratedGradients", "Saliency", "GuidedBackprop", "LayerGradCam")]
    compared = ico.faithfulness(squeezenet1(data), leopard, ["occlusion", *gradients], patch=38, stride=19, steps=16)
    compared.save(IMAGES / "compared.jpg")
    network = resnet20(data)
    with contextlib.chdir(data):  # titles say where images are from
        mean_map = ico.occlude(network, ico.load_images("cifar10/folder"), patch=8, stride=4, mean=True)
        images = ico.load_images("cifar10/test.parquet")
        with tempfile.TemporaryDirectory() as store:
            top_images = ico.top_images(ico.record(network, images, ["layer1.1"], store=store), "layer1.1:3")
    mean_map.save(IMAGES / "mean.png")
    top_images.save(IMAGES / "top.webp")


def concepts(data: Path) -> None:
    """Draw the concepts of docs/representation.md: ships in ResNet-20, dogs in SqueezeNet; some minutes."""
    with contextlib.chdir(data):  # titles say where images are from
        ships = ico.load_images("cifar10/test.parquet")[:3000]
        keep_figure(ico.concepts(resnet20(data), ships, "layer3", "ship"), "concepts")
        photographs = ico.load_images("imagenet/images")
        dogs = [number for number, id in enumerate(photographs.ids) if 151 <= int(Path(id).name[:3]) <= 275]
        of_dogs = ico.concepts(
            squeezenet1(data), photographs[dogs], "features.12", "golden retriever", over="all", count=5, steps=96
        )
        keep_figure(of_dogs, "concepts-dogs")


def atlas(data: Path) -> None:
    """Draw the atlas of docs/representation.md, of 10,000 images; about ten minutes of two cores."""
    with contextlib.chdir(data):
        images = ico.load_images("cifar10/test.parquet")
        keep_figure(ico.activation_atlas(resnet20(data), images, "layer3"), "atlas")


def circuits(data: Path) -> None:
    """Draw what feeds a unit of docs/representation.md, on a ship."""
    with contextlib.chdir(data):
        ships = ico.load_images("cifar10/test.parquet").where(label="ship")
        keep_figure(ico.feeds(resnet20(data), "layer3.2:21", ships[3:4]), "feeds")


def keep_figure(result: ico.ActivationAtlas | ico.Concepts | ico.Circuit, name: str) -> None:
    """Write the figure of a result as WebP, an eighth of its PNG."""
    with tempfile.TemporaryDirectory() as folder, Image.open(result.save(Path(folder) / "figure.png")) as page:
        page.convert("RGB").save(IMAGES / f"{name}.webp", quality=82, method=6)


def first_steps() -> None:
    """Draw the trucks of the first steps: above without a prior, below along one."""
    network = ico.load_network("cifar10", device="cpu")
    trucks = [ico.optimize(network, "logit:truck", count=4, prior=prior) for prior in (None, "cifar10-refined")]
    pictures = [pixels for visualization in trucks for pixels in pictures_of(visualization)]
    keep(sheet(pictures, 4, side=160, gap=8), "../first/trucks")


def classes() -> None:
    """Draw the ten classes of the built-in network, six of each."""
    network = ico.load_network("cifar10", device="cpu")
    visualization = ico.optimize(network, [f"logit:{name}" for name in network.classes], count=6)
    keep(sheet(pictures_of(visualization), 6, side=96), "classes")


def styles() -> None:
    """Draw the field's comparison on one unit, three seeds each, then the parameterizations."""
    network = ico.load_network("cifar10", device="cpu")
    named = ("none", "frequency", "robust", "preconditioned", "all")
    compared = ico.compare_styles(network, "logit:deer", named, count=3)
    keep(sheet([pixels for deer in compared.results for pixels in pictures_of(deer)], 3, side=96), "styles")
    parameterizations = (Pixels(), Fourier(), Phase(), Pyramid(), Network2D())
    styles = [Style(parameterization=parameterization) for parameterization in parameterizations]
    made = [ico.optimize(network, "logit:deer", style=style, count=3, steps=256) for style in styles]
    keep(sheet([pixels for deer in made for pixels in pictures_of(deer)], 3, side=96), "parameterizations")


def truck(data: Path) -> None:
    """Let an airplane become a truck: naively, and moved about strongly; with the last gradient at the end."""
    network = resnet20(data)
    plane = sorted((data / "cifar10" / "folder" / "airplane").glob("*.jpg"))[3]
    rows: list[NDArray[np.uint8]] = []
    strong = Style(transforms=STRONG, regularizers=(Frequency(200.0),))
    for style, steps in (("none", 128), (strong, 512)):
        turned = ico.optimize(network, "logit:truck", start=plane, style=style, steps=steps)
        frames = turned.frames[0][:: max(1, len(turned.frames[0]) // 8)]
        rows += [*list(frames)[:8], turned.bytes_of(0), turned.gradient_picture(0)]
    keep(sheet(rows, 10, side=80), "truck")


def lecture(data: Path) -> None:
    """Draw the figures of docs/optimization.md: a photograph that is changed, styles with a judge, a code inverted, fooling."""
    network = resnet20(data)
    planes = sorted((data / "cifar10" / "folder" / "airplane").glob("*.jpg"))
    OUT.mkdir(parents=True, exist_ok=True)
    ico.optimize(network, "logit:truck", start=planes[3], style="none").save(OUT / "changed.webp")
    ico.invert(network, planes[1], count=2, compare=data / "cifar10" / "folder" / "cat").save(OUT / "inversion.webp")
    ico.fool(network, planes[1], "truck", judge="cifar10").save(OUT / "fool.webp")
    compared = ico.compare_styles(network, "logit:truck", prior="cifar10-refined", judge="cifar10", count=2)
    compared.save(OUT / "compared-styles.webp")


def priors(data: Path) -> None:
    """Draw ten classes with and without a prior beside real images, airplanes that become trucks, and classes of ImageNet."""
    network = resnet20(data)
    training_images = ico.load_images(data / "cifar10" / "train.parquet", limit=3000)
    units = [f"logit:{name}" for name in network.classes]
    real: dict[str, NDArray[np.uint8]] = {}
    for image in training_images:
        real.setdefault(str(image.label), image.pixels)
    rows: list[NDArray[np.uint8]] = []
    settings: list[dict[str, Any]] = [{}, {"cap": 1.2}, {"prior": "cifar10"}]
    settings += [{"prior": "cifar10-refined"}, {"prior": "cifar10-refined", "seed": 1}]
    for setting in settings:
        rows += pictures_of(ico.optimize(network, units, compare=training_images, **setting))
    keep(sheet([*rows, *(real[name] for name in network.classes)], 10, side=84), "priors")
    planes = sorted((data / "cifar10" / "folder" / "airplane").glob("*.jpg"))[:6]
    images = [image.pixels for plane in planes for image in ico.load_images(plane)]
    turned = ico.optimize(network, "logit:truck", start=np.stack(images), prior="cifar10", cap=float("inf"))
    keep(sheet([frame for frames in turned.frames for frame in frames[:8]], 8, side=84), "trucks")
    large = squeezenet1(data)
    photographs = ico.fit_prior(data / "imagenet" / "images", size=227)
    names = ("goldfinch", "African elephant", "daisy")
    logits = [f"logit:{name}" for name in names if name in large.names]
    visualizations = [ico.optimize(large, logits), ico.optimize(large, logits, prior=photographs)]
    pictures = [pixels for visualization in visualizations for pixels in pictures_of(visualization)]
    keep(sheet(pictures, 3, side=227), "photographs", quality=95)


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
    channels = ico.optimize(network, "features.6:0-127", size=128, steps=128)
    keep(sheet(pictures_of(channels), 16, side=72, gap=2), "layer")
    names = ("tench", "great white shark", "goldfinch", "tree frog", "African elephant", "daisy")
    animals = ico.optimize(network, [f"logit:{name}" for name in names if name in network.names])
    keep(sheet(pictures_of(animals), 3, side=227), "imagenet")
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
    parser.add_argument(
        "names",
        nargs="*",
        help="figures, first-steps, classes, styles, figures-of-data, concepts, atlas, circuits, truck, lecture, "
        "squeezenet, priors",
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ICONOSCOPE_DATA", "../shared/data")))
    arguments = parser.parse_args()
    without_data = {"figures": figures, "first-steps": first_steps, "classes": classes, "styles": styles}
    with_data = {
        "figures-of-data": figures_of_data,
        "concepts": concepts,
        "atlas": atlas,
        "circuits": circuits,
        "truck": truck,
        "lecture": lecture,
        "squeezenet": squeezenet,
        "priors": priors,
    }
    with ico.show_progress():
        for name, draw in without_data.items():
            if not arguments.names or name in arguments.names:
                draw()
        for name, draw_from in with_data.items():
            if arguments.data.is_dir() and (not arguments.names or name in arguments.names):
                draw_from(arguments.data.resolve())


if __name__ == "__main__":
    main()
