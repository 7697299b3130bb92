"""Files that run code: every way that is known plants a mark, and the mark must not be there."""

import io
import json
import pickle
import tarfile
import tomllib
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from safetensors.torch import save_file
from torch import nn

import iconoscope as ico
from iconoscope.errors import CheckpointError, IconoscopeError
from networks import Small

HOW = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
SETTINGS = {"classes": ["a", "b"], "preprocessing": HOW, "device": "cpu"}
FLAGS = ("trust_code", "trust_pickle", "trust_remote_code")


class Bomb:
    """Opens a file for writing when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "mark"


def quietly(work):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work()


@pytest.fixture(scope="module")
def honest_export(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "honest.pt2"
    shapes = ({0: torch.export.Dim("n", min=1, max=64)},)
    program = torch.export.export(Small().eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=shapes)
    quietly(lambda: torch.export.save(program, path))
    return path


def saved(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def _sample_input(entries, mark):
    for name in entries:
        if "sample_inputs/" in name or name.endswith("example_inputs.pt"):
            entries[name] = saved(Bomb(mark))


def _weight(entries, mark):
    for name, content in entries.items():
        if name.endswith("weights_config.json"):
            configuration = json.loads(content)
            configuration["config"]["conv.weight"]["use_pickle"] = True
            entries[name] = json.dumps(configuration).encode()
        elif name.endswith("weights/weight_0"):
            entries[name] = saved(Bomb(mark))


def _opaque_constant(entries, mark):
    constant = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    for name in list(entries):
        if name.endswith("constants_config.json"):
            entries[name] = json.dumps({"config": {"evil": constant}}).encode()
            entries[name.replace("model_constants_config.json", "opaque_obj_0")] = pickle.dumps(Bomb(mark))
            entries[name.rpartition("/")[0] + "/opaque_obj_0"] = pickle.dumps(Bomb(mark))


def _expression(entries, mark):
    for name, content in entries.items():
        if name.endswith("models/model.json"):
            program = json.loads(content)
            _replace_expressions(program, f"open({str(mark)!r}, 'w') or 2")
            entries[name] = json.dumps(program).encode()


def _replace_expressions(node, text):
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and "expr_str" in node:
        node["expr_str"] = text
    for child in children:
        _replace_expressions(child, text)


@pytest.mark.parametrize("plant", [_sample_input, _weight, _opaque_constant, _expression])
def test_a_program_of_torch_export_runs_nothing_without_trust(honest_export, tmp_path, mark, plant):
    with zipfile.ZipFile(honest_export) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    plant(entries, mark)
    hostile = tmp_path / "honest.pt2"  # the archive is named in its entries
    with zipfile.ZipFile(hostile, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(CheckpointError, match=r"run any program(.|\n)*--trust-code"):
        ico.load_network(str(hostile), **SETTINGS)
    assert not mark.exists()


@pytest.mark.parametrize("flag", FLAGS)
def test_every_name_of_the_flag_is_trust(honest_export, flag):
    settings: dict[str, Any] = {**SETTINGS, flag: True}
    network = ico.load_network(str(honest_export), **settings)
    assert ico.predict(network, np.zeros((2, 8, 8, 3), np.uint8)).shape == (2, 2)


def test_the_command_line_has_the_flag_and_its_former_names(honest_export, capsys):
    from iconoscope.cli import main

    classes, how = json.dumps(SETTINGS["classes"]), json.dumps(HOW)
    asked = ["layers", "--network", str(honest_export), "--classes", classes, "--preprocessing", how]
    assert main(asked) == 1
    assert "--trust-code" in capsys.readouterr().err
    for flag in FLAGS:
        assert main([*asked, "--" + flag.replace("_", "-")]) == 0


class WritesWhenAsked(nn.Module):
    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor):
        return x.mean((2, 3))[:, :2] + torch.from_file(self.path, True, 4).fill_(1.0).sum()


class WritesWhenLoaded(nn.Module):
    def __init__(self, path: str):
        super().__init__()
        self.path = path
        self.total = 0.0

    def forward(self, x: torch.Tensor):
        return x.mean((2, 3))[:, :2] + self.total

    @torch.jit.export
    def __getstate__(self):  # pyright: ignore[reportIncompatibleMethodOverride] (TorchScript wants the state alone)
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path = state[0]
        self.training = state[1]
        self.total = float(torch.from_file(self.path, True, 4).fill_(1.0).sum())


@pytest.mark.parametrize("kind", [WritesWhenAsked, WritesWhenLoaded])
def test_torchscript_writes_nothing_without_trust(tmp_path, mark, kind):
    path = tmp_path / "net.pt"
    quietly(lambda: torch.jit.save(torch.jit.script(kind(str(mark)).eval()), str(path)))
    with pytest.raises(CheckpointError, match=r"write any file of yours(.|\n)*--trust-code"):
        ico.load_network(str(path), **SETTINGS)
    with pytest.raises(CheckpointError, match=r"TorchScript(.|\n)*--trust-code"):
        ico.load_network(Small(), checkpoint=path, **SETTINGS)
    assert not mark.exists()
    network = quietly(lambda: ico.load_network(str(path), trust_code=True, **SETTINGS))
    ico.predict(network, np.zeros((1, 8, 8, 3), np.uint8))
    assert mark.exists()  # it is a mark that would be seen


@pytest.mark.parametrize(
    "write",
    [
        lambda bomb: saved({"state_dict": Small().state_dict(), "hyper_parameters": bomb}),
        saved,
        pickle.dumps,
        lambda bomb: pickle.dumps({"state_dict": bomb}, protocol=0),
    ],
    ids=["Lightning", "whole", "bare", "protocol 0"],
)
@pytest.mark.parametrize("name", ["w.ckpt", "w.pth", "w.bin", "w.safetensors"])
def test_a_pickled_checkpoint_runs_nothing_without_trust(tmp_path, mark, write, name):
    (tmp_path / name).write_bytes(write(Bomb(mark)))
    with pytest.raises(CheckpointError):
        ico.load_network(Small(), checkpoint=tmp_path / name, **SETTINGS)
    assert not mark.exists()


@pytest.fixture
def pickled_folder(torchvision_models, tmp_path, mark):
    timm = pytest.importorskip("timm")
    module = timm.create_model("test_resnet", num_classes=2)
    timm.models.save_for_hf(module, tmp_path / "net", model_config={"label_names": ["a", "b"]})
    for file in (tmp_path / "net").glob("*model*.*"):
        file.unlink()
    torch.save({"state_dict": module.state_dict(), "more": Bomb(mark)}, tmp_path / "net" / "pytorch_model.bin")
    return f"timm:local-dir:{tmp_path / 'net'}"


def test_pickled_weights_of_timm_want_the_flag(pickled_folder, mark):
    with pytest.raises(CheckpointError, match=r"run any program(.|\n)*--trust-code"):
        ico.load_network(pickled_folder, device="cpu")
    assert not mark.exists()
    with pytest.raises(CheckpointError, match="timm does not read them"):
        ico.load_network(pickled_folder, device="cpu", trust_code=True)
    assert not mark.exists()
    weights = pickled_folder.removeprefix("timm:local-dir:") + "/pytorch_model.bin"
    network = quietly(lambda: ico.load_network(pickled_folder, checkpoint=weights, trust_code=True, **SETTINGS))
    assert network.classes == ("a", "b")
    assert mark.exists()


def test_what_lies_in_torch_s_cache_wants_the_flag(torchvision_models, tmp_path, mark, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    cached.parent.mkdir(parents=True)
    torch.save(Bomb(mark), cached)
    with pytest.raises(CheckpointError, match=r"run any program(.|\n)*--trust-code"):
        ico.load_network("tv:squeezenet1_1", device="cpu")
    assert not mark.exists()
    weights = torchvision_models.squeezenet1_1().state_dict()
    torch.save(weights, cached)
    module = ico.load_network("tv:squeezenet1_1", device="cpu").module
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


def test_no_older_library_is_allowed_that_runs_code_unasked():
    """timm before 1.0.26 unpickles the weights of a folder; datasets before 4 runs scripts."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(text) for extra in project["optional-dependencies"].values() for text in extra}
    bounds = {("timm", "1.0.25"), ("datasets", "3.6.0")}
    for name, version in bounds:
        assert not any(entry.specifier.contains(version) for entry in wanted if entry.name == name), name


def onnx_file(path, *, name="conv", location=""):
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")
    if location:
        weight = onnx.TensorProto(name="w", data_type=1, dims=[2, 3, 1, 1], data_location=onnx.TensorProto.EXTERNAL)
        weight.external_data.add(key="location", value=location)
    nodes = [
        helper.make_node("Conv", ["i", "w"], ["c"], name=name),
        helper.make_node("GlobalAveragePool", ["c"], ["g"], name="pool"),
        helper.make_node("Flatten", ["g"], ["o"], name="flat"),
    ]
    read = helper.make_tensor_value_info("i", 1, ["n", 3, 8, 8])
    answer = helper.make_tensor_value_info("o", 1, ["n", 2])
    graph = helper.make_graph(nodes, "g", [read], [answer], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return str(path)


def test_the_names_in_an_onnx_file_are_no_code(torchvision_models, tmp_path, mark):
    pytest.importorskip("onnx2torch")
    for quote in ('"', '\\"', '"\n'):
        name = f"training{quote}), open({str(mark)!r}, {'w'!r}), getattr(self, {quote}training"
        try:
            network = ico.load_network(onnx_file(tmp_path / "net.onnx", name=name), **SETTINGS)
            assert ico.predict(network, np.zeros((2, 8, 8, 3), np.uint8)).shape == (2, 2)
        finally:
            assert not mark.exists()


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "link"])
def test_an_onnx_file_reads_nothing_outside_of_its_folder(torchvision_models, tmp_path, location):
    pytest.importorskip("onnx2torch")
    (tmp_path / "secret").write_bytes(np.ones(6, np.float32).tobytes())
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointError):
        ico.load_network(onnx_file(tmp_path / "net" / "net.onnx", location=location), **SETTINGS)


def test_an_operator_that_onnx_does_not_have_is_refused(torchvision_models, tmp_path):
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnx2torch")
    model = onnx.load(onnx_file(tmp_path / "net.onnx"))
    model.graph.node[0].domain = "ai.onnx.contrib"
    model.graph.node[0].op_type = "PyOp"
    model.opset_import.add(domain="ai.onnx.contrib", version=1)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(IconoscopeError):
        ico.load_network(str(tmp_path / "net.onnx"), **SETTINGS)


# pictures


def test_arrays_of_objects_are_not_unpickled(tmp_path, mark):
    bombs = np.array([Bomb(mark)] * 2, dtype=object)
    np.save(tmp_path / "images.npy", bombs, allow_pickle=True)
    np.savez(tmp_path / "images.npz", images=bombs)
    np.savez(tmp_path / "labels.npz", images=np.zeros((2, 8, 8, 3), np.uint8), labels=bombs)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Bomb(mark)))
    for name in ("images.npy", "images.npz", "labels.npz", "pickle.npy"):
        with pytest.raises(IconoscopeError):
            list(ico.load_images(tmp_path / name))
        assert not mark.exists(), name


def test_pickles_in_a_shard_are_not_unpickled(tmp_path, mark):
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for suffix, content in (
            ("png", _png()),
            *((suffix, pickle.dumps(Bomb(mark))) for suffix in ("pyd", "pickle", "pkl", "cls", "json")),
        ):
            member = tarfile.TarInfo(f"0001.{suffix}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with suppress(IconoscopeError):  # what stands for a label is none
        assert ico.load_images(tmp_path / "shard.tar")[0].pixels.shape == (8, 8, 3)
    assert not mark.exists()


def _png():
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "png")
    return buffer.getvalue()


def test_a_script_of_a_data_set_is_not_run(tmp_path, mark):
    pytest.importorskip("datasets")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    with pytest.raises(IconoscopeError):
        list(ico.load_images(f"hf:{tmp_path / 'own'}"))
    assert not mark.exists()


def test_a_prior_is_not_unpickled(tmp_path, mark):
    for name in ("prior.safetensors", "prior.pt"):
        torch.save(Bomb(mark), tmp_path / name)
        with pytest.raises(IconoscopeError):
            ico.optimize(ico.load_network("cars", device="cpu"), "logit:lynx", prior=tmp_path / name, steps=1)
        assert not mark.exists()


def test_a_store_and_a_recording_are_not_unpickled(tmp_path, mark):
    network = ico.load_network("cars", device="cpu")
    images = ico.demo_images(3, seed=0)
    store = tmp_path / "store"
    ico.occlude(network, images[0], patch=48, stride=48, store=store)
    ico.record(network, images, store=store)
    bombs = np.array([Bomb(mark)], dtype=object)
    for path in [path for path in store.rglob("*.np[yz]") if path.is_file()]:
        path.chmod(0o644)
        np.savez(path, a=bombs) if path.suffix == ".npz" else np.save(path, bombs, allow_pickle=True)
    for work in (
        lambda: ico.occlude(network, images[0], patch=48, stride=48, store=store),
        lambda: ico.load_recording(store).responses,
        lambda: ico.record(network, images, store=store),
    ):
        with suppress(IconoscopeError):
            quietly(work)
        assert not mark.exists()


def test_safetensors_wants_no_trust(tmp_path):
    save_file(Small().state_dict(), tmp_path / "w.safetensors")
    ico.load_network(Small(), checkpoint=tmp_path / "w.safetensors", **SETTINGS)


def test_a_python_file_that_is_named_is_run(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ico.load_network(f"{tmp_path / 'mine.py'}:build", **SETTINGS).classes == ("a", "b")
