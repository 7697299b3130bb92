# type: ignore
"""What is drawn is shown to others: no figure and no page holds a path of this disk."""

import re

import matplotlib.figure
import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

import iconoscope as ico
from iconoscope.demo.photographs import keep_photographs
from iconoscope.results import Question
from iconoscope.results.folders import without_folders
from iconoscope.subject.network.loading import _short as short_name

FACTORY = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 2))
    module.preprocessing = {"size": 24, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    module.classes = ("first", "second")
    return module
"""


@pytest.fixture
def texts(monkeypatch):
    """All texts of every figure that is written."""
    drawn = []
    original = matplotlib.figure.Figure.savefig

    def savefig(self, *arguments, **settings):
        drawn.extend(text.get_text() for text in self.findobj(Text))
        return original(self, *arguments, **settings)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return drawn


@pytest.fixture
def folder(tmp_path):
    """A folder with a blank in its name: a factory with weights, and images of two classes with the same names."""
    folder = tmp_path / "my disk"
    rng = np.random.default_rng(0)
    for label in ("first", "second"):
        (folder / "photographs" / label).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photographs" / label / f"{number}.png")
    (folder / "mine.py").write_text(FACTORY)
    space = {}
    exec(FACTORY, space)
    torch.save(space["make"]().state_dict(), folder / "weights.pt")
    return folder


@pytest.mark.parametrize("listed", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["folder", "list of files"])
def test_no_path_of_this_disk_is_drawn(folder, texts, tmp_path, listed):
    network = ico.load_network(f"{folder}/mine.py:make", checkpoint=folder / "weights.pt", device="cpu")
    photographs = folder / "photographs"
    files = sorted(photographs.rglob("*.png"))
    images = ico.load_images(files, labels=[file.parent.name for file in files]) if listed else photographs
    images = ico.load_images(images)
    store, out = folder / "run", tmp_path / "figures"
    out.mkdir()
    two = images[:2]
    ico.occlude(network, two, patch=12, store=store, out=out / "occlude.png")
    ico.occlude(network, two[0], patch=[8, 12], store=store, out=out / "series.png")
    ico.occlude(network, images, patch=12, mean=True, store=store, out=out / "mean.png")
    ico.faithfulness(network, two, patch=12, store=store, out=out / "faithfulness.png")
    ico.activation_maps(network, two[0], "0", store=store, out=out / "sheet.png")
    ico.first_filters(network, store=store, out=out / "filters.png")
    ico.attribute(network, two, method="captum:Saliency", store=store, out=out / "attribute.png")
    ico.optimize(network, "logit:0", steps=3, start=files[0], store=store, out=out / "optimize.png")
    ico.optimize(network, ico.interpolate("0:1", "0:2", 3), steps=3, out=out / "interpolation.png")
    ico.dream(network, two[0], "0", steps=2, octaves=2, size=48).save(out / "dream.png")
    recording = ico.record(network, images, store=store, workers=0, k=9)
    ico.top_images(recording, "1:1", store=store, out=out / "top.png")
    ico.find_units(recording, photographs / "first" if not listed else images[:12], store=store, out=out / "find.png")
    map_ = ico.map_images(recording, store=store, out=out / "map.png")
    ico.report(map_, out / "map.html")
    damaged = next((store / "optimize").iterdir())
    (damaged / "arrays.npz").write_bytes(b"no archive")
    ico.report(store, out / "store.html")
    assert damaged.name in (out / "store.html").read_text().partition("Left out")[2]
    assert len(texts) > 50
    pages = [page.read_text() for page in out.glob("*.html")]
    assert len(pages) == 2
    for text in (*texts, *pages):
        assert str(tmp_path) not in text and "my disk" not in text, re.findall(".{80}my disk.{40}", text)


@pytest.mark.slow
def test_no_path_of_this_disk_is_in_the_page_of_an_audit(tmp_path):
    keep_photographs(ico.demo_images(40, backgrounds="telling", seed=21), tmp_path / "my disk")
    images = ico.load_images(tmp_path / "my disk" / "photographs")
    audit = ico.audit(ico.load_network("cars", device="cpu"), images, quick=True, out=tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert str(tmp_path) in audit.question.subject
    assert "images from photographs" in page
    assert str(tmp_path) not in page and "my disk" not in page, re.findall(".{80}my disk.{40}", page)


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("{}/mine.py:make", "mine.py:make"),
        ("{}/weights.pt", "weights.pt"),
        ("hf:{}/network@revision", "hf:network@revision"),
        ("timm:local-dir:{}/network@none", "timm:local-dir:network@none"),
        ("timm:local-dir:~/networks/network@none", "timm:local-dir:network@none"),
        ("timm:hf-hub:org/name", "timm:hf-hub:org/name"),
        ("hf:org/name@revision", "hf:org/name@revision"),
    ],
)
def test_networks_are_named_without_folders(tmp_path, named, shown):
    assert short_name(named.format(tmp_path)) == shown


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("/home/me/a.png", "a.png"),
        ("/home/me/my cars/a.png", "a.png"),
        ("40 images from /home/me/my cars", "40 images from my cars"),
        ("40 images from ~/cars", "40 images from cars"),
        ("hf:/home/me/set[:9]", "hf:set[:9]"),
        ("hf:/home/me/set@revision", "hf:set@revision"),
        ("9 images from /home/me/cars, /home/me/my vans, ~/lorries", "9 images from cars, my vans, lorries"),
        ("9 images from /home/a, b/cars, hf:/home/me/vans/train and 2 more", "9 images from cars, hf:train and 2 more"),
        ("C:\\cars\\a.png", "a.png"),
        ("9 images from s3://bucket/set", "9 images from s3://bucket/set"),
        ("first/a.png", "first/a.png"),
        ("9 images from tv:CIFAR10", "9 images from tv:CIFAR10"),
        ("noise", "noise"),
    ],
)
def test_folders_are_left_out_and_nothing_else(subject, shown):
    assert without_folders(subject) == shown
    question = Question(technique="top", network="n", weights="w", subject=subject, pixels="p")
    assert question.subject_name == shown and question.subject == subject
