"""The same names, asked of a network, a recording, a set of images and a search, mean the same."""

import numpy as np
import pytest
from torch import nn

import iconoscope as ico
from iconoscope.errors import QuestionError, UnitError
from iconoscope.vocabulary.resolver import Names, find_layer, plain_name

CLASSES = ("Great Dane", "great_white-shark", "7", "crane", "Crane")

# What is written, and the index of the class or label that it means, or a part of the message.
ASKED = {
    "Great Dane": 0,
    "great_dane": 0,
    "Great-Dane": 0,
    "GREAT  DANE": 0,
    "great white shark": 1,
    "7": 2,
    "1": 1,
    0: 0,
    "crane": 3,
    "Crane": 4,
    "CRANE": "are called 'CRANE'",
    "grate dane": "has no {} 'grate dane'",
    "12": "has no {} '12'",
    "-1": "has no {} '-1'",
}


@pytest.fixture(scope="module")
def network():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    how = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(module, classes=CLASSES, preprocessing=how, device="cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("set") / "set.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    np.savez(path, images=pixels, labels=np.arange(20) // 4, label_names=np.array(CLASSES))
    return ico.load_images(path)


@pytest.fixture(scope="module")
def recording(network, images, tmp_path_factory):
    return ico.record(network, images, ["1"], store=tmp_path_factory.mktemp("run") / "run", k=3)


def whose(ids):
    """Give the one class that images are of, by their ids."""
    (index,) = {int(identity) // 4 for identity in ids}
    return index


@pytest.mark.parametrize("name", ASKED, ids=repr)
def test_a_network_a_recording_a_set_and_a_search_give_one_answer(network, images, recording, name):
    expected = ASKED[name]
    asked = {
        "class of a network": lambda: network.resolve(f"logit:{name}").index,
        "class of a recording": lambda: CLASSES.index(
            network.classes[recording.units.index(ico.top_images(recording, f"logit:{name}", 1).unit) - 4]
        ),
        "label of a set": lambda: whose(images.where(label=name).ids),
        "label of a search": lambda: whose(
            set(recording.ids) & set(np.array(recording.ids)[recording.labels == np.array(searched(recording, name))])
        ),
    }
    for kind, ask in asked.items():
        if isinstance(expected, int):
            assert ask() == expected, kind
            continue
        with pytest.raises(QuestionError, match=expected.format(kind.split()[0])) as raised:
            ask()
        if "grate" in str(name):
            assert "Great Dane" in raised.value.hint, kind


def searched(recording, name):
    return ico.find_units(recording, name, permutations=19).concept


@pytest.mark.parametrize("unit", ["logit:great_dane", "prob:Great-Dane", "logit:0"])
def test_a_network_and_a_recording_know_a_class_by_one_name(network, recording, unit):
    assert str(network.resolve(unit)).endswith(":Great Dane")
    if unit.startswith("logit"):
        assert ico.top_images(recording, unit, 1).unit == "logit:Great Dane"


def test_layers_and_channels_are_refused_alike(network, recording):
    for unit, message in {"nowhere:1": "has no layer 'nowhere'", "great_dane": "has no layer", "1:9": "0 to 3"}.items():
        for ask in (
            lambda unit=unit: ico.top_images(recording, unit, 1),
            lambda unit=unit: network_asked(network, unit),
        ):
            with pytest.raises(UnitError, match=message) as raised:
                ask()
            if unit == "great_dane":
                assert "logit:great_dane" in raised.value.hint


def network_asked(network, unit):
    return ico.occlude(network, np.zeros((8, 8, 3), np.uint8), unit, patch=8)


def test_a_layer_is_found_by_an_ending_that_no_other_has():
    layers, classes = ["stem.conv", "body.conv", "body.relu"], Names(("relu", "cat"), "net")
    assert find_layer("relu", layers, classes) == "body.relu"
    assert find_layer("body.conv", layers, classes) == "body.conv"
    with pytest.raises(UnitError, match="2 layers of net end in 'conv'") as raised:
        find_layer("conv", layers, classes)
    assert "stem.conv, body.conv" in raised.value.hint
    with pytest.raises(UnitError, match="no layer 'cat'") as raised:
        find_layer("cat", layers, classes, hint="Others: record --layers {}")
    assert raised.value.hint == "Did you mean logit:cat, the class? Others: record --layers cat"


def test_names_are_compared_in_one_way():
    assert len({plain_name(name) for name in ("Great-Dane", "great_dane", " Great  Dane ")}) == 1


def test_labels_that_are_numbers_stay_numbers():
    images = ico.load_images(np.zeros((4, 8, 8, 3), np.uint8), labels=[3, 5, 5, 0])
    assert len(images.where(label=5)) == len(images.where(label="5")) == 2
    with pytest.raises(QuestionError, match="has no label 1"):
        images.where(label=1)


def test_a_recording_knows_its_layers_by_an_ending(nested):
    assert str(nested.resolve("relu:3")) == "body.relu:3"
    assert np.array_equal(nested.vectors("relu"), nested.vectors("mean:body.relu"))
    assert np.array_equal(nested.vectors("max:relu"), nested.vectors("max:body.relu"))
    assert nested.dead_units("relu") == nested.dead_units("body.relu")
    with pytest.raises(QuestionError, match="no vectors 'max:rely'"):
        nested.vectors("max:rely")
    with pytest.raises(UnitError, match="no layer 'rely'"):
        nested.dead_units("rely")


@pytest.fixture
def nested(images, tmp_path):
    body = nn.Sequential()
    body.add_module("conv", nn.Conv2d(3, 4, 3))
    body.add_module("relu", nn.ReLU())
    module = nn.Sequential()
    module.add_module("body", body)
    module.add_module("flat", nn.Flatten())
    module.add_module("head", nn.Linear(4 * 36, 5))
    how = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    network = ico.load_network(module, classes=CLASSES, preprocessing=how, device="cpu")
    return ico.record(network, images, ["relu"], store=tmp_path / "run", k=3)


def test_names_that_are_the_same_are_told_apart_by_their_index():
    names = Names(("crane", "hen", "crane", "Crane"), "birds")
    assert names.distinct == ("crane (0)", "hen", "crane (2)", "Crane")
    assert [names.index(name) for name in names.distinct] == [0, 1, 2, 3] and "crane_(2)" in names
    alike = Names(("crane", "crane", "crane (1)"), "birds").distinct
    assert alike == ("crane (0)", "crane (1)", "crane (1) (2)")
