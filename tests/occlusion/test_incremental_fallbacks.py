"""The incremental engine where torch lacks the private functions that it calls, and the plain one without it."""

import subprocess
import sys
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import iconoscope as ico
from iconoscope.errors import NetworkError
from iconoscope.occlusion.dense import scan_dense
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental import PlanCache, scan_exact, scan_fast
from iconoscope.occlusion.incremental import exact as exact_engine
from iconoscope.occlusion.incremental import fast as fast_engine
from iconoscope.subject.captured import aten, onednn
from iconoscope.subject.ledger import Ledger
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


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


ERRORS = [RuntimeError("no\nkernel"), MemoryError(), torch.OutOfMemoryError("none"), AttributeError("next_functions")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("engine", "stage"),
    [
        *product(
            [scan_exact, scan_fast], ["_work", "capture", "make_plan", "CleanMaps", "clean_error", "answers_everywhere"]
        ),
        (scan_exact, "covered_error"),
        (scan_fast, "_make_fast_plan"),
    ],
)
def test_whatever_goes_wrong_while_planning_is_answered_plainly_and_said(question, monkeypatch, stage, engine, error):
    for module in (exact_engine, fast_engine):
        if hasattr(module, stage):
            monkeypatch.setattr(module, stage, failing(error))
    plans = PlanCache()
    scan = engine(*question, plans=plans)
    said = str(error).split("\n", maxsplit=1)[0]
    assert scan.plan.startswith("dense") and type(error).__name__ in scan.plan and said in scan.plan
    assert "\n" not in scan.plan
    assert np.array_equal(scan.occluded, scan_dense(*question).occluded)
    monkeypatch.setattr(exact_engine, "_work", lambda *_: pytest.fail("was planned again for the next image"))
    assert engine(*question, plans=plans).plan == scan.plan


def test_what_is_wrong_with_the_network_is_raised_and_ctrl_c_ends_it(question, monkeypatch):
    network, *others = question
    monkeypatch.setattr(network.module[3], "forward", failing(ValueError("a mistake in the network")))
    for engine in (scan_exact, scan_fast, scan_dense):
        with pytest.raises(NetworkError, match="a mistake in the network"):
            engine(network, *others)
    monkeypatch.setattr(exact_engine, "_work", failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        scan_exact(network, *others)


def test_a_network_that_cannot_be_measured_is_asked_all_the_same(question, monkeypatch):
    plain = scan_dense(*question)
    monkeypatch.setattr(Ledger, "_count", failing(RuntimeError("no rule for this mode")))
    scan = scan_dense(*question)
    assert "could not be measured" in scan.plan and "no rule for this mode" in scan.plan
    assert np.array_equal(scan.occluded, plain.occluded)
    assert "1 at a time" in scan_dense(*question, memory=10**9).plan


class Query(nn.Module):
    """Hands a parameter of its own to modules: a learned query, in one of several ways."""

    def __init__(self, way):
        super().__init__()
        self.way, self.embed = way, nn.Conv2d(3, 16, 4, 4)
        self.query = nn.Parameter(torch.randn(1, 1, 16))
        self.norm, self.attention, self.head = (
            nn.LayerNorm(16),
            nn.MultiheadAttention(16, 2, batch_first=True),
            nn.Linear(16, 3),
        )

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        query = {"normed": self.norm(self.query), "plain": self.query}[self.way].expand(len(x), -1, -1)
        return self.head(self.attention(query, tokens, tokens)[0][:, 0])


class Mixed(nn.Module):
    """Takes parameters in a list and a dict, and adds them."""

    def forward(self, weights):
        return sum(weights["list"]) + weights["one"]


class Nested(nn.Module):
    """Hands nested containers of parameters to a module."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(8, 3, 4, 4) for _ in range(2)])
        self.mixed, self.one, self.head = Mixed(), nn.Parameter(torch.randn(8, 3, 4, 4)), nn.Linear(8, 3)

    def forward(self, x):
        weight = self.mixed({"list": list(self.weights), "one": self.one})
        return self.head(torch.conv2d(x, weight, stride=4).relu().mean((2, 3)))


def reparametrized(norm):
    def make():
        convolutions = [norm(nn.Conv2d(3, 8, 3)), nn.ReLU(), norm(nn.Conv2d(8, 8, 3, stride=2)), nn.ReLU()]
        return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), norm(nn.Linear(8, 3)))

    return make


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("least_work", [0, None], ids=["planned", "as it is"])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(reparametrized(parametrizations.weight_norm), id="weight_norm"),
        pytest.param(reparametrized(parametrizations.spectral_norm), id="spectral_norm"),
        pytest.param(reparametrized(parametrizations.orthogonal), id="orthogonal"),
        pytest.param(reparametrized(nn.utils.weight_norm), id="old weight_norm"),
        pytest.param(reparametrized(nn.utils.spectral_norm), id="old spectral_norm"),
        pytest.param(lambda: Query("plain"), id="learned query"),
        pytest.param(lambda: Query("normed"), id="normed query"),
        pytest.param(Nested, id="nested containers"),
    ],
)
def test_a_module_may_be_given_a_parameter(make, least_work, monkeypatch):
    if least_work is not None:
        monkeypatch.setattr(exact_engine, "LEAST_WORK", least_work)
        monkeypatch.setattr(exact_engine, "LEAST_GAIN", 0)
    torch.manual_seed(least_work is None)  # other weights, as captured networks are kept by them
    module = make().eval()
    preprocessing = {"size": 24, "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop": "none"}
    network = ico.load_network(module, preprocessing=preprocessing, classes=list("abc"), device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    covered = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    covered = covered.repeat(9, 1, 1, 1)
    for index in range(9):
        covered[index, :, index // 3 * 8 :, index % 3 * 8 :][:, :8, :8] = 0
    with torch.no_grad():
        true = module(covered).reshape(3, 3, 3)
    for method in ("exact", "fast", "dense"):
        occlusion = ico.occlude(network, pixels, "logit:b", patch=8, stride=8, fill="zero", method=method)
        assert "failed" not in occlusion.plan and "measured" not in occlusion.plan
        if method != "fast" or occlusion.plan.startswith("dense"):
            np.testing.assert_allclose(occlusion.occluded, true, atol=1e-5)
