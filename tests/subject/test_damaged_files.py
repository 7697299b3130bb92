"""Files of networks and of weights that are damaged, or hold something else: an error of ours, at once and whatever it is."""

import json
import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import iconoscope as ico
from iconoscope.errors import CheckpointError, IconoscopeError, NetworkError
from iconoscope.subject.network import read_checkpoint
from networks import Small

HOW = {"size": 8, "mean": [0.5] * 3, "std": [0.25] * 3}
SETTINGS = {"classes": ["a", "b"], "preprocessing": HOW, "device": "cpu"}


def weights():
    return Small().state_dict()


# metadata

DEEP = '{"preprocessing":' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    "metadata",
    [
        "7", "null", "[]", '[["classes", 1]]', '"text"', "{", DEEP, '{"classes": "\\ud800"}', "NaN",
        {"classes": 7}, {"classes": "cars.txt"}, {"classes": {"a": "b"}}, {"classes": [["a"], ["b"]]},
        {"classes": [None, None]}, {"classes": [{"a": 1}, "b"]}, {"classes": True}, {"classes": []}, {"classes": {"0": ["a"]}},
        {"preprocessing": 7}, {"preprocessing": "how.json"}, {"preprocessing": [HOW]}, {"preprocessing": {}},
        {"preprocessing": {**HOW, "size": None}}, {"preprocessing": {**HOW, "size": {"a": 1}}},
        {"preprocessing": {**HOW, "size": [[8], [8]]}}, {"preprocessing": {**HOW, "size": 1e308}},
        {"preprocessing": {**HOW, "size": -8}}, {"preprocessing": {**HOW, "size": True}},
        {"preprocessing": {**HOW, "size": 1_000_000}}, {"preprocessing": {**HOW, "size": 2**70}},
        {"preprocessing": {**HOW, "mean": 10**400}}, {"preprocessing": {**HOW, "mean": [10**400] * 3}},
        {"preprocessing": {**HOW, "mean": {"a": 1}}}, {"preprocessing": {**HOW, "std": [[1]] * 3}},
        {"preprocessing": {**HOW, "crop": []}}, {"preprocessing": {**HOW, "crop": {}}},
        {"preprocessing": {**HOW, "interpolation": [1]}}, {"preprocessing": {**HOW, "resize": "8"}},
        {"preprocessing": {**HOW, "resize": [8]}}, {"activation": 7}, {"activation": ["softmax"]}, {"activation": "relu"},
    ],
)  # fmt: skip
def test_metadata_of_another_kind_is_said(tmp_path, metadata):
    text = (
        metadata if isinstance(metadata, str) else json.dumps({"classes": ["a", "b"], "preprocessing": HOW, **metadata})
    )
    save_file(weights(), tmp_path / "w.safetensors", metadata={"iconoscope": text})
    with pytest.raises(IconoscopeError):
        ico.load_network(Small(), checkpoint=tmp_path / "w.safetensors", device="cpu")


def test_metadata_may_leave_settings_out(tmp_path):
    for metadata in ({"classes": None, "activation": None, "preprocessing": None}, {"classes": {"1": "b", "0": "a"}}):
        save_file(weights(), tmp_path / "w.safetensors", metadata={"iconoscope": json.dumps(metadata)})
        network = ico.load_network(
            Small(), checkpoint=tmp_path / "w.safetensors", **{**SETTINGS, "classes": ["c", "d"]}
        )
        assert network.classes == ("c", "d")


# what a checkpoint may hold


def _cycle():
    state: dict[str, Any] = {"epoch": 1}
    state["state_dict"] = state
    return state


def _longer_cycle():
    first: dict[str, Any] = {"epoch": 1}
    second: dict[str, Any] = {"epoch": 2}
    first["model"], second["state_dict"] = second, first
    return first


def _deep():
    state = weights()
    for _ in range(50):
        state = {"model": state}
    return state


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [
        _cycle,
        _longer_cycle,
        _deep,
        lambda: {1: torch.zeros(2), 2: torch.zeros(2)},
        lambda: {None: torch.zeros(2)},
        lambda: {("conv", "weight"): torch.zeros(2)},
        lambda: {b"conv.weight": torch.zeros(2), **weights()},
        lambda: {"state_dict": {1: 2}},
        lambda: {1: 2, "epoch": 3},
        lambda: {**weights(), "conv.weight": None},
        lambda: {name: tensor.to("meta") for name, tensor in weights().items()},
        lambda: {name: tensor.to_sparse() for name, tensor in weights().items()},
        lambda: {**weights(), "head.weight": torch.zeros(2, 4).to_sparse_csr()},
        lambda: {**weights(), "head.weight": torch.quantize_per_tensor(torch.zeros(2, 4), 0.1, 0, torch.qint8)},
        lambda: {**weights(), "head.weight": torch.zeros(2, 4, dtype=torch.complex64)},
        lambda: {**weights(), "head.weight": torch.zeros(1).expand(2**40)},
        lambda: nn.LazyLinear(2).state_dict(),
        lambda: [],
        lambda: "text",
        lambda: torch.zeros(2),
        lambda: None,
        dict,
    ],
)
def test_what_is_no_state_dict_of_dense_tensors_is_said(tmp_path, make):
    torch.save(make(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        ico.load_network(Small(), checkpoint=tmp_path / "w.pt", **SETTINGS)
    assert "fails while it is loaded" not in str(caught.value)
    assert len(str(caught.value)) < 2000


class Stateful(dict):
    """A dict whose items cannot be read."""

    def values(self):
        raise RuntimeError("no values")


def test_what_a_trusted_file_holds_may_fail(tmp_path):
    torch.save(Stateful(a=1), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="no values"):
        read_checkpoint(tmp_path / "w.pt", trust_code=True)


# flipped bytes


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Whole files of every kind, by their endings."""
    folder, module = tmp_path_factory.mktemp("honest"), Small().eval()
    batch = torch.zeros(2, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = ({0: torch.export.Dim("n", min=1, max=64)},)
        torch.export.save(torch.export.export(module, (batch,), dynamic_shapes=shapes), folder / "net.pt2")
        torch.jit.save(torch.jit.script(module), str(folder / "net.pt"))
    metadata = {"iconoscope": json.dumps({"classes": ["a", "b"], "preprocessing": HOW})}
    save_file(module.state_dict(), folder / "w.safetensors", metadata=metadata)
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, folder / "w.ckpt")
    torch.save(module.state_dict(), folder / "w.pth", _use_new_zipfile_serialization=False)
    return folder


def damaged(content, number):
    """Flip a bit, overwrite some bytes, or cut the file off, by the number of the case."""
    draw = random.Random(number)
    changed = bytearray(content)
    if number % 3 == 0:
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    elif number % 3 == 1:
        # At the end is an archive's directory, at the beginning safetensors' header.
        begin = draw.choice([draw.randrange(len(changed)), len(changed) - 200, 0])
        for at in range(begin, min(begin + 40, len(changed))):
            changed[at] = draw.randrange(256)
    else:
        del changed[draw.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["net.pt2", "net.pt", "w.safetensors", "w.ckpt", "w.pth"])
def test_damaged_bytes_are_an_error_of_ours_or_an_answer(honest, tmp_path, name, capsys):
    content = (honest / name).read_bytes()
    for number in range(12 if name == "net.pt2" else 45):
        (tmp_path / name).write_bytes(damaged(content, number))
        try:
            if name.startswith("w"):
                network = ico.load_network(Small(), checkpoint=tmp_path / name, **SETTINGS)
            else:
                network = ico.load_network(str(tmp_path / name), trust_code=True, **SETTINGS)
            ico.predict(network, np.zeros((2, 8, 8, 3), np.uint8))
        except IconoscopeError:
            continue
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("directory", [b"PK\5\6" + b"\xff" * 18, b"PK\5\6" + b"\1\0" * 9])
@pytest.mark.parametrize("name", ["net.pt", "net.pt2", "net.any"])
def test_a_damaged_directory_of_an_archive_is_said(tmp_path, name, directory):
    (tmp_path / name).write_bytes(b"PK\3\4" + bytes(100) + directory)
    with pytest.raises(CheckpointError, match="is no whole"):
        ico.load_network(str(tmp_path / name), trust_code=True, **SETTINGS)


def test_an_onnx_file_that_is_damaged_is_said(torchvision_models, tmp_path):
    pytest.importorskip("onnx2torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Small().eval(), (torch.zeros(1, 3, 8, 8),), tmp_path / "honest.onnx", dynamo=False, opset_version=13
        )
    content = (tmp_path / "honest.onnx").read_bytes()
    for number in range(45):
        (tmp_path / "net.onnx").write_bytes(damaged(content, number))
        try:
            ico.predict(ico.load_network(str(tmp_path / "net.onnx"), **SETTINGS), np.zeros((1, 8, 8, 3), np.uint8))
        except IconoscopeError:
            continue


@pytest.mark.parametrize(
    "change",
    [
        lambda told: [told], lambda told: None, lambda told: {}, lambda told: {**told, "architecture": 7},
        lambda told: {**told, "architecture": "no such"}, lambda told: {**told, "pretrained_cfg": None},
        lambda told: {**told, "pretrained_cfg": []}, lambda told: {**told, "num_classes": "x"},
        lambda told: {**told, "num_classes": -1}, lambda told: {**told, "model_args": {"act_layer": 7}},
        lambda told: {**told, "model_args": {"no_such": 7}}, lambda told: {**told, "model_args": 7},
        lambda told: {**told, "label_names": 7},
        lambda told: {**told, "pretrained_cfg": {**told["pretrained_cfg"], "input_size": "x"}},
        lambda told: {**told, "pretrained_cfg": {**told["pretrained_cfg"], "mean": 7}},
        lambda told: {**told, "pretrained_cfg": {**told["pretrained_cfg"], "crop_pct": 0}},
        lambda told: {**told, "pretrained_cfg": {**told["pretrained_cfg"], "interpolation": []}},
    ],
)  # fmt: skip
def test_a_folder_of_timm_with_another_configuration_is_said(torchvision_models, tmp_path, change):
    timm = pytest.importorskip("timm")
    timm.models.save_for_hf(
        timm.create_model("test_resnet", num_classes=2), tmp_path, model_config={"label_names": ["a", "b"]}
    )
    told = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(change(told)))
    try:
        ico.load_network(f"timm:local-dir:{tmp_path}", device="cpu")
    except IconoscopeError:
        return


# nothing else on the terminal


class Adding(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("offset", torch.zeros(5, 5))

    def forward(self, x):
        return (x + self.offset).mean((2, 3))[:, :2]


@pytest.mark.parametrize(
    "wrap", [lambda graph: graph, nn.Sequential, lambda graph: nn.Sequential(nn.Sequential(graph))]
)
def test_a_graph_that_fails_prints_no_code(capfd, wrap):
    graph = torch.fx.symbolic_trace(Adding())
    network = ico.load_network(wrap(graph), **SETTINGS)
    before, attributes = network.digest(), set(vars(graph))
    with network.questioned(steady=False):
        assert network.digest() == before  # what keeps it quiet is no part of the network
    picture = np.zeros((8, 8, 3), np.uint8)
    for ask in (
        lambda: ico.predict(network, picture[None]),
        lambda: ico.layers(network),
        lambda: ico.occlude(network, picture, patch=4),
        lambda: ico.optimize(network, "logit:0", steps=1),
    ):
        with pytest.raises(NetworkError, match="size of tensor a"):
            ask()
    assert capfd.readouterr().err == ""
    assert set(vars(graph)) == attributes
