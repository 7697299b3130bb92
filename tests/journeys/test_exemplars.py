"""Exemplars of real networks on real images."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from iconoscope.cli import main

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_ten_thousand_images_of_cifar10(resnet20, data, tmp_path):
    recording = ico.record(resnet20, ico.load_images(data / "cifar10" / "test.parquet"), store=tmp_path / "run")
    assert len(recording) == 10_000 and recording.top1 == pytest.approx(0.81, abs=0.005)
    order = np.argsort(-recording.responses, axis=0, kind="stable")[:100].T
    assert np.array_equal(recording.rankings["most_row"], order)
    order = np.argsort(recording.responses, axis=0, kind="stable")[:100].T
    assert np.array_equal(recording.rankings["least_row"], order)
    found = ico.map_images(recording, metric="euclidean")
    assert found.trustworthiness >= 0.97
    assert found.same_class_map is not None and found.same_class_map > 0.7
    trucks = ico.find_units(recording, "truck")
    assert "layer3.2:8" in trucks.invariant
    assert trucks.auc_held_out[0] == pytest.approx(trucks.auc[0], abs=0.03)
    green = ico.top_images(recording, "layer1.1:3", 9, steps=0)
    colours = np.stack([green.cell(place).reshape(-1, 3).mean(0) for place in green.side("most")])
    assert (colours[:, 1] >= colours[:, 0]).all() and (colours[:, 1] >= colours[:, 2]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["umap", "pacmap"])
def test_other_packages_make_maps(resnet20, data, tmp_path, method):
    pytest.importorskip(method)
    images = ico.load_images(data / "cifar10" / "test.parquet").sample(1000)
    recording = ico.record(resnet20, images, store=tmp_path / "run")
    found = ico.map_images(recording, method)
    assert found.trustworthiness > 0.9
    assert found.same_class_map is not None and found.same_class_map > 0.55


def test_photographs_and_squeezenet_from_the_command_line(data, tmp_path, capsys, monkeypatch):
    network = [
        "--network", f"{ROOT / 'examples' / 'squeezenet.py'}:squeezenet",
        "--checkpoint", data / "weights" / "squeezenet1_1.safetensors",
        "--classes", data / "imagenet" / "classes.json",
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)  # figures are written where one is
    store = ("--store", tmp_path / "run")

    def ask(*arguments, store=store):
        assert main([str(argument) for argument in (*arguments, *store, "--json", "--quiet")]) == 0
        return json.loads(capsys.readouterr().out)

    images = data / "imagenet" / "images"
    few = ask("record", *network, "--images", images, "--limit", 3, "--layers", "features.3,features.4")
    assert [layer["name"] for layer in few["layers"]] == ["features.3", "features.4"]
    recorded = ask("record", *network, "--images", images)
    assert recorded["images"] == len(ico.load_images(images))
    assert any(layer["name"].startswith("features.12") for layer in recorded["layers"])
    layer = recorded["layers"][1]["name"]
    top = ask("top", f"{layer}:3", "--k", 4)
    assert [each["side"] for each in top["shown"]][:4] == ["most"] * 4
    mapped = ask("map", "--method", "som", "--cells", "4x5", "--out", tmp_path / "map.html")
    assert Path(mapped["map"]).stat().st_size > 100_000
    # The first 398 classes are animals; the first three digits of a name are its class.
    animals = tmp_path / "animals.txt"
    animals.write_text("\n".join(path.name for path in sorted(images.iterdir()) if int(path.name[:3]) < 398))
    found = ask("find", animals)
    assert found["concept"] == "animals.txt" and 40 <= found["examples"] <= 60
    assert found["found"] and found["units"][0]["auc_held_out"] > 0.8
    sheet = ask("activations", "features.3", *network, "--images", images, "--limit", 1)
    assert len(sheet["channels"]) == 128
    assert ask("layers", *network, "--filters", tmp_path / "filters.png", store=())["layers"]
    with Image.open(tmp_path / "filters.png") as figure:
        assert min(figure.size) > 100
