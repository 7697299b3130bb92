"""The incremental engine where torch lacks the private functions that it calls, and the plain one without it."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.occlusion.dense import scan_dense
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental import aten, onednn, scan_exact, scan_fast
from iconoscope.occlusion.incremental import exact as exact_engine
from iconoscope.subject.processor import has_bfloat16, multiplies_bfloat16


@pytest.fixture
def question(monkeypatch):
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0)
    monkeypatch.setattr(exact_engine, "LEAST_GAIN", 0)
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    preprocessing = {"size": 32, "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop": "none"}
    network = ico.load_network(module, preprocessing=preprocessing, classes=list("abc"), device="cpu")
    image = torch.randn(3, 32, 32)
    with network.questioned(), torch.inference_mode():
        yield (
            network,
            image,
            Cover(torch.zeros_like(image)),
            make_grid((32, 32), patch=7, stride=5),
            network.resolve("prob:a"),
        )


def test_without_packed_weights_convolutions_are_plain(question, monkeypatch):
    packed = scan_exact(*question)
    monkeypatch.delattr("torch._C._nn.mkldnn_reorder_conv2d_weight", raising=False)
    monkeypatch.setattr(onednn, "convolution", lambda *_: pytest.fail("was called with packed weights"))
    plain = scan_exact(*question)
    assert plain.plan == packed.plan and plain.plan.startswith("exact")
    assert np.abs(plain.occluded - packed.occluded).max() < 1e-6
    assert np.abs(plain.occluded - scan_dense(*question).occluded).max() < 1e-6


def test_packed_weights_that_answer_otherwise_are_not_trusted(question, monkeypatch):
    monkeypatch.setattr(onednn, "convolution", lambda x, packed, settings, relu: torch.zeros(()))
    assert np.abs(scan_exact(*question).occluded - scan_dense(*question).occluded).max() < 1e-6


def test_a_torch_that_does_not_describe_its_operators_is_answered_plainly(question, monkeypatch):
    monkeypatch.setattr(aten, "SCHEMA", "_schema_of_another_torch")
    scan = scan_exact(*question)
    assert scan.plan.startswith("dense") and "operators" in scan.plan
    assert np.array_equal(scan.occluded, scan_dense(*question).occluded)


def test_without_a_word_on_bfloat16_the_fast_engine_has_single_precision(question, monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    assert not has_bfloat16() and not multiplies_bfloat16(torch.device("cpu"))
    scan = scan_fast(*question)
    assert scan.plan.startswith("fast") and "bfloat16" not in scan.plan
    assert np.abs(scan.occluded - scan_dense(*question).occluded).mean() < 0.02


def test_a_length_whose_traced_value_is_not_said_is_that_of_the_batch():
    assert aten.traced_length(7, 2) == 1
    assert aten.traced_length(SimpleNamespace(node=SimpleNamespace(hint=6)), 2) == 6
    assert aten.traced_length(SimpleNamespace(node=SimpleNamespace()), 2) == 2


def test_the_plain_engine_does_not_enter_this_one():
    ask = (
        "import sys, iconoscope as ico; net = ico.load_network('cars', device='cpu'); "
        "ico.occlude(net, ico.demo_images(1, seed=0)[0], patch=48, stride=48, method='dense'); "
        "sys.exit(any(name.startswith('iconoscope.occlusion.incremental') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0
