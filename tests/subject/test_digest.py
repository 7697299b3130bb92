"""The digest of a network: whatever changes an answer changes it, nothing else does, and what cannot be seen is named."""

import functools
import mmap
import os
import subprocess
import sys
import types
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning
from iconoscope.subject.network.digest import digest_module

PIXELS = np.random.default_rng(2).integers(0, 256, (32, 32, 3), np.uint8)
GAIN = 1.0


class Scaled(nn.Module):
    """Answers times what it holds, in whatever form it holds it."""

    def __init__(self, scale=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, 5)
        self.scale = scale

    def factor(self):
        scale = self.scale
        while not isinstance(scale, torch.Tensor | float | np.ndarray | np.generic):
            scale = (
                next(iter(scale.values()))
                if isinstance(scale, dict)
                else scale[0]
                if isinstance(scale, list | tuple)
                else (scale(1.0) if callable(scale) else scale.value)
            )
        return torch.as_tensor(scale)

    def forward(self, batch):
        return self.fc(self.conv(batch).relu().mean((2, 3))) * self.factor() * GAIN


@dataclass
class Holder:
    value: object


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Doubling:
    def __init__(self, by):
        self.by = by

    def __call__(self, value):
        return value * self.by


def times(factor, value):
    return factor * value


def scaling(factor):
    return lambda value: value * factor


FORMS = {
    "number": lambda k: k,
    "tensor that is no buffer": torch.tensor,
    "array": np.array,
    "scalar of NumPy": np.float64,
    "dict": lambda k: {"k": k},
    "ordered dict": lambda k: OrderedDict(k=torch.tensor(k)),
    "list of tensors": lambda k: [torch.tensor(k)],
    "tuple in dict": lambda k: {"k": (np.array(k),)},
    "dataclass": Holder,
    "namespace": lambda k: types.SimpleNamespace(value=torch.tensor(k)),
    "slots": Slotted,
    "nested objects": lambda k: Holder(Slotted([k])),
    "closure": scaling,
    "partial": lambda k: functools.partial(times, k),
    "callable with state": Doubling,
    "bound method": lambda k: Doubling(k).__call__,
    "code": lambda k: (lambda value: value * 3) if k == 3.0 else (lambda value: value * 1),
    "default": lambda k: eval(f"lambda value, by={k}: value * by"),
}  # fmt: skip


def digest(module):
    return digest_module(module).sha256


@pytest.mark.parametrize("form", FORMS)
def test_what_a_module_holds_in_any_form_is_in_the_digest(form):
    one, same, three = (Scaled(FORMS[form](factor)) for factor in (1.0, 1.0, 3.0))
    batch = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(3 * one(batch), three(batch))
    assert digest(one) == digest(same) != digest(three)
    assert digest_module(three).unseen == ()


class Tanh(Scaled):
    def forward(self, batch):
        return self.fc(self.conv(batch).tanh().mean((2, 3)))


def with_forward(module):
    module.forward = types.MethodType(lambda self, batch: self.fc(self.conv(batch).tanh().mean((2, 3))), module)


def shadowed(module):
    module.conv.forward = lambda batch: nn.functional.conv2d(batch, module.conv.weight * 2)


CHANGES = {
    "forward hook": lambda module: module.conv.register_forward_hook(lambda mod, given, answer: answer * 0),
    "forward pre-hook": lambda module: module.fc.register_forward_pre_hook(lambda mod, given: (given[0] * 2,)),
    "hook with keywords": lambda net: net.fc.register_forward_hook(lambda mod, given, words, out: out + 1, with_kwargs=True),
    "backward hook": lambda module: module.fc.register_full_backward_hook(lambda mod, into, out: (into[0] * 2,)),
    "replaced forward": with_forward,
    "replaced forward of a layer": shadowed,
    "weight in place": lambda module: module.fc.weight.data.mul_(2),
    "weight by its array": lambda module: module.fc.weight.detach().numpy().__setitem__((0, 0), 9.0),
    "padding": lambda module: setattr(module.conv, "padding", (1, 1)),
    "parametrization": lambda module: parametrizations.weight_norm(module.fc),
    "type": lambda module: module.double(),
    "a layer more": lambda module: module.add_module("fc", nn.Sequential(module.fc, nn.ReLU())),
    "another class": lambda module: setattr(module, "__class__", Tanh),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_to_a_network_is_seen(change):
    module = Scaled()
    before = digest_module(module)
    CHANGES[change](module)
    after = digest_module(module)
    assert after.sha256 != before.sha256 and after.unseen == ()


def test_functions_of_the_class_and_globals_that_it_reads_are_seen(monkeypatch):
    module = Scaled()
    before = digest(module)
    with monkeypatch.context() as patch:
        patch.setattr(Scaled, "factor", lambda self: torch.tensor(7.0))
        assert digest(module) != before
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "GAIN", 2.0)
        assert digest(module) != before
    with monkeypatch.context() as patch:
        patch.setattr(nn.Conv2d, "forward", lambda self, batch: batch.tanh())
        assert digest(module) != before
    with monkeypatch.context():
        handle = nn.modules.module.register_module_forward_hook(lambda mod, given, answer: answer)
        assert digest(module) != before
        handle.remove()
    assert digest(module) == before


def test_two_classes_of_one_name_are_two():
    def build(source):
        names: dict[str, Any] = {"nn": nn}
        exec(f"class Net(nn.Module):\n    def forward(self, batch):\n        return {source}", names)
        return names["Net"]()

    assert digest(build("batch.relu()")) == digest(build("batch.relu()")) != digest(build("batch.tanh()"))


def test_questions_and_modes_leave_the_digest_as_it_is():
    network = ico.load_network("cars")
    before = network.digest()
    ico.predict(network, ico.demo_images(2))
    ico.occlude(network, ico.demo_images(1)[0], patch=32, stride=32)
    ico.optimize(network, "logit:lynx", steps=1)
    network.module.train()
    during = network.digest()
    network.module.eval()
    assert before == during == network.digest()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_packed_weights_of_quantised_layers_are_seen():
    def quantised(scale):
        module = Scaled()
        with torch.no_grad():
            module.fc.weight.mul_(scale)
        return torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, dtype=torch.qint8)

    assert digest(quantised(1.0)) == digest(quantised(1.0)) != digest(quantised(3.0))
    assert digest_module(quantised(1.0)).unseen == ()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weights_within_torchscript_are_seen():
    def traced(scale, freeze):
        module = Tanh().eval()
        with torch.no_grad():
            module.fc.weight.mul_(scale)
        script = torch.jit.trace(module, torch.zeros(1, 3, 32, 32))
        return torch.jit.freeze(script) if freeze else script

    for freeze in (False, True):
        assert digest(traced(1.0, freeze)) == digest(traced(1.0, freeze)) != digest(traced(3.0, freeze))


def test_programs_of_torch_export_are_seen_whole():
    def exported(scale):
        module = Scaled().eval()
        with torch.no_grad():
            module.fc.weight.mul_(scale)
        return torch.export.export(module, (torch.zeros(2, 3, 32, 32),)).module()

    assert digest(exported(1.0)) == digest(exported(1.0)) != digest(exported(3.0))
    assert digest_module(exported(1.0)).unseen == ()


class Reading(Scaled):
    table: Any

    def forward(self, batch):
        return super().forward(batch) * float(self.table[0])


def test_what_cannot_be_seen_is_named_and_no_store_keeps_it(tmp_path):
    module = Reading()
    module.table = mmap.mmap(-1, 8)
    module.table[0] = 1
    assert digest_module(module).unseen == ("table (mmap.mmap)",)
    network = ico.load_network(
        module, classes=list("abcde"), preprocessing={"size": 32, "mean": [0] * 3, "std": [1] * 3}
    )
    with pytest.warns(IconoscopeWarning, match=r"table \(mmap.mmap\)"):
        before = ico.occlude(network, PIXELS, "prob:b", patch=16, stride=16, store=tmp_path / "run")
    module.table[0] = 40
    with pytest.warns(IconoscopeWarning, match="cannot be compared"):
        after = ico.occlude(network, PIXELS, "prob:b", patch=16, stride=16, store=tmp_path / "run")
    assert np.abs(before.clean - after.clean).max() > 1e-2
    np.testing.assert_array_equal(after.clean, ico.occlude(network, PIXELS, "prob:b", patch=16, stride=16).clean)


def test_what_no_forward_reads_does_not_matter():
    module: Any = Scaled()
    module.log = mmap.mmap(-1, 8)
    assert digest_module(module).unseen == ()


SETS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from torch import nn
from iconoscope.subject.network.digest import digest_module
import test_digest
torch.manual_seed(1)
module = nn.Sequential(test_digest.Scaled({"names": 1.0, "of": {"b", "a", "c"}}), nn.LSTM(5, 4), nn.ReLU())
module.words, module.path = frozenset({"x", "y", "z"}), sys.argv[2]
print(digest_module(module))
"""


def test_it_is_the_same_in_every_process():
    def in_a_process(seed, folder):
        return subprocess.run(
            [sys.executable, "-c", SETS, str(Path(__file__).parent), f"{folder}/weights.pt"],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    assert in_a_process("1", "/a") == in_a_process("2", "/b") and "unseen=()" in in_a_process("3", "/c")


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "cait_xxs24_224", "mobilevitv2_050", "regnetx_002"]
)  # fmt: skip
def test_networks_of_timm_hide_nothing(name, torchvision_models):
    timm = pytest.importorskip("timm")
    assert digest_module(timm.create_model(name, num_classes=5)).unseen == ()


MORE_OF_TIMM = (
    "beit_base_patch16_224 coat_tiny crossvit_tiny_240 densenet121 dla34 edgenext_xx_small efficientformer_l1 efficientnet_b0 "
    "eva02_tiny_patch14_224 fastvit_t8 ghostnet_050 hrnet_w18_small inception_v3 levit_128s mambaout_femto maxvit_tiny_tf_224 "
    "mixer_s32_224 mobilenetv3_small_050 nfnet_f0 pit_ti_224 poolformer_s12 repvgg_a0 swin_tiny_patch4_window7_224 volo_d1_224"
)


def test_a_network_is_the_same_after_another_has_been_compiled():
    """In a process of its own: torch.compile changes torch's class of all modules, once."""
    script = (
        "import torch, iconoscope as ico; network = ico.load_network('cars', device='cpu'); before = network.digest(); "
        "torch.compile(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), backend='eager')(torch.ones(1, 4)); "
        "print(before == network.digest())"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "True", said.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_OF_TIMM.split())
def test_more_networks_of_timm_hide_nothing(name, torchvision_models):
    timm = pytest.importorskip("timm")
    assert digest_module(timm.create_model(name, num_classes=5)).unseen == ()


def asked(module, store, **settings):
    network = ico.load_network(
        module, classes=list("abcde"), preprocessing={"size": 32, "mean": [0] * 3, "std": [1] * 3}
    )
    return ico.occlude(network, PIXELS, "prob:b", patch=16, stride=16, store=store, **settings).clean


@pytest.mark.parametrize("change", ["forward hook", "replaced forward", "weight in place"])
def test_a_store_never_answers_for_another_network(tmp_path, change):
    first, second = Scaled(), Scaled()
    CHANGES[change](second)
    asked(first, tmp_path / "run")
    np.testing.assert_array_equal(asked(second, tmp_path / "run"), asked(second, None))


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_no_graph_of_another_network_is_taken(method):
    first, second = Scaled(), Scaled()
    with_forward(second)
    asked(first, None, method=method)
    np.testing.assert_allclose(asked(second, None, method=method), asked(second, None, method="dense"), atol=1e-6)


class FromFile(Scaled):
    def forward(self, batch):
        return super().forward(batch) * float(Path("scale").with_suffix(".txt").read_text(encoding="ascii"))


def test_the_witness_tells_what_the_digest_cannot_see(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scale.txt").write_text("1")
    module, store = FromFile(), tmp_path / "run"
    network = ico.load_network(
        module, classes=list("abcde"), preprocessing={"size": 32, "mean": [0] * 3, "std": [1] * 3}
    )
    ico.optimize(network, "logit:b", steps=2, store=store)
    asked(module, store)
    pictures = np.stack([PIXELS] * 3)
    ico.record(network, pictures, ["fc"], store=store)
    weights = network.digest()
    (tmp_path / "scale.txt").write_text("50")
    assert network.digest() == weights
    with pytest.warns(IconoscopeWarning, match="answers otherwise"):
        np.testing.assert_array_equal(asked(module, store), asked(module, None))
    with pytest.warns(IconoscopeWarning, match="answers otherwise"):
        ico.optimize(network, "logit:b", steps=2, store=store)
    with pytest.warns(IconoscopeWarning, match="recorded again"):
        again = ico.record(network, pictures, ["fc"], store=store)
    np.testing.assert_allclose(
        again.vectors("logits")[0], network.logits(network.preprocessing.normalise(pictures))[0].detach(), rtol=1e-4
    )
