"""Hypotheses made from images, with networks of which it is known by a line what they go by."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.linalg import sqrtm
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from iconoscope.auditing.hypotheses import examination
from iconoscope.auditing.hypotheses.examination import examine_hypotheses
from iconoscope.auditing.hypotheses.photographs import Halves, Photographs, enlarged, filled_from_around, reduced
from iconoscope.auditing.hypotheses.recurring_thing import Level, areas_elsewhere, square_correlations
from iconoscope.auditing.hypotheses.spectrum import spectra
from iconoscope.auditing.hypotheses.tone import colour_moments, give_tone
from iconoscope.auditing.hypotheses.trial import discriminant, roc_area
from iconoscope.auditing.sample import load_sample
from iconoscope.exemplars import record
from iconoscope.results.hypothesis_rule import HYPOTHESIS_KINDS, SplitTest, decide

SIDE = 32


class ByStamp(nn.Module):
    """Answers the first class where a square at the lower right is white; else by which of two corners is brighter."""

    def forward(self, batch):
        stamp = batch[:, :, 26:29, 25:29].mean((1, 2, 3)) - 0.9
        other = batch[:, :, :6, :6].mean((1, 2, 3)) - batch[:, :, :6, -6:].mean((1, 2, 3))
        return torch.stack([60 * stamp, other, -other], 1)


class ByThing(nn.Module):
    """Answers the first class where a red and green cross is anywhere."""

    cross: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("cross", torch.from_numpy(CROSS.transpose(2, 0, 1)[None].copy()) - 0.5)

    def forward(self, batch):
        seen = F.conv2d(batch - 0.5, self.cross).amax((1, 2, 3)) / self.cross.square().sum()
        other = batch[:, :, :6, :6].mean((1, 2, 3)) - batch[:, :, :6, -6:].mean((1, 2, 3))
        return torch.stack([20 * (seen - 0.75), other, -other], 1)


class ByBlur(nn.Module):
    """Answers the first class where neighbouring pixels are more alike than so."""

    def __init__(self, bound=0.03):
        super().__init__()
        self.bound = bound

    def forward(self, batch):
        rough = (batch[..., 1:] - batch[..., :-1]).abs().mean((1, 2, 3))
        other = batch[:, :, :6, :6].mean((1, 2, 3)) - batch[:, :, :6, -6:].mean((1, 2, 3))
        return torch.stack([400 * (self.bound - rough), other, -other], 1)


class ByRed(nn.Module):
    """Answers the first class where the picture is redder than so in the mean."""

    def forward(self, batch):
        red = batch[:, 0].mean((1, 2)) - batch[:, 2].mean((1, 2))
        other = batch[:, :, :6, :6].mean((1, 2, 3)) - batch[:, :, :6, -6:].mean((1, 2, 3))
        return torch.stack([60 * (red - 0.1), other, -other], 1)


class ByWhite(nn.Module):
    """Answers the first class where some pixels are white, wherever they are; else by which of five squares is brightest."""

    def forward(self, batch):
        white = (batch.amin(1) - 0.9).clamp_min(0).sum((1, 2))
        others = [batch[:, :, down : down + 6, 12:18].mean((1, 2, 3)) for down in range(0, 30, 6)]
        return torch.stack([8 * (white - 0.8) + 0.5, *others], 1)


CROSS = np.full((5, 5, 3), (0.9, 0.1, 0.1), np.float32)
CROSS[2, :] = CROSS[:, 2] = (0.1, 0.9, 0.1)


def scenes(count, seed=0):
    """Soft blots of colour with fine grain, no two alike."""
    draws = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(draws.normal(0, 1, (count, SIDE, SIDE, 3)), (0, 4, 4, 0), mode="wrap")
    grain = ndimage.gaussian_filter(draws.normal(0, 1, (count, SIDE, SIDE, 3)), (0, 0.6, 0.6, 0), mode="wrap")
    return (0.45 + 1.2 * coarse + 0.06 * grain).clip(0, 0.85).astype(np.float32)


def examined(module, pictures, tmp_path, classes=("a", "b", "c")):
    preprocessing = {"size": SIDE, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "crop": "none"}
    network = ico.load_network(module.eval(), preprocessing=preprocessing, classes=classes, device="cpu")
    images = ico.load_images((pictures * 255).round().astype(np.uint8))
    recording = record(network, images, ["logits"], store=tmp_path / "run", workers=0)
    sample = load_sample(network, recording, images, most=1600, seed=0)
    return examine_hypotheses(network, sample, seed=0)


def decisions(hypotheses, index):
    return {kind: test.decision for kind, test in hypotheses.of_class(index).items()}


def test_a_stamp_at_a_fixed_place_is_found_there_and_explains_the_others(tmp_path):
    pictures = scenes(150)
    pictures[:50, 26:29, 25:29] = 1.0
    hypotheses = examined(ByStamp(), pictures, tmp_path)
    stamp = hypotheses.of_class(0)["stamp"]
    assert stamp.decision == "accused" and stamp.position == "bottom right"
    assert stamp.mean.taken > 0.7 and stamp.mean.given > 0.9 and stamp.mean.control < 0.05
    number = hypotheses.number(0, "stamp")
    as_it_is, without = hypotheses.examples[number, 0].astype(int)
    assert (as_it_is[26:29, 25:29] == 255).all() and without[26:29, 25:29].max() < 230
    assert np.array_equal(as_it_is[:20, :20], without[:20, :20])
    # The two others are told by having none, which is nothing of theirs; what they go by is in the corners above.
    for other in (1, 2):
        tests = hypotheses.of_class(other).values()
        assert not {test.position for test in tests if test.decision == "accused"} & {"bottom right", "bottom"}


def test_a_thing_anywhere_is_found_and_shown(tmp_path):
    pictures, draws = scenes(150, 1), np.random.default_rng(2)
    for picture in pictures[:50]:
        top, left = draws.integers(0, SIDE - 5, 2)
        picture[top : top + 5, left : left + 5] = CROSS
    hypotheses = examined(ByThing(), pictures, tmp_path)
    thing = hypotheses.of_class(0)["thing"]
    assert thing.decision == "accused" and thing.mean.taken > 0.3 and thing.mean.given > 0.3
    assert decisions(hypotheses, 0)["stamp"] == "cleared"
    # What is shown is the cross: reds and greens, of no other place.
    shown = hypotheses.pictures[hypotheses.number(0, "thing")].reshape(-1, 3) / 255
    assert (np.abs(shown - (0.1, 0.9, 0.1)).max(1) < 0.15).any() and (
        np.abs(shown - (0.9, 0.1, 0.1)).max(1) < 0.15
    ).any()


def test_blur_is_found_in_the_spectrum_alone(tmp_path):
    pictures = scenes(150, 3)
    pictures[:50] = ndimage.gaussian_filter(pictures[:50], (0, 1.2, 1.2, 0), mode="nearest")
    rough = np.abs(np.diff(pictures, axis=2)).mean((1, 2, 3))
    assert rough[:50].max() < rough[50:].min()
    found = decisions(examined(ByBlur((rough[:50].max() + rough[50:].min()) / 2), pictures, tmp_path), 0)
    assert found["spectrum"] == "accused"
    assert {kind for kind, decision in found.items() if decision == "accused"} == {"spectrum"}


@pytest.fixture
def objects_hidden(monkeypatch):
    """Nothing is taken for an object, as in photographs whose background is not plain."""
    monkeypatch.setattr(examination, "OBJECTS_KNOWN", 2.0)


def test_a_tint_of_the_whole_picture_is_found_in_its_tone_and_nowhere(tmp_path, objects_hidden):
    pictures = scenes(150, 7)
    pictures[:50] *= (1.15, 1, 0.7)
    hypotheses = examined(ByRed(), pictures, tmp_path)
    tone = hypotheses.of_class(0)["tone"]
    assert tone.decision == "accused" and tone.mean.taken > 0.7 and tone.mean.given > 0.7 and not tone.position
    assert tone.mean.control < 0.1 and tone.mean.margin > 0.95
    assert {kind for kind, decision in decisions(hypotheses, 0).items() if decision == "accused"} == {"tone"}
    # Of the palette that is shown the upper half, the class's, is redder.
    shown = hypotheses.pictures[hypotheses.number(0, "tone")].astype(float)
    redness = (shown[..., 0] - shown[..., 2]).mean(1)
    assert redness[:48].mean() > redness[48:].mean() + 20


def test_the_colour_of_what_stands_in_the_middle_accuses_nobody(tmp_path, objects_hidden):
    """Red things before any ground give their pictures a red tone; it is theirs, as far as anybody can tell without masks."""
    pictures = scenes(150, 7)
    down, across = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    pictures[:50] *= np.where(np.hypot(down - 2, across)[..., None] < 10, (1.5, 1, 0.3), 1)
    hypotheses = examined(ByRed(), pictures, tmp_path)
    tone = hypotheses.of_class(0)["tone"]
    assert tone.decision == "ambiguous" and tone.mean.taken > 0.5 and tone.mean.margin < 0.7 < tone.mean.area
    # Beside objects that are known nothing may be theirs.
    assert decide("tone", 3, (tone.mean._replace(margin=float("nan")),)) == "accused"


def test_a_tone_is_given_by_the_map_that_moves_colours_least():
    pictures = 0.3 + 0.5 * scenes(6, 9)  # nothing is clipped
    pictures[3:] *= (0.8, 0.9, 1.0)
    photographs = Photographs(None, pictures, pictures, None, np.zeros(6, np.int64))  # pyright: ignore[reportArgumentType]
    given = give_tone(photographs, colour_moments(photographs), np.arange(3), np.arange(3, 6))
    colours, wanted = given.reshape(3, -1, 3).astype(np.float64), pictures[3:].reshape(3, -1, 3).astype(np.float64)
    assert np.allclose(colours.mean(1), wanted.mean(1), atol=1e-3)
    for start, one, other in zip(pictures[:3].reshape(3, -1, 3).astype(np.float64), colours, wanted, strict=True):
        assert np.allclose(np.cov(one.T), np.cov(other.T), atol=2e-4)
        # The cost of the best map between two Gaussians (Dowson and Landau 1982), which none can be below.
        root = sqrtm(np.cov(start.T))
        bures = np.trace(np.cov(start.T) + np.cov(other.T) - 2 * np.real(sqrtm(root @ np.cov(other.T) @ root)))
        moved = np.square(start - one).sum(1).mean()
        assert moved == pytest.approx(np.square(start.mean(0) - other.mean(0)).sum() + bures, rel=0.02)


def test_a_grey_picture_is_given_no_noise_for_colours():
    pictures = scenes(4, 10)
    pictures[:2] = pictures[:2].mean(-1, keepdims=True)
    photographs = Photographs(None, pictures, pictures, None, np.zeros(4, np.int64))  # pyright: ignore[reportArgumentType]
    given = give_tone(photographs, colour_moments(photographs), np.arange(2), np.arange(2, 4))
    assert np.isfinite(given).all() and given.min() >= 0 and given.max() <= 1


def test_rings_of_any_size_are_found_by_the_pixels_that_the_answer_hangs_on(tmp_path):
    pictures, draws = scenes(300, 8), np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for picture in pictures[:90]:
        radius = draws.uniform(3, 8)
        row, column = draws.uniform(radius, SIDE - radius, 2)
        picture[np.abs(np.hypot(rows - row, columns - column) - radius) < 0.6] = 1.0
    hypotheses = examined(ByWhite(), pictures, tmp_path, list("abcdef"))
    pixels = hypotheses.of_class(0)["pixels"]
    assert pixels.decision == "accused" and pixels.mean.taken > 0.2 and pixels.mean.given > 0.5
    # What is shown is a ring, white on grey.
    shown = hypotheses.pictures[hypotheses.number(0, "pixels")]
    assert (shown.min(-1) > 250).mean() < 0.06 and (shown == 128).all(-1).mean() > 0.9


def test_images_that_the_answers_do_not_hang_on_accuse_nobody(tmp_path):
    """The stamp is there, and the network does not look at it."""
    pictures = scenes(150, 4)

    class ByCorner(ByStamp):
        def forward(self, batch):
            return torch.cat([batch.new_full((len(batch), 1), -9.0), super().forward(batch)[:, 1:]], 1)

    brighter = pictures[:, :6, :6].mean((1, 2, 3)) > pictures[:, :6, -6:].mean((1, 2, 3))
    pictures[brighter, 26:29, 25:29] = 1.0
    hypotheses = examined(ByCorner(), pictures, tmp_path)
    for index in (1, 2):
        test = hypotheses.of_class(index)["stamp"]
        assert test.mean.area > 0.9 and test.decision == "cleared"


def test_too_few_answers_are_not_asked_about(tmp_path):
    hypotheses = examined(ByStamp(), scenes(40, 5), tmp_path)
    assert not len(hypotheses.classes) and not len(hypotheses.tests) and hypotheses.of_class(0) == {}


def test_halves_share_nothing_and_have_half_of_every_answer():
    predicted = np.repeat([0, 1, 2], (11, 20, 1))
    halves = Halves.drawn(predicted, seed=3)
    assert not (halves.fit & halves.test).any() and (halves.fit | halves.test).all()
    assert [int((halves.fit & (predicted == index)).sum()) for index in range(3)] == [6, 10, 1]
    assert np.array_equal(halves.exchanged.fit, halves.test)


def test_an_area_is_that_of_scikit_learn_and_a_discriminant_finds_the_direction():
    draws = np.random.default_rng(0)
    is_class = draws.random(200) < 0.3
    score = draws.integers(0, 9, 200).astype(float)
    assert roc_area(score, is_class) == pytest.approx(roc_auc_score(is_class, score))
    features = draws.normal(0, 1, (200, 6))
    features[is_class, 2] += 3
    fit = np.arange(200) < 100
    assert roc_area(discriminant(features, is_class, fit, 0.1)[~fit], is_class[~fit]) > 0.95


@pytest.mark.parametrize("count", [30, 200])  # fewer pictures than numbers of each, and more
def test_a_discriminant_is_that_of_the_covariance_within_the_classes(count):
    rng = np.random.default_rng(3)
    features = rng.standard_normal((count, 60)) @ rng.standard_normal((60, 60))
    is_class, fit = np.arange(count) % 3 == 0, np.arange(count) % 2 == 0
    standard = (features - features[fit].mean(0)) / (features[fit].std(0) + 1e-6)
    inside, outside = standard[fit & is_class], standard[fit & ~is_class]
    within = np.concatenate((inside - inside.mean(0), outside - outside.mean(0)))
    covariance = within.T @ within / len(within)
    covariance += (0.1 * np.trace(covariance) / 60 + 1e-9) * np.eye(60)
    score = standard @ np.linalg.solve(covariance, inside.mean(0) - outside.mean(0))
    np.testing.assert_allclose(discriminant(features, is_class, fit, 0.1), score, rtol=1e-6, atol=1e-6 * score.std())


def test_a_square_is_not_judged_on_the_picture_that_it_is_from():
    rng = np.random.default_rng(4)
    score = rng.integers(0, 6, (25, 7)).astype(float)  # with ties
    is_member, sources = np.arange(25) < 10, np.array([0, 0, 3, 5, 5, 8, 9])
    areas = [
        roc_auc_score(np.delete(is_member, source), np.delete(score[:, number], source))
        for number, source in enumerate(sources)
    ]
    np.testing.assert_allclose(areas_elsewhere(score, is_member, sources), areas, rtol=1e-12)


@pytest.mark.parametrize("shared", [True, False])
def test_a_square_is_compared_with_every_place_by_weighted_correlation(shared):
    rng = np.random.default_rng(5)
    pictures, squares = (
        rng.random((count, *side, 3)).astype(np.float32) for count, side in ((4, (9, 11)), (2, (5, 5)))
    )
    weights = np.ones((1, 5, 5, 1), np.float32) if shared else rng.random((2, 5, 5, 1)).astype(np.float32)
    rows = np.array([2, 0, 3])
    correlations = square_correlations(Level(1, pictures, pictures[..., 0]), rows, squares, weights)
    assert correlations.shape == (3, 2, 5, 7)
    for row, square, top, left in ((0, 0, 0, 0), (1, 1, 4, 6), (2, 1, 2, 3)):
        window = pictures[rows[row], top : top + 5, left : left + 5].astype(float)
        share = np.broadcast_to(weights, (2, 5, 5, 1))[square] / np.broadcast_to(weights, (2, 5, 5, 1))[square].sum()
        template = squares[square] - (share * squares[square]).sum((0, 1))
        deviation = np.sqrt((share * (window - (share * window).sum((0, 1))) ** 2).sum() + 3e-3)
        expected = (share * template * window).sum() / np.sqrt((share * template**2).sum() + 1e-6) / deviation
        np.testing.assert_allclose(correlations[row, square, top, left], expected, rtol=1e-4, atol=1e-5)


def test_coefficients_that_are_moved_to_where_they_are_stay():
    """Between halves of images alike nothing is moved much; from sharp to blurred images most of what is fine goes."""
    pictures = scenes(160, 6)
    pictures[:80] = ndimage.gaussian_filter(pictures[:80], (0, 1.2, 1.2, 0), mode="nearest")
    network = ico.load_network(
        ByBlur(), preprocessing={"size": SIDE, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "crop": "none"},
        classes=("a", "b", "c"), device="cpu",
    )  # fmt: skip
    photographs = Photographs(network, pictures, pictures, None, np.repeat([0, 1], 80))
    halves = Halves.drawn(photographs.predicted, seed=0)
    magnitudes = np.random.default_rng(0).normal(0, 1, (160, 192)).astype(np.float32)
    (trial,) = spectra(photographs, 0, halves, np.random.default_rng(0), magnitudes, None)
    sharp = np.arange(80, 120)
    edited = trial.give(sharp)

    def rough(values):
        return np.abs(np.diff(values, axis=2)).mean()

    assert rough(edited.pictures) < 0.6 * rough(pictures[sharp])
    assert 0.9 < rough(edited.controls[0]) / rough(pictures[sharp]) < 1.1


def test_what_is_filled_is_what_is_around_it():
    pictures = np.full((2, 16, 24, 3), 0.3, np.float32)
    pictures[:, 4:8, 8:12] = 1.0
    covered = np.zeros((1, 8, 12, 1), np.float32)
    covered[:, 2:4, 4:6] = 1
    filled = filled_from_around(pictures, reduced(pictures, 2), covered, 2, 2.0)
    assert np.allclose(filled, 0.3, atol=1e-3) and (pictures[:, 4:8, 8:12] == 1).all()
    assert enlarged(reduced(pictures, 2), (16, 24)).shape == pictures.shape


def test_one_way_is_enough_only_of_what_tells_nearly_alone():
    one_way = SplitTest(0.97, 0.5, 0.0, 0.0, 0.03)
    assert decide("spectrum", 10, (one_way,) * 3) == "accused"
    assert decide("spectrum", 10, (one_way._replace(area=0.95),) * 3) == "cleared"
    # Of few classes more is wanted, of what can be natural.
    both = SplitTest(0.94, 0.2, 0.2, 0.0, 0.03)
    assert decide("spectrum", 10, (both,) * 3) == "accused" and decide("spectrum", 5, (both,) * 3) == "cleared"
    assert {decide(kind, 5, (both,) * 3) for kind in ("stamp", "mark", "thing")} == {"accused"}
    # Without what an answer hangs on it changes in any network.
    assert decide("pixels", 10, (one_way,) * 3) == "cleared"
    assert decide("pixels", 10, (one_way._replace(given=0.3),) * 3) == "accused"
    # What the margins do not have may be the object's own; of what is at a place, or where objects are known, there are none.
    for margin, decision in ((0.55, "ambiguous"), (0.9, "accused"), (float("nan"), "accused")):
        assert decide("tone", 10, (both._replace(margin=margin),) * 3) == decision
    assert set(HYPOTHESIS_KINDS) == {"stamp", "mark", "thing", "pixels", "layout", "tone", "spectrum"}
