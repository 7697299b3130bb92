import argparse
import contextlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import iconoscope as ico
from iconoscope.errors import CheckpointError, IconoscopeWarning
from iconoscope.subject.network import load_weights, read_checkpoint
from iconoscope.subject.network.checkpoint import _INERT

HOW = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))


@pytest.fixture
def weights():
    torch.manual_seed(1)
    return network().state_dict()


class Bomb:
    """A pickle that runs code: the very thing that a checkpoint must not do."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_safetensors_carry_their_own_configuration(tmp_path, weights):
    path = tmp_path / "w.safetensors"
    save_file(weights, path, metadata={"iconoscope": json.dumps({"preprocessing": HOW, "classes": ["x", "y"]})})
    found = ico.load_network(network(), checkpoint=path, device="cpu")
    assert found.classes == ("x", "y")
    assert found.preprocessing.origin == "the checkpoint"
    assert torch.equal(found.module.state_dict()["3.bias"], weights["3.bias"])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: w,
        lambda w: {"state_dict": w, "epoch": 3},
        lambda w: {"model": w, "optimizer": {"state": {}}},
        lambda w: {"model": {"state_dict": w, "note": "deep"}},
        lambda w: {f"module.{name}": value for name, value in w.items()},
        lambda w: {"state_dict": {f"_orig_mod.module.{name}": value for name, value in w.items()}},
        lambda w: {"state_dict": {f"model.{name}": value for name, value in w.items()}},
        lambda w: {name: value.half() if value.is_floating_point() else value for name, value in w.items()},
    ],
)
def test_wrappers_are_taken_off(tmp_path, weights, wrap):
    path = tmp_path / "w.pt"
    torch.save(wrap(weights), path)
    module = load_weights(network(), read_checkpoint(path))
    for name, value in module.state_dict().items():
        assert torch.allclose(value, weights[name].to(value.dtype), atol=1e-3)
        assert value.dtype == weights[name].dtype


def test_of_several_sets_of_weights_the_average_is_taken_and_said(tmp_path, weights):
    module = network()
    module.load_state_dict(weights)
    averaged = torch.optim.swa_utils.AveragedModel(module)
    path = tmp_path / "w.pt"
    torch.save({"model": network().state_dict(), "model_ema": averaged.state_dict()}, path)
    with pytest.warns(IconoscopeWarning, match="model_ema was taken"):
        found = load_weights(network(), read_checkpoint(path))
    assert torch.equal(found.state_dict()["3.bias"], weights["3.bias"])


def test_a_child_called_module_is_not_a_wrapper(tmp_path):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)

    path = tmp_path / "w.pt"
    torch.save(Own().state_dict(), path)
    load_weights(Own(), read_checkpoint(path))


def test_a_pickle_never_runs_code_by_itself(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "w.pt"
    torch.save({"state_dict": Bomb(mark)}, path)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "--trust-code" in caught.value.hint
    assert not mark.exists()


def test_a_bare_pickle_never_runs_code_either(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not mark.exists()


def test_trust_is_explicit(tmp_path, weights):
    module = network()
    module.load_state_dict(weights)
    path = tmp_path / "whole.pt"
    torch.save(module, path)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    for flag in ("trust_code", "trust_pickle"):
        found = read_checkpoint(path, **{flag: True})
        assert torch.equal(found.weights["3.bias"], weights["3.bias"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("keep", [0, 7, 100, -20])
def test_a_file_cut_short_is_an_error(tmp_path, weights, suffix, keep):
    whole = tmp_path / f"whole{suffix}"
    save_file(weights, whole) if suffix == ".safetensors" else torch.save(weights, whole)
    broken = tmp_path / f"broken{suffix}"
    broken.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="broken"):
        read_checkpoint(broken)


def test_text_called_safetensors_is_an_error(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n")
    with pytest.raises(CheckpointError, match="is a text file"):
        read_checkpoint(path)


def test_a_missing_file_names_its_neighbours(tmp_path, weights):
    save_file(weights, tmp_path / "resnet20.safetensors")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "resnet2.safetensors")
    assert "resnet20.safetensors" in caught.value.hint


def test_a_mismatch_lists_names_shortened(tmp_path, weights):
    del weights["3.weight"]
    weights["0.weight"] = torch.zeros(4, 3, 5, 5)
    weights |= {f"extra.{number}": torch.zeros(1) for number in range(20)}
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    with pytest.raises(CheckpointError) as caught:
        load_weights(network(), read_checkpoint(path))
    message = caught.value.message
    assert "1 missing: 3.weight" in message
    assert "20 unexpected: extra.0" in message and "and 15 more" in message
    assert "(4, 3, 5, 5) in the file, (4, 3, 3, 3) in the network" in message


def test_what_holds_no_weights_says_what_it_holds(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"epoch": 3, "loss": 0.5}, path)
    with pytest.raises(CheckpointError, match="its keys are epoch, loss"):
        read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="holds a list"):
        read_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "beside",
    [
        np.float64(0.5),
        np.int64(3),
        np.bool_(True),
        np.str_("name"),
        np.dtype("float32"),
        np.dtype([("a", "f4"), ("b", "O")]),
        np.arange(4.0),
        np.array([1, "a"], object),
        np.random.RandomState(0).get_state(),
        argparse.Namespace(rate=0.1, best=np.float32(2)),
        Path("/home/me"),
        {"deep": [(np.float16(1), argparse.Namespace())]},
    ],
    ids=lambda beside: type(beside).__name__,
)
def test_what_training_keeps_beside_the_weights_needs_no_trust(tmp_path, weights, beside, zipped):
    path = tmp_path / "w.pth"
    content = {"beside": beside, "state_dict": weights}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for trust_code in (False, True):
        checkpoint = read_checkpoint(path, trust_code=trust_code)
        assert all(torch.equal(checkpoint.weights[name], value) for name, value in weights.items())
    with pytest.raises(pickle.UnpicklingError):  # nothing is left allowed
        torch.load(path, weights_only=True)


def test_what_is_beside_the_weights_is_not_made(tmp_path, weights):
    """NumPy would take the bytes of a crafted type for addresses; and a namespace may hold what runs."""
    kinds = _INERT
    assert len(kinds) > 8 and all(vars(kind).keys() <= {"__module__", "__doc__"} for kind in kinds)
    kind = kinds[0](1, 2)
    kind.__setstate__({"a": 1})
    assert not hasattr(kind, "a")
    mark = tmp_path / "ran"
    torch.save({"args": argparse.Namespace(run=Bomb(mark)), "state_dict": weights}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="it is refused"):
        read_checkpoint(tmp_path / "w.pth")
    assert not mark.exists()


def test_a_damaged_byte_of_a_trusted_pickle_takes_no_gigabytes(tmp_path, weights):
    resource = pytest.importorskip("resource")
    path = tmp_path / "w.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(b"q\x01") >= 1  # an object is numbered
    path.write_bytes(content.replace(b"q\x01", b"r\xff\xff\xff\x0b", 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(CheckpointError):
        read_checkpoint(path, trust_code=True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000
