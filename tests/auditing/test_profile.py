"""Profiles: a network that fails on dark images is shown so, and none that fails anywhere else by chance or by its classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import iconoscope as ico
from iconoscope.auditing.measured_properties import MEASURES, measured
from iconoscope.auditing.profile import _edges as profile_edges
from iconoscope.auditing.profile import trends
from iconoscope.cli import main
from iconoscope.demo.photographs import keep_photographs
from iconoscope.errors import QuestionError
from iconoscope.results.estimate import estimate_mean, wilson_interval
from iconoscope.results.profile import PROPERTIES
from iconoscope.subject.network import read_preprocessing

COUNT, SIDE = 400, 16


class Planted(nn.Module):
    """Answers the class that the last bit of the first pixel says, and the other one where that of the second says so."""

    def forward(self, x):
        says = (255 * x[:, 0, 0, :2]).round() % 2
        answer = (says[:, 0] + says[:, 1]) % 2
        return torch.stack([1 - answer, answer], 1)


def planted(light, target, wrong):
    """Images of some brightness (n,), of a class, answered wrongly or not, with grain that makes all properties vary."""
    generator = np.random.default_rng(1)
    grain = generator.normal(0, 1, (len(light), SIDE, SIDE, 3)) * generator.uniform(0.02, 0.1, (len(light), 1, 1, 1))
    pixels = ((light[:, None, None, None] + grain).clip(0, 1) * 255).astype(np.uint8)
    for column, bit in enumerate((target, wrong)):
        pixels[:, 0, column, 0] = pixels[:, 0, column, 0] // 2 * 2 + bit
    return pixels


def recorded(folder, light, target, wrong, **annotations):
    how = {"size": SIDE, "mean": (0,) * 3, "std": (1,) * 3, "crop": "none"}
    network = ico.load_network(Planted(), preprocessing=how, classes=["a", "b"], device="cpu")
    images = ico.load_images(planted(light, target, wrong), labels=["ab"[one] for one in target], **annotations)
    return ico.record(network, images, layers=[], store=folder)


def test_a_network_that_fails_on_dark_images_is_shown_so(tmp_path):
    generator = np.random.default_rng(0)
    light, target = generator.uniform(0.2, 0.8, COUNT), generator.integers(0, 2, COUNT)
    wrong = generator.random(COUNT) < np.where(light < 0.35, 0.5, 0.1)
    found = ico.profile(recorded(tmp_path, light, target, wrong), store=tmp_path)
    assert found.failing == ("brightness",) and found.weak_end("brightness") == "dark"
    assert {name for _, name in found.failing_classes} == {"brightness"}
    row = found.properties.index("brightness")
    assert found.count[row].tolist() == [50] * 8 and found.right[row].sum() == found.correct == (~wrong).sum()
    # Counted by hand: the darkest eighth.
    darkest = np.argsort(measured_brightness(light, target, wrong))[:50]
    assert found.right[row, 0] == (~wrong[darkest]).sum()
    assert "it is lower where images are brightness" in found.summary() and "(dark)" in found.summary()
    assert found.class_right.sum(1).tolist() == found.right.tolist()
    assert [reason.partition(":")[0] for reason in found.skipped] == [
        "original size", "aspect", *(name for name in MEASURES if name.startswith("object "))
    ]  # fmt: skip
    again = ico.load_result(ico.Store(tmp_path).folder_of(found.question))
    assert again.summary() == found.summary()
    page = ico.report(tmp_path, tmp_path / "report.html").read_text(encoding="utf-8")
    assert (
        "Where the network is right, and where it fails" in page
        and "original size: it is the same in all images" in page
    )


def measured_brightness(light, target, wrong):
    return planted(light, target, wrong).astype(np.float32).mean((1, 2)) @ np.array([0.299, 0.587, 0.114], np.float32)


def test_classes_that_are_bright_and_easy_accuse_no_brightness(tmp_path):
    """Of all images the dark are answered worse; within a class brightness says nothing (Simpson 1951)."""
    generator = np.random.default_rng(3)
    target = generator.integers(0, 2, COUNT)
    light = np.where(target == 1, 0.65, 0.35) + generator.uniform(-0.1, 0.1, COUNT)
    wrong = generator.random(COUNT) < np.where(target == 1, 0.05, 0.45)
    found = ico.profile(recorded(tmp_path, light, target, wrong), ["brightness"])
    assert found.right[0, 0] / found.count[0, 0] < found.right[0, -1] / found.count[0, -1] - 0.2
    assert found.failing == () and "none goes with it" in found.summary()
    easy, hard = ((~wrong)[target == of_class].mean() for of_class in (1, 0))
    np.testing.assert_allclose(found.expected[0], np.repeat([hard, easy], 4), atol=0.1)


def test_honest_answers_are_accused_as_rarely_as_the_level_says():
    generator = np.random.default_rng(5)
    told = []
    for _ in range(400):
        target = generator.integers(0, 4, 200)
        right = generator.random(200) < np.array([0.95, 0.5, 0.8, 0.7])[target]
        told.append(trends(generator.gamma(1, 1, 200) + target, right, target, 4)[0])
    p_values = 2 * stats.norm.sf(np.abs(told))
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.03)


def test_the_trend_of_one_class_is_that_of_mann_and_whitney():
    generator = np.random.default_rng(6)
    values, right = generator.normal(size=60), generator.random(60) < 0.6
    values[:20] = values[20:40]  # equal values share their ranks
    overall, by_class = trends(values, right, np.zeros(60, int), 1)
    told = stats.mannwhitneyu(values[right], values[~right], use_continuity=False, method="asymptotic")
    assert 2 * stats.norm.sf(abs(overall)) == pytest.approx(told.pvalue, rel=1e-9) and by_class[0] == overall


def test_too_few_mistakes_tell_nothing():
    values, target = np.arange(60.0), np.repeat([0, 1], 30)
    right = np.ones(60, bool)
    right[[0, 1, 30]] = False
    overall, by_class = trends(values, right, target, 2)
    assert np.isnan(overall) and np.isnan(by_class).all()


def test_wilson_is_the_house_s_own():
    right, count = np.array([0, 3, 20, 17]), np.array([5, 4, 20, 40])
    for index, (low, high) in enumerate(zip(*wilson_interval(right, count), strict=True)):
        one = estimate_mean(np.arange(count[index]) < right[index])
        assert (low, high) == (pytest.approx(one.low, abs=1e-12), pytest.approx(one.high, abs=1e-12))


def test_objects_are_measured_where_they_are_known(tmp_path):
    """A light square of 4 of 16 pixels at the left border of a dark picture, in every image but one."""
    pixels = np.full((41, SIDE, SIDE, 3), 51, np.uint8)
    pixels[:, 6:10, 0:4] = 153
    masks = {f"{row:06}": pixels[row, :, :, 0] > 100 for row in range(40)}
    images = ico.load_images(pixels, masks=masks)
    how = read_preprocessing({"size": SIDE, "mean": (0,) * 3, "std": (1,) * 3, "crop": "none"})
    values = measured(how, images, np.arange(41), MEASURES)
    for name, wanted in {
        "object size": 0.25, "object distance": 0.75, "object brightness": 0.6, "object contrast": 0.4,
        "brightness": 0.2 + 0.4 / 16, "original size": 16, "aspect": 1,
    }.items():  # fmt: skip
        assert values[name][0] == pytest.approx(wanted, abs=1e-3), name
        assert np.isnan(values[name][40]) == name.startswith("object ")
    assert set(MEASURES) == set(PROPERTIES)


def test_masks_are_given_to_a_recording_that_is_opened_again(tmp_path):
    keep_photographs(ico.demo_images(50, seed=2), tmp_path)
    photographs, masks = tmp_path / "photographs", tmp_path / "masks"
    network = ico.load_network("cars", device="cpu")
    made = ico.record(network, ico.load_images(photographs, masks=masks), layers=[], store=tmp_path / "run")
    expected = ico.profile(made, ["object size"]).to_json()
    for again in (
        ico.load_recording(tmp_path / "run", masks=masks),
        ico.load_recording(tmp_path / "run", images=photographs, masks=masks),
        ico.load_recording(ico.load_recording(tmp_path / "run"), masks=masks),
    ):
        assert ico.profile(again, ["object size"]).to_json() == expected
    with pytest.raises(QuestionError, match="0 images have a known object"):
        ico.profile(tmp_path / "run", ["object size"])
    assert (
        main(
            [
                "profile",
                "object size",
                "--store",
                str(tmp_path / "run"),
                "--masks",
                str(masks),
                "--quiet",
                "--out",
                str(tmp_path / "p.png"),
            ]
        )
        == 0
    )


@pytest.mark.parametrize("equal", [0, 0.5, 1])
def test_no_bin_has_few_images_where_many_are_equal(equal):
    """As the sides of photographs: most are alike, and a few above and below."""
    values = np.concatenate([np.full(100, equal), np.linspace(0, 1, 50)])
    edges = profile_edges(values, 8)
    count = np.histogram(values, edges)[0]
    assert count.sum() == 150 and count.min() >= 20 and len(count) > 1


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    generator = np.random.default_rng(0)
    target = generator.integers(0, 2, 44)
    return recorded(tmp_path_factory.mktemp("few"), generator.uniform(0.2, 0.8, 44), target, target > 5)


def test_few_images_make_few_bins_and_figures_of_a_class(few):
    found = ico.profile(few, ["brightness", "contrast"])
    assert np.isfinite(found.edges).sum(1).tolist() == [3, 3] and found.count.sum(1).tolist() == [44, 44]
    assert len(found.plot(of_class="b").figure.axes) == 2
    with pytest.raises(QuestionError, match="There is no image of 'c'"):
        found.plot(of_class="c")
    with pytest.raises(QuestionError, match="There are: brightness, contrast"):
        found.weak_end("noise")
    frame = found.to_frame()
    assert frame[frame["group"] == "all images"]["images"].sum() == 88
    assert frame[frame["class_index"] == 1]["right"].sum() == 2 * (few.targets == 1).sum()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bins": 1}, "bins=1"),
        ({"bins": True}, "bins=True"),
        ({"level": 0.0}, "level=0"),
        ({"properties": []}, "No property"),
        ({"properties": ["brightnes"]}, "brightness"),
        ({"properties": ["aspect"]}, "the same in all images"),
        ({"properties": ["object size"]}, "0 images have a known object, and 40 are wanted"),
        ({"out": "x.html"}, "not written"),
    ],
)
def test_what_cannot_be_told_is_said(few, settings, message):
    with pytest.raises(QuestionError, match=message):
        ico.profile(few, **settings)


def test_a_recording_without_its_images_or_labels_is_refused(few):
    with pytest.raises(QuestionError, match="not at hand"):
        ico.profile(replace(few, images=None))
    network = ico.load_network("cars-honest", device="cpu")
    unlabelled = ico.record(
        network, np.zeros((4, 8, 8, 3), np.uint8), layers=[], store=few.folder.parent.parent / "other"
    )
    with pytest.raises(QuestionError, match="0 of 4 images have a label"):
        ico.profile(unlabelled)
