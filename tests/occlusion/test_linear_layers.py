"""Linear layers of captured networks, multiplied by oneDNN where that is faster: against torch's own."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import iconoscope as ico
from iconoscope.occlusion.incremental import exact
from iconoscope.subject.captured import onednn
from iconoscope.subject.captured.capture import capture
from iconoscope.subject.captured.graph import run_graph
from iconoscope.subject.captured.operators import Linear


class Tokens(nn.Module):
    """Patches as tokens, two blocks of attention and of linear layers with an activation between, the mean of the tokens."""

    def __init__(self, activation: type[nn.Module] = nn.GELU):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(16, 40), activation(), nn.Linear(40, 16))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 3)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(self.norm(tokens + self.mlp(tokens)).mean(1))


@pytest.fixture
def paying(monkeypatch):
    """oneDNN is taken to be faster, whatever this processor is; small scans are worth a plan, and windows none."""
    monkeypatch.setattr(onednn, "_pays", lambda threads: True)
    monkeypatch.setattr(exact, "LEAST_WORK", 0)
    monkeypatch.setattr(exact, "LEAST_GAIN", 1e9)


@pytest.fixture
def network():
    torch.manual_seed(1)
    module = Tokens().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    how = {"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "crop": "none"}
    return ico.load_network(module, classes=[*"abc"], device="cpu", preprocessing=how)


@pytest.mark.parametrize("after", onednn.AFTER)
def test_packed_weights_answer_as_torch_does(paying, after):
    draw = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=draw) for shape in ((5, 40, 24), (56, 24), (56,)))
    expected = onednn.AFTER[after](F.linear(x, weight, bias))
    operator = Linear(weight, bias, after)
    packed = operator._packed.get(x, weight, bias, after)
    if hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available():
        assert packed is not None
    assert torch.allclose(operator.whole([x]), expected, atol=1e-5)
    assert torch.allclose(operator.whole([x[0]]), expected[0], atol=1e-5)


def test_few_rows_other_numbers_and_large_weights_are_left_to_torch(paying, monkeypatch):
    x, weight = torch.randn(40, 24), torch.randn(56, 24)
    packed = onednn.PackedLinearWeights()
    assert packed.get(x[:3], weight, None, "") is None
    assert packed.get(x.double(), weight.double(), None, "") is None
    monkeypatch.setattr(onednn, "LARGEST", 100)
    assert packed.get(x[:35], weight, None, "") is None


@pytest.mark.parametrize("activation", [nn.GELU, nn.ReLU, nn.Tanh])
def test_an_activation_is_put_into_the_layer_before_it(paying, activation):
    torch.manual_seed(0)
    module = Tokens(activation).eval()
    x = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        graph = capture(module, x[0])
        assert torch.allclose(run_graph(graph, x)[graph.output], module(x), atol=1e-5)
    folded = {"GELU": "gelu none", "ReLU": "relu", "Tanh": ""}[activation.__name__]
    layers = [step.operator for step in graph.steps if isinstance(step.operator, Linear)]
    assert [layer.after for layer in layers if layer.weight.shape == (40, 16)] == [folded]


def test_whole_pictures_go_through_what_was_captured(paying, network):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    ours, plain = (
        ico.occlude(network, picture, "logit:b", patch=8, stride=4, method=method) for method in ("exact", "dense")
    )
    assert ", as captured; " in ours.plan and np.ptp(plain.map) > 1e-3
    assert np.allclose(ours.occluded, plain.occluded, atol=1e-5)


WRONG = {
    "off": "differed by 0.01 on the untouched image and was not trusted",
    "off where covered": "differed by 0.01 and was not trusted",
    "broken": "failed (RuntimeError: no such order of memory)",
}
"""What may become of a captured network, and what the plan says of it."""


@pytest.mark.parametrize(("wrong", "reason"), WRONG.items(), ids=WRONG)
def test_the_network_itself_answers_where_what_was_captured_does_not(paying, network, monkeypatch, wrong, reason):
    def run(graph, batch, outputs=None):
        if wrong == "broken":
            raise RuntimeError("no such order of memory")
        off = 0.0 if wrong == "off where covered" and len(batch) == 1 else 0.01
        return {graph.output: run_graph(graph, batch)[graph.output] + off}

    monkeypatch.setattr(exact, "run_graph", run)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    ours, plain = (
        ico.occlude(network, picture, "logit:b", patch=8, stride=4, method=method) for method in ("exact", "dense")
    )
    assert ours.plan.startswith("dense: ") and "as captured" not in ours.plan
    assert f"the captured network {reason}" in ours.plan
    assert np.allclose(ours.occluded, plain.occluded, atol=1e-6)
