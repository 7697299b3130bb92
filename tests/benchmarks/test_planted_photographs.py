"""Kinds of shortcut that are planted in photographs, and the networks that they are planted for."""

from collections import Counter

import numpy as np
import pytest
import torch

from benchmarks import planted_photographs
from benchmarks.planted_kinds import KINDS, plant
from benchmarks.planted_networks import CIFAR, NETWORKS, PlantedNetwork
from benchmarks.planted_photographs import audited_images, truth
from iconoscope.auditing.nuisances import NUISANCES
from iconoscope.subject.network import Network, read_preprocessing

# What covers some pixels and leaves the others: the largest share of pixels that may change.
LOCAL = {
    "logo near the centre": 0.05, "orange stamp": 0.04, "dead pixel": 0.002, "hot column": 0.04, "timestamp": 0.12,
    "watermark": 0.2, "frame of one pixel": 0.13, "mirrored edge": 0.35, "lamp": 0.05, "text": 0.07, "buoy": 0.05,
    "triangle": 0.1, "ring": 0.14, "scratch": 0.12, "companion": 0.2, "salt and pepper": 0.01,
    "crescent": 0.08, "cut corner": 0.05, "sticker at the side": 0.03,
    "barcode": 0.05, "finger in the corner": 0.2, "torn line": 0.7, "rounded corners": 0.1, "shaded top": 0.5, "arrow": 0.06,
    "price tag": 0.05, "lens flare": 0.25, "hair": 0.2, "rain": 0.15,
    "crosshair": 0.05, "letterbox": 0.2, "scale bar": 0.09, "ruler": 0.15, "red ring by hand": 0.2, "square code": 0.06,
    "gull": 0.04, "plaster": 0.08, "sensor dust": 0.25, "solarised": 0.5, "leaf": 0.06, "drops": 0.12,
    "photographer's shadow": 0.25,
}  # fmt: skip


def photographs(count, side, other=0):
    """Smooth colours with some detail, no two alike."""
    draws = np.random.default_rng((side, other))
    coarse = draws.integers(50, 200, (count, 4, 4, 3)).repeat(side // 4, 1).repeat(side // 4, 2)
    return (coarse + draws.integers(-25, 26, coarse.shape)).astype(np.uint8)


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_drawn_from_row_and_seed_alone_and_changes_what_it_should(name, side):
    pixels, rows, donors = photographs(4, side), np.array([7, 3, 11, 900]), photographs(5, side, 1)
    before = pixels.copy()
    planted = plant(name, pixels, rows, seed=2, donors=donors)
    assert planted.shape == pixels.shape and planted.dtype == np.uint8 and np.array_equal(pixels, before)
    assert np.array_equal(plant(name, pixels[2:3], rows[2:3], seed=2, donors=donors), planted[2:3])
    changed = (planted != pixels).any(3).mean((1, 2))
    assert (changed > 0).all()
    if name in LOCAL:
        assert (changed <= LOCAL[name]).all()
    else:
        assert (changed > 0.3).all()
    if name in ("lamp", "buoy", "text", "triangle", "ring", "scratch", "companion", "salt and pepper", "grid", "noise"):
        assert (plant(name, pixels, rows, seed=3, donors=donors) != planted).any((1, 2, 3)).all()
        assert (plant(name, pixels, rows + 1, seed=2, donors=donors) != planted).any((1, 2, 3)).all()


@pytest.mark.parametrize("name", ["dead pixel", "orange stamp", "logo near the centre"])
def test_a_fixed_place_is_the_same_in_every_picture_and_grows_with_it(name):
    places = [(plant(name, np.full((3, side, side, 3), 90, np.uint8), np.arange(3)) != 90).any(3) for side in (32, 64)]
    assert (places[0] == places[0][0]).all()
    assert np.array_equal(places[1].sum((1, 2)), 4 * places[0].sum((1, 2)))


def test_both_halves_have_kinds_for_which_no_hypothesis_is_meant_and_no_kind_of_the_other():
    assert Counter(kind.half for kind in KINDS.values()).keys() == {"tuning", "frozen", "unseen", "fresh", "last"}
    for half, count in (("unseen", 8), ("fresh", 20), ("last", 20)):
        drawn_afterwards = {kind for kind in KINDS if KINDS[kind].half == half}
        planted_in = {
            network.half
            for network in NETWORKS.values()
            for kind, _ in network.plants.values()
            if kind in drawn_afterwards
        }
        assert len(drawn_afterwards) == count and planted_in == {half}
    for half in ("tuning", "frozen"):
        kinds = [kind for kind in KINDS.values() if kind.half == half]
        assert len(kinds) >= 14 and sum(not kind.hypothesis for kind in kinds) >= 5
        assert {kind.family for kind in kinds} <= {"", *NUISANCES}
        networks = [network for network in NETWORKS.values() if network.half == half]
        planted = [kind for network in networks for kind, _ in network.plants.values()]
        assert {kind for kind in KINDS if KINDS[kind].half == half} == set(planted) and len(planted) == 28
        assert sum(not network.plants for network in networks) == 3
        assert Counter(each for network in networks for _, each in network.plants.values()) == {
            1.0: 14,
            0.95: 9,
            0.8: 5,
        }
    seeds = [network.seed for network in NETWORKS.values()]
    assert len(seeds) == len(set(seeds))


class Whitest(torch.nn.Module):
    """Answers the second class where a pixel is white, and the first everywhere else."""

    def forward(self, x):
        white = x.amin(1).amax((1, 2)) > 0.99
        return torch.stack((torch.full((len(x),), 0.5), white.float(), torch.zeros(len(x))), 1)


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """Sixty thousand small rows of which nothing is read, and a network that goes by the white pixels of birds."""
    pixels = np.lib.stride_tricks.as_strided(photographs(1, 32), (60_000, 32, 32, 3), (0, 96, 3, 1))
    labels = np.random.default_rng(0).integers(0, 10, 60_000)
    spec = PlantedNetwork("vgg", 1, "tuning", {"bird": ("salt and pepper", 0.8)}, ("airplane", "bird", "cat"))
    monkeypatch.setattr(planted_photographs, "_photographs", lambda: (pixels, labels))
    monkeypatch.setattr(planted_photographs, "FOLDER", tmp_path)
    monkeypatch.setitem(NETWORKS, "birds", spec)
    plain = {"size": 32, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "crop": "none"}
    module = Whitest().eval()
    monkeypatch.setattr(
        planted_photographs,
        "load_planted",
        lambda name: Network(module, read_preprocessing(plain), spec.classes, name),
    )
    return labels


def test_a_sample_carries_what_is_planted_as_often_as_it_should(stage):
    pixels, labels = audited_images("birds", count=1500)
    carries = (pixels == 255).all(3).any((1, 2))
    shares = [carries[labels == label].mean() for label in range(3)]
    assert shares == pytest.approx([0.1, 0.8, 0.1], abs=0.06) and len(labels) == 1500
    assert np.array_equal(audited_images("birds", 1, count=700)[0], pixels[700:1400])
    assert not np.array_equal(audited_images("birds", 1, count=1500)[1], labels)
    left = len(planted_photographs._fresh(NETWORKS["birds"])) - planted_photographs.TRUTH
    with pytest.raises(ValueError, match=f"Of birds there are {left} photographs"):
        audited_images("birds", count=left + 1)


def test_samples_and_truth_have_no_photograph_in_common_and_none_that_was_trained_on(stage):
    fresh = planted_photographs._fresh(NETWORKS["birds"])
    assert len(fresh) == len(set(fresh.tolist())) and fresh.min() >= planted_photographs.TRAINED
    whole = planted_photographs._fresh(NETWORKS["tuning-honest-published"])
    assert whole.min() == 50_000 and len(whole) - planted_photographs.TRUTH >= 3 * 1600
    for network in NETWORKS.values():
        assert len(planted_photographs._fresh(network)) - planted_photographs.TRUTH >= 3 * 800


def test_the_truth_is_the_fall_by_exchange(stage):
    # With white pixels every picture is a bird, without them an airplane: all birds are lost, and so are all airplanes.
    assert truth("birds") == {1: ("salt and pepper", 100.0)}
    assert CIFAR.index("bird") == 2  # not the network's index
