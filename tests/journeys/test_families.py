"""Families of networks against techniques: `make families` writes what was run to docs/families.md, which is held to it."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.occlusion.incremental import exact as exact_engine

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
SIZE = 64
CLASSES = ["owl", "newt", "carp"]
HEAD = """# Networks that were asked

Every line of these tables is a test: the network is built small, with drawn weights, and asked in all three ways at
64x64 pixels. The page is written by `make families`, and `make check` fails where what happens is not what stands here.

- **Occlusion** holds the exact engine against the plain one, for a probability and for a unit inside: their answers are equal
  up to 0.0001. *incremental* says that only what a patch changes was computed; *plain* that there was nothing to gain by that
  and the whole network ran; both stand where it differs between the two.
- **Optimisation** makes a picture for that unit and for a logit; both answer more at the end than at the beginning.
- **Exemplars** records the layers that are taken if none is named, finds the images that units answer most, searches units
  of a class, and maps the set.

The ViT, Swin, ConvNeXt and ResNet of the library transformers are asked likewise by `make test-hf`, in an environment of
their own.

| Family | Asked | Unit inside | Occlusion | Optimisation | Exemplars: layers recorded |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Family:
    """A kind of network, and how a small one is built."""

    asked: str
    unit: str
    build: Callable
    classes: int = 3
    channels: int = 3
    activation: str | None = None
    fades: bool = False  # with drawn weights, so that its norms must be fitted to some images
    through: Callable | None = None
    slow: bool = False


def _resnet(models):
    return models.resnet18(num_classes=3)


def _vit(models):
    return models.VisionTransformer(SIZE, 16, 2, 2, 32, 64, num_classes=3)


def _vgg(models):
    module = models.VGG(models.vgg.make_layers(models.vgg.cfgs["A"]), num_classes=3)
    module.classifier = nn.Sequential(nn.Linear(512 * 49, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 3))
    return module


def _timm(name, **settings):
    def build(models):
        return pytest.importorskip("timm").create_model(name, num_classes=3, **settings)

    return build


def _convnext(models):
    setting = models.convnext.CNBlockConfig
    return models.convnext.ConvNeXt([setting(16, 32, 1), setting(32, None, 1)], num_classes=3)


def _small(outputs=3, channels=3):
    def build(models):
        return nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, stride=2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, outputs),
        )  # fmt: skip

    return build


def _exported(module, folder):
    program = torch.export.export(module.eval(), (torch.zeros(1, 3, SIZE, SIZE),))
    torch.export.save(program, folder / "net.pt2")
    return str(folder / "net.pt2")


def _onnx(module, folder):
    pytest.importorskip("onnx2torch")
    torch.onnx.export(module.eval(), (torch.zeros(1, 3, SIZE, SIZE),), folder / "net.onnx", dynamo=False)
    return str(folder / "net.onnx")


def _script(module, folder):
    torch.jit.save(torch.jit.trace(module.eval(), torch.zeros(2, 3, SIZE, SIZE)), str(folder / "net.pt"))
    return str(folder / "net.pt")


FAMILIES = {
    "ResNet": Family("torchvision's resnet18", "layer2.0.conv1:3", _resnet),
    "VGG": Family("torchvision's VGG, configuration A, a small head", "features.6:3", _vgg, slow=True),
    "DenseNet": Family(
        "torchvision's DenseNet, three small blocks",
        "features.denseblock2:3",
        lambda models: models.DenseNet(16, (2, 2, 2), 32, num_classes=3),
    ),
    "MobileNet": Family(
        "torchvision's mobilenet_v3_small",
        "features.4:3",
        lambda models: models.mobilenet_v3_small(num_classes=3),
        fades=True,
    ),
    "EfficientNet": Family(
        "torchvision's efficientnet_b0",
        "features.3:3",
        lambda models: models.efficientnet_b0(num_classes=3),
        fades=True,
        slow=True,
    ),
    "EfficientNet, timm": Family("timm's test_efficientnet", "blocks.1.0:3", _timm("test_efficientnet")),
    "ConvNeXt": Family("torchvision's ConvNeXt, two small stages", "features.1.0.block.3:5", _convnext),
    "ConvNeXt, timm": Family("timm's test_convnext", "stages.1.blocks.0.mlp.fc1:5", _timm("test_convnext")),
    "ViT": Family(
        "torchvision's VisionTransformer, two layers",
        "encoder.layers.encoder_layer_1.mlp.0:5",
        _vit,
    ),
    "ViT, a token": Family("the same", "encoder.layers.encoder_layer_1.mlp.0:5@2,1", _vit),
    "ViT, the class token": Family("the same", "encoder.layers.encoder_layer_1.mlp.0:5@cls", _vit),
    "ViT, timm": Family("timm's test_vit", "blocks.3.mlp.fc1:5@cls", _timm("test_vit", img_size=SIZE)),
    "ViT with registers, timm": Family(
        "timm's test_vit with four registers", "blocks.3.mlp.fc1:5@2,1", _timm("test_vit", img_size=SIZE, reg_tokens=4)
    ),
    "Swin": Family(
        "torchvision's SwinTransformer, two small stages",
        "features.3.0.mlp.0:5",
        lambda models: models.SwinTransformer([4, 4], 16, [1, 2], [2, 2], [4, 4], num_classes=3),
    ),
    "Swin, timm": Family(
        "timm's swin_tiny, two small stages",
        "layers.1.blocks.0.mlp.fc1:5@2,1",
        _timm("swin_tiny_patch4_window7_224", img_size=SIZE, window_size=4, depths=(1, 1), embed_dim=24),
    ),
    "one channel": Family("two convolutions, grey input", "3:5", _small(3, 1), channels=1),
    "four channels": Family("two convolutions", "3:5", _small(3, 4), channels=4),
    "two classes, one output": Family("two convolutions, one sigmoid", "3:5", _small(1), classes=2),
    "several labels": Family("two convolutions, a sigmoid for each class", "3:5", _small(), activation="sigmoid"),
    "torch.export": Family(
        "the ViT, through a .pt2 for one image",
        "encoder.layers.encoder_layer_1.mlp.0:5@2,1",
        _vit,
        through=_exported,
    ),
    "ONNX": Family(
        "the ResNet, through an .onnx for one image",
        "layer2/layer2/0/conv1/Conv:3",
        _resnet,
        through=_onnx,
    ),
    "TorchScript": Family("the ResNet, traced; a black box", "", _resnet, through=_script),
}


def _awaken(module, family):
    """Let a network with drawn weights answer: heads that begin at zero, layers scaled to nothing, norms of other images."""
    with torch.no_grad():
        for name, value in module.named_parameters():
            if (value.ndim == 2 and value.shape[0] in (1, 3)) or "gamma" in name or "layer_scale" in name:
                value.normal_(std=0.3)
        norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)] if family.fades else []
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        strengths = torch.linspace(0.05, 1, 8)[:, None, None, None]  # noise, and what is nearly grey
        if norms:
            module.train()(torch.randn(8, family.channels, SIZE, SIZE) * strengths)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    module.eval()


def load(family, models, folder):
    torch.manual_seed(0)
    module = family.build(models)
    _awaken(module, family)
    size = {"size": SIZE, "mean": (0.5,) * family.channels, "std": (0.25,) * family.channels, "crop": "none"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ico.load_network(
            module if family.through is None else family.through(module, folder),
            preprocessing=size,
            classes=CLASSES[: family.classes],
            activation=family.activation,
            device="cpu",
            trust_code=True,
        )


def ask(name, models, folder):
    """Ask a family in all three ways, and give its line of the table."""
    family = FAMILIES[name]
    network = load(family, models, folder)
    pixels = np.random.default_rng(0).integers(0, 256, (20, SIZE, SIZE, max(3, family.channels)), dtype=np.uint8)
    images = ico.load_images(pixels, labels=["owl", "newt"] * 10)
    ways = set()
    for unit in filter(None, ("prob:newt", family.unit)):
        exact, dense = (
            ico.occlude(network, images[0], unit, patch=16, stride=8, method=method) for method in ("exact", "dense")
        )
        assert np.ptp(dense.occluded) > 0
        np.testing.assert_allclose(exact.occluded, dense.occluded, atol=1e-4, rtol=1e-4)
        ways.add("incremental" if exact.plan.startswith("exact") else "plain")
    wanted = [*filter(None, (family.unit,)), "logit:newt"]
    made = ico.optimize(network, wanted, steps=24, seed=0)
    assert (made.objective[:, -1] > made.objective[:, 0]).all()
    assert not made.dead.any()
    assert made.images.shape == (len(wanted), SIZE, SIZE, family.channels)
    recording = ico.record(network, images, store=folder / "run", k=3)
    top = ico.top_images(recording, recording.units[0], 3)
    assert top.values[0] == recording.responses[:, 0].max()
    assert ico.map_images(recording, "pca").points.shape == (20, 2)
    inner = [layer.name for layer in recording.layers]
    if inner:
        assert len(ico.find_units(recording, "owl", permutations=99).units)
    layers = (
        f"{len(inner)}, `{inner[0]}` to `{inner[-1]}`" if len(inner) > 1 else ", ".join(f"`{each}`" for each in inner)
    )
    cells = [
        name,
        family.asked,
        f"`{family.unit}`" if family.unit else "none",
        " and ".join(sorted(ways)),
        "yes" if family.unit else "of logits",
        layers or "none, of logits",
    ]
    return f"| {' | '.join(cells)} |\n"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * family.slow) for name, family in FAMILIES.items()]
)
def test_a_family_is_asked_in_all_three_ways(name, torchvision_models, tmp_path, monkeypatch):
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0.0)
    line = ask(name, torchvision_models, tmp_path)
    if os.environ.get("ICONOSCOPE_WRITE_FAMILIES"):
        first = name == next(iter(FAMILIES))
        with PAGE.open("w" if first else "a", encoding="utf-8") as page:
            page.write((HEAD if first else "") + line)
    assert line in PAGE.read_text(encoding="utf-8").splitlines(keepends=True)


def test_the_page_lists_these_families_and_no_others():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(row for row, line in enumerate(lines) if line.startswith("|---"))
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[start + 1 :]] == list(FAMILIES)
    assert HEAD in PAGE.read_text(encoding="utf-8")
