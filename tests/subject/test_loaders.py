"""Every way to name a network, on small real files: the answers are held against the module that the file was made of."""

import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import iconoscope as ico
from iconoscope.errors import (
    CheckpointError,
    IconoscopeWarning,
    MissingExtraError,
    NetworkError,
    NetworkNameError,
    PreprocessingError,
    QuestionError,
    UnitError,
)

PREPROCESSING = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3), "crop": "none"}
CLASSES = ["owl", "newt", "carp"]


class Small(nn.Module):
    """A little of everything that a file may lose: norms, a view with the number of images in it, an expanded parameter."""

    def __init__(self, classes=3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU())
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        maps = self.stem(x)
        tokens = maps.view(maps.shape[0], 8, -1).transpose(1, 2)
        tokens = torch.cat([self.token.expand(maps.shape[0], -1, -1), tokens], 1)
        tokens = tokens + self.mlp(tokens)
        return self.head(tokens[:, 0] + tokens.mean(1))


@pytest.fixture
def small():
    torch.manual_seed(0)
    module = Small().eval()
    for name, value in module.state_dict().items():
        if value.is_floating_point() and "running_var" not in name:
            value.normal_(std=0.5)
    return module


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


def probabilities(module, pictures, size=16):
    """What a module answers, by torch's own hand."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(PREPROCESSING[name])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        return module((images - mean) / std).softmax(1).numpy()


def quietly(work):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work()


# torch.export


def export(module, batch, path, *, shapes=None, inputs=1):
    quietly(lambda: torch.export.save(torch.export.export(module, (batch,) * inputs, dynamic_shapes=shapes), path))


@pytest.mark.parametrize("images", [1, 2, None])
def test_a_program_of_torch_export_keeps_its_layers_and_takes_any_number(small, pictures, tmp_path, images):
    batch = torch.zeros(images or 2, 3, 16, 16)
    shapes = None if images else ({0: torch.export.Dim("n", min=1, max=64)},)
    export(small, batch, tmp_path / "small.pt2", shapes=shapes)
    network = ico.load_network(
        str(tmp_path / "small.pt2"), classes=CLASSES, preprocessing=PREPROCESSING, device="cpu", trust_code=True
    )
    assert network.preprocessing.size == (16, 16)
    np.testing.assert_allclose(ico.predict(network, pictures), probabilities(small, pictures), atol=1e-5)
    assert {"stem.0", "mlp.1", "head"} <= {layer.name for layer in ico.layers(network)}
    own = ico.load_network(small, classes=CLASSES, preprocessing={**PREPROCESSING, "size": 16}, device="cpu")
    for unit in ("stem.0:3", "mlp.1:5@2,1", "mlp.1:5@cls", "logit:newt"):
        found, wanted = (ico.occlude(each, pictures[0], unit, patch=8, stride=4) for each in (network, own))
        np.testing.assert_allclose(found.occluded, wanted.occluded, atol=1e-5)


def test_a_program_takes_no_other_size_and_one_input(small, tmp_path):
    export(small, torch.zeros(2, 3, 16, 16), tmp_path / "small.pt2")
    with pytest.raises(PreprocessingError, match="16x16 pixels, and takes no other; the call says 32x32"):
        ico.load_network(
            str(tmp_path / "small.pt2"),
            classes=CLASSES,
            preprocessing={**PREPROCESSING, "size": 32},
            device="cpu",
            trust_code=True,
        )

    class Two(nn.Module):
        def forward(self, x, y):
            return (x + y).mean((2, 3))

    export(Two(), torch.zeros(2, 3, 4, 4), tmp_path / "two.pt2", inputs=2)
    with pytest.raises(NetworkError, match="takes 2 inputs"):
        ico.load_network(str(tmp_path / "two.pt2"), classes=CLASSES, preprocessing=PREPROCESSING, trust_code=True)
    whole = (tmp_path / "small.pt2").read_bytes()
    (tmp_path / "half.pt2").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="no whole program"):
        ico.load_network(str(tmp_path / "half.pt2"), classes=CLASSES, preprocessing=PREPROCESSING, trust_code=True)
    with pytest.raises(NetworkNameError, match=r"no file(.|\n)*small\.pt2"):
        ico.load_network(str(tmp_path / "smal.pt2"))


def test_a_program_that_mixes_images_is_refused(tmp_path):
    class Mixing(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) + x.mean()

    export(Mixing(), torch.zeros(2, 3, 4, 4), tmp_path / "m.pt2")
    with pytest.raises(NetworkError, match="2 images at a time, and answers no other number"):
        ico.load_network(str(tmp_path / "m.pt2"), classes=CLASSES, preprocessing=PREPROCESSING, trust_code=True)


# ONNX


@pytest.mark.parametrize("any_number", [True, False])
def test_an_onnx_file_keeps_the_names_of_its_nodes(torchvision_models, pictures, tmp_path, any_number):
    pytest.importorskip("onnx2torch")
    torch.manual_seed(0)
    module = torchvision_models.resnet18(
        num_classes=3
    ).eval()  # untrained: equal shifts, which the exporter writes once
    path = tmp_path / "net.onnx"
    axes = {"x": {0: "n"}} if any_number else None
    quietly(
        lambda: torch.onnx.export(
            module, (torch.zeros(1, 3, 16, 16),), path, dynamo=False, input_names=["x"], dynamic_axes=axes
        )
    )
    network = ico.load_network(str(path), classes=CLASSES, preprocessing=PREPROCESSING, device="cpu")
    assert network.preprocessing.size == (16, 16)
    np.testing.assert_allclose(ico.predict(network, pictures), probabilities(module, pictures), atol=1e-4)
    found = ico.occlude(network, pictures[0], "layer1/layer1/0/conv1/Conv:7", patch=8, stride=8)
    own = ico.load_network(module, classes=CLASSES, preprocessing={**PREPROCESSING, "size": 16}, device="cpu")
    with torch.no_grad():  # the exporter takes batch norms into the convolutions before them
        wanted = ico.occlude(own, pictures[0], "layer1.0.bn1:7", patch=8, stride=8)
    np.testing.assert_allclose(found.occluded, wanted.occluded, atol=1e-4)
    assert len(ico.record(network, pictures, store=tmp_path / "run").layers) > 5


@pytest.mark.parametrize("version", [13, 18, 20])
def test_an_onnx_file_of_newer_operators_is_read_where_they_say_the_same(torchvision_models, tmp_path, version):
    """As torch's exporter writes it by default: axes as an input, a rule for zeros in shapes that have none."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx2torch")
    draw = np.random.default_rng(0)
    kernels, head = (draw.normal(size=size).astype(np.float32) for size in ((4, 3, 3, 3), (4, 3)))
    constants = {"kernels": kernels, "head": head, "axes": np.array([2, 3]), "flat": np.array([-1, 4])}
    old = version < 18
    nodes = [
        onnx.helper.make_node("Conv", ["images", "kernels"], ["maps"], name="conv"),
        onnx.helper.make_node("ReduceMean", ["maps"], ["mean"], name="mean", keepdims=1, axes=[2, 3])
        if old
        else onnx.helper.make_node("ReduceMean", ["maps", "axes"], ["mean"], name="mean", noop_with_empty_axes=0),
        onnx.helper.make_node("Reshape", ["mean", "flat"], ["row"], name="row", **({} if old else {"allowzero": 1})),
        onnx.helper.make_node("MatMul", ["row", "head"], ["logits"], name="head"),
    ]
    floats = onnx.TensorProto.FLOAT
    ends = [
        [onnx.helper.make_tensor_value_info(name, floats, shape)]
        for name, shape in (("images", ["n", 3, 16, 16]), ("logits", ["n", 3]))
    ]
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = onnx.helper.make_graph(nodes, "net", *ends, weights)
    opset = [onnx.helper.make_opsetid("", version)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), str(tmp_path / "net.onnx"))
    network = ico.load_network(str(tmp_path / "net.onnx"), classes=CLASSES, preprocessing=PREPROCESSING, device="cpu")
    batch = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    answer = torch.nn.functional.conv2d(batch, torch.from_numpy(kernels)).mean((2, 3)) @ torch.from_numpy(head)
    with torch.no_grad():
        torch.testing.assert_close(network.module(batch), answer, atol=1e-5, rtol=1e-4)


def test_what_is_no_onnx_file_is_said(tmp_path):
    pytest.importorskip("onnx2torch")
    (tmp_path / "net.onnx").write_bytes(b"no such thing")
    with pytest.raises(CheckpointError, match="no whole ONNX file"):
        ico.load_network(str(tmp_path / "net.onnx"), classes=CLASSES, preprocessing=PREPROCESSING)


# TorchScript


def test_torchscript_is_a_black_box_and_says_so_at_once(small, pictures, tmp_path):
    traced = quietly(lambda: torch.jit.trace(small, torch.zeros(2, 3, 16, 16)))
    quietly(lambda: torch.jit.save(traced, str(tmp_path / "small.pt")))
    with pytest.warns(IconoscopeWarning, match="its layers cannot be asked"):
        network = ico.load_network(
            str(tmp_path / "small.pt"),
            classes=CLASSES,
            preprocessing={**PREPROCESSING, "size": 16},
            device="cpu",
            trust_code=True,
        )
    np.testing.assert_allclose(ico.predict(network, pictures), probabilities(small, pictures), atol=1e-5)
    own = ico.load_network(small, classes=CLASSES, preprocessing={**PREPROCESSING, "size": 16}, device="cpu")
    found, wanted = (ico.occlude(each, pictures[0], "prob:newt", patch=8, stride=4) for each in (network, own))
    np.testing.assert_allclose(found.occluded, wanted.occluded, atol=1e-5)
    recording = ico.record(network, pictures, store=tmp_path / "run", k=2)
    assert recording.units == ("logit:owl", "logit:newt", "logit:carp")
    assert recording.penultimate == "the logits"
    assert ico.top_images(recording, "logit:newt", 2).values[0] == recording.responses[:, 1].max()
    assert ico.map_images(recording, "pca").points.shape == (5, 2)
    with pytest.raises(QuestionError, match="logits alone were recorded"):
        ico.find_units(recording, recording.ids[:2])
    made, ours = (ico.optimize(each, "logit:carp", steps=8, seed=1) for each in (network, own))
    np.testing.assert_allclose(made.objective, ours.objective, atol=1e-4)
    with pytest.raises(UnitError, match="TorchScript, whose layers cannot be asked"):
        ico.occlude(network, pictures[0], "stem:0")
    assert ico.layers(network) == []


def test_torchscript_is_scored_after_it_was_asked_for_gradients(torchvision_models, tmp_path):
    torch.manual_seed(0)
    module = torchvision_models.squeezenet1_1(num_classes=3).eval()
    traced = quietly(lambda: torch.jit.trace(module, torch.zeros(1, 3, 64, 64)))
    quietly(lambda: torch.jit.save(traced, str(tmp_path / "squeezenet.pt")))
    settings = {"classes": CLASSES, "preprocessing": {**PREPROCESSING, "size": 64}, "device": "cpu"}
    network = quietly(lambda: ico.load_network(str(tmp_path / "squeezenet.pt"), trust_code=True, **settings))
    made, ours = (
        ico.optimize(each, "logit:carp", steps=6, seed=1) for each in (network, ico.load_network(module, **settings))
    )
    np.testing.assert_allclose(made.activation, ours.activation, rtol=0.05)


# weights of Lightning


def test_a_checkpoint_of_lightning_fits_whatever_the_network_is_called_in_it(small, pictures, tmp_path):
    state = {f"net.{name}": value for name, value in small.state_dict().items()}
    state["loss.weight"] = torch.ones(3)
    torch.save(
        {
            "epoch": 3,
            "pytorch-lightning_version": "2.4.0",
            "state_dict": state,
            "callbacks": {"ModelCheckpoint": {"best_model_path": "x.ckpt"}},
            "optimizer_states": [{"state": {}}],
            "hyper_parameters": {"lr": 0.1},
        },
        tmp_path / "last.ckpt",
    )
    with pytest.warns(IconoscopeWarning, match=r"under net\.\*; 1 others were left out: loss\.weight"):
        network = ico.load_network(
            f"{__file__}:Small",
            checkpoint=tmp_path / "last.ckpt",
            classes=CLASSES,
            preprocessing={**PREPROCESSING, "size": 16},
            device="cpu",
        )
    np.testing.assert_allclose(ico.predict(network, pictures), probabilities(small, pictures), atol=1e-6)


# torchvision


@pytest.fixture(scope="module")
def photograph():
    generator = np.random.default_rng(1)
    noise = generator.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((340, 250), Image.Resampling.BICUBIC))


def test_torchvision_names_a_network_its_images_and_its_classes(torchvision_models, photograph):
    with pytest.warns(IconoscopeWarning, match="nothing was learned"):
        network = ico.load_network("tv:squeezenet1_1@none", device="cpu")
    weights = torchvision_models.SqueezeNet1_1_Weights.DEFAULT
    assert network.classes == tuple(weights.meta["categories"])
    assert "torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1" in network.preprocessing.describe()
    assert network.classes_origin == "torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1"
    wanted = weights.transforms()(Image.fromarray(photograph))
    found = network.preprocessing.normalise(network.preprocessing.fit(photograph)[None])[0]
    assert (found - wanted).abs().mean() < 0.03  # a twentieth of a deviation: their long side may be a pixel shorter


def test_torchvision_takes_the_users_own_weights_and_classes(torchvision_models, pictures, tmp_path):
    torch.manual_seed(0)
    module = torchvision_models.mobilenet_v3_small(num_classes=3).eval()
    torch.save(module.state_dict(), tmp_path / "mine.pth")
    network = ico.load_network(
        "tv:mobilenet_v3_small",
        checkpoint=tmp_path / "mine.pth",
        classes=CLASSES,
        preprocessing={**PREPROCESSING, "size": 16},
        device="cpu",
    )
    np.testing.assert_allclose(ico.predict(network, pictures), probabilities(module, pictures), atol=1e-6)


def test_a_checkpoint_that_does_not_say_its_preprocessing_is_told_of(torchvision_models, tmp_path):
    module = torchvision_models.squeezenet1_1(num_classes=1).eval()
    torch.save(module.state_dict(), tmp_path / "mine.pth")
    with pytest.warns(IconoscopeWarning, match=r"Nobody says how the network of mine\.pth wants its images"):
        network = ico.load_network(
            "tv:squeezenet1_1", checkpoint=tmp_path / "mine.pth", classes=["scratched"], device="cpu"
        )
    assert network.classes == ("not scratched", "scratched")
    assert network.activation == "sigmoid"
    assert network.preprocessing.assumed and "from an assumption: torchvision's" in network.preprocessing.describe()
    told = ico.load_network(
        "tv:squeezenet1_1",
        checkpoint=tmp_path / "mine.pth",
        classes=["x"],
        preprocessing={**PREPROCESSING, "size": 64},
        device="cpu",
    )
    assert not told.preprocessing.assumed


def test_a_factory_may_give_a_network_of_timm(torchvision_models, tmp_path):
    pytest.importorskip("timm")
    (tmp_path / "mine.py").write_text(
        "import timm, torch\n\ndef net():\n    return torch.nn.DataParallel(timm.create_model('test_resnet'))\n"
    )
    with pytest.warns(IconoscopeWarning, match="whether they were learned is not known"):
        network = ico.load_network(f"{tmp_path / 'mine.py'}:net", device="cpu")
    assert network.preprocessing.origin == "timm's configuration of it"
    assert "conv1" in {layer.name.partition(".")[0] for layer in ico.layers(network)}


def test_what_torchvision_does_not_have_is_said(torchvision_models, monkeypatch):
    with pytest.raises(NetworkNameError, match=r"no classifier 'resnet5o'(.|\n)*resnet50"):
        ico.load_network("tv:resnet5o")
    with pytest.raises(NetworkNameError, match=r"no weights 'V1'(.|\n)*IMAGENET1K_V1"):
        ico.load_network("tv:resnet50@V1")

    def unreachable(*args, **kwargs):
        raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(NetworkError, match=r"tv:resnet18 \(IMAGENET1K_V1\) cannot be fetched(.|\n)*checkpoint="):
        ico.load_network("tv:resnet18")


# timm


def test_a_folder_of_timm_says_everything_itself(torchvision_models, photograph, tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    module = timm.create_model("test_vit", num_classes=3).eval()
    told = {"label_names": ["n01", "n02", "n03"], "label_descriptions": {"n01": "owl", "n02": "newt"}}
    timm.models.save_for_hf(module, tmp_path / "owls", model_config=told)
    network = ico.load_network(f"timm:local-dir:{tmp_path / 'owls'}", device="cpu")
    assert network.classes == ("owl", "newt", "n03")
    assert "timm's configuration" in network.preprocessing.describe()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(module))
    wanted = transform(Image.fromarray(photograph))[None]
    found = network.preprocessing.normalise(network.preprocessing.fit(photograph)[None])
    assert (found - wanted).abs().mean() < 0.03
    with torch.no_grad():
        np.testing.assert_allclose(ico.predict(network, photograph)[0], module(found).softmax(1)[0].numpy(), atol=1e-5)


def test_timm_builds_what_the_users_weights_want(torchvision_models, tmp_path):
    timm = pytest.importorskip("timm")
    module = timm.create_model("test_resnet", num_classes=2, in_chans=1).eval()
    torch.save({"state_dict": module.state_dict()}, tmp_path / "mine.pth")
    network = ico.load_network(
        "timm:test_resnet",
        checkpoint=tmp_path / "mine.pth",
        classes=["scratched", "whole"],
        preprocessing={"size": 32, "mean": (0.5,), "std": (0.5,), "crop": "none"},
        device="cpu",
    )
    grey = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
    with torch.no_grad():
        wanted = module(torch.from_numpy(grey).permute(0, 3, 1, 2) / 255 * 2 - 1).softmax(1)
    np.testing.assert_allclose(ico.predict(network, grey), wanted.numpy(), atol=1e-5)


def test_the_classes_of_imagenet_are_those_of_timm(torchvision_models):
    pytest.importorskip("timm")
    with pytest.warns(IconoscopeWarning, match="nothing was learned"):
        network = ico.load_network("timm:test_efficientnet@none", device="cpu")
    assert network.classes[281] == "tabby"
    assert network.class_index("tabby") == 281
    assert len(network.classes) == 1000


def test_a_module_of_timm_given_as_an_object_needs_nothing_else(torchvision_models):
    timm = pytest.importorskip("timm")
    network = ico.load_network(timm.create_model("test_convnext"), device="cpu")
    assert network.classes[281] == "tabby"
    assert network.preprocessing.origin == "timm's configuration of it"


def test_what_timm_does_not_have_is_said(torchvision_models, tmp_path):
    pytest.importorskip("timm")
    with pytest.raises(NetworkNameError, match=r"no network 'resnet50x'(.|\n)*resnet50"):
        ico.load_network("timm:resnet50x")
    with pytest.raises(NetworkNameError, match="is no folder"):
        ico.load_network(f"timm:local-dir:{tmp_path / 'nothing'}")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_vit"}))
    with pytest.raises(NetworkError, match="cannot be built"):
        ico.load_network(f"timm:local-dir:{tmp_path}")


# what is missing


def test_a_missing_package_is_told_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'iconoscope\[hf\]'"):
        ico.load_network("hf:org/name")


def test_weights_alone_are_no_network(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(QuestionError, match="file of weights"):
        ico.load_network(str(tmp_path / "w.pth"))
