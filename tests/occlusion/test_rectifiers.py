"""GuidedBackprop and Deconvolution over every form of a ReLU, against a backward pass by hand; what has no rule is named."""

import operator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import iconoscope as ico
from iconoscope.errors import QuestionError

pytest.importorskip("captum.attr")

PREPROCESSING = {"size": 12, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
PICTURE = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
aten = torch.ops.aten


class Twice(nn.Module):
    """Two convolutions with an activation behind each, the second of a sum, as in a residual network."""

    def __init__(self, activation):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.last, self.activation = nn.Linear(6, 2), activation

    def forward(self, x):
        x = self.activation(4 * self.first(x))
        x = self.activation(4 * self.second(x) + x)
        return self.last(x.mean((2, 3)))


class ByHand(torch.autograd.Function):
    """A ReLU with a bound above, and its backward pass as guided backpropagation or deconvolution has it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, bound: float, guided: bool) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.bound, ctx.guided = bound, guided
        return x.clamp(0, bound)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        positive = gradient.clamp(min=0)
        return (positive * ((x > 0) & (x < ctx.bound)) if ctx.guided else positive), None, None


def by_hand(module, network, bound, *, guided):
    copy = Twice(lambda x: ByHand.apply(x, bound, guided))
    copy.load_state_dict(module.state_dict())
    x = network.preprocessing.normalise(PICTURE[None]).requires_grad_()
    copy(x)[0, 1].backward()
    assert x.grad is not None
    return x.grad[0].permute(1, 2, 0).numpy()


def in_place(x):
    x[x < 0] = 0
    return x


def written(x):
    torch.clamp_(x, min=0)  # what it answers is not read
    return x


def multiplied(x):
    x *= (x > 0).float()
    return x


INFINITE = float("inf")
FORMS = {
    "nn.ReLU": (nn.ReLU(), INFINITE),
    "nn.ReLU in place": (nn.ReLU(inplace=True), INFINITE),
    "F.relu": (F.relu, INFINITE),
    "F.relu in place": (lambda x: F.relu(x, inplace=True), INFINITE),
    "torch.relu_": (torch.relu_, INFINITE),
    "method": (lambda x: x.relu(), INFINITE),
    "operator": (aten.relu.default, INFINITE),
    "nn.ReLU6": (nn.ReLU6(), 6.0),
    "nn.ReLU6 in place": (nn.ReLU6(inplace=True), 6.0),
    "F.relu6": (F.relu6, 6.0),
    "F.relu6 in place": (lambda x: F.relu6(x, inplace=True), 6.0),
    "operator relu6": (aten.relu6.default, 6.0),
    "nn.Hardtanh": (nn.Hardtanh(0, 2), 2.0),
    "F.hardtanh": (lambda x: F.hardtanh(x, 0.0, 2.0), 2.0),
    "F.hardtanh_": (lambda x: F.hardtanh_(x, min_val=0.0, max_val=2.0), 2.0),
    "operator hardtanh": (lambda x: aten.hardtanh(x, 0, 2), 2.0),
    "clamp": (lambda x: torch.clamp(x, 0), INFINITE),
    "clamp by name": (lambda x: torch.clamp(input=x, min=0), INFINITE),
    "clamp with a bound": (lambda x: x.clamp(0, 1.5), 1.5),
    "clamp of tensors": (lambda x: x.clamp(torch.zeros(()), torch.ones(())), 1.0),
    "clip": (lambda x: x.clip(min=0), INFINITE),
    "clamp_": (lambda x: x.clamp_(min=0), INFINITE),
    "clamp_ whose answer is not read": (written, INFINITE),
    "clamp_min": (lambda x: torch.clamp_min(x, 0), INFINITE),
    "clamp_min_": (lambda x: x.clamp_min_(0), INFINITE),
    "operator clamp_min": (lambda x: aten.clamp_min.default(x, 0), INFINITE),
    "maximum": (lambda x: torch.maximum(x, torch.zeros(())), INFINITE),
    "maximum, the other first": (lambda x: torch.maximum(torch.zeros_like(x), x), INFINITE),
    "max": (lambda x: torch.max(x, torch.zeros_like(x)), INFINITE),
    "fmax": (lambda x: x.fmax(torch.zeros(1)), INFINITE),
    "threshold": (lambda x: F.threshold(x, 0, 0), INFINITE),
    "threshold in place": (lambda x: F.threshold(x, 0.0, 0.0, inplace=True), INFINITE),
    "nn.Threshold": (nn.Threshold(0, 0), INFINITE),
    "where": (lambda x: torch.where(x > 0, x, torch.zeros_like(x)), INFINITE),
    "where with a number": (lambda x: x.where(x > 0, 0.0), INFINITE),
    "where, the other first": (lambda x: torch.where(x <= 0, 0.0, x), INFINITE),
    "times a comparison": (lambda x: x * (x > 0), INFINITE),
    "a comparison times": (lambda x: (x.detach() > 0).to(x) * x, INFINITE),
    "times in place": (multiplied, INFINITE),
    "mul": (lambda x: torch.mul(x, (x > 0).float()), INFINITE),
    "operator.imul": (lambda x: operator.imul(x, x > 0), INFINITE),
    "masked_fill": (lambda x: x.masked_fill(x < 0, 0), INFINITE),
    "masked_fill_": (lambda x: x.masked_fill_(x < 0, 0.0), INFINITE),
}


@pytest.mark.parametrize("method", ["GuidedBackprop", "Deconvolution"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_relu_has_the_rule(form, method):
    activation, bound = FORMS[form]
    module = Twice(activation)
    network = ico.load_network(module, classes=["a", "b"], preprocessing=PREPROCESSING, device="cpu")
    expected = by_hand(module, network, bound, guided=method == "GuidedBackprop")
    attribution = ico.attribute(network, PICTURE, "logit:b", method=f"captum:{method}")
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(attribution.values, expected, atol=1e-6)
    plain = ico.attribute(network, PICTURE, "logit:b", method="captum:Saliency").values
    assert not np.allclose(plain, expected, atol=1e-5)


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def gelu_by_tanh(x):
    return 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.0447 * x**3)))


REFUSED = {
    "GELU": (nn.GELU(), F.gelu, lambda x: F.gelu(x, approximate="tanh"), aten.gelu.default),
    "LeakyReLU": (nn.LeakyReLU(0.2), lambda x: F.leaky_relu(x, 0.2), lambda x: F.leaky_relu_(x, 0.2)),
    "SiLU": (nn.SiLU(), F.silu, lambda x: F.silu(x, inplace=True), lambda x: x * torch.sigmoid(x), quick_gelu),
    "an activation times a function of itself": (gelu_by_tanh, lambda x: x * (1 + torch.erf(x / 1.414)) / 2),
    "Hardswish": (nn.Hardswish(), F.hardswish),
    "PReLU": (nn.PReLU(), lambda x: F.prelu(x, torch.tensor([0.1]))),
    "RReLU": (nn.RReLU(),),
    "Softplus": (nn.Softplus(),),
    "Mish": (nn.Mish(),),
    "ELU": (nn.ELU(), nn.SELU(), nn.CELU(), F.elu_),
    "Threshold": (lambda x: F.threshold(x, 0.1, 0.0), nn.Threshold(1, 20)),
    "Hardtanh": (nn.Hardtanh(), F.hardtanh),
    "clamp": (lambda x: x.clamp(-1, 1), lambda x: torch.clamp(x, min=-0.1), lambda x: -((-x).clamp(max=0))),
    "minimum": (lambda x: -torch.minimum(-x, torch.zeros(())),),
    "maximum": (lambda x: torch.maximum(x, 0.2 * x), lambda x: torch.maximum(x, torch.tensor(0.5))),
    "comparison": (in_place, lambda x: torch.where(x > 0, x, 0.1 * x), lambda x: x * torch.sign(x)),
    "abs": (lambda x: (x + x.abs()) / 2, torch.abs),
}  # fmt: skip


@pytest.mark.parametrize("method", ["GuidedBackprop", "Deconvolution", "GuidedGradCam"])
@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, forms in REFUSED.items() for number in range(len(forms))]
)
def test_what_has_no_rule_is_refused_by_name(name, number, method):
    activation = REFUSED[name][number]
    network = ico.load_network(Twice(activation), classes=["a", "b"], preprocessing=PREPROCESSING, device="cpu")
    try:
        attribution = ico.attribute(network, PICTURE, "logit:b", method=f"captum:{method}")
    except QuestionError as error:
        assert name in error.message and "IntegratedGradients" in error.hint
    else:  # the rule was applied all the same: it is a ReLU
        pytest.fail(f"{attribution}")


class Steady(nn.Module):
    """Guards against 0 and overflow, gates of squeeze and excitation, padding masks, and checks that all is finite: no ReLU."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.squeeze, self.last = nn.Conv2d(3, 6, 3), nn.Linear(6, 6), nn.Linear(6, 2)
        self.mask: torch.Tensor
        self.register_buffer("mask", torch.arange(10) < 9)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        assert not torch.isnan(x).any() and bool(torch.isfinite(x).all())
        x = x * torch.sigmoid(self.squeeze(x.mean((2, 3))))[..., None, None]
        x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-6) + F.normalize(x, dim=1)
        x = torch.where(self.mask, x, torch.zeros(())).masked_fill(~self.mask, 0.0)
        x = x.clamp(-60000.0, 60000.0)
        return self.last(F.max_pool2d(x, 2).mean((2, 3)))


@pytest.mark.parametrize("method", ["GuidedBackprop", "Deconvolution"])
def test_where_there_is_no_relu_it_is_the_gradient(method):
    network = ico.load_network(Steady(), classes=["a", "b"], preprocessing=PREPROCESSING, device="cpu")
    plain = ico.attribute(network, PICTURE, "logit:b", method="captum:Saliency")
    attribution = ico.attribute(network, PICTURE, "logit:b", method=f"captum:{method}")
    np.testing.assert_allclose(attribution.values, plain.values, atol=1e-8)


@pytest.mark.parametrize("form", ["F.relu6", "clamp", "where", "times a comparison"])
def test_shares_add_up_over_every_form(form):
    """DeepLift is handed the same modules."""
    network = ico.load_network(Twice(FORMS[form][0]), classes=["a", "b"], preprocessing=PREPROCESSING, device="cpu")
    attribution = ico.attribute(network, PICTURE, "logit:b", method="captum:DeepLift")
    assert attribution.completeness == pytest.approx(0, abs=1e-4)


def test_images_that_are_positive_do_not_hide_a_relu():
    """Where nothing is negative the rule holds all the same: what comes back is rectified."""
    module = Twice(lambda x: F.relu6(x + 50 - 48))
    network = ico.load_network(module, classes=["a", "b"], preprocessing=PREPROCESSING, device="cpu")
    attribution = ico.attribute(network, PICTURE, "logit:b", method="captum:GuidedBackprop")
    plain = ico.attribute(network, PICTURE, "logit:b", method="captum:Saliency")
    assert not np.allclose(attribution.values, plain.values)
