"""The refiner and its critic against the same sums written out in double precision."""

from typing import Any

import numpy as np
import pytest
import torch

from iconoscope.priors.refiner import Critic, Refiner


def convolved(maps, layer, stride=1, padding=1):
    """One map (channels, height, width) under a layer's weights, row by row and column by column."""
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    padded = np.pad(maps, ((0, 0), (padding, padding), (padding, padding)))
    side = weight.shape[2]
    rows, columns = ((length - side) // stride + 1 for length in padded.shape[1:])
    made = np.empty((len(weight), rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = padded[:, row * stride : row * stride + side, column * stride : column * stride + side]
            made[:, row, column] = np.tensordot(weight, window, 3) + bias
    return made


def leaky(maps):
    return np.where(maps > 0, maps, 0.2 * maps)


def doubled(maps):
    """Four channels become the pixels of a square of two by two."""
    channels, rows, columns = maps.shape
    made = np.empty((channels // 4, 2 * rows, 2 * columns))
    for down in range(2):
        for across in range(2):
            made[:, down::2, across::2] = maps[2 * down + across :: 4]
    return made


def test_a_refined_picture_written_out():
    torch.manual_seed(0)
    refiner = Refiner(3).double()
    torch.nn.init.normal_(refiner.last.weight, std=0.1)
    assert refiner.last.bias is not None
    torch.nn.init.normal_(refiner.last.bias, std=0.1)
    picture = torch.rand(1, 3, 8, 12, dtype=torch.float64)
    for label in (2, -1):
        found = refiner(picture, torch.tensor([label])).detach().numpy()[0]
        whole, quarter = (each.weight.detach().numpy() for each in (refiner.classes_whole, refiner.classes_quarter))
        of_class = [(each.mean(0) if label < 0 else each[label])[:, None, None] for each in (whole, quarter)]
        full = leaky(convolved(2 * picture.numpy()[0] - 1, refiner.first) + of_class[0])
        half = leaky(convolved(leaky(convolved(full, refiner.to_half, 2)), refiner.at_half))
        small = leaky(convolved(half, refiner.to_quarter, 2) + of_class[1])
        for block in (0, 2):
            inner = leaky(convolved(leaky(small), refiner.blocks[block]))
            small = small + convolved(inner, refiner.blocks[block + 1])
        half = np.concatenate([doubled(convolved(leaky(small), refiner.from_quarter, padding=0)), half])
        half = leaky(convolved(half, refiner.join_half))
        full = np.concatenate([doubled(convolved(half, refiner.from_half, padding=0)), full])
        full = leaky(convolved(full, refiner.join_whole))
        assert np.allclose(found, picture.numpy()[0] + convolved(full, refiner.last) / 2, atol=1e-9)
    assert full.shape == (24, 8, 12) and half.shape == (48, 4, 6) and small.shape == (80, 2, 3)


def test_a_critic_written_out():
    torch.manual_seed(1)
    critic: Any = Critic(3).double().eval()
    pictures = torch.rand(2, 3, 16, 16, dtype=torch.float64) * 2 - 1
    whole, places = critic(pictures, torch.tensor([1, -1]))
    assert whole.shape == (2,) and places.shape == (2, 64)
    for row in range(2):
        maps = leaky(convolved(pictures[row].numpy(), critic.near[0]))
        maps = leaky(convolved(maps, critic.near[1], 2))
        by_place = convolved(maps, critic.place, padding=0)
        for layer in critic.far:
            maps = leaky(convolved(maps, layer, 2))
        mean = maps.mean((1, 2))
        parts = (critic.whole.weight[0].detach().numpy(), critic.classes.weight[max(0, 1 - 2 * row)].detach().numpy())
        assert np.allclose(places[row].detach().numpy(), by_place.ravel(), atol=1e-9)
        expected = parts[0] @ mean + critic.whole.bias.item() + parts[1] @ mean
        assert whole[row].item() == pytest.approx(expected, abs=1e-9)


def test_pictures_of_no_class_are_of_one():
    refiner: Any = Refiner(0)
    critics: Any = (Critic(0), Critic(5))
    assert len(refiner.classes_whole.weight) == len(refiner.classes_quarter.weight) == 1
    assert len(critics[0].classes.weight) == 1 and len(critics[1].classes.weight) == 5
