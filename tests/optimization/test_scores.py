"""What is read of a network that does not answer as it should, and how terms are put together."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.optimization.objective import objectives, read_objective
from iconoscope.optimization.scores import Scores
from iconoscope.subject.probe import probe


class Answering(nn.Module):
    """Three channels, and as head what it is told to be."""

    def __init__(self, head):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 1, bias=False), head

    def forward(self, x):
        return self.head(self.conv(x))


class Pool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def network_of(head, classes=("a", "b", "c")) -> Any:
    preprocessing = {"size": 6, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(Answering(head), preprocessing=preprocessing, classes=classes, device="cpu")


@pytest.mark.parametrize("kind", ["logit", "prob"])
def test_an_answer_that_is_none_of_classes_is_said(kind):
    with pytest.raises(ico.errors.NetworkError, match=r"answers \(1, 3, 6, 6\); a classifier answers"):
        ico.optimize(network_of(nn.Identity()), f"{kind}:a", steps=1)
    with pytest.raises(ico.errors.NetworkError, match="3 outputs, and class 3"):
        ico.optimize(network_of(Pool(), classes=list("abcd")), f"{kind}:d", steps=1)


def test_what_is_neither_map_nor_vector_is_said():
    with pytest.raises(ico.errors.UnitError, match=r"head answers \(1, 3, 2, 3, 6\); units are read from maps"):
        ico.optimize(network_of(nn.Unflatten(2, (2, 3))), "head:0", steps=1)


def test_a_direction_along_one_channel_is_the_plain_mean_of_it():
    network = network_of(Pool())
    batch = torch.randn(2, 3, 6, 6)
    along = ico.direction("conv", [0.0, 1.0, 0.0]).resolved(network)
    scores = Scores([along, 3 * along - along], network)
    with torch.no_grad(), probe(network, scores.layers) as read:
        found = scores(read(batch))
        mean = network.module.conv(batch)[:, 1].mean((1, 2))
    assert torch.allclose(found, mean * torch.tensor([1.0, 2.0]), atol=1e-6)


def test_a_gradient_goes_to_a_pictures_own_pixels_alone():
    network = network_of(Pool())
    batch = torch.randn(3, 3, 6, 6, requires_grad=True)
    asked = [objectives(network, text)[0] for text in ("conv:0", "logit:b", "prob:c")]
    scores = Scores(asked, network)
    with probe(network, scores.layers) as read:
        scores(read(batch))[1].backward()
    assert batch.grad is not None
    assert [bool(each.any()) for each in batch.grad] == [False, True, False]


def test_pictures_are_alike_by_what_is_there_not_by_where():
    network = network_of(Pool())
    one = torch.randn(3, 6, 6)
    moved, other = one.roll((2, 3), (1, 2)), torch.randn(3, 6, 6)
    same = objectives(network, "conv:0") * 2
    for pair, alike in (((one, moved), True), ((one, other), False)):
        scores = Scores(same, network)
        with torch.no_grad(), probe(network, scores.layers) as read:
            found = scores.likeness(read(torch.stack(pair)))
        assert bool((found > 1 - 1e-5).all()) is alike
    strangers = Scores(objectives(network, ["conv:0", "conv:1"]), network)
    with torch.no_grad(), probe(network, strangers.layers) as read:
        assert not strangers.likeness(read(torch.stack([one, moved]))).any()


@pytest.mark.parametrize("weight", [1e-7, 1e6, 2.5e-3, 0.125, 1.0, 12.0])
def test_a_weight_is_read_as_it_is_written(weight):
    text = str(weight * ico.unit("logit:a") - ico.unit("conv:1"))
    assert [term.weight for term in read_objective(text).terms] == [weight, -1.0]


@pytest.mark.parametrize(("text", "weight"), [(".5*logit:a", 0.5), ("2.*logit:a", 2.0), ("- 3 * logit:a", -3.0)])
def test_a_weight_is_read_as_people_write_it(text, weight):
    (term,) = read_objective(text).terms
    assert (term.weight, str(term.target)) == (weight, "logit:a")


def test_only_zero_is_what_a_sum_begins_with():
    assert str(sum([ico.unit("logit:a"), ico.unit("logit:b")])) == "logit:a + logit:b"
    with pytest.raises(TypeError):
        sum([ico.unit("logit:a")], 5)


def test_two_directions_have_two_names():
    one, other = ico.direction("conv", [1.0, 0, 0]), ico.direction("conv", [1.0, 1e-9, 0])
    assert str(one) != str(other) and str(one) == str(ico.direction("conv", np.array([1, 0, 0])))
    assert str(one) != str(ico.direction("conv", [1.0, 0, 0], cosine=1))


def test_scores_are_in_single_precision_whatever_torch_is_told():
    network = network_of(Pool())
    batch = torch.randn(2, 3, 6, 6)
    asked = objectives(network, ["0.1*conv:0 - conv:1", "logit:b"])
    found = []
    for kind in (torch.float32, torch.float64):
        torch.set_default_dtype(kind)
        try:
            scores = Scores(asked, network)
            with torch.no_grad(), probe(network, scores.layers) as read:
                found.append(scores(read(batch)))
        finally:
            torch.set_default_dtype(torch.float32)
    assert found[1].dtype == torch.float32 and torch.equal(*found)


def test_positions_are_of_the_size_that_is_shown():
    """Tokens of patches are counted on what the network sees, which need not be of its own size."""
    network = network_of(Pool())
    asked = [objectives(network, "conv:1")[0]]
    sizes = []

    def reader(targets, network, size):
        sizes.append(size)
        return lambda answer, pictures: answer[pictures, 0]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("iconoscope.optimization.scores._reader", reader)
        Scores(asked, network)
        Scores(asked, network, (4, 9))
    assert sizes == [(6, 6), (4, 9)]
