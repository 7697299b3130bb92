"""Code of the user's that raises anything, or leaves: the caller gets an error of ours, and an interrupt stays one."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import IconoscopeError, IconoscopeWarning, ImagesError, NetworkError

HOW = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
SETTINGS = {"classes": ["a", "b"], "preprocessing": HOW, "device": "cpu"}


class Leaving(BaseException):
    """No Exception."""


RAISED = {
    "exit": (SystemExit(3), NetworkError),
    "base": (Leaving("away"), NetworkError),
    "plain": (RuntimeError("no colour"), NetworkError),
    "memory": (MemoryError(), NetworkError),
    "interrupt": (KeyboardInterrupt(), KeyboardInterrupt),
}


class Raising(nn.Module):
    """Raises in one method, once it is set."""

    def __init__(self, where=""):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.where = where
        self.error: BaseException | None = None

    def _at(self, where):
        if self.error is not None and where == self.where:
            raise self.error

    def forward(self, x):
        self._at("forward")
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))

    def train(self, mode=True):
        self._at("train")
        return super().train(mode)

    def _apply(self, *given, **named):
        self._at("to")
        return super()._apply(*given, **named)

    def state_dict(self, *given, **named):
        self._at("state_dict")
        return super().state_dict(*given, **named)

    @property
    def preprocessing(self):
        self._at("property")
        return HOW

    def named_parameters(self, *given, **named):
        self._at("parameters")
        return super().named_parameters(*given, **named)


@pytest.mark.parametrize("kind", RAISED)
@pytest.mark.parametrize("where", ["train", "to", "state_dict", "property", "parameters"])
def test_what_a_module_raises_while_it_is_loaded(tmp_path, where, kind):
    module = Raising(where)
    torch.save(module.state_dict(), tmp_path / "w.pt")
    module.error, wanted = RAISED[kind]
    with pytest.raises(wanted):
        network = ico.load_network(module, checkpoint=tmp_path / "w.pt", **{**SETTINGS, "preprocessing": None})
        ico.predict(network, np.zeros((1, 8, 8, 3), np.uint8))  # eval() is for the time of a question


QUESTIONS = {
    "predict": lambda network, image, run: ico.predict(network, [image]),
    "occlude": lambda network, image, run: ico.occlude(network, image, patch=4, stride=4),
    "occlude a layer": lambda network, image, run: ico.occlude(network, image, "conv:0", patch=4, stride=4),
    "occlude_each": lambda network, image, run: list(ico.occlude_each(network, [image], patch=4, stride=4)),
    "optimize": lambda network, image, run: ico.optimize(network, "logit:a", steps=2),
    "dream": lambda network, image, run: ico.dream(network, image, "conv", steps=2),
    "layers": lambda network, image, run: ico.layers(network),
    "record": lambda network, image, run: ico.record(network, [image] * 3, store=run),
    "faithfulness": lambda network, image, run: ico.faithfulness(network, ico.load_images(image[None])[0], patch=4),
    "logits": lambda network, image, run: network.logits(network.blank()),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("kind", ["exit", "base", "interrupt"])
def test_a_forward_that_leaves_is_an_error(tmp_path, question, kind):
    module = Raising("forward")
    network = ico.load_network(module, **SETTINGS)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    module.error, wanted = RAISED[kind]
    with pytest.raises(wanted):
        QUESTIONS[question](network, image, tmp_path / "run")


@pytest.mark.parametrize("kind", ["exit", "base", "interrupt"])
def test_whatever_else_is_called_may_leave(kind):
    error, wanted = RAISED[kind]

    def fill(*given, **named):
        raise error

    network = ico.load_network(Raising(), **SETTINGS)
    with pytest.raises(wanted, match="would have ended the program" if wanted is NetworkError else None):
        ico.occlude(network, np.zeros((8, 8, 3), np.uint8), patch=4, stride=4, fill=fill)


class Items:
    def __init__(self, error, row):
        self.error, self.row = error, row

    def __len__(self):
        if self.row == "length":
            raise self.error
        return 3

    def __getitem__(self, row):
        if row == self.row:
            raise self.error
        return np.zeros((8, 8, 3), np.uint8), row


@pytest.mark.parametrize("row", [0, 2, "length"])
@pytest.mark.parametrize("kind", RAISED)
def test_a_data_set_that_leaves_is_an_error(row, kind):
    error, wanted = RAISED[kind]
    with pytest.raises(wanted if wanted is KeyboardInterrupt else IconoscopeError):
        [image.pixels for image in ico.load_images(Items(error, row))]
    if wanted is not KeyboardInterrupt and row == 2:
        with pytest.raises(ImagesError, match="000002 cannot be read"):
            ico.load_images(Items(error, row))[2]  # outside of any call


NET = "import sys\nfrom torch import nn\nclass Net(nn.Module):\n"
FACTORIES = {
    "import": "import sys\nsys.exit(3)",
    "call": "import sys\ndef build():\n    sys.exit(3)",
    "base": "class Leaving(BaseException): pass\ndef build():\n    raise Leaving('away')",
    "without words": "class Odd(Exception):\n    def __str__(self): raise Odd()\ndef build():\n    raise Odd()",
    "forward": f"{NET}    def forward(self, x): sys.exit(3)\nbuild = Net",
    "property": f"{NET}    @property\n    def classes(self): sys.exit(3)\nbuild = Net",
    "train": f"{NET}    def train(self, mode=True): 1 / 0\nbuild = Net",
    "to": f"{NET}    def to(self, *a): sys.exit(3)\nbuild = Net",
}


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_file_that_leaves_is_status_one_on_the_command_line(tmp_path, capsys, factory):
    from iconoscope.cli import main

    (tmp_path / "mine.py").write_text(FACTORIES[factory])
    asked = ["layers", "--network", f"{tmp_path / 'mine.py'}:build", "--preprocessing", json.dumps(HOW)]
    if factory != "property":
        asked += ["--classes", '["a", "b"]']
    assert main([*asked, "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "error: " in said
    assert "Traceback" not in said
    assert "mistake in iconoscope" not in said


def test_an_interrupt_in_a_factory_stays_one(tmp_path):
    (tmp_path / "mine.py").write_text("def build():\n    raise KeyboardInterrupt")
    asked = ["layers", "--network", f"{tmp_path / 'mine.py'}:build"]
    done = subprocess.run([sys.executable, "-m", "iconoscope", *asked], check=False, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr


def test_the_line_of_the_user_s_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("import torch\ndef build():\n    return torch.nn.Linear(-1, 'a')\n")
    with pytest.raises(NetworkError, match=r"mine.py:build fails: \w+: .*\(mine.py, line 3\)"):
        ico.load_network(f"{tmp_path / 'mine.py'}:build", **SETTINGS)


# what is said of weights and of failures


def test_a_factory_without_a_checkpoint_is_told_only_what_is_known(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))\n"
    )
    with pytest.warns(IconoscopeWarning, match="whether they were learned is not known"):
        ico.load_network(f"{tmp_path / 'mine.py'}:build", **SETTINGS)


class Conv1d(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 2, 3)

    def forward(self, x):
        return self.conv(x).mean(2)


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return (x + y).mean((2, 3))


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        (Conv1d(), "a tensor of images, channels, height, width"),
        (TwoInputs(), "one tensor alone"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "one value for each channel"),
        (nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), "preprocessing's size"),
        (nn.Sequential(nn.Conv2d(3, 2, 9)), "preprocessing's size"),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.LayerNorm(5)), "preprocessing's size"),
        (Raising("forward"), ""),
    ],
)
def test_the_hint_is_of_what_the_error_says(module, hint):
    if isinstance(module, Raising):
        module.error = ZeroDivisionError("division by zero")
    with pytest.raises(NetworkError) as caught:
        ico.predict(ico.load_network(module, **SETTINGS), np.zeros((1, 8, 8, 3), np.uint8))
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


# networks that are not ready yet, and some that are too ready


def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))


def test_lazy_layers_get_their_weights_from_a_checkpoint(tmp_path):
    eager = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    torch.save(eager.state_dict(), tmp_path / "w.pt")
    network = ico.load_network(lazy(), checkpoint=tmp_path / "w.pt", **SETTINGS)
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    digest = network.digest()
    np.testing.assert_array_equal(ico.predict(network, image), ico.predict(ico.load_network(eager, **SETTINGS), image))
    assert network.digest() == digest  # no question gave the layers their form
    with pytest.raises(NetworkError, match=r"lazy layers(.|\n)*checkpoint"):
        ico.load_network(lazy(), **SETTINGS)
    torch.save(lazy().state_dict(), tmp_path / "lazy.pt")
    with pytest.raises(NetworkError):
        ico.load_network(lazy(), checkpoint=tmp_path / "lazy.pt", **SETTINGS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("from_file", [False, True])
def test_frozen_torchscript_answers(tmp_path, from_file):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)).eval()
    frozen = torch.jit.freeze(torch.jit.script(module))
    if from_file:
        torch.jit.save(frozen, str(tmp_path / "frozen.pt"))
    given = str(tmp_path / "frozen.pt") if from_file else frozen
    network = ico.load_network(given, trust_code=True, **SETTINGS)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    own = ico.load_network(module, **SETTINGS)
    np.testing.assert_allclose(ico.predict(network, [image]), ico.predict(own, [image]), atol=1e-6)
    for unit in ("logit:a", "prob:b"):
        found, wanted = (ico.occlude(each, image, unit, patch=4, stride=4) for each in (network, own))
        np.testing.assert_allclose(found.occluded, wanted.occluded, atol=1e-5)
    assert ico.optimize(network, "logit:a", steps=2).objective.shape
    ico.record(network, [image] * 3, store=tmp_path / "run")
    assert network.digest()
