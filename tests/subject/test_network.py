import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, NetworkError, NonFiniteError, QuestionError, UnitError
from iconoscope.subject.network import find_device
from iconoscope.subject.response import activations, respond
from iconoscope.vocabulary.labels import match_labels

HOW = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}


def tiny(outputs=3, **more):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, outputs))
    return ico.load_network(module, classes=more.pop("classes", ["a", "b", "c"]), preprocessing=HOW, device="cpu")


def test_a_module_stays_the_users_own():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 36, 3))
    module.train()
    module[1].eval()  # a part of it frozen, as in fine-tuning
    network = ico.load_network(module, classes=list("abc"), preprocessing=HOW)
    assert network.module is module
    before = [(name, part.training) for name, part in module.named_modules()]
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    picture = np.full((8, 8, 3), 99, np.uint8)
    ico.predict(network, picture)
    ico.layers(network)
    ico.occlude(network, picture, "0:1", patch=4, stride=4)
    assert [(name, part.training) for name, part in module.named_modules()] == before
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
    assert not any(part._forward_hooks for part in module.modules())


def test_the_digest_knows_every_weight():
    first, second = tiny(), tiny()
    second.module.load_state_dict(first.module.state_dict())
    assert first.digest() == second.digest()
    changed = tiny()
    changed.module.load_state_dict(first.module.state_dict())
    with torch.no_grad():
        changed.module[3].bias[2] += 1e-6  # pyright: ignore
    assert changed.digest() != first.digest()


@pytest.mark.parametrize(
    ("name", "index"), [("great white shark", 0), ("Great_White-Shark", 0), ("1", 1), (1, 1), ("7", 2)]
)
def test_classes_are_found_by_name_and_index(name, index):
    assert tiny(classes=["great white shark", "hen", "7"]).class_index(name) == index


def test_a_misspelt_class_is_answered_with_the_nearest():
    with pytest.raises(UnitError) as caught:
        tiny(classes=["truck", "bird", "ship"]).class_index("trukc")
    assert "truck" in caught.value.hint


def test_two_classes_of_one_name_are_asked_for_by_index():
    network = tiny(classes=["crane", "crane", "hen"])
    with pytest.raises(UnitError, match="2 classes") as caught:
        network.resolve("prob:crane")
    assert "0, 1" in caught.value.hint
    assert str(network.resolve("prob:1")) == "prob:1"
    assert str(network.resolve("prob:2")) == "prob:hen"


def test_layers_are_found_by_a_unique_ending(resnet20):
    assert str(resnet20.resolve("layer2.0.conv1:3")) == "layer2.0.conv1:3"
    assert str(resnet20.resolve("linear")) == "linear"
    with pytest.raises(UnitError, match="9 layers") as caught:
        resnet20.resolve("conv2")
    assert "layer1.0.conv2" in caught.value.hint
    with pytest.raises(UnitError) as caught:
        resnet20.resolve("layr2.0.conv1")
    assert "layer2.0.conv1" in caught.value.hint


def test_outputs_and_names_must_be_as_many():
    with pytest.raises(NetworkError, match="3 outputs, but 2 class names"):
        ico.predict(tiny(classes=["a", "b"]), np.zeros((8, 8, 3), np.uint8))


def test_a_failing_network_says_on_what_it_failed():
    network = ico.load_network(nn.Linear(5, 3), classes=list("abc"), preprocessing=HOW)
    with pytest.raises(NetworkError, match=r"\(1, 3, 8, 8\)"):
        ico.predict(network, np.zeros((8, 8, 3), np.uint8))


def test_nan_weights_are_an_error():
    network = tiny()
    with torch.no_grad():
        network.module[3].bias[0] = float("nan")  # pyright: ignore
    with pytest.raises(NonFiniteError):
        ico.predict(network, np.zeros((8, 8, 3), np.uint8))


def test_an_in_place_relu_does_not_change_what_was_read():
    network = tiny()
    batch = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        expected = network.module[0](batch)  # pyright: ignore
        assert (expected < 0).any()
        assert torch.equal(activations(network, batch, "0"), expected)


def test_the_pass_stops_at_the_layer_asked_for():
    network = tiny()
    reached = []
    network.module[3].register_forward_hook(lambda *_: reached.append(1))  # pyright: ignore
    activations(network, torch.randn(1, 3, 8, 8), "0")
    assert not reached


def test_units_answer_what_they_say():
    network = tiny()
    batch = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        maps = network.module[0](batch)  # pyright: ignore
        logits = network.module(batch)
        for unit, expected in {
            "0": maps.square().mean((1, 2, 3))[:, None],
            "0:2": maps.mean((2, 3)),
            "0:2@1,3": maps[:, :, 1, 3],
            "0:2@center": maps[:, :, 3, 3],
            "logit:b": logits,
            "prob:b": logits.exp() / logits.exp().sum(1, keepdim=True),
        }.items():
            response = respond(network, batch, network.resolve(unit))
            assert torch.allclose(response.values, expected, atol=1e-6), unit
            assert len(response.names) == expected.shape[1]


@pytest.mark.parametrize(
    ("unit", "message"),
    [("0:9", "channels are 0 to 3"), ("0:1@6,0", "maps are 6x6"), ("3:0@0,0", "is a vector")],
)
def test_what_a_layer_does_not_have_is_said(unit, message):
    network = tiny()
    with pytest.raises(UnitError, match=message):
        respond(network, torch.randn(1, 3, 8, 8), network.resolve(unit))


def test_layers_are_listed_with_what_they_answer():
    found = {layer.name: layer for layer in ico.layers(tiny())}
    assert found["0"].shape == (4, 6, 6)
    assert found["3"].shape == (3,)
    assert found["3"].parameters == 4 * 36 * 3 + 3


def test_devices():
    assert find_device("cpu").type == "cpu"
    with pytest.raises(QuestionError, match="tpu"):
        find_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(QuestionError, match="no device 'cuda'"):
            find_device("cuda")


def test_numbers_are_indices_and_texts_are_names():
    network = tiny(classes=["1", "2", "3"])
    assert network.class_index(1) == 1 and network.class_index("1") == 0
    assert [network.class_unit("prob", index).name for index in range(3)] == ["1", "2", "3"]
    found = ico.occlude(network, ico.load_images(np.zeros((1, 8, 8, 3), np.uint8), labels=["2"]), patch=8)
    assert found[0].target == 1
    assert match_labels(tiny(classes=["x", "y", "z"]).names, [2, 0]).tolist() == [2, 0]
    with pytest.warns(IconoscopeWarning, match="read as indices"):
        assert match_labels(tiny(classes=["x", "y", "z"]).names, ["2", "0"]).tolist() == [2, 0]


def test_a_module_that_works_in_place_on_its_input_changes_nothing():
    class InPlace(nn.Module):
        def forward(self, x):
            x -= 1.0
            return x.mean((2, 3))

    class OutOfPlace(nn.Module):
        def forward(self, x):
            return (x - 1.0).mean((2, 3))

    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    found = [
        ico.occlude(
            ico.load_network(kind(), classes=list("abc"), preprocessing=HOW), picture, patch=4, stride=2
        ).occluded
        for kind in (InPlace, OutOfPlace)
    ]
    assert np.array_equal(found[0], found[1])


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_asked_in_their_own(precision):
    network = tiny()
    picture = np.full((8, 8, 3), 99, np.uint8)
    expected = ico.predict(network, picture)
    network.module.to(precision)
    assert np.allclose(ico.predict(network, picture), expected, atol=0.02)


def test_the_digest_knows_what_decides_the_answer_beside_weights():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = 1.0
            self.register_buffer("shift", torch.zeros(3), persistent=False)

        def forward(self, x):
            return x.mean((2, 3)) * self.scale + self.shift

    network = ico.load_network(Scaled(), classes=list("abc"), preprocessing=HOW)
    digests = [network.digest()]
    network.module.scale = 2.0  # pyright: ignore
    digests.append(network.digest())
    network.module.shift += 1  # pyright: ignore
    digests.append(network.digest())
    network.module.train()
    assert network.digest() == digests[2]
    assert len(set(digests)) == 3


def test_what_was_loaded_keeps_its_settings():
    with pytest.raises(QuestionError, match="loaded already"):
        ico.load_network(tiny(), classes=["x", "y", "z"])


def test_a_module_without_weights_is_refused():
    with torch.device("meta"):
        module = nn.Linear(2, 2)
    with pytest.raises(NetworkError, match="no weights yet"):
        ico.load_network(module, classes=["a", "b"], preprocessing=HOW)
