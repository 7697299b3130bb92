"""Real networks on real images, from the command line and from Python."""

import json
from pathlib import Path

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.cli import main
from iconoscope.vocabulary.labels import match_labels

ROOT = Path(__file__).parent.parent.parent


def top1(network, images):
    targets = match_labels(network.names, images.labels)
    assert (targets >= 0).all()
    return float((ico.predict(network, images).argmax(1) == targets).mean())


@pytest.mark.slow
def test_resnet20_on_the_whole_test_set(resnet20, data):
    assert top1(resnet20, ico.load_images(data / "cifar10" / "test.parquet")) == pytest.approx(0.81, abs=0.005)


def test_resnet20_on_a_sample(resnet20, data):
    """1,000 images: 0.81 give or take three standard errors."""
    sample = ico.load_images(data / "cifar10" / "test.parquet").sample(1000, seed=0)
    assert top1(resnet20, sample) == pytest.approx(0.81, abs=0.037)


def test_resnet20_on_the_folder_of_the_same_images(resnet20, data):
    folder = ico.load_images(data / "cifar10" / "folder")
    assert len(folder) == 500 and len(set(folder.labels)) == 10
    assert top1(resnet20, folder) == pytest.approx(0.81, abs=0.053)


def test_squeezenet_on_the_photographs(squeezenet, photographs):
    assert round(top1(squeezenet, photographs), 2) >= 0.62


def test_occlude_resnet20_from_the_command_line(data, tmp_path, capsys):
    arguments = [
        "occlude", "--network", f"{ROOT / 'examples' / 'resnet20.py'}:resnet20", "--checkpoint",
        data / "weights" / "resnet20_cifar10.safetensors", "--images", data / "cifar10" / "test.parquet", "--limit", 2,
        "--patch", 8, "--stride", 4, "--store", tmp_path / "run", "--json",
    ]  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["target_origin"] == "label" and first["target"] in first["question"]["unit"]
    assert np.shape(first["map"]) == (7, 7) and first["map"] != second["map"]


def test_occlude_squeezenet_from_python(squeezenet, photographs):
    """The design's own line: a photograph, a class, a patch of 32."""
    agaric = next(image for image in photographs if image.id == "992_agaric.jpg")
    found = ico.occlude(squeezenet, agaric, "prob:agaric", patch=64, stride=48)
    assert found.occluded.shape == (5, 5, 1000)
    assert found.clean.argmax() == 992 and found.clean[992] > 0.8
    assert 0 <= found.map.min() < found.clean[992]
