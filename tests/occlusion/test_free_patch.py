"""A patch at any place, against the network asked by hand."""

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.occlusion.free_patch import FreePatch
from iconoscope.occlusion.incremental import PlanCache
from tests.deciding import SIZE, UNSEEN, Deciding, network_of, switch
from tests.networks import Doing


@pytest.fixture
def uncaptured(monkeypatch):
    """Ask the network's own module."""
    monkeypatch.setattr(PlanCache, "traced", lambda *_: None)


@pytest.mark.parametrize("captured", [True, False])
def test_it_is_the_network_on_the_covered_picture(planted, bright, captured, request):
    if not captured:
        request.getfixturevalue("uncaptured")
    image = ico.load_images(bright)[0]
    patch = FreePatch(planted, image, fill="black")
    assert patch.asks_module != captured
    for top, left, height, width in ((0, 0, 24, 24), (3, 5, 4, 9), (-2, 20, 6, 9), (23, 23, 5, 5)):
        covered = bright.copy()
        covered[max(top, 0) : top + height, max(left, 0) : left + width] = 0
        expected = ico.predict(planted, covered)[0]
        np.testing.assert_allclose(patch.probabilities(top, left, height, width), expected, atol=1e-6)
    np.testing.assert_allclose(patch.clean, ico.predict(planted, bright)[0], atol=1e-6)


@pytest.mark.parametrize("fill", ["mean", "patch-mean", "blur", "noise"])
def test_fills_are_those_of_occlude(planted, bright, fill):
    image = ico.load_images(bright)[0]
    patch = FreePatch(planted, image, fill=fill, seed=3)
    occlusion = ico.occlude(planted, image, patch=(6, 8), stride=5, fill=fill, seed=3, method="dense")
    for row, column in ((0, 0), (1, 2), (-1, -1)):
        answer = patch.probabilities(int(occlusion.top[row]), int(occlusion.left[column]), 6, 8)
        np.testing.assert_allclose(answer, occlusion.occluded[row, column], atol=1e-6)


def test_a_patch_beside_the_image_covers_nothing(planted, bright):
    patch = FreePatch(planted, ico.load_images(bright)[0])
    np.testing.assert_array_equal(patch.probabilities(24, 0, 3, 3), patch.clean)
    np.testing.assert_array_equal(patch.probabilities(0, -3, 3, 3), patch.clean)


@pytest.mark.parametrize(("height", "width"), [(0, 3), (3, -1), (25, 3)])
def test_a_patch_that_does_not_fit_is_refused(planted, bright, height, width):
    with pytest.raises(ico.errors.QuestionError, match="does not fit"):
        FreePatch(planted, ico.load_images(bright)[0]).probabilities(0, 0, height, width)


class InOneOrder(nn.Module):
    """Wants its maps in the order of memory that it knows."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.linear = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 24 * 24, 2)

    def forward(self, pictures):
        return self.linear(self.conv(pictures).view(len(pictures), -1))


def test_a_network_that_wants_its_maps_in_one_order_is_given_them_so(bright, uncaptured):
    network = ico.load_network(
        InOneOrder(),
        preprocessing={"size": 24, "mean": (0, 0, 0), "std": (1, 1, 1)},
        classes=["no", "yes"],
        device="cpu",
    )
    patch = FreePatch(network, ico.load_images(bright)[0], fill="black")
    covered = bright.copy()
    covered[4:10, 6:12] = 0
    np.testing.assert_allclose(patch.probabilities(4, 6, 6, 6), ico.predict(network, covered)[0], atol=1e-6)


def test_a_network_whose_answer_depends_on_that_order_is_asked_in_the_usual_one(bright, uncaptured):
    class Reordering(InOneOrder):
        def forward(self, pictures):
            maps = self.conv(pictures)
            return self.linear(maps.as_strided(maps.shape, maps.new_empty(maps.shape).stride()).reshape(len(maps), -1))

    network = ico.load_network(
        Reordering(),
        preprocessing={"size": 24, "mean": (0, 0, 0), "std": (1, 1, 1)},
        classes=["no", "yes"],
        device="cpu",
    )
    patch = FreePatch(network, ico.load_images(bright)[0], fill="black")
    np.testing.assert_allclose(patch.clean, ico.predict(network, bright)[0], atol=1e-6)
    covered = bright.copy()
    covered[4:10, 6:12] = 0
    np.testing.assert_allclose(patch.probabilities(4, 6, 6, 6), ico.predict(network, covered)[0], atol=1e-6)


@pytest.mark.parametrize("read", UNSEEN.values(), ids=UNSEEN)
def test_the_network_is_asked_about_an_image_that_it_decides_otherwise_about(read, monkeypatch):
    network, plans = network_of(Deciding(read)), PlanCache()
    grain = np.random.default_rng(0).integers(0, 40, (2, *SIZE, 3), dtype=np.uint8)
    for picture, bright in ((grain[0], False), (grain[1] + 200, True)):
        monkeypatch.setitem(switch, "bright", bright)
        patch = FreePatch(network, ico.load_images(picture)[0], fill="mean", plans=plans)
        plain = ico.occlude(network, picture, "prob:a", patch=6, stride=9, method="dense")
        assert patch.asks_module == bright
        np.testing.assert_allclose(patch.probabilities(9, 18, 6, 6), plain.occluded[1, 2], atol=1e-6)


def test_a_branch_that_only_a_cover_takes_is_found_before_the_patch_moves():
    """The picture is bright, and with a quarter of it covered it is not."""
    network = network_of(Deciding(UNSEEN["another thread"]))
    picture = np.full((*SIZE, 3), 78, np.uint8)
    patch = FreePatch(network, ico.load_images(picture)[0], fill="black")
    assert patch.asks_module
    covered = picture.copy()
    covered[4:16, 4:16] = 0
    np.testing.assert_allclose(patch.probabilities(4, 4, 12, 12), ico.predict(network, covered)[0], atol=1e-6)


def test_what_fails_where_it_is_captured_is_asked_of_the_network(planted, bright, monkeypatch):
    monkeypatch.setattr("iconoscope.subject.captured.graph.run_graph", lambda *_: 1 / 0)
    patch = FreePatch(planted, ico.load_images(bright)[0], fill="black")
    assert patch.asks_module
    np.testing.assert_allclose(patch.clean, ico.predict(planted, bright)[0], atol=1e-6)


def test_an_answer_that_is_no_number_is_an_error_of_the_network(bright):
    """Where everything is dark there is no logarithm; what was captured answers NaN, and says nothing itself."""
    dark = Doing(lambda x: torch.stack([(x.amax((1, 2, 3)) - 0.5).log(), x.mean((1, 2, 3))], 1))
    network = ico.load_network(
        dark, preprocessing={"size": 24, "mean": (0, 0, 0), "std": (1, 1, 1)}, classes=["no", "yes"], device="cpu"
    )
    patch = FreePatch(network, ico.load_images(np.full_like(bright, 255))[0], fill="black")
    assert not patch.asks_module
    with pytest.raises(ico.errors.NonFiniteError):
        patch.probabilities(0, 0, 24, 24)


def test_the_network_is_captured_once_for_all_images(planted, bright, monkeypatch):
    plans = PlanCache()
    FreePatch(planted, ico.load_images(bright)[0], plans=plans)
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.capture", lambda *_, **__: pytest.fail("once more"))
    assert not FreePatch(planted, ico.load_images(bright // 2)[0], fill="black", plans=plans).asks_module
