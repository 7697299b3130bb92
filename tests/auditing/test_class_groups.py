"""Two classes with one name, as ImageNet has cranes and maillots: none is lost, in groups or without."""

from typing import Any

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.auditing.class_groups import group_classes, read_groups
from iconoscope.errors import UnitError

CLASSES = ("crane", "crane", "hen", "dog")


class Colours(torch.nn.Module):
    """Answers the colour that the picture has most of: red, green, blue, or none."""

    def forward(self, batch):
        means = batch.mean((2, 3))
        return 20 * torch.cat([means, means.mean(1, keepdim=True) + 0.02], 1)


@pytest.fixture(scope="module")
def birds() -> tuple[Any, Any]:
    settings = {"size": 24, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    network = ico.load_network(Colours(), classes=CLASSES, preprocessing=settings)
    of_class = np.arange(140) % 4
    pixels = np.random.default_rng(0).integers(60, 120, (140, 24, 24, 3)).astype(np.uint8)
    for index in range(3):
        pixels[of_class == index, ..., index] += 90
    return network, ico.load_images(pixels, labels=of_class.tolist())


def test_each_of_two_classes_with_one_name_has_its_verdict(birds):
    audited = ico.audit(*birds, families=())
    assert sorted(audited.classes) == ["crane (0)", "crane (1)", "dog", "hen"]
    assert [finding.images for finding in audited.classes.values()] == [35] * 4
    assert {single["class"] for single in audited.to_json()["classes"]} == set(audited.classes)


def test_one_of_two_classes_with_one_name_is_asked_about_by_its_index(birds, tmp_path):
    for asked, named in (("1", "crane (1)"), (0, "crane (0)"), ("Crane_(1)", "crane (1)")):
        assert list(ico.audit(*birds, families=(), only=[asked], store=tmp_path).classes) == [named]
    with pytest.raises(UnitError, match="2 classes of Colours are called 'crane'") as raised:
        ico.audit(*birds, families=(), only=["crane"])
    assert "0, 1" in raised.value.hint


def test_a_name_that_two_classes_have_wants_the_index_in_a_table_of_groups(birds, tmp_path):
    network, _ = birds
    table = tmp_path / "groups.csv"
    table.write_text("class,group\n1,bird\nhen,bird\n", encoding="utf-8")
    assert read_groups(table, network) == ("crane (0)", "bird", "bird", "dog")
    assert read_groups({"dog": "mammal"}, network) == ("crane (0)", "crane (1)", "hen", "mammal")
    table.write_text("crane,bird\n", encoding="utf-8")
    with pytest.raises(UnitError, match="2 classes of Colours are called 'crane'") as raised:
        read_groups(table, network)
    assert "0, 1" in raised.value.hint


def test_a_label_that_two_classes_of_one_group_have_is_of_that_group(birds):
    network, _ = birds
    images = ico.load_images(np.zeros((2, 24, 24, 3), np.uint8), labels=["Crane", "dog"])
    assert group_classes(network, images, {"0": "bird", "1": "bird"})[1].labels == ["bird", "dog"]
    with pytest.warns(ico.IconoscopeWarning, match="not one class"):
        assert group_classes(network, images, {"0": "bird"})[1].labels == [None, "dog"]
