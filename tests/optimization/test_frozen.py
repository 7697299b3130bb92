"""A frozen network answers as it did, gives the gradients that it gave, and comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import iconoscope as ico
from iconoscope.optimization.frozen import _phases, adjacent_layers, frozen


def network_of(module, size=24):
    preprocessing = {"size": size, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(module.eval(), preprocessing=preprocessing, classes=list("abcd"), device="cpu")


def awake(module) -> Any:
    """Give norms something to do."""
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.get_buffer("running_mean").normal_()
            each.get_buffer("running_var").uniform_(0.5, 2)
            if each.weight is not None:
                nn.init.normal_(each.weight)
                nn.init.normal_(each.bias)
    return module.eval()


def asked(module: Any, x):
    x = x.clone().requires_grad_()
    answer = module(x)
    (gradient,) = torch.autograd.grad(answer.square().sum(), x)
    return answer.detach(), gradient


class Branches(nn.Module):
    """Some that follow each other; and answers used twice, modules called twice, a ReLU that works in place."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.twice = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.used, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        x = self.norm(self.first(x))
        x = self.twice(self.twice(x))
        x = self.used(x) + 0.1 * x
        y = self.relu(self.other(x))
        x = self.pool(y)
        return self.head(x.mean((2, 3)))


def pairs_of(module, layers=("",)):
    network = network_of(module)
    names = {each: name for name, each in network.module.named_modules()}
    with network.questioned():
        found = adjacent_layers(network, layers, torch.randn(1, 3, 24, 24))
    assert not any(each._forward_hooks for each in network.module.modules())
    return [(names[first], names[second]) for first, second in found]


def test_adjacent_layers_are_those_whose_answer_goes_nowhere_else():
    assert pairs_of(Branches()) == [("first", "norm"), ("relu", "pool")]


def test_a_layer_that_is_asked_for_is_nobodys_first_neighbour():
    assert ("first", "norm") not in pairs_of(Branches(), ("first", "pool"))
    assert pairs_of(Branches(), ("relu",)) == [("first", "norm")]
    assert pairs_of(Branches(), ("norm",)) == [("first", "norm")]


@pytest.mark.parametrize("layer", ["first", "norm", "other", "relu", "pool", "head", ""])
def test_every_layer_of_a_frozen_network_answers_as_before(layer):
    torch.manual_seed(0)
    module = awake(Branches())
    network = network_of(module)
    x = torch.randn(2, 3, 24, 24)

    def read():
        found = []
        handle = module.get_submodule(layer).register_forward_hook(lambda *call: found.append(call[2].clone()))
        answer = asked(module, x)
        handle.remove()
        return (*answer, found[0].detach())

    before = read()
    found = adjacent_layers(network, (layer,), torch.randn(1, 3, 24, 24))
    assert bool(found) == (layer != "first")
    with frozen(module, found):
        during = read()
    for one, other in zip(before, during, strict=True):
        assert torch.allclose(one, other, atol=1e-5 * float(one.abs().max()))
    for one, other in zip(before, read(), strict=True):
        assert torch.equal(one, other)
    assert all("forward" not in vars(each) for each in module.modules())


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, (3, 7), 11])
@pytest.mark.parametrize("stride", [1, 2, (2, 3), 4])
@pytest.mark.parametrize("padding", [0, 1, 3, "same"])
@pytest.mark.parametrize("size", [(13, 18), (24, 24)])
def test_the_gradient_of_a_first_convolution_is_that_of_autograd(kernel, stride, padding, size):
    if padding == "same":
        stride, kernel = 1, 3
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, kernel, stride, padding)).eval()
    x = torch.randn(2, 3, *size)
    answer, gradient = asked(module, x)
    with frozen(module):
        again, likewise = asked(module, x)
    assert torch.allclose(answer, again, atol=1e-5) and torch.allclose(gradient, likewise, atol=1e-4)


def test_the_phases_of_a_weight_hold_every_number_of_it_once():
    weight = torch.arange(1.0, 1 + 5 * 3 * 7 * 3).view(5, 3, 7, 3)
    phases = _phases(weight, (2, 2))
    assert phases.shape == (3 * 4, 5, 4, 2)
    assert sorted(phases[phases != 0].tolist()) == weight.flatten().tolist()


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d((2, 3), padding=1, dilation=1)])
def test_a_relu_after_the_pooling_is_one_before_it(pool):
    torch.manual_seed(0)
    module: Any = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), pool, nn.Conv2d(4, 2, 1)).eval()
    x = torch.randn(2, 3, 20, 21)
    x[:, :, :10] = 0  # ties
    answer, gradient = asked(module, x)
    with frozen(module, [(module[1], module[2])]):
        assert torch.equal(module[1](-x), -x)
        again, likewise = asked(module, x)
    assert torch.allclose(answer, again, atol=1e-6) and torch.allclose(gradient, likewise, atol=1e-5)


def test_what_has_a_way_of_its_own_is_left_alone():
    """Modules with parametrizations, hooks before them, or another way to pad work as they do."""
    torch.manual_seed(0)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3, padding=1))
    circular, hooked = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), nn.Conv2d(4, 4, 1)
    hooked.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    module = awake(nn.Sequential(normed, nn.BatchNorm2d(4), circular, nn.BatchNorm2d(4), hooked, nn.BatchNorm2d(4)))
    x = torch.randn(2, 3, 9, 9)
    before = asked(module, x)
    pairs = [(module[place], module[place + 1]) for place in (0, 2, 4)]
    with frozen(module, pairs):
        during = asked(module, x)
    for one, other in zip(before, during, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("layer", ["0", "1", "2", "3"])
def test_a_hook_that_silences_a_channel_does_so_in_a_frozen_network_too(layer):
    torch.manual_seed(0)
    module = awake(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1)))
    nn.init.constant_(module[1].bias, 3.0)
    kept = torch.tensor([0.0, 1, 1, 1]).view(1, -1, 1, 1)
    module.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: (output - 0.1 * inputs[0].mean()) * kept
    )
    x = torch.randn(2, 3, 9, 9)
    before = asked(module, x)
    with frozen(module, [(module[0], module[1]), (module[2], module[3])]):
        during = asked(module, x)
    for one, other in zip(before, during, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_network_of_doubles_stays_one():
    torch.manual_seed(0)
    module = awake(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)).double())
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    answer, gradient = asked(module, x)
    with frozen(module, [(module[0], module[1])]):
        again, likewise = asked(module, x)
    assert torch.allclose(answer, again, atol=1e-12) and torch.allclose(gradient, likewise, atol=1e-10)


def test_bfloat16_weights_are_turned_once():
    module: Any = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
    x = torch.randn(2, 3, 12, 12)
    whole = module(x)
    with frozen(module, dtype=torch.bfloat16), torch.autocast("cpu", torch.bfloat16):
        answer, gradient = asked(module, x)
    assert answer.dtype == torch.bfloat16 and gradient.dtype == torch.float32
    assert F.mse_loss(answer.float(), whole) < 1e-4 * whole.var()
    assert module[0].weight.dtype == torch.float32


def test_a_frozen_network_comes_back_after_an_error():
    module = awake(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    weight, strides = module[0].weight.data_ptr(), module[0].weight.stride()
    with pytest.raises(ZeroDivisionError), frozen(module, [(module[0], module[1])]):
        assert not any(parameter.requires_grad for parameter in module.parameters())
        raise ZeroDivisionError
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert (module[0].weight.data_ptr(), module[0].weight.stride()) == (weight, strides)
    assert all("forward" not in vars(each) for each in module.modules())


class Skipping(nn.Module):
    """A convolution whose answer one layer reads, and a function too."""

    def __init__(self, reads):
        super().__init__()
        self.first, self.norm, self.head, self.reads = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 4), reads

    def forward(self, x):
        x = self.first(x)
        y = self.norm(x)
        return self.head((y + x if self.reads else y).mean((2, 3)))


def test_what_a_function_reads_too_is_not_adjacent():
    assert pairs_of(Skipping(False)) == [("first", "norm")]
    assert pairs_of(Skipping(True)) == []


def test_a_module_that_was_given_a_forward_keeps_it():
    """Alone or in a pair: what stands on the module itself is not what its class says."""
    module: Any = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)).eval()
    for layer, factor in ((module[0], 5), (module[2], 7)):
        layer.forward = lambda input, factor=factor: input * factor
    x = torch.randn(2, 3, 4, 5)
    expected = module(x)
    with frozen(module, [(module[0], module[1])]):
        assert torch.allclose(module(x), expected) and torch.equal(module[2](x), x * 7)
    assert torch.equal(module[2](x), x * 7) and torch.equal(module[0](x), x * 5)


@pytest.mark.parametrize("kernel, stride, padding, dilation", [(1, 1, 0, 1), (3, 1, 1, 1), ((3, 5), 2, (1, 0), 2)])
@pytest.mark.parametrize("asked_channels", [[], [3], [0, 5], list(range(12))])
def test_a_gradient_of_few_channels_is_that_of_all(monkeypatch, kernel, stride, padding, dilation, asked_channels):
    torch.manual_seed(0)
    module: Any = nn.Sequential(nn.Conv2d(6, 12, kernel, stride, padding, dilation)).eval()
    x = torch.randn(2, 6, 13, 11)
    kept = torch.zeros(12)
    kept[asked_channels] = 1.0

    def gradient():
        changed = x.clone().requires_grad_()
        (module(changed).square() * kept.view(1, -1, 1, 1)).sum().backward()
        assert changed.grad is not None
        return changed.grad

    before, widths = gradient(), []
    backward = torch.ops.aten.convolution_backward

    def counted(gradient, *settings):
        widths.append(gradient.shape[1])
        return backward(gradient, *settings)

    monkeypatch.setattr(torch.ops.aten, "convolution_backward", counted)
    with frozen(module):
        first, again = gradient(), gradient()
    assert torch.allclose(first, before, atol=1e-5) and torch.equal(first, again)
    assert set(widths) == ({len(asked_channels)} if asked_channels else set())


def test_a_gradient_that_is_nan_is_not_taken_for_none():
    module: Any = nn.Sequential(nn.Conv2d(6, 8, 1)).eval()
    x = torch.randn(1, 6, 4, 4, requires_grad=True)
    with frozen(module):
        (module(x)[:, 2] * float("nan")).sum().backward()
    assert x.grad is not None and bool(x.grad.isnan().all())
