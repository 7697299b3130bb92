"""Which layers are recorded where nobody names any, and what their places see."""

import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.exemplars import recordable_layers
from iconoscope.exemplars.recordable_layers import choose_layers
from iconoscope.store.recorded_layer import ReceptiveField

HEIGHT, WIDTH = 90, 100


class Seeing(nn.Module):
    """Three convolutions, one of them over every second place, before what is asked of it."""

    def __init__(self, *, in_place=False):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 5, stride=2, padding=2), nn.ReLU(inplace=in_place))
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(inplace=in_place))
        self.third = nn.Sequential(nn.Conv2d(4, 4, (3, 1), stride=2), nn.ReLU(inplace=in_place))
        self.head = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=in_place), nn.Linear(6, 2))

    def before(self, x):
        return x

    def pooled(self, maps):
        return maps.mean((2, 3))

    def forward(self, x):
        return self.head(self.pooled(self.third(self.second(self.first(self.before(x))))))


class OfOneSize(Seeing):
    """Its linear layer wants maps of one size; so do the places where its convolutions are."""

    def before(self, x):
        return x + torch.zeros(1, 1, HEIGHT, WIDTH)


class Rolling(Seeing):
    """Rows are moved by as much as the picture is wide: what a row reaches hangs on it."""

    def before(self, x):
        return x.roll(x.shape[3] // 10, 2)


class Cropping(Seeing):
    """A wide picture loses rows."""

    def before(self, x):
        return x[:, :, x.shape[3] // 10 :]


def network_of(module):
    torch.manual_seed(0)
    return ico.load_network(
        module.eval(),
        device="cpu",
        classes=["ant", "bee"],
        preprocessing={"size": (HEIGHT, WIDTH), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)},
    )


def chosen(network):
    with network.questioned():
        return choose_layers(network, None)[0]


@pytest.mark.parametrize("in_place", [False, True])
def test_maps_behind_a_relu_are_recorded_and_no_vectors(in_place):
    """In place or not: torchvision's AlexNet and VGG have such ReLUs behind their linear layers too."""
    layers = chosen(network_of(Seeing(in_place=in_place)))
    assert [layer.name.removesuffix(".1") for layer in layers] == ["first", "second", "third"]


@pytest.mark.parametrize("kind", [Seeing, OfOneSize, Rolling, Cropping])
def test_fields_that_narrow_pictures_show_are_those_of_whole_ones(kind, monkeypatch):
    layers = chosen(network_of(kind()))
    monkeypatch.setattr(recordable_layers, "_NARROW", max(HEIGHT, WIDTH))
    assert layers == chosen(network_of(kind()))
    if kind is Seeing:
        assert [layer.field for layer in layers] == [
            ReceptiveField((5, 5), (2, 2), (-2, -2)),
            ReceptiveField((9, 9), (2, 2), (-2, -2)),
            ReceptiveField((13, 9), (4, 4), (-2, -2)),
        ]
