"""Weights between layers: read off a network that was made so that they are known."""

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.subject.network.connections import connections

PREPROCESSING = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}


class Chain(nn.Module):
    """A convolution, a norm and a ReLU; a function that is no module; a grouped convolution; maps that are flattened."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 6, 1, groups=2)
        self.head = nn.Linear(6 * 36, 2)
        self.norm.running_var = torch.full((4,), 4.0)
        self.norm.weight.data = torch.tensor([1.0, -1.0, 2.0, 0.5])

    def forward(self, x):
        x = self.relu(self.norm(self.first(x)))
        x = torch.tanh(self.second(x))
        return self.head(x.flatten(1))


@pytest.fixture
def chain():
    return ico.load_network(Chain(), preprocessing=PREPROCESSING, classes=["a", "b"], device="cpu")


def test_who_feeds_whom(chain):
    first, second, head = connections(chain)
    assert first.sources == () and first.targets == ("first", "norm", "relu")
    assert set(second.sources) == {"first", "norm", "relu"}
    assert second.targets == ("second",)
    assert head.sources == ("second",)  # through a function, and flattened


def test_a_norm_behind_it_is_taken_into_the_weights(chain):
    first = connections(chain)[0]
    scale = np.array([1, -1, 2, 0.5]) / np.sqrt(4 + 1e-5)
    sums = chain.module.first.weight.detach().numpy().sum((2, 3))
    np.testing.assert_allclose(first.weights, sums * scale[:, None], rtol=1e-5)


def test_groups_read_their_own_inputs_alone(chain):
    second = connections(chain)[1].weights
    assert second.shape == (6, 4)
    weight = chain.module.second.weight.detach().numpy()[:, :, 0, 0]
    np.testing.assert_allclose(second[:3, :2], weight[:3], rtol=1e-6)
    np.testing.assert_allclose(second[3:, 2:], weight[3:], rtol=1e-6)
    assert not second[:3, 2:].any() and not second[3:, :2].any()


def test_the_module_comes_back_without_hooks(chain):
    connections(chain)
    assert not any(module._forward_hooks for module in chain.module.modules())


class Fire(nn.Module):
    """Two convolutions of one input, side by side, as in SqueezeNet; behind them a pooling and the classes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 4, 1)
        self.fire = Side()
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(5, 2, 1)

    def forward(self, x):
        return self.head(self.pool(self.fire(torch.relu(self.stem(x))))).mean((2, 3))


class Side(nn.Module):
    def __init__(self):
        super().__init__()
        self.narrow, self.wide, self.relu = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 3, padding=1), nn.ReLU()

    def forward(self, x):
        return torch.cat([self.relu(self.narrow(x)), self.relu(self.wide(x))], 1)


def test_layers_side_by_side_are_one_of_all_their_channels():
    network = ico.load_network(Fire(), preprocessing=PREPROCESSING, classes=["a", "b"], device="cpu")
    by_layer = {connection.layer: connection for connection in connections(network)}
    fire = by_layer["fire"]
    assert fire.sources == ("stem",) and fire.targets == ("fire", "pool")
    np.testing.assert_array_equal(
        fire.weights, np.concatenate([by_layer["fire.narrow"].weights, by_layer["fire.wide"].weights])
    )
    assert {"fire", "pool"} & {*by_layer["head"].sources}


class Tokens(nn.Module):
    """A small transformer: linear layers on tokens."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.block(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def test_tokens_are_no_channels_and_no_trouble():
    network = ico.load_network(Tokens(), preprocessing=PREPROCESSING, classes=["a", "b"], device="cpu")
    names = [connection.layer for connection in connections(network)]
    assert names[0] == "patches" and names[-1] == "head"
