import sys
from dataclasses import replace

import pytest
from torch import nn

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, NetworkError, NetworkNameError, PreprocessingError, QuestionError

SOURCE = """
from torch import nn
from neighbour import WIDTH

class Net(nn.Module):
    preprocessing = {"size": 8, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    classes = ["a", "b"]
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 8)
    def forward(self, x):
        return self.conv(x).flatten(1)

def net(): return Net()
def wants(width): return Net()
def fails(): return 1 / 0
def number(): return 3
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "neighbour.py").write_text("WIDTH = 2\n")
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_file_and_its_factory(source):
    before = list(sys.path)
    with pytest.warns(IconoscopeWarning, match="No checkpoint was given for mine.py:net"):
        network = ico.load_network(f"{source}:net", device="cpu")
    assert network.classes == ("a", "b")
    assert "the module Net" in network.preprocessing.describe()
    assert not network.module.training
    assert sys.path == before


@pytest.mark.parametrize(
    ("factory", "error", "says"),
    [
        (":nett", NetworkNameError, "net"),
        (":wants", NetworkNameError, "width"),
        (":fails", NetworkError, "ZeroDivisionError"),
        (":number", QuestionError, "instance of int"),
        ("", NetworkNameError, ":factory"),
    ],
)
def test_what_a_file_does_not_give_is_said(source, factory, error, says):
    with pytest.raises(error) as caught:
        ico.load_network(f"{source}{factory}")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nosuch", "path/to/file.py:factory"),
        ("carz", "Did you mean cars"),
        ("google/vit-base", "does not say which"),
        ("timmm:resnet50", "no prefix 'timmm:'"),
        ("missing.py:net", "does not exist"),
        ("weights.safetensors", "checkpoint='weights.safetensors'"),
    ],
)
def test_names_that_name_nothing(name, says):
    with pytest.raises(NetworkNameError) as caught:
        ico.load_network(name)
    assert says in str(caught.value)


def test_preprocessing_is_never_guessed():
    with pytest.raises(PreprocessingError) as caught:
        ico.load_network(nn.Linear(2, 2), classes=["a", "b"])
    assert '{"size": 224, "mean"' in caught.value.hint


@pytest.mark.filterwarnings("ignore:No checkpoint")
def test_a_class_name_that_no_page_has_room_for_is_refused(source):
    with pytest.raises(QuestionError, match=r"'aaa.* has 100,000 characters"):
        ico.load_network(f"{source}:net", classes=["a" * 100_000, "b"])


def test_class_names_are_never_guessed():
    with pytest.raises(QuestionError, match="Nobody names the classes"):
        ico.load_network(nn.Linear(2, 2), preprocessing={"size": 8, "mean": (0,) * 3, "std": (1,) * 3})


@pytest.mark.filterwarnings("ignore:No checkpoint")
def test_the_call_comes_before_the_module(source):
    how = {"size": (10, 12), "mean": (0.1, 0.2, 0.3), "std": (1, 1, 1)}
    network = ico.load_network(f"{source}:net", preprocessing=how, classes=["x", "y"])
    assert network.preprocessing.size == (10, 12)
    assert network.preprocessing.origin == "the call"
    assert network.classes == ("x", "y")


@pytest.mark.parametrize("given", [{"size": 64}, "size=64", '{"size": 64}'])
def test_what_is_given_replaces_and_the_rest_stays(given):
    own = ico.load_network("cifar10", device="cpu").preprocessing
    network = ico.load_network("cifar10", preprocessing=given, device="cpu")
    assert network.preprocessing.to_json() == {**own.to_json(), "size": (64, 64)}
    assert network.preprocessing.origin == f"the call (size), the rest from {own.origin}"
    assert ico.predict(network, ico.demo_images(1)).shape == (1, 10)
    with pytest.raises(PreprocessingError, match=r"no setting 'sice'\.\nDid you mean size"):
        ico.load_network("cifar10", preprocessing={"sice": 64})
    with pytest.raises(PreprocessingError, match="lacks mean and std"):
        ico.load_network(nn.Linear(2, 2), classes=["a", "b"], preprocessing=given)


def test_a_preprocessing_that_is_whole_stands_alone():
    own = ico.load_network("cifar10", device="cpu").preprocessing
    network = ico.load_network("cifar10", preprocessing=replace(own, size=(40, 40), origin="mine"), device="cpu")
    assert network.preprocessing.to_json() == {**own.to_json(), "size": (40, 40)}
    whole = {"size": 40, "mean": own.mean, "std": own.std, "crop": "none", "interpolation": "nearest"}
    network = ico.load_network("cifar10", preprocessing=whole, device="cpu")
    assert network.preprocessing.origin == "the call" and network.preprocessing.interpolation == "nearest"


@pytest.mark.filterwarnings("ignore:No checkpoint")
@pytest.mark.parametrize("text", ['["x", "y"]', "x\ny\n", '{"1": "y", "0": "x"}'])
def test_class_names_from_a_file(source, tmp_path, text):
    path = tmp_path / "names"
    path.write_text(text)
    assert ico.load_network(f"{source}:net", classes=path).classes == ("x", "y")


@pytest.mark.parametrize("name", ["cars", "cars-honest"])
def test_the_built_in_networks_say_all_themselves(name):
    network = ico.load_network(name, device="cpu")
    assert network.classes == ("lynx", "bison")
    assert network.preprocessing.origin == "the checkpoint"


def test_neighbours_of_one_file_are_not_those_of_another(tmp_path):
    found = []
    for folder, width in (("a", 2), ("b", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "neighbour.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / folder / "mine.py").write_text(SOURCE)
        with pytest.warns(IconoscopeWarning, match="No checkpoint"):
            found.append(ico.load_network(f"{tmp_path / folder / 'mine.py'}:net", classes=list("abcde")[:width]))
    assert [network.module.conv.out_channels for network in found] == [2, 5]


def test_layers_that_are_called_classes_or_preprocessing_are_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.classes, self.preprocessing = nn.Linear(2, 2), nn.Identity()

    with pytest.raises(QuestionError, match="Nobody names the classes"):
        ico.load_network(Net(), preprocessing={"size": 8, "mean": (0,) * 3, "std": (1,) * 3})
    with pytest.raises(PreprocessingError, match="Nobody says"):
        ico.load_network(Net(), classes=["a", "b"])


def test_a_factory_that_leaves_is_an_error(tmp_path):
    path = tmp_path / "leaves.py"
    path.write_text("import sys\ndef net(): sys.exit(3)\n")
    with pytest.raises(NetworkError, match="SystemExit"):
        ico.load_network(f"{path}:net")


def test_names_that_nearly_name_something(tmp_path, monkeypatch):
    with pytest.raises(NetworkNameError, match="timm:resnet18 or tv:resnet18"):
        ico.load_network("resnet18")
    (tmp_path / "three.txt").write_text("x")
    (tmp_path / "there.pt2").write_text("x")
    with pytest.raises(NetworkNameError) as caught:
        ico.load_network(str(tmp_path / "three.pt2"))
    assert "there.pt2" in str(caught.value)
    assert "three.txt" not in str(caught.value)
    cars = ico.load_network("cars", device="cpu")
    with pytest.raises(ico.errors.UnitError, match="Did you mean logit:bison"):
        cars.resolve("bison")
